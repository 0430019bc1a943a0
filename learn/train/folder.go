package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Folder is a run folder for loops other than this package's, with the same
// rules: one process writes it, config.json says what was asked and a run goes
// on with that alone, and metrics.jsonl is cut to what a checkpoint knows.
type Folder struct {
	Dir     string
	lock    *os.File
	metrics *metrics
}

// OpenFolder makes and locks a run folder and writes config.json or, with
// resume, compares it.
func OpenFolder(dir string, config any, resume bool) (*Folder, error) {
	s := store{dir: dir}
	if err := os.MkdirAll(s.checkpoints(), 0o777); err != nil {
		return nil, fmt.Errorf("making the run folder: %w: choose a folder that can be written", err)
	}
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	if err := s.describe(config, nil, resume); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Folder{Dir: dir, lock: lock}, nil
}

// Checkpoint is the path of a file in checkpoints/.
func (f *Folder) Checkpoint(name string) string {
	return filepath.Join(store{dir: f.Dir}.checkpoints(), name)
}

// Metrics opens metrics.jsonl and cuts it to its first keep bytes.
func (f *Folder) Metrics(keep int64) (err error) {
	f.metrics, err = openMetrics(f.Dir, keep)
	return err
}

// Log appends one line of JSON to metrics.jsonl; step is for errors.
func (f *Folder) Log(step int, line any) error { return f.metrics.append(step, line) }

// Sync flushes the metrics to disk and returns their size, which a checkpoint
// that follows keeps.
func (f *Folder) Sync() (int64, error) {
	if err := f.metrics.f.Sync(); err != nil {
		return 0, fmt.Errorf("writing the metrics of the run: %w", err)
	}
	return f.metrics.bytes, nil
}

// Close gives the folder up.
func (f *Folder) Close() error {
	err := f.lock.Close()
	if f.metrics != nil {
		err = errors.Join(err, f.metrics.f.Close())
	}
	return err
}
