package grok

import (
	"fmt"
	"iter"
	"math"

	"orrery/learn/recipe"
	"orrery/look/cogs"
	"orrery/report"
)

func init() {
	Register(Analysis{Name: "cogs", Report: cogsReport, Result: cogsResult, Final: cogsFinal})
}

// isCogs reports whether CoGS' theory holds of a training: a CoGS net with squares
// on addition modulo an odd number.
func (e Experiment) isCogs() bool {
	s := e.Settings
	return s.Net == cogsNet && s.Activation == Square && e.Group.IsSum() && e.Group.Order()%2 == 1
}

// cogsFinal counts the factors of a trial's network, as cogs.Shares.
func cogsFinal(e Experiment, n *Net) (any, error) {
	if !e.isCogs() {
		return nil, nil
	}
	w, err := cogs.From32(n.M, n.K, n.A, n.B, n.C)
	if err != nil {
		return nil, err
	}
	return cogs.Count(w.Spectrum().Factorise()), nil
}

// cogsReport adds what CoGS says of a run.
func cogsReport(r *Run) (s Section, err error) {
	if !r.isCogs() || len(r.Epochs) == 0 {
		return s, nil
	}
	h, err := cogs.Follow(r.snapshots(r.Epochs))
	if err != nil {
		return s, err
	}
	if e, ok := h.Settled(); ok && e > 0 {
		s.Marks = []report.Mark{{Name: "orders final", At: float64(e)}}
	}
	s.Blocks = h.Blocks()
	return s, nil
}

// cogsResult counts the factors in the end.
func cogsResult(r *Run) (recipe.Result, error) {
	if !r.isCogs() || len(r.Epochs) == 0 {
		return recipe.Result{}, nil
	}
	h, err := r.late()
	if err != nil {
		return recipe.Result{}, err
	}
	l, n := newCogsLine(r, h), len(h.Factors().Frequencies)
	line := fmt.Sprintf("of %d frequencies, %d have 4 nodes, %d have 6, %d another number", n, l.Orders[4], l.Orders[6], n-l.Orders[4]-l.Orders[6])
	if !l.Settled {
		line += "; that is still changing"
	}
	return recipe.Result{Lines: []string{line}, Fields: map[string]any{"cogs": l}}, nil
}

// late analyses the last kept epochs.
func (r *Run) late() (*cogs.History, error) {
	return cogs.Follow(r.snapshots(r.Epochs[max(0, len(r.Epochs)-cogs.Late):]))
}

// snapshots loads kept weights, one after the other.
func (r *Run) snapshots(epochs []int) iter.Seq2[cogs.Snapshot, error] {
	loss := map[int]float64{} // of the whole table
	pairs := float64(len(r.Split.Train) + len(r.Split.Test))
	for _, e := range r.Metrics {
		sum := e.Train.Loss * float64(len(r.Split.Train))
		if e.Test != nil {
			sum += e.Test.Loss * float64(len(r.Split.Test))
		}
		loss[e.Epoch] = sum / pairs
	}
	return func(yield func(cogs.Snapshot, error) bool) {
		for _, epoch := range epochs {
			n, err := r.Load(epoch)
			s := cogs.Snapshot{Epoch: epoch, Loss: math.NaN()}
			if l, ok := loss[epoch]; ok {
				s.Loss = l
			}
			if err == nil {
				s.Weights, err = cogs.From32(n.M, n.K, n.A, n.B, n.C)
			}
			if err != nil {
				err = fmt.Errorf("epoch %d: %w", epoch, err)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}
