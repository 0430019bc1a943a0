package grok

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"orrery/learn/train"
)

// Run is a run folder, read: what it was asked and what it came to.
type Run struct {
	Experiment
	Dir     string
	Recipe  string
	Config  string  // config.json
	Metrics History // by epoch
	Epochs  []int   // those whose weights are kept, ascending
}

// Config is what a run's config.json says was asked.
type Config struct {
	Recipe   string          `json:"recipe"`
	Settings json.RawMessage `json:"settings"`
	Text     string          `json:"-"` // the file
}

// ReadConfig reads the config.json of a run folder.
func ReadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("opening a run: %w: name the folder of a grok run", err)
	}
	var doc struct {
		Config Config `json:"config"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Config{}, fmt.Errorf("opening the run in %s: %s: %w", dir, path, err)
	}
	doc.Config.Text = string(b)
	return doc.Config, nil
}

// OpenRun reads a run folder, finished or not.
func OpenRun(dir string) (*Run, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Recipe: c.Recipe, Config: c.Text}
	if err := train.Strict(c.Settings, &r.Settings); err != nil {
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
	r.Epochs, err = KeptEpochs(dir)
	return r, err
}

// Load reads the weights of a kept epoch.
func (r *Run) Load(epoch int) (*Net, error) {
	return r.loadNet(filepath.Join(r.Dir, "checkpoints", EpochFile(epoch)))
}
