package circuit

import (
	"fmt"
	"math"

	"orrery/learn/checkpoint"
	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Filter amplifies the slow part of the gradient (Grokfast, arXiv 2405.20233):
// g ← g + λ·ḡ, where ḡ is
//
//	ema  a running mean, ḡ ← αḡ + (1−α)g, which begins with the first g
//	ma   the mean of the last Window gradients, once there are so many
//
// Its fields are always written: what is left out of settings keeps its
// default, so that a filter switched off would come back.
type Filter struct {
	Kind   string  `json:"kind"` // "", "ema" or "ma"
	Alpha  float64 `json:"alpha"`
	Window int     `json:"window"`
	Lambda float64 `json:"lambda"`
}

// The published settings for products mod 97.
var (
	emaFilter = Filter{Kind: "ema", Alpha: 0.98, Lambda: 2}
	maFilter  = Filter{Kind: "ma", Window: 100, Lambda: 5}
)

func (f Filter) name() string {
	if f.Kind == "" {
		return "none"
	}
	return f.Kind
}

func filterNamed(name string) (Filter, error) {
	switch name {
	case "none":
		return Filter{}, nil
	case "ema":
		return emaFilter, nil
	case "ma":
		return maFilter, nil
	}
	return Filter{}, fmt.Errorf("want none, ema or ma")
}

func (f Filter) check() error {
	switch {
	case f.Kind != "" && f.Kind != "ema" && f.Kind != "ma":
		return fmt.Errorf("filter.kind is %q, want none, ema or ma", f.Kind)
	case f.Kind == "ema" && !(f.Alpha >= 0 && f.Alpha < 1):
		return fmt.Errorf("filter.alpha is %v, want from 0 to below 1", f.Alpha)
	case f.Kind == "ma" && (f.Window < 1 || f.Window > 10000):
		return fmt.Errorf("filter.window is %d, want 1 to 10,000", f.Window)
	case !(f.Lambda >= 0) || math.IsInf(f.Lambda, 0):
		return fmt.Errorf("filter.lambda is %v, want 0 or more", f.Lambda)
	}
	return nil
}

// filter remembers gradients: their running mean, or the last of them in a ring.
type filter struct {
	Filter
	params []*grad.Var
	past   []*tensor.Tensor // by parameter: (n), or (Window, n)
}

func newFilter(f Filter, params []*grad.Var) *filter {
	s := &filter{Filter: f, params: params}
	for _, p := range params {
		switch f.Kind {
		case "ema":
			s.past = append(s.past, tensor.New(p.Val.Len()))
		case "ma":
			s.past = append(s.past, tensor.New(f.Window, p.Val.Len()))
		}
	}
	return s
}

// apply changes the gradients of update t, counted from 1. The mean of the ring is
// summed up by slots, so that a resumed run has the same bits.
func (s *filter) apply(t int) {
	if s.Kind == "" {
		return
	}
	tensor.Parallel(len(s.params), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			g, past := s.params[i].Grad.Data, s.past[i].Data
			if s.Kind == "ema" {
				if t == 1 {
					copy(past, g)
				} else {
					tensor.Scale(past, past, float32(s.Alpha))
					tensor.Axpy(past, float32(1-s.Alpha), g)
				}
				tensor.Axpy(g, float32(s.Lambda), past)
				continue
			}
			n := len(g)
			copy(past[(t-1)%s.Window*n:], g)
			if t < s.Window {
				continue
			}
			for k := range s.Window {
				tensor.Axpy(g, float32(s.Lambda/float64(s.Window)), past[k*n:(k+1)*n])
			}
		}
	})
}

func (s *filter) entries() []checkpoint.Entry {
	var out []checkpoint.Entry
	for i, p := range s.past {
		out = append(out, checkpoint.Entry{Name: "past." + s.params[i].Name, Tensor: p})
	}
	return out
}
