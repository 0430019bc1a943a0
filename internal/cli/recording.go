package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"orrery/record"
)

// storeVariable says where runs are recorded where --store does not.
const storeVariable = "ORRERY_STORE"

// noStore is the URL of no store.
const noStore = "none"

// storeURL is where runs are recorded; ok is false if they are not to be.
func (a *app) storeURL() (url string, ok bool, err error) {
	if url = a.store; url == "" {
		url = os.Getenv(storeVariable)
	}
	if url == noStore {
		return "", false, nil
	}
	if err := record.CheckURL(url); err != nil {
		return "", false, usagef("--store: %w", err)
	}
	return url, true, nil
}

// openStore opens the store for commands that are about it.
func (a *app) openStore(ctx context.Context) (*record.Store, error) {
	url, ok, err := a.storeURL()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, usagef("--store %s (or %s) says that there is no record: name one, or leave it out for the file in your data folder", noStore, storeVariable)
	}
	return record.Open(ctx, url)
}

// recording is a command's entry in the record; nil records nothing.
type recording struct {
	a      *app
	ctx    context.Context
	store  *record.Store
	run    record.Run
	report string // to be written
}

// record begins the entry of a command that makes something: what kind of thing, of
// what, in which folder, with which report ("" each: none). It is one line:
//
//	defer a.record(ctx, "audit", name, dir, html).end(&err)
//
// A store that cannot be opened costs the command nothing but a warning.
func (a *app) record(ctx context.Context, kind, name, dir, report string) *recording {
	url, ok, err := a.storeURL()
	if !ok && err == nil {
		return nil
	}
	var s *record.Store
	if err == nil {
		s, err = record.Open(ctx, url)
	}
	if err != nil {
		a.unrecorded(err)
		return nil
	}
	r := &recording{a: a, ctx: ctx, store: s, report: absolute(report)}
	r.run = record.Run{Kind: kind, Name: name, Dir: absolute(dir)}
	r.look()
	if err := s.Begin(ctx, &r.run); err != nil {
		a.unrecorded(err)
		s.Close()
		return nil
	}
	a.recorded = r
	return r
}

func (a *app) unrecorded(err error) {
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintf(a.err, "warning: this is not recorded: %s\n", oneLine(err.Error()))
	}
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// result adds what the command found: its object, and its figures by name.
func (r *recording) result(object any, figures map[string]float64) {
	if r == nil {
		return
	}
	if b, err := json.Marshal(object); err == nil && len(b) <= maxResult {
		r.run.Result = b
	}
	if b, err := json.Marshal(figures); err == nil && len(figures) > 0 {
		r.run.Metrics = b
	}
}

// maxResult bounds what is kept of a result; an audit's is in its folder.
const maxResult = 1 << 20

// end writes down how the command came out, err being what it returns.
func (r *recording) end(err *error) {
	if r == nil {
		return
	}
	switch e := *err; {
	case e == nil, errors.Is(e, errRule): // a rule that held is a finding
		r.run.State = record.Done
	case interrupted(r.ctx, e):
		r.run.State = record.Stopped
	default:
		r.run.State, r.run.Error = record.Failed, e.Error()
	}
	r.look()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(r.store.End(ctx, &r.run), r.store.Close()); err != nil {
		r.a.unrecorded(err)
	}
}

// look takes from the command's folder what is in it: its settings, the last metrics,
// its report.
func (r *recording) look() {
	config := map[string]any{"command": "orrery " + shellQuote(withoutPasswords(r.a.args))}
	if r.run.Dir != "" {
		if b, err := os.ReadFile(filepath.Join(r.run.Dir, "config.json")); err == nil && json.Valid(b) && len(b) <= maxResult {
			config["settings"] = json.RawMessage(b)
		}
		if m := lastMetrics(filepath.Join(r.run.Dir, "metrics.jsonl")); m != nil && r.run.Result == nil {
			r.run.Metrics = m
		}
		if r.report == "" {
			r.report = filepath.Join(r.run.Dir, "report.html")
		}
	}
	if b, err := json.Marshal(config); err == nil {
		r.run.Config = b
	}
	// A report that is older is another run's, unless this one found nothing left to do.
	if info, err := os.Stat(r.report); r.report != "" && err == nil && !info.IsDir() && (r.run.State == record.Done || !info.ModTime().Before(r.run.Started)) {
		r.run.Report = r.report
	}
}

// lastMetrics is the last value of every number in a file of JSON lines; nil: none.
func lastMetrics(path string) json.RawMessage {
	const tail = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	whole := true
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		_, err := f.Seek(-tail, io.SeekEnd)
		whole = err != nil
	}
	b, err := io.ReadAll(io.LimitReader(f, 2*tail))
	if err != nil {
		return nil
	}
	last := map[string]json.Number{}
	for i, line := range bytes.Split(b, []byte("\n")) {
		if i == 0 && !whole {
			continue // it begins in the middle
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(line, &fields) != nil {
			continue
		}
		for name, raw := range fields {
			var inner map[string]json.RawMessage
			if raw[0] != '{' || json.Unmarshal(raw, &inner) != nil {
				inner = map[string]json.RawMessage{"": raw}
			}
			for key, raw := range inner {
				full := name
				if key != "" {
					full += "." + key
				}
				var n json.Number
				if raw[0] != '"' && string(raw) != "null" && json.Unmarshal(raw, &n) == nil {
					last[full] = n
				}
			}
		}
	}
	if len(last) == 0 {
		return nil
	}
	out, err := json.Marshal(last)
	if err != nil {
		return nil
	}
	return out
}
