package grok

import (
	"math"
	"testing"
)

// TestGromovByWidth holds the closed form to the published accuracies at
// p = 97: 41, 89, 99.9 and 100 % at widths 24, 48, 100 and 200. They depend on
// the draw, with a standard deviation of 0.05 at 24 nodes, and the published
// ones are of single draws.
func TestGromovByWidth(t *testing.T) {
	g := parse(t, "Z97")
	for width, want := range gromovPaper {
		e := newEvaluator(g, width, Split{})
		mean := 0.0
		for seed := range uint64(8) {
			_, s := e.score(GromovNet(97, width, seed))
			mean += s.Accuracy / 8
		}
		t.Logf("width %d: %.3f, published %.3f", width, mean, want)
		if math.Abs(mean-want) > 0.07 {
			t.Errorf("width %d: accuracy %.3f, published %.3f", width, mean, want)
		}
	}
}
