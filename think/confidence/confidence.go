// Package confidence turns log-probabilities into the confidence of a token, of
// a group of tokens and of a whole trace, as "Deep Think with Confidence"
// (arXiv 2508.15260) defines them. High is confident.
//
// It knows neither answers nor votes nor servers: package vote decides what a
// confidence means, package llm brings the log-probabilities.
//
// A [Tracker] takes one token after another at constant cost. All values are
// plain float64 sums in a documented order, so equal inputs give bit-identical
// outputs, whatever order a server lists its alternatives in: thresholds are
// compared without any tolerance.
package confidence

import (
	"fmt"
	"math"
	"slices"
)

// The paper's settings, which a zero [Config] stands for.
const (
	DefaultWindow = 2048
	DefaultK      = 20
	DefaultFloor  = -100.0
)

// MaxK bounds Config.K: selection is by insertion, which is meant for small k.
const MaxK = 1000

// Config says how tokens are measured. The zero value is the paper's setting.
type Config struct {
	Window int     // W: scored tokens a group; 0 is 2048
	Tail   int     // T: scored tokens in the tail measure; 0 is as Window
	K      int     // alternatives a token that count, at most [MaxK]; 0 is 20
	Floor  float64 // log-probabilities below are raised to it, in nats, < 0; 0 is -100
}

// Validate reports the first field that no tracker can work with.
func (c Config) Validate() error {
	switch {
	case c.Window < 0:
		return fmt.Errorf("confidence: window %d is negative; give 1 or more, or 0 for %d", c.Window, DefaultWindow)
	case c.Tail < 0:
		return fmt.Errorf("confidence: tail %d is negative; give 1 or more, or 0 for the window", c.Tail)
	case c.K < 0 || c.K > MaxK:
		return fmt.Errorf("confidence: k %d is outside 1 to %d; give 0 for %d", c.K, MaxK, DefaultK)
	case !(c.Floor <= 0) || math.IsInf(c.Floor, 0):
		return fmt.Errorf("confidence: floor %v is not a negative number; give 0 for %v", c.Floor, DefaultFloor)
	}
	return nil
}

// Resolved is c with every zero replaced by what it stands for.
func (c Config) Resolved() Config {
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if c.Tail == 0 {
		c.Tail = c.Window
	}
	if c.K == 0 {
		c.K = DefaultK
	}
	if c.Floor == 0 {
		c.Floor = DefaultFloor
	}
	return c
}

// Measure names one way to sum a trace up in a number.
type Measure string

const (
	Mean     Measure = "mean"         // mean token confidence
	Lowest   Measure = "lowest_group" // least group confidence
	Bottom10 Measure = "bottom10"     // mean of the lowest tenth of the groups
	Tail     Measure = "tail"         // mean token confidence of the last T
)

// AllMeasures lists the measures in the order in which reports print them.
var AllMeasures = []Measure{Mean, Lowest, Bottom10, Tail}

// ParseMeasure finds a measure by its name. The error lists the known ones.
func ParseMeasure(name string) (Measure, error) {
	if m := Measure(name); slices.Contains(AllMeasures, m) {
		return m, nil
	}
	return "", fmt.Errorf("unknown confidence measure %q: known are %s, %s, %s and %s", name, Mean, Lowest, Bottom10, Tail)
}

// Measures sums a trace up. With Scored = 0 the trace is unscored and the four
// numbers are undefined (they are 0 and must not be read).
type Measures struct {
	Tokens   int // all tokens
	Scored   int // n: tokens with at least one usable log-probability
	Mean     float64
	Lowest   float64
	Bottom10 float64
	Tail     float64
	Highest  float64 // greatest group, the upper bound of Bottom10
}

// Get returns the named measure; ok is false for an unscored trace.
func (m Measures) Get(name Measure) (value float64, ok bool) {
	if m.Scored == 0 {
		return 0, false
	}
	switch name {
	case Mean:
		return m.Mean, true
	case Lowest:
		return m.Lowest, true
	case Bottom10:
		return m.Bottom10, true
	case Tail:
		return m.Tail, true
	}
	panic("confidence: unknown measure " + string(name))
}

// Percentile is the p-th percentile (0 ≤ p ≤ 100) of x by linear interpolation
// between closest ranks: with x sorted, h = (n-1)·p/100 and lo = ⌊h⌋, it is
// x[lo] + (h-lo)·(x[lo+1]-x[lo]). It is monotone in p. x is left as it is, in
// any order; an empty x gives NaN.
func Percentile(x []float64, p float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := slices.Clone(x)
	slices.Sort(s)
	h := float64(len(s)-1) * p / 100
	lo := max(0, min(int(h), len(s)-1))
	if lo == len(s)-1 {
		return s[lo]
	}
	// The conversion forbids a fused multiply-add, which would differ between
	// machines; min keeps the rounded result from passing its neighbour.
	return min(s[lo]+float64((h-float64(lo))*(s[lo+1]-s[lo])), s[lo+1])
}

// AutoWindow is the window for traces whose warm-up had these lengths, counted
// in scored tokens: an eighth of their median, within 32 to 2048. No lengths
// give 2048.
func AutoWindow(lengths []int) int {
	if len(lengths) == 0 {
		return DefaultWindow
	}
	s := slices.Sorted(slices.Values(lengths))
	twice := s[(len(s)-1)/2] + s[len(s)/2] // twice the median, exactly
	return max(32, min(twice/16, DefaultWindow))
}
