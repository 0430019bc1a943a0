package grok

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"orrery/look/group"
)

// Settings are one training: everything that its bytes depend on.
type Settings struct {
	Net        string     `json:"net"`        // "cogs" or "li2": whose initial scale, whose names in files
	Group      string     `json:"group"`      // see group.Known
	Width      int        `json:"width"`      // hidden nodes
	Activation Activation `json:"activation"` // "square", "relu", "silu", "tanh" or "complex"
	VInit      float64    `json:"vinit"`      // multiplies the initial output matrix; 0 is zero-init
	// Scale multiplies all initial weights (α of arXiv 2210.01117); 0 stands for 1.
	Scale float64 `json:"scale"`
	// Output is "" (the output matrix is trained) or "ridge": after every update it
	// is the best one for the hidden nodes as they are.
	Output    string    `json:"output"`
	Train     float64   `json:"train"`  // share of the M² pairs to train on
	Epochs    int       `json:"epochs"` // passes over them
	Batch     int       `json:"batch"`  // pairs an update; 0: all
	Optimizer Optimizer `json:"optimizer"`
	Seed      uint64    `json:"seed"`  // of the weights, of the split and of batches
	Every     int       `json:"every"` // evaluate every so many epochs as well; 0: a hundredth of them

	// Extend is how far a sweep's trial that has not generalised may go on, doubling
	// its epochs; 0: not at all. A run of its own ends with Epochs.
	Extend int `json:"extend"`
}

const ridgeOutput = "ridge"

const (
	cogsNet = "cogs"
	li2Net  = "li2"
)

// check reports the first setting without meaning, by its JSON name, and
// returns the group.
func (s Settings) check() (*group.Group, error) {
	g, err := group.Parse(s.Group)
	if err != nil {
		return nil, fmt.Errorf("grok settings: %w", err)
	}
	m := g.Order()
	fail := func(field string, value any, want string) (*group.Group, error) {
		return nil, fmt.Errorf("grok settings: %s is %v, want %s", field, value, want)
	}
	switch {
	case s.Net != cogsNet && s.Net != li2Net:
		return fail("net", fmt.Sprintf("%q", s.Net), `"cogs" or "li2"`)
	case m < 2:
		return fail("group", s.Group, "two elements or more: there is nothing to learn")
	case s.Width < 1:
		return fail("width", s.Width, "at least 1")
	case !(s.VInit >= 0) || math.IsInf(s.VInit, 0):
		return fail("vinit", s.VInit, "0 or more")
	case s.Activation == Complex && s.Width%2 != 0:
		return fail("width", s.Width, "an even number: a complex node takes two")
	case !(s.Scale >= 0) || math.IsInf(s.Scale, 0):
		return fail("scale", s.Scale, "0 (as it is) or more")
	case s.Output != "" && s.Output != ridgeOutput:
		return fail("output", fmt.Sprintf("%q", s.Output), `"" (trained) or "ridge"`)
	case s.Output == ridgeOutput && s.Batch != 0:
		return fail("batch", s.Batch, "0 with output ridge, which is of all training pairs")
	case s.Output == ridgeOutput && s.Optimizer.Decay == 0:
		return fail("optimizer.decay", s.Optimizer.Decay, "more than 0 with output ridge: it is what makes the solution one")
	case !(s.Train > 0 && s.Train <= 1):
		return fail("train", s.Train, "more than 0 and at most 1")
	case s.trainCount(m) < 1:
		return fail("train", s.Train, fmt.Sprintf("enough for one of the %d pairs", m*m))
	case s.Epochs < 1:
		return fail("epochs", s.Epochs, "at least 1")
	case s.Batch < 0:
		return fail("batch", s.Batch, "0 (all pairs) or more")
	case s.Extend != 0 && s.Extend < s.Epochs:
		return fail("extend", s.Extend, fmt.Sprintf("0 (no extension) or at least the %d epochs", s.Epochs))
	case s.Every < 0:
		return fail("every", s.Every, "0 (a hundredth of the epochs) or more")
	}
	if err := s.Activation.check(); err != nil {
		return nil, fmt.Errorf("grok settings: %w", err)
	}
	if err := s.Optimizer.Check(); err != nil {
		return nil, fmt.Errorf("grok settings: %w", err)
	}
	return g, nil
}

// trainCount is how many of the M² pairs are trained on. CoGS rounds the
// held-out ones up, Li2 rounds to the nearest.
func (s Settings) trainCount(m int) int {
	all := float64(m * m)
	if s.Net == cogsNet {
		return m*m - int(math.Ceil((1-s.Train)*all-1e-6)) // 1 − 0.9 is a little more than 0.1
	}
	return int(math.Round(s.Train * all))
}

// fanIn is what the initial weights' scale is taken from.
func (s Settings) fanIn(m int) int {
	if s.Net == cogsNet {
		return m
	}
	return 2 * m
}

// evaluations are the epochs at which the network is scored, and kept those
// whose weights stay on disk: evenly on a logarithmic axis and evenly on a
// linear one, since much happens early and much settles late. 0 is the start.
func (s Plan) evaluations() (at []int, kept map[int]bool) {
	every := cmp.Or(s.Every, max(1, s.Epochs/100))
	grid := func(perDecade float64, every int) []int {
		out := []int{0, s.Epochs}
		factor := math.Pow(10, 1/perDecade)
		// Up to where the linear steps are the smaller ones.
		for x := 1.0; x*(factor-1) < float64(every) && x < float64(s.Epochs); x *= factor {
			out = append(out, int(math.Round(x)))
		}
		for e := every; e < s.Epochs; e += every {
			out = append(out, e)
		}
		return out
	}
	kept = map[int]bool{}
	at = grid(16, every)
	for _, e := range grid(8, 5*every) {
		kept[e] = true
		at = append(at, e)
	}
	slices.Sort(at)
	return slices.Compact(at), kept
}
