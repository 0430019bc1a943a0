package cli

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"orrery/record"
)

// runJSON is a run as --json shows it in a list.
type runJSON struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Name     string          `json:"name"`
	Recipe   *string         `json:"recipe"` // of trainings and sweeps
	Config   json.RawMessage `json:"config"`
	Started  float64         `json:"started"` // seconds since 1970
	Seconds  float64         `json:"seconds"`
	State    record.State    `json:"state"`
	Metrics  json.RawMessage `json:"metrics"`
	Method   string          `json:"method"`
	Model    string          `json:"model"`
	Client   string          `json:"client"`
	Request  string          `json:"request"`
	Dir      string          `json:"dir"`
	Report   string          `json:"report"`
	Keep     string          `json:"keep"`
	Question *string         `json:"question"`
	Answer   *string         `json:"answer"`
	Tokens   int             `json:"tokens"`
	Saved    *float64        `json:"saved_estimate"`
	Launched int             `json:"launched"`
	Error    string          `json:"error"`
}

func newRunJSON(r *record.Run) runJSON {
	j := runJSON{ID: r.ID, Kind: r.Kind, Name: r.Name, Config: orNull(r.Config, "null"), Started: float64(r.Started.UnixMicro()) / 1e6,
		Seconds: r.Seconds(time.Now()), State: r.State, Metrics: orNull(r.Metrics, "{}"), Method: r.Method, Model: r.Model, Client: r.Client, Request: r.Request,
		Dir: r.Dir, Report: r.Report, Keep: r.Keep, Question: r.Question, Answer: r.Answer, Tokens: r.Tokens, Saved: r.Saved, Launched: r.Traces, Error: r.Error}
	if r.Kind == "train" || r.Kind == "sweep" {
		j.Recipe = &r.Name
	}
	return j
}

func orNull(b json.RawMessage, none string) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage(none)
	}
	return b
}

// runDetail is what `orrery runs ID --json` prints.
type runDetail struct {
	Version int `json:"version"` // 1
	runJSON
	Files  []string          `json:"files"`  // of the run's folder, as far as it is there
	Traces []json.RawMessage `json:"traces"` // of requests: as in the result of `orrery ask --json`
	Result json.RawMessage   `json:"result"` // what the command's --json printed, if it was kept
}

func newRunDetail(r *record.Run, traces []record.Trace) runDetail {
	d := runDetail{Version: 1, runJSON: newRunJSON(r), Files: filesOf(r), Traces: []json.RawMessage{}, Result: orNull(r.Result, "null")}
	for _, t := range traces {
		d.Traces = append(d.Traces, orNull(t.Detail, "null"))
	}
	return d
}

// maxFiles bounds the list: a folder may hold a whole sweep.
const maxFiles = 1000

// filesOf lists a run's folder and report, by absolute paths.
func filesOf(r *record.Run) []string {
	files := []string{}
	if r.Dir != "" {
		filepath.WalkDir(r.Dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			if len(files) == maxFiles {
				return fs.SkipAll
			}
			return nil
		})
	}
	if _, err := os.Stat(r.Report); r.Report != "" && err == nil && !within(r.Dir, r.Report) {
		files = append(files, r.Report)
	}
	return files
}

func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return dir != "" && err == nil && filepath.IsLocal(rel)
}
