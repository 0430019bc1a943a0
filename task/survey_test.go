package task

import (
	"math"
	"testing"
)

func survey(problems []Problem, published bool) Summary {
	var s Survey
	for _, p := range problems {
		s.Add(p)
	}
	return s.Summary(published)
}

// Two graphs by hand: the diamond with a tail of TestGraphClosedForm, and a single
// chain of three.
func TestSurveyClosedForm(t *testing.T) {
	a := &Graph{
		IdxToSymbol: []string{"Rex", "brimpus", "dumpus", "felpus", "gorpus", "Tom", "zumpus"},
		Edges:       [][2]int{{0, 1}, {0, 2}, {1, 2}, {1, 3}, {2, 3}, {3, 4}, {5, 6}},
		Root:        0, Target: 4, NegTarget: 6,
	}
	b := &Graph{
		IdxToSymbol: []string{"Tom", "Rex", "brimpus", "zumpus", "dumpus", "gorpus"},
		Edges:       [][2]int{{0, 3}, {1, 2}, {2, 4}, {4, 5}},
		Root:        1, Target: 5, NegTarget: 3,
	}
	lost := *b
	lost.Root, lost.NegTarget = 3, 2
	s := survey([]Problem{
		{Question: "Is Rex a gorpus or zumpus?", Answer: "gorpus", Steps: []string{"a.", "b.", "c."}, Data: a},
		{Question: "Now: Is Rex a zumpus or gorpus?", Answer: "gorpus", Steps: []string{"a b.", "b.", "c.", "12"}, Data: b},
		{Question: "Is Rex a zumpus or gorpus?", Answer: "zumpus", Steps: []string{"a."}, Data: &lost},
	}, true)
	if s.N != 3 || s.Unanswerable != 1 || s.Question != (Length{8, 7, 9}) || s.Solution != (Length{7.5, 6, 9}) {
		t.Errorf("%+v", s)
	}
	if s.Steps[3] != .5 || s.Steps[4] != .5 || len(s.Steps) != 2 || s.Hops[3] != 1 || len(s.Hops) != 1 {
		t.Errorf("steps %v, hops %v", s.Steps, s.Hops)
	}
	if s.Answers.Distinct != 1 || s.Answers.Most != "gorpus" || s.Answers.MostShare != 1 || s.Answers.First.Mean != .5 || *s.Answers.First.SE != .5 {
		t.Errorf("answers %+v", s.Answers)
	}
	// Means of two, and |x₁−x₂|/2 as their standard error; in-degree shares of 13 nodes.
	for _, f := range s.Figures {
		want, ok := map[string][2]float64{
			"nodes": {6.5, .5}, "edges": {5.5, 1.5}, "parentless": {2, 0}, "reachable": {4.5, .5}, "shortest paths": {1.5, .5},
			"hops 3": {1, 0}, "hops 4": {0, 0}, "root id = 1": {.5, .5},
			// x is 2, 2 of 7, 6 nodes: R = 4/13, residuals 2−28/13 and 2−24/13, √(2·(2/13)²/2)/6.5.
			"in-degree 0": {4. / 13, 2. / 13 / 6.5},
			"in-degree 1": {7. / 13, 10. / 13 / 6.5}, "in-degree 2": {2. / 13, 12. / 13 / 6.5}, "in-degree 3": {0, 0},
		}[f.Name]
		if ok && (math.Abs(f.Mean-want[0]) > 1e-12 || math.Abs(*f.SE-want[1]) > 1e-12) {
			t.Errorf("%s: %v ± %v, want %v", f.Name, f.Mean, *f.SE, want)
		}
		if f.Published == nil {
			t.Errorf("%s stands beside nothing", f.Name)
		}
		if f.Name == "edges" { // (5.5 − 35.84)/√(1.5² + 0.26²)
			if z := (5.5 - 35.84) / math.Hypot(1.5, .26); math.Abs(*f.Z-z) > 1e-12 {
				t.Errorf("z of edges is %v, want %v", *f.Z, z)
			}
		}
		if (f.Z == nil) != (f.PublishedSE == nil) {
			t.Errorf("%s: z %v, published s.e. %v", f.Name, f.Z, f.PublishedSE)
		}
	}
	// Fewer in-edges: equal in both. More ancestors: of 4 above 1, and of 3 above 1.
	if s.Shortcuts[0].Mean != .5 || s.Shortcuts[1].Mean != 1 || *s.Shortcuts[0].Published != .66 || s.Shortcuts[0].Z != nil {
		t.Errorf("shortcuts %+v", s.Shortcuts[:2])
	}
	lone := survey([]Problem{{Question: "Is Rex a gorpus or zumpus?", Answer: "gorpus", Data: a}}, true)
	if f := lone.Figures[0]; f.SE != nil || f.Z != nil || f.Mean != 7 {
		t.Errorf("a single problem has the standard error %v", *f.SE)
	}
}

