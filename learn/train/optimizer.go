package train

import (
	"fmt"
	"math"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// chunk is how many elements of a parameter are updated as one piece of
// parallel work. It is a multiple of every kernel's width and does not depend
// on the number of threads, so neither do the bits of norms and updates.
const chunk = 1 << 14

// piece is the range [lo, hi) of one parameter.
type piece struct{ param, lo, hi int }

// optimizer holds Adam's moments.
type optimizer struct {
	Optimizer
	params []*grad.Var
	m, v   []*tensor.Tensor // first and second moments, shaped as the parameters
	pieces []piece
	sums   []float64 // a piece's sum of squares
}

func newOptimizer(o Optimizer, params []*grad.Var) *optimizer {
	s := &optimizer{Optimizer: o, params: params}
	for i, p := range params {
		s.m = append(s.m, tensor.New(p.Val.Shape...))
		s.v = append(s.v, tensor.New(p.Val.Shape...))
		for lo := 0; lo < p.Val.Len(); lo += chunk {
			s.pieces = append(s.pieces, piece{i, lo, min(lo+chunk, p.Val.Len())})
		}
	}
	s.sums = make([]float64, len(s.pieces))
	return s
}

// reset forgets the moments.
func (s *optimizer) reset() {
	for i := range s.m {
		clear(s.m[i].Data)
		clear(s.v[i].Data)
	}
}

// norm is the global L2 norm of the gradient: squares are added in float32 in
// the kernel's fixed order within a piece, then in float64 in the pieces' order.
func (s *optimizer) norm() float64 {
	tensor.Parallel(len(s.pieces), 1, func(lo, hi int) {
		for i, p := range s.pieces[lo:hi] {
			g := s.params[p.param].Grad.Data[p.lo:p.hi]
			s.sums[lo+i] = float64(tensor.Dot(g, g))
		}
	})
	total := 0.0
	for _, x := range s.sums {
		total += x
	}
	return math.Sqrt(total)
}

// step updates the parameters by their gradients, multiplied by scale first,
// and zeroes the gradients. t counts from 1.
func (s *optimizer) step(t int, lr, scale float64) {
	c1 := float32(1 - math.Pow(s.Beta1, float64(t)))
	c2 := float32(1 - math.Pow(s.Beta2, float64(t)))
	tensor.Parallel(len(s.pieces), 1, func(lo, hi int) {
		for _, p := range s.pieces[lo:hi] {
			v := s.params[p.param]
			w, g := v.Val.Data[p.lo:p.hi], v.Grad.Data[p.lo:p.hi]
			if scale != 1 {
				tensor.Scale(g, g, float32(scale))
			}
			decay := s.Decay
			if len(v.Val.Shape) < 2 {
				decay = 0
			}
			if s.Kind == "adam" && decay > 0 { // coupled: the decay passes through the moments
				tensor.Axpy(g, float32(decay), w)
				decay = 0
			}
			tensor.AdamStep(w, g, s.m[p.param].Data[p.lo:p.hi], s.v[p.param].Data[p.lo:p.hi],
				float32(lr), float32(s.Beta1), float32(s.Beta2), float32(s.Eps), float32(decay), c1, c2)
			clear(g)
		}
	})
}

// clipScale is what the gradient is multiplied by so that its norm is at most
// clip; 0 is no clipping.
func clipScale(norm, clip float64) float64 {
	if clip > 0 && norm > clip {
		return clip / norm
	}
	return 1
}

// named pairs each moment tensor with its name in optimizer.safetensors.
func (s *optimizer) named(f func(name string, t *tensor.Tensor) error) error {
	for i, p := range s.params {
		if err := f("m."+p.Name, s.m[i]); err != nil {
			return err
		}
		if err := f("v."+p.Name, s.v[i]); err != nil {
			return err
		}
	}
	return nil
}

// take copies a loaded tensor into its place.
func take(name string, to, from *tensor.Tensor) error {
	if fmt.Sprint(to.Shape) != fmt.Sprint(from.Shape) {
		return fmt.Errorf("tensor %q has shape %v, the model wants %v", name, from.Shape, to.Shape)
	}
	copy(to.Data, from.Data)
	return nil
}
