package cli

import (
	"bytes"
	"strings"
	"testing"

	"orrery/learn/recipe"
)

// TestCurveLine: steps lie at their logarithm, a gap repeats what was before
// it, and a cell shows the last value in it.
func TestCurveLine(t *testing.T) {
	for want, c := range map[string]struct {
		x, y []float64
	}{
		"         ": {},
		"▁        ": {[]float64{1}, []float64{0}},
		"▁▁▁▁█    ": {[]float64{1, 100}, []float64{0, 1}}, // 10² of 10⁴ is the middle
		"▅▅▅▅▁▁▁▁█": {[]float64{1, 100, 10000}, []float64{0.5, 0, 1}},
		"█▁       ": {[]float64{1, 1, 3, 4}, []float64{0.2, 1, 0.5, 0}},
		"█        ": {[]float64{1}, []float64{7}},
		"▁▁▁▁▁▁▁▁▁": {[]float64{1, 99999}, []float64{-1, 0}},
	} {
		if got := curveLine(recipe.Curve{X: c.x, Y: c.y}, 10000, 9); got != want {
			t.Errorf("%v: %q, want %q", c, got, want)
		}
	}
}

func TestStepAxis(t *testing.T) {
	if got, want := stepAxis(10000, 32), "1       10      100    1,000    "; got != want {
		t.Errorf("axis %q, want %q", got, want)
	}
	if got := stepAxis(1, 5); got != "1    " {
		t.Errorf("axis %q of one step", got)
	}
}

// TestCurvesOnATerminal: a bar, a line a curve and the axis, drawn again in
// place, and the last picture stays.
func TestCurvesOnATerminal(t *testing.T) {
	var out bytes.Buffer
	c := &curves{&progress{w: &out, label: "train x", total: 10, live: &live{w: &out, size: func() (int, int) { return 100, 24 }}}}
	two := []recipe.Curve{{Name: "train", X: []float64{1}, Y: []float64{1}}, {Name: "test", X: []float64{1}, Y: []float64{0}}}
	c.at(recipe.Reading{Step: 1, Steps: 10, Note: "one", Curves: two})
	c.at(recipe.Reading{Step: 10, Steps: 10, Note: "ten", Curves: two})
	c.done()
	got := out.String()
	for _, want := range []string{"train x ██░", "1/10 one", "   train █", "    test ▁", "        1", "\x1b[4A\r", "10/10 ten"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Count(got, "\n") != 8 {
		t.Errorf("%d lines, want two pictures of four", strings.Count(got, "\n"))
	}
}
