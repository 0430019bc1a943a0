package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/learn/token"
)

// state is what a checkpoint holds besides tensors, in state.json.
type state struct {
	Version   int     `json:"version"`
	Step      int     `json:"step"`      // finished steps
	Updates   int     `json:"updates"`   // optimiser steps since the moments were last 0; runs of before this field had one a step
	Tokens    int64   `json:"tokens"`    // input tokens of all steps
	Metrics   int64   `json:"metrics"`   // bytes of metrics.jsonl up to here
	Evaluated bool    `json:"evaluated"` // an evaluation that was due at Step is in them
	Best      int     `json:"best"`      // step of the best evaluation, 0: none yet
	BestScore float64 `json:"best_score"`
	Seconds   float64 `json:"seconds"`
}

// store is a run folder:
//
//	config.json            what was asked, resolved, and the versions that did it
//	metrics.jsonl          a line a step and an evaluation
//	checkpoints/step-N/    a Hugging Face folder with float32 weights, optimizer.safetensors and state.json
//	checkpoints/latest     the name of the newest whole checkpoint
//	final/                 the finished model in bfloat16, or as Config.Storage says
//	final-fp32/            the same in float32, if Storage is "both"
//	.lock                  held by the process that writes here
type store struct {
	dir   string
	files map[string][]byte // further files of every model's folder
}

func (s store) checkpoints() string { return filepath.Join(s.dir, "checkpoints") }

func stepName(step int) string { return fmt.Sprintf("step-%d", step) }

func (s store) path(step int) string { return filepath.Join(s.checkpoints(), stepName(step)) }

// describe writes config.json, or compares it when resuming: a run continues
// with the settings and from the model it began with.
func (s store) describe(config any, base *Base, resume bool) error {
	want, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("describing the run in %s: %w", s.dir, err)
	}
	path := filepath.Join(s.dir, "config.json")
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		doc := map[string]any{"version": 1, "config": config, "built_with": builtWith()}
		if base != nil {
			doc["base"] = origin{base.Name, base.Fingerprint()}
		}
		return checkpoint.Atomic(path, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(doc)
		})
	case err != nil:
		return fmt.Errorf("reading the settings of the run: %w", err)
	case !resume:
		return fmt.Errorf("starting a run in %s: a run is there already: resume it, or choose another folder", s.dir)
	}
	var doc struct {
		Config json.RawMessage `json:"config"`
		Base   *origin         `json:"base"`
	}
	if err := json.Unmarshal(old, &doc); err != nil {
		return fmt.Errorf("reading the settings of the run in %s: %w: restore the file, or start anew in another folder", path, err)
	}
	if diff := firstDifference("", doc.Config, want); diff != "" {
		return fmt.Errorf("resuming the run in %s: it began with other settings (%s): resume with the same, or start anew in another folder", s.dir, diff)
	}
	if err := sameBase(doc.Base, base); err != nil {
		return fmt.Errorf("resuming the run in %s: %w", s.dir, err)
	}
	return nil
}

// sameBase compares what a run began from with what it is given now.
func sameBase(began *origin, now *Base) error {
	switch {
	case began == nil && now == nil:
		return nil
	case began == nil:
		return fmt.Errorf("it began from random weights, now the model %s is given: leave that out, or start anew in another folder", now.Name)
	case now == nil:
		return fmt.Errorf("it began from the model %s, now none is given: give that one", began.Name)
	}
	if sum := now.Fingerprint(); sum != began.SHA256 {
		return fmt.Errorf("it began from the model %s with fingerprint %.16s, now %s has %.16s: give the model that it began from, or start anew in another folder", began.Name, began.SHA256, now.Name, sum)
	}
	return nil
}

