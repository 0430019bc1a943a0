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

// Metric is one line of metrics.jsonl. Everything but seconds and speeds is the
// same whenever and however often a run was interrupted.
type Metric struct {
	Kind string `json:"kind"` // "step" or "eval"
	Step int    `json:"step"` // finished steps

	// Of a step.
	Loss            float64 `json:"loss,omitempty"` // nats a supervised token, weighted mean of the batch; in GRPO its loss, mean of the step's updates
	LR              float64 `json:"lr,omitempty"`
	GradNorm        float64 `json:"grad_norm,omitempty"` // before clipping
	Tokens          int64   `json:"tokens,omitempty"`    // input tokens of all steps so far
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`

	RL *RL `json:"rl,omitempty"` // GRPO's own

	// Of an evaluation.
	Accuracy float64          `json:"accuracy,omitempty"` // mean over tasks
	Tasks    map[string]Score `json:"tasks,omitempty"`

	Seconds float64 `json:"seconds"` // spent in training and evaluation, over all resumptions
}

// RL is a step of GRPO: its responses, all measured before the step's first
// update unless something else is said.
type RL struct {
	Responses      int     `json:"responses"`
	ResponseTokens int     `json:"response_tokens"` // of all of them
	Updates        int     `json:"updates"`         // optimiser steps; 0 if no group had a difference to learn from
	Reward         float64 `json:"reward"`          // mean of the responses
	Accuracy       float64 `json:"accuracy"`        // share that is right
	Answered       float64 `json:"answered"`        // share that ends in a boxed answer
	Truncated      float64 `json:"truncated"`       // share that was cut off
	Length         float64 `json:"length"`          // mean tokens, EOS included
	ZeroVariance   float64 `json:"zero_variance"`   // share of groups whose rewards are all the same
	Entropy        float64 `json:"entropy"`         // of the policy, nats, mean of the tokens
	KL             float64 `json:"kl"`              // to the reference, nats a token: mean of k3; with Beta 0 over one response a group
	Clipped        float64 `json:"clipped"`         // share of the tokens trained on whose gradient clipping took, of all updates

	// |sampler's − trainer's log-probability| of the sampled tokens, and the share
	// of tokens where it is 0 bit for bit.
	AgreementMax   float64 `json:"agreement_max"`
	AgreementMean  float64 `json:"agreement_mean"`
	AgreementEqual float64 `json:"agreement_equal"`

	Importance    float64 `json:"importance"`     // mean importance weight, 1 without correction
	ImportanceCut float64 `json:"importance_cut"` // share of weights that the cap cut

	SampleSeconds float64 `json:"sample_seconds"` // drawing responses and judging them
	ScoreSeconds  float64 `json:"score_seconds"`  // passes without gradient: the reference's, and the trainer's where no other will do
	TrainSeconds  float64 `json:"train_seconds"`  // passes with gradient, and updates
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

func (m *metrics) write(line Metric) error { return m.append(line.Step, line) }

func (m *metrics) append(step int, line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("writing metrics of step %d: %w", step, err)
	}
	n, err := m.f.Write(append(b, '\n'))
	m.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("writing metrics of step %d: %w: make room or make the folder writable, then resume", step, err)
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
