package grok

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/learn/recipe"
)

// TestLi2Report: measures in metrics.jsonl, and a page with stages, table and
// maps, for a group with a component of degree 2 and for another activation.
func TestLi2Report(t *testing.T) {
	for name, s := range map[string]Settings{
		"square": li2Settings("S3", 24, 0.9, 0.01, 1e-4),
		"relu":   li2Settings("Z5", 24, 1, 0.01, 1e-4).with(func(s *Settings) { s.Activation, s.VInit = ReLU, 0 }),
	} {
		s.Epochs = 200
		dir := t.TempDir()
		if err := s.Run(context.Background(), "li2-f3", recipe.Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		metrics, err := ReadMetrics(dir)
		if err != nil {
			t.Fatal(err)
		}
		last := metrics[len(metrics)-1].Measures
		for _, m := range []string{gradientMeasure, alignmentMeasure, coverageMeasure, purityMeasure, iprMeasure, livingMeasure} {
			if _, ok := last[m]; !ok {
				t.Errorf("%s: metrics lack %s: %v", name, m, last)
			}
		}
		if _, ok := metrics[0].Measures[alignmentMeasure]; ok != (s.VInit != 0) {
			t.Errorf("%s: alignment at the start is there: %v", name, ok)
		}
		res, err := s.Result(dir)
		if err != nil || res.Fields["li2"] == nil || !strings.Contains(strings.Join(res.Lines, "\n"), "by the weights:") {
			t.Errorf("%s: result %+v, %v", name, res, err)
		}
		if err := s.WriteReport(dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"how the features emerged", "I memorises", "Which layer turns?", "Nodes and components at epoch", "The components of", "agree?", "ridge solution"}
		if name == "square" {
			want = append(want, "No node climbs beyond E*", "rank 1", "Energies at the end")
		} else {
			want = append(want, "The maxima of E are known for the square alone")
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s: the page lacks %q", name, w)
			}
		}
		if strings.Contains(strings.ReplaceAll(string(b), "isNaN", ""), "NaN") {
			t.Errorf("%s: the page shows a NaN", name)
		}
	}
}

// TestLi2Lazy reads the three measured evaluations of a trial.
func TestLi2Lazy(t *testing.T) {
	at := func(epoch int, purity, coverage float64) Evaluation {
		return Evaluation{Epoch: epoch, Measures: map[string]float64{purityMeasure: purity, coverageMeasure: coverage}}
	}
	start, plain := at(0, 0.2, 0), Evaluation{Epoch: 950}
	for _, c := range []struct {
		name    string
		history []Evaluation
		want    bool
	}{
		{"at rest", []Evaluation{start, at(900, 0.25, 0.1), plain, at(1000, 0.25, 0.1)}, true},
		{"moving", []Evaluation{start, at(900, 0.25, 0.1), plain, at(1000, 0.30, 0.1)}, false},
		{"covered", []Evaluation{start, at(900, 0.9, 1), at(1000, 0.9, 1)}, false},
		{"not measured twice", []Evaluation{start, plain, at(1000, 0.25, 0.1)}, false},
	} {
		if got := li2Lazy(c.history); got != c.want {
			t.Errorf("%s: lazy %v", c.name, got)
		}
	}
	if p := li2Point(plain); !math.IsNaN(p.Coverage) || !math.IsNaN(p.TestAccuracy) {
		t.Errorf("what was not measured is %+v", p)
	}
}