// firstDifference names the first field where two JSON documents differ, in
// sorted order, or returns "".
func firstDifference(name string, a, b json.RawMessage) string {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || x == nil || y == nil {
		var v, w any
		json.Unmarshal(a, &v)
		json.Unmarshal(b, &w)
		p, _ := json.Marshal(v)
		q, _ := json.Marshal(w)
		if string(p) == string(q) {
			return ""
		}
		return fmt.Sprintf("%s was %s, now %s", name, p, q)
	}
	var keys []string
	for k := range x {
		keys = append(keys, k)
	}
	for k := range y {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	null := json.RawMessage("null")
	for _, k := range slices.Compact(keys) {
		v, w := x[k], y[k]
		if v == nil {
			v = null
		}
		if w == nil {
			w = null
		}
		if d := firstDifference(strings.TrimPrefix(name+"."+k, "."), v, w); d != "" {
			return d
		}
	}
	return ""
}

// builtWith names the versions that may explain a difference later.
func builtWith() map[string]string {
	m := map[string]string{"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		m["orrery"] = info.Main.Version
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "vcs.") {
				m[s.Key] = s.Value
			}
		}
	}
	return m
}

// latest is the step of the newest whole checkpoint, 0 if there is none. What
// a killed process left half done is removed.
func (s store) latest() (int, error) {
	list, err := os.ReadDir(s.checkpoints())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking for checkpoints: %w", err)
	}
	pointer := filepath.Join(s.checkpoints(), "latest")
	step := 0
	b, err := os.ReadFile(pointer)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("looking for checkpoints: %w", err)
	default:
		name := strings.TrimSpace(string(b))
		if _, err := fmt.Sscanf(name, "step-%d", &step); err != nil || name != stepName(step) || step < 1 {
			return 0, fmt.Errorf("looking for checkpoints: %s says %q, want the name of a folder beside it, such as step-100: write that into it", pointer, name)
		}
		if _, err := os.Stat(s.path(step)); err != nil {
			return 0, fmt.Errorf("looking for checkpoints: %s names %s, which can't be read: %w: restore it, or write the name of another folder there into the file", pointer, name, err)
		}
	}
	for _, e := range list {
		var n int
		_, err := fmt.Sscanf(e.Name(), "step-%d", &n)
		if strings.HasPrefix(e.Name(), ".") || err == nil && n > step {
			if err := os.RemoveAll(filepath.Join(s.checkpoints(), e.Name())); err != nil {
				return 0, fmt.Errorf("removing an unfinished checkpoint: %w", err)
			}
		}
	}
	return step, nil
}

// save writes a checkpoint under a temporary name, renames it, and points
// latest at it: a process killed at any moment leaves the old one or the new.
func (s store) save(m *nn.Model, v *token.Vocab, o *optimizer, st state) (err error) {
	temp := filepath.Join(s.checkpoints(), "."+stepName(st.Step))
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
			err = fmt.Errorf("writing the checkpoint of step %d in %s: %w: earlier checkpoints are untouched; make room or make the folder writable, then resume", st.Step, s.checkpoints(), err)
		}
	}()
	if err := os.MkdirAll(temp, 0o777); err != nil {
		return err
	}
	if err := s.saveModel(temp, m, v, checkpoint.F32); err != nil {
		return err
	}
	var entries []checkpoint.Entry
	o.named(func(name string, t *tensor.Tensor) error {
		entries = append(entries, checkpoint.Entry{Name: name, Tensor: t, DType: checkpoint.F32})
		return nil
	})
	if err := checkpoint.Write(filepath.Join(temp, "optimizer.safetensors"), entries, map[string]string{"kind": o.Kind}); err != nil {
		return err
	}
	if err := writeState(temp, st); err != nil {
		return err
	}
	if err := os.RemoveAll(s.path(st.Step)); err != nil { // only ever one that latest does not name
		return err
	}
	if err := os.Rename(temp, s.path(st.Step)); err != nil {
		return err
	}
	return checkpoint.Atomic(filepath.Join(s.checkpoints(), "latest"), func(w io.Writer) error {
		_, err := fmt.Fprintln(w, stepName(st.Step))
		return err
	})
}

