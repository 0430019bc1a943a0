package grok

import (
	"fmt"

	"orrery/learn/recipe"
	"orrery/report"
)

// Analysis reads meaning into weights: CoGS's potentials and factors, Li2's
// energy and stages. One registers itself from a file of its own in this
// package and needs no change elsewhere.
type Analysis struct {
	Name string

	// Begin prepares for a run, or returns nil if there is nothing to say about
	// such a one.
	Begin func(Experiment) (Observer, error)

	// Report adds to the page of a run; nil: nothing. It sees every evaluation and
	// all kept weights.
	Report func(*Run) (Section, error)

	// Result adds lines to what a run prints in the end, and fields to --json.
	Result func(*Run) (recipe.Result, error)

	// Lazy reports whether a trial of a sweep, by its evaluations so far, has
	// settled with memorising; nil: it cannot tell. Of the evaluations, only the
	// first, the last and one a tenth earlier have Measures.
	Lazy func([]Evaluation) bool

	// Final is what a sweep's trial keeps of a finished network, encoded as JSON;
	// nil: nothing, and so is a nil result.
	Final func(Experiment, *Net) (any, error)
}

// Section is what an analysis adds to a page: blocks, and marks on the curves of
// accuracy and loss.
type Section struct {
	Blocks []report.Block
	Marks  []report.Mark
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

// observe begins what the analyses have to observe of an experiment, by name.
func observe(e Experiment) (map[string]Observer, error) {
	out := map[string]Observer{}
	for _, a := range analyses {
		if a.Begin == nil {
			continue
		}
		w, err := a.Begin(e)
		if err != nil {
			return nil, fmt.Errorf("preparing the analysis %s: %w", a.Name, err)
		}
		if w != nil {
			out[a.Name] = w
		}
	}
	return out, nil
}

// measures are what all observers say; nil if nothing.
func measures(observers map[string]Observer, epoch int, n *Net) (map[string]float64, error) {
	var out map[string]float64
	for name, o := range observers {
		m, err := o.Observe(epoch, n)
		if err != nil {
			return nil, fmt.Errorf("analysis %s at epoch %d: %w", name, epoch, err)
		}
		for k, v := range m {
			if out == nil {
				out = map[string]float64{}
			}
			out[k] = v
		}
	}
	return out, nil
}
