package li2

import (
	"fmt"
	"math"
)

// Point is one evaluation of a training, as the stages need it.
type Point struct {
	Epoch         int
	TrainAccuracy float64
	TrainLoss     float64
	Alignment     float64 // c, NaN where G_F is zero
	Coverage      float64
	Purity        float64 // weighted, P_w
	TestAccuracy  float64 // NaN without held-out pairs; no rule uses it
	TestLoss      float64
	Gradient      float64 // ‖G_F‖
	IPR           float64 // weighted
}

// Outcome of a training, decided without held-out pairs.
type Outcome string

const (
	Generalising Outcome = "generalising"
	Lazy         Outcome = "lazy"
	Undecided    Outcome = "undecided, still moving"
)

// Stages is when each stage of a training ended, −1 if it did not.
type Stages struct {
	First  int // stage I, memorising: train accuracy ≥ 99 % twice
	Second int // stage II, nodes learn features on their own: c has fallen to half of its maximum
	Third  int // stage III, nodes interact: covered, pure, and the loss rests

	MaxAlignment, MaxEpoch float64 // of c, and where
	Phi                    float64 // at the end, see Judge
	Coverage               float64 // at the end
	Outcome                Outcome
	Why                    string
	Agrees                 bool // the outcome with test accuracy ≥ 95 %, where both are known
	Known                  bool
}

// The thresholds, found on six runs at M = 23 and 71.
const (
	fits       = 0.99 // train accuracy that ends stage I
	covered    = 0.95 // coverage of stage III and of a generalising run
	purified   = 0.85 // P_w of stage III
	resting    = 0.05 // relative change of the train loss over the last tenth
	risen      = 0.35 // φ of a generalising run
	lazyCover  = 0.5
	lazyPhi    = 0.3
	flat       = 0.02 // change of coverage and of φ over the last tenth that is none
	successful = 0.95 // test accuracy that a generalising run has
)

// FindStages applies the rules to the evaluations of one training, by epoch.
func FindStages(points []Point) (Stages, error) {
	if len(points) == 0 {
		return Stages{}, fmt.Errorf("finding the stages of a training: it has no evaluations: let it finish one")
	}
	s := Stages{First: -1, Second: -1, Third: -1, MaxAlignment: math.NaN(), MaxEpoch: math.NaN()}
	first := len(points) // index of the end of stage I
	for i := 0; i+1 < len(points); i++ {
		if points[i].TrainAccuracy >= fits && points[i+1].TrainAccuracy >= fits {
			first, s.First = i, points[i].Epoch
			break
		}
	}
	peak := -1
	for i, p := range points {
		if !math.IsNaN(p.Alignment) && (peak < 0 || p.Alignment > points[peak].Alignment) {
			peak = i
		}
	}
	if peak >= 0 {
		s.MaxAlignment, s.MaxEpoch = points[peak].Alignment, float64(points[peak].Epoch)
		for i := max(peak+1, first); i < len(points); i++ {
			if points[i].Alignment <= s.MaxAlignment/2 {
				s.Second = points[i].Epoch
				break
			}
		}
	}
	for i := first; i < len(points); i++ {
		p := points[i]
		before := tenthBefore(points[:i+1])
		if p.Epoch > 0 && p.Coverage >= covered && p.Purity >= purified && before != nil &&
			math.Abs(p.TrainLoss-before.TrainLoss) < resting*before.TrainLoss {
			s.Third = p.Epoch
			break
		}
	}
	s.decide(points)
	return s, nil
}

// tenthBefore is the last evaluation at or before nine tenths of the epochs
// that have passed, nil if that is the newest one itself.
func tenthBefore(points []Point) *Point {
	last := points[len(points)-1]
	for i := len(points) - 2; i >= 0; i-- {
		if float64(points[i].Epoch) <= 0.9*float64(last.Epoch) {
			return &points[i]
		}
	}
	return nil
}

func (s *Stages) decide(points []Point) {
	last := points[len(points)-1]
	s.Outcome, s.Phi, s.Why = Judge(points[0], tenthBefore(points), last)
	s.Coverage = last.Coverage
	if s.Known = s.Outcome != Undecided && !math.IsNaN(last.TestAccuracy); s.Known {
		s.Agrees = (s.Outcome == Generalising) == (last.TestAccuracy >= successful)
	}
}

// Judge decides by coverage and P_w at the start, a tenth of the epochs ago and
// now; before is nil if there was no such evaluation. φ is (P_w−P_w(0))/(1−P_w(0)).
func Judge(start Point, before *Point, now Point) (o Outcome, phi float64, why string) {
	of := func(p Point) float64 { return (p.Purity - start.Purity) / (1 - start.Purity) }
	phi = of(now)
	still := before != nil && math.Abs(now.Coverage-before.Coverage) <= flat && math.Abs(phi-of(*before)) <= flat
	numbers := fmt.Sprintf("coverage %.0f %%, φ %.2f", 100*now.Coverage, phi)
	switch {
	case now.Coverage >= covered && phi >= risen:
		return Generalising, phi, numbers + ": nodes for all components, much purer than at the start"
	case now.Coverage < lazyCover && phi < lazyPhi && still:
		return Lazy, phi, numbers + ", neither of which moves: the nodes are what they were, the output layer alone has memorised"
	}
	return Undecided, phi, numbers + ": neither all components nor at rest"
}
