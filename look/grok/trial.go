package grok

import (
	"context"
	"fmt"
	"math"

	"orrery/learn/recipe"
)

// Outcome is how a trial of Li2's boundary ended (arXiv 2509.21519, fig. 5).
type Outcome string

const (
	// Success: at least SuccessAccuracy of the held-out pairs are right at the end.
	Success Outcome = "success"
	// Failure: when the last extension ends, the weights say that it will stay with
	// memorising (Analysis.Lazy).
	Failure Outcome = "failure"
	// Undecided: it may still generalise; after the last extension, it is censored.
	Undecided Outcome = "undecided"
)

// SuccessAccuracy is of held-out pairs, at the end of a trial.
const SuccessAccuracy = 0.95

// TrialResult is what a sweep keeps of one training.
type TrialResult struct {
	Net         string             `json:"net"`
	Group       string             `json:"group"`
	M           int                `json:"m"`          // order of the group
	MaxDegree   int                `json:"max_degree"` // largest degree of an irreducible representation, over ℂ
	Width       int                `json:"width"`
	Seed        uint64             `json:"seed"`
	N           int                `json:"n"` // training pairs
	P           float64            `json:"p"` // n/M²
	Optimizer   string             `json:"optimizer"`
	LR          float64            `json:"lr"`
	Decay       float64            `json:"decay"`
	VInit       float64            `json:"vinit"`
	Epochs      int                `json:"epochs"` // trained, with extensions
	Train       Score              `json:"train"`
	Test        *Score             `json:"test"`              // null if nothing is held out
	Fits        *int               `json:"fits_epoch"`        // first evaluation of two with 99 % of the training pairs right
	Generalises *int               `json:"generalises_epoch"` // the same of the held-out pairs
	Outcome     Outcome            `json:"outcome"`
	Censored    bool               `json:"censored"` // undecided, and the extensions are used up
	Measures    map[string]float64 `json:"measures,omitempty"`
	Finals      map[string]any     `json:"finals,omitempty"` // by analysis: what it says of the finished network
}

// Trial implements recipe.Trial. A trial that has not generalised after its epochs
// goes on, doubling them, up to Extend; also one whose weights are lazy: at M = 41
// such ones have generalised after four times the epochs (docs/grokking.md).
func (s *Settings) Trial(ctx context.Context) (any, error) {
	t, err := NewTrainer(*s)
	if err != nil {
		return nil, err
	}
	r := TrialResult{Net: s.Net, Group: t.Group.Name(), M: t.Group.Order(), Width: s.Width, Seed: s.Seed, N: len(t.Split.Train), Optimizer: s.Optimizer.Kind,
		LR: s.Optimizer.LR, Decay: s.Optimizer.Decay, VInit: s.VInit}
	r.P = float64(r.N) / float64(r.M*r.M)
	components, err := t.Group.Components()
	if err != nil {
		return nil, err
	}
	for _, c := range components {
		r.MaxDegree = max(r.MaxDegree, c.Degree)
	}
	l := trial{Trainer: t}
	if l.observers, err = observe(t.Experiment()); err != nil {
		return nil, err
	}
	for until := s.Epochs; ; until = min(2*until, s.Extend) {
		if err := l.train(ctx, until); err != nil {
			return nil, err
		}
		if r.Outcome = l.outcome(); r.Outcome == Success || until >= s.Extend {
			break
		}
	}
	r.Censored = r.Outcome == Undecided && s.Extend > 0
	return r, l.finish(&r)
}

// trial is a training without a folder.
type trial struct {
	*Trainer
	observers map[string]Observer
	history   History
}

// train goes on to an epoch and evaluates at the usual epochs up to it, those of
// a run of so many.
func (l *trial) train(ctx context.Context, until int) error {
	at, _ := Plan{Epochs: until, Every: l.Settings.Every}.evaluations()
	tenth := false
	for _, e := range at {
		if e < l.Epoch || e == l.Epoch && len(l.history) > 0 {
			continue
		}
		for l.Epoch < e {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if _, err := l.Step(); err != nil {
				return err
			}
		}
		// Whether it moves still is seen over the last tenth.
		late := e == until || !tenth && 10*e >= 9*until
		tenth = tenth || late
		if err := l.evaluate(e == 0 || late); err != nil {
			return err
		}
	}
	return nil
}

// evaluate scores the network, and measures it at the end of a stretch.
func (l *trial) evaluate(measure bool) error {
	e := Evaluation{Epoch: l.Epoch}
	var test Score
	if e.Train, test = l.Score(); len(l.Split.Test) > 0 {
		e.Test = &test
	}
	if bad := func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }; bad(e.Train.Loss) || e.Test != nil && bad(e.Test.Loss) {
		return &NaNError{Epoch: l.Epoch, What: "the loss after it", Good: -1}
	}
	if measure {
		var err error
		if e.Measures, err = measures(l.observers, l.Epoch, l.Net); err != nil {
			return err
		}
	}
	l.history = append(l.history, e)
	return nil
}

// outcome judges the last evaluation.
func (l *trial) outcome() Outcome {
	e := l.history[len(l.history)-1]
	switch {
	case e.Test == nil:
		return Undecided
	case e.Test.Accuracy >= SuccessAccuracy:
		return Success
	}
	for _, a := range analyses {
		if a.Lazy != nil && a.Lazy(l.history) {
			return Failure
		}
	}
	return Undecided
}

// finish fills in what is known at the end.
func (l *trial) finish(r *TrialResult) error {
	e := l.history[len(l.history)-1]
	r.Epochs, r.Train, r.Test, r.Measures = e.Epoch, e.Train, e.Test, e.Measures
	if at, ok := l.history.Reached(false, Enough); ok {
		r.Fits = &at
	}
	if at, ok := l.history.Reached(true, Enough); ok {
		r.Generalises = &at
	}
	for _, a := range analyses {
		if a.Final == nil {
			continue
		}
		v, err := a.Final(l.Experiment(), l.Net)
		if err != nil {
			return fmt.Errorf("analysis %s of the finished network: %w", a.Name, err)
		}
		if v != nil {
			if r.Finals == nil {
				r.Finals = map[string]any{}
			}
			r.Finals[a.Name] = v
		}
	}
	return nil
}

var _ recipe.Trial = (*Settings)(nil)