// saveModel writes a Hugging Face folder, and the run's own files into it.
func (s store) saveModel(dir string, m *nn.Model, v *token.Vocab, d checkpoint.DType) error {
	if err := m.Save(dir, d); err != nil {
		return err
	}
	for name, b := range s.files {
		if err := checkpoint.Atomic(filepath.Join(dir, name), func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
			return err
		}
	}
	if v == nil { // the ids mean something else than text
		return nil
	}
	return v.Save(dir)
}

func writeState(dir string, st state) error {
	return checkpoint.Atomic(filepath.Join(dir, "state.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(st)
	})
}

// load reads a checkpoint: the model, and the moments into o.
func (s store) load(step int, want nn.Config, open func(*nn.Model) *optimizer) (m *nn.Model, o *optimizer, st state, err error) {
	dir := s.path(step)
	fail := func(err error) (*nn.Model, *optimizer, state, error) {
		return nil, nil, state{}, fmt.Errorf("resuming from %s: %w: restore the file, or write the name of an older checkpoint into %s", dir, err, filepath.Join(s.checkpoints(), "latest"))
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		return fail(err)
	}
	st.Updates = -1
	if err := Strict(b, &st); err != nil {
		return fail(fmt.Errorf("state.json: %w", err))
	}
	if st.Updates < 0 {
		st.Updates = st.Step
	}
	if st.Step != step || st.Version != 1 {
		return fail(fmt.Errorf("state.json is of step %d, version %d, want step %d, version 1", st.Step, st.Version, step))
	}
	if m, err = nn.Load(dir); err != nil {
		return fail(err)
	}
	if m.Config != want {
		return fail(fmt.Errorf("config.json describes another model, %+v, want %+v", m.Config, want))
	}
	f, err := checkpoint.Open(filepath.Join(dir, "optimizer.safetensors"))
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	o = open(m)
	if err := o.named(func(name string, t *tensor.Tensor) error {
		from, err := f.Tensor(name)
		if err != nil {
			return err
		}
		return take(name, t, from)
	}); err != nil {
		return fail(err)
	}
	return m, o, st, nil
}

// prune removes all checkpoints but the newest two and the best.
func (s store) prune(best int) error {
	list, err := os.ReadDir(s.checkpoints())
	if err != nil {
		return fmt.Errorf("removing old checkpoints: %w", err)
	}
	var steps []int
	for _, e := range list {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "step-%d", &n); err == nil {
			steps = append(steps, n)
		}
	}
	slices.Sort(steps)
	for _, n := range steps[:max(0, len(steps)-2)] {
		if n == best {
			continue
		}
		if err := os.RemoveAll(s.path(n)); err != nil {
			return fmt.Errorf("removing old checkpoints: %w", err)
		}
	}
	return nil
}

// Snapshots is the folder of a run that has the weights of some steps.
const Snapshots = "snapshots"

// snapshot keeps the weights of a step, unless they are there already.
func (s store) snapshot(step int, m *nn.Model, v *token.Vocab, d checkpoint.DType) (err error) {
	final := filepath.Join(s.dir, Snapshots, stepName(step))
	if _, err := os.Stat(final); err == nil {
		return nil // of a run that was interrupted behind it: the same step has the same weights
	}
	temp := filepath.Join(s.dir, Snapshots, "."+stepName(step))
	defer func() {
		if err != nil {
			err = fmt.Errorf("keeping the weights of step %d in %s: %w: make room or make the folder writable, then resume", step, final, err)
		}
	}()
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o777)); err != nil {
		return err
	}
	if err := s.saveModel(temp, m, v, d); err != nil {
		return err
	}
	return os.Rename(temp, final)
}

// finish writes a folder with the finished model, whole or not at all.
func (s store) finish(f stored, m *nn.Model, v *token.Vocab) (err error) {
	temp, final := filepath.Join(s.dir, "."+f.folder), filepath.Join(s.dir, f.folder)
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the finished model to %s: %w: the last checkpoint is untouched; make room or make the folder writable, then resume", final, err)
		}
	}()
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o777)); err != nil {
		return err
	}
	if err := s.saveModel(temp, m, v, f.dtype); err != nil {
		return err
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(temp, final)
}
