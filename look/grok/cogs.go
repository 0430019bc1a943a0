package grok

import (
	"fmt"
	"iter"
	"math"

	"orrery/look/cogs"
	"orrery/report"
)

func init() { Register(Analysis{Name: "cogs", Report: cogsReport}) }

// cogsReport adds what CoGS says of a run, where its theory holds: a CoGS net
// with squares on addition modulo an odd number.
func cogsReport(r *Run) ([]report.Block, error) {
	s := r.Settings
	if s.Net != cogsNet || s.Activation != Square || !r.Group.IsSum() || r.Group.Order()%2 == 0 || len(r.Epochs) == 0 {
		return nil, nil
	}
	h, err := cogs.Follow(r.snapshots(r.Epochs))
	if err != nil {
		return nil, err
	}
	return h.Blocks(), nil
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
