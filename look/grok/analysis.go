package grok

import "orrery/report"

// Analysis reads meaning into weights: CoGS's potentials and factors, Li2's
// energy and stages. One registers itself from a file of its own in this
// package and needs no change elsewhere.
type Analysis struct {
	Name string

	// Begin prepares for a run, or returns nil if there is nothing to say about
	// such a one.
	Begin func(Experiment) (Observer, error)

	// Report adds sections to the page of a run; nil: none. It sees every
	// evaluation and all kept weights.
	Report func(*Run) ([]report.Block, error)
}

// Observer is shown a network at every evaluation.
type Observer interface {
	// Observe measures; the names become fields of metrics.jsonl. It must depend
	// on its arguments alone: a resumed run calls it for the epochs that are left
	// only. What compares epochs reads them again in Report. It may not keep n.
	Observe(epoch int, n *Net) (map[string]float64, error)
}

var analyses []Analysis

// Register adds an analysis.
func Register(a Analysis) { analyses = append(analyses, a) }