// Means are those of the naive functions of the other tests; the linearised standard errors
// are those of the jackknife up to O(1/n), for which a hundredth is generous at n = 400.
func TestSurveyEqualsTwins(t *testing.T) {
	problems := sample(t, ProsQAShapeOf(Standard), 400, 51)
	s := survey(problems, false)
	n := float64(len(problems))
	names := map[string]string{"root id = 1": "root id 1"}
	for i, f := range s.Figures {
		if f.Published != nil || f.PublishedSE != nil || f.Z != nil {
			t.Errorf("%s stands beside a published figure", f.Name)
		}
		def := graphFigures()[i]
		naive := features[f.Name]
		if name, ok := names[f.Name]; ok {
			naive = features[name]
		}
		var x, m float64
		for _, p := range problems {
			g := graphOf(p)
			own := naive(g) * def.m(g) // features hold the graphs' own shares
			x, m = x+own, m+def.m(g)
		}
		if math.Abs(f.Mean-x/m) > 1e-9 {
			t.Errorf("%s: %v, naive %v", f.Name, f.Mean, x/m)
		}
		var sum, square float64
		for _, p := range problems {
			g := graphOf(p)
			left := (x - def.x(g)) / (m - def.m(g))
			sum, square = sum+left, square+left*left
		}
		jackknife := math.Sqrt((n - 1) / n * max(0, square-sum*sum/n))
		if math.Abs(*f.SE-jackknife) > .01*jackknife+1e-7 {
			t.Errorf("%s: standard error %v, jackknife %v", f.Name, *f.SE, jackknife)
		}
	}
	for i, r := range Shortcuts() {
		if mean, _ := moments(problems, r.Correct); math.Abs(mean-s.Shortcuts[i].Mean) > 1e-9 {
			t.Errorf("%s: %v, naive %v", r.Name, s.Shortcuts[i].Mean, mean)
		}
	}
}

// Nothing in the spec's table lies more than 4 standard errors from the published
// test file, for which the spec's own allowance is the same.
func TestGeneratorBesidePublished(t *testing.T) {
	for _, f := range survey(sample(t, ProsQAShapeOf(Standard), 5000, 52), true).Figures {
		if f.Z != nil && math.Abs(*f.Z) > 4 {
			t.Errorf("%s: %.3f ± %.3f, published %v ± %.3f, z = %.1f", f.Name, f.Mean, *f.SE, *f.Published, *f.PublishedSE, *f.Z)
		}
	}
}

// Counting sentences finds the right kind of every generated ProntoQA problem, and
// nothing where each kind is named as often.
func TestMentionsShortcut(t *testing.T) {
	rng := source(53)
	var problems []Problem
	for i := range 60 {
		problems = append(problems, ProntoQA{}.Generate(rng, levels[i%3]))
	}
	s := survey(problems, false)
	if len(s.Shortcuts) != 1 || s.Shortcuts[0].Mean != 1 || s.Figures != nil || s.Answers.First != nil || s.Hops[8] != 1./3 {
		t.Errorf("%+v", s)
	}
	even := *ontologyOfText("Lempuses are shy. Wumpuses are not shy. Wumpuses are rompuses. Max is a lempus. True or false: Max is shy.")
	none := *ontologyOfText("Max is shy. True or false: Max is shy.")
	if even.byMentions() != .5 || none.byMentions() != .5 {
		t.Errorf("equal mentions are right with probability %v, none with %v", even.byMentions(), none.byMentions())
	}
}
