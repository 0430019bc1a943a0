package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Metric is one line of metrics.jsonl. Everything but TokensPerSecond and
// Seconds is the same whenever and however often a run was interrupted.
type Metric struct {
	Kind string `json:"kind"` // "step" or "eval"
	Step int    `json:"step"` // finished steps

	// Of a step.
	Loss            float64 `json:"loss,omitempty"` // nats a supervised token, weighted mean of the batch
	LR              float64 `json:"lr,omitempty"`
	GradNorm        float64 `json:"grad_norm,omitempty"` // before clipping
	Tokens          int64   `json:"tokens,omitempty"`    // input tokens of all steps so far
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`

	// Of an evaluation.
	Accuracy float64          `json:"accuracy,omitempty"` // mean over tasks
	Tasks    map[string]Score `json:"tasks,omitempty"`

	Seconds float64 `json:"seconds"` // spent in training and evaluation, over all resumptions
}

// Score is one task's evaluation.
type Score struct {
	Problems int     `json:"problems"`
	Accuracy float64 `json:"accuracy"` // sampled single traces
	Answered float64 `json:"answered"` // share of traces that ended in an answer
	Tokens   float64 `json:"tokens"`   // mean of a trace, EOS included
	Loss     float64 `json:"loss"`     // nats a token of the worked solutions
}

// metrics appends lines to metrics.jsonl.
type metrics struct {
	f     *os.File
	bytes int64
}

// openMetrics opens the file and cuts it to the length that a checkpoint
// knows, so that steps that are done again are not written twice.
func openMetrics(dir string, keep int64) (*metrics, error) {
	path := filepath.Join(dir, "metrics.jsonl")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("opening the metrics of a run: %w", err)
	}
	st, err := f.Stat()
	if err == nil && st.Size() < keep {
		err = fmt.Errorf("%s has %d bytes, the checkpoint was written after %d: restore the file, or start anew in another folder", path, st.Size(), keep)
	}
	if err == nil {
		err = f.Truncate(keep)
	}
	if err == nil {
		_, err = f.Seek(keep, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the metrics of a run: %w", errors.Join(err, f.Close()))
	}
	return &metrics{f, keep}, nil
}

func (m *metrics) write(line Metric) error {
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("writing metrics of step %d: %w", line.Step, err)
	}
	n, err := m.f.Write(append(b, '\n'))
	m.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("writing metrics of step %d: %w: make room or make the folder writable, then resume", line.Step, err)
	}
	return nil
}

// Progress is what a caller can show of a running training.
type Progress struct {
	Step, Steps     int
	Metric          Metric        // the line just written
	TokensPerSecond float64       // of the latest steps
	Left            time.Duration // estimated
}
