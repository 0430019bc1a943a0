package li2

import (
	"math"
	"testing"
)

// script is a run of 21 evaluations, every 100 epochs, that grows as told.
func script(change func(i int, p *Point)) []Point {
	points := make([]Point, 21)
	for i := range points {
		p := Point{Epoch: 100 * i, TrainAccuracy: 1, TrainLoss: 0.1, Alignment: 0.6, Coverage: 1, Purity: 0.95, TestAccuracy: 1}
		if i == 0 {
			p.Purity, p.Alignment, p.TrainAccuracy, p.Coverage = 0.2, math.NaN(), 0.01, 0
		}
		change(i, &p)
		points[i] = p
	}
	return points
}

func TestStages(t *testing.T) {
	s, err := FindStages(script(func(i int, p *Point) {
		switch {
		case i == 1: // once is not twice
		case i < 4:
			p.TrainAccuracy = 0.5
		}
		if i > 0 {
			p.Alignment = 0.9 - math.Abs(float64(i-5))*0.1 // 0.9 at 5, 0.4 at 10
			p.Purity = min(0.95, 0.2+0.05*float64(i))      // 0.85 at 13
		}
		p.TrainLoss = 1 / float64(1+i) // relative change below 5 % never
		if i >= 16 {
			p.TrainLoss = 0.05
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	// 0.9·1800 is epoch 1620: the last evaluation before it is 16, as flat as 18.
	if s.First != 400 || s.Second != 1000 || s.Third != 1800 {
		t.Errorf("stages end at %d, %d, %d, want 400, 1000, 1800", s.First, s.Second, s.Third)
	}
	near(t, "max c", s.MaxAlignment, 0.9, 1e-12)
	near(t, "its epoch", s.MaxEpoch, 500, 0)
	near(t, "φ", s.Phi, 0.75/0.8, 1e-12)
	if s.Outcome != Generalising || !s.Known || !s.Agrees {
		t.Errorf("outcome %q, agrees %v", s.Outcome, s.Agrees)
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(i int, p *Point)
		want   Outcome
		agrees bool
	}{
		{"stuck", func(i int, p *Point) { p.Coverage, p.Purity, p.TestAccuracy = 0.1, 0.25, 0.1 }, Lazy, true},
		{"stuck, but the test says it generalises", func(i int, p *Point) { p.Coverage, p.Purity = 0.1, 0.25 }, Lazy, false},
		{"low, but moving", func(i int, p *Point) { p.Coverage, p.Purity = 0.1, 0.2+0.01*float64(i) }, Undecided, false},
		{"half covered", func(i int, p *Point) { p.Coverage, p.Purity = 0.6, 0.25 }, Undecided, false},
		{"covered, not purer", func(i int, p *Point) { p.Purity = 0.4 }, Undecided, false},
	} {
		s, err := FindStages(script(func(i int, p *Point) {
			if i > 0 {
				c.change(i, p)
			}
		}))
		if err != nil || s.Outcome != c.want || s.Agrees != c.agrees || s.Known != (c.want != Undecided) {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}

func TestStagesThatDidNotEnd(t *testing.T) {
	s, err := FindStages(script(func(i int, p *Point) {
		p.TrainAccuracy, p.Alignment, p.TestAccuracy = 0.5, math.NaN(), math.NaN()
	}))
	if err != nil || s.First != -1 || s.Second != -1 || s.Third != -1 || !math.IsNaN(s.MaxAlignment) || s.Known {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := FindStages(nil); err == nil {
		t.Error("no evaluations were enough")
	}
	if s, err := FindStages([]Point{{}}); err != nil || s.Outcome != Undecided {
		t.Errorf("one evaluation: %+v, %v", s, err)
	}
}
