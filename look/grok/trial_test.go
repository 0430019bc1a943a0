package grok

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"orrery/learn/tensor"
)

// trialOf is a small one: Z5, which generalises or not within its epochs.
func trialOf(share float64, epochs, extend int) *Settings {
	s := li2Settings("Z5", 32, share, 0.01, 1e-4)
	s.Epochs, s.Extend = epochs, extend
	return &s
}

// TestTrialIsTheRun: a trial's curve is that of a run of as many epochs.
func TestTrialIsTheRun(t *testing.T) {
	s := trialOf(0.8, 60, 0)
	v, err := s.Trial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	r := v.(TrialResult)
	again, err := NewTrainer(*s)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if _, err := again.Step(); err != nil {
			t.Fatal(err)
		}
	}
	train, test := again.Score()
	if r.Train != train || *r.Test != test || r.Epochs != 60 || r.N != 20 || r.P != 0.8 || r.MaxDegree != 1 {
		t.Errorf("trial %+v, the same steps give %+v, %+v", r, train, test)
	}
}

// TestExtension: an undecided trial ends where a trial of the extended epochs
// does, and is censored when no extension is left.
func TestExtension(t *testing.T) {
	v, err := trialOf(0.24, 10, 35).Trial(context.Background()) // 6 of 25 pairs cannot determine the table
	if err != nil {
		t.Fatal(err)
	}
	r := v.(TrialResult)
	if r.Outcome != Undecided || !r.Censored || r.Epochs != 35 { // 10, 20, 35
		t.Errorf("got %s, censored %v, after %d epochs", r.Outcome, r.Censored, r.Epochs)
	}
	w, err := trialOf(0.24, 35, 0).Trial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if long := w.(TrialResult); long.Train != r.Train || *long.Test != *r.Test || long.Censored {
		t.Errorf("extended %+v, at once %+v", r, long)
	}
	if _, err := trialOf(0.24, 10, 5).Trial(context.Background()); err == nil {
		t.Error("an extension shorter than the epochs is taken")
	}
}

// TestLazyGoesOn: what looks settled with memorising is trained to the last
// extension all the same.
func TestLazyGoesOn(t *testing.T) {
	was := analyses
	defer func() { analyses = was }()
	analyses = []Analysis{{Name: "always", Lazy: func([]Evaluation) bool { return true }}}
	v, err := trialOf(0.24, 10, 35).Trial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r := v.(TrialResult); r.Outcome != Failure || r.Censored || r.Epochs != 35 {
		t.Errorf("got %s, censored %v, after %d epochs", r.Outcome, r.Censored, r.Epochs)
	}
}

func TestTrialSameAtAnyThreads(t *testing.T) {
	defer tensor.SetThreads(0)
	var first string
	for _, n := range []int{1, 3} {
		tensor.SetThreads(n)
		v, err := trialOf(0.8, 40, 80).Trial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		} else if first != string(b) {
			t.Errorf("one thread: %s\n%d: %s", first, n, b)
		}
	}
}

func TestTrialStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := trialOf(0.8, 40, 0).Trial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	bad := trialOf(0.8, 40, 0)
	bad.Optimizer.Kind, bad.Optimizer.LR = "sgd", 1e30
	var nan *NaNError
	if _, err := bad.Trial(context.Background()); !errors.As(err, &nan) {
		t.Errorf("a rate of 1e30 gives %v", err)
	}
}
