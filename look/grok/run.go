package grok

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"orrery/learn/train"
)

// Run is a run folder, read: what it was asked and what it came to.
type Run struct {
	Experiment
	Dir     string
	Recipe  string
	Config  string       // config.json
	Metrics []Evaluation // by epoch
	Epochs  []int        // those whose weights are kept, ascending
}

// ReadMetrics reads a folder's metrics.jsonl, none if there is no such file. A
// last line that is not whole, being written, is left out.
func ReadMetrics(dir string) ([]Evaluation, error) {
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of a run: %w", err)
	}
	var out []Evaluation
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return out, nil
		}
		b = rest
		var e Evaluation
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the metrics of the run in %s: line %d: %w", dir, n, err)
		}
		out = append(out, e)
	}
}

// OpenRun reads a run folder, finished or not.
func OpenRun(dir string) (*Run, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening a run: %w: name the folder of a grok run", err)
	}
	var doc struct {
		Config struct {
			Recipe   string          `json:"recipe"`
			Settings json.RawMessage `json:"settings"`
		} `json:"config"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("opening the run in %s: %s: %w", dir, path, err)
	}
	r := &Run{Dir: dir, Recipe: doc.Config.Recipe, Config: string(b)}
	if err := train.Strict(doc.Config.Settings, &r.Settings); err != nil {
		return nil, fmt.Errorf("opening the run in %s: its settings are not those of a grok run: %w", dir, err)
	}
	if r.Group, err = r.Settings.check(); err != nil {
		return nil, fmt.Errorf("opening the run in %s: %w", dir, err)
	}
	m := r.Group.Order()
	r.Split = NewSplit(m, r.Settings.trainCount(m), r.Settings.Seed)
	if r.Metrics, err = ReadMetrics(dir); err != nil {
		return nil, err
	}
	r.Epochs, err = keptEpochs(dir)
	return r, err
}

// Load reads the weights of a kept epoch.
func (r *Run) Load(epoch int) (*Net, error) {
	return r.loadNet(filepath.Join(r.Dir, "checkpoints", epochFile(epoch)))
}

// reached is the first epoch from which on, for two evaluations, accuracy is
// at least 99 %, and whether there is one. test chooses the held-out pairs.
func (r *Run) reached(test bool) (epoch int, ok bool) {
	enough := func(e Evaluation) bool {
		s := &e.Train
		if test {
			s = e.Test
		}
		return s != nil && s.Accuracy >= 0.99
	}
	for i, e := range r.Metrics {
		if enough(e) && (i+1 == len(r.Metrics) || enough(r.Metrics[i+1])) {
			return e.Epoch, true
		}
	}
	return 0, false
}
