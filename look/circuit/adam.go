package circuit

import (
	"math"

	"orrery/learn/checkpoint"
	"orrery/learn/grad"
	"orrery/learn/tensor"
	"orrery/look/grok"
)

// adam is Adam with coupled decay, or AdamW, of all parameters.
type adam struct {
	grok.Optimizer
	warmup int
	params []*grad.Var
	m, v   []*tensor.Tensor
}

func newAdam(o grok.Optimizer, warmup int, params []*grad.Var) *adam {
	a := &adam{Optimizer: o, warmup: warmup, params: params}
	for _, p := range params {
		a.m, a.v = append(a.m, tensor.New(p.Val.Shape...)), append(a.v, tensor.New(p.Val.Shape...))
	}
	return a
}

// step is update t, counted from 1; it clears the gradients.
func (a *adam) step(t int) {
	lr := a.LR
	if t < a.warmup {
		lr *= float64(t) / float64(a.warmup)
	}
	c1, c2 := float32(1-math.Pow(a.Beta1, float64(t))), float32(1-math.Pow(a.Beta2, float64(t)))
	tensor.Parallel(len(a.params), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			w, g := a.params[i].Val.Data, a.params[i].Grad.Data
			decoupled := float32(a.Decay)
			if a.Kind == "adam" {
				tensor.Axpy(g, decoupled, w)
				decoupled = 0
			}
			tensor.AdamStep(w, g, a.m[i].Data, a.v[i].Data, float32(lr), float32(a.Beta1), float32(a.Beta2), float32(a.Eps), decoupled, c1, c2)
			clear(g)
		}
	})
}

func (a *adam) entries() []checkpoint.Entry {
	var out []checkpoint.Entry
	for i, p := range a.params {
		out = append(out, checkpoint.Entry{Name: "m." + p.Name, Tensor: a.m[i]}, checkpoint.Entry{Name: "v." + p.Name, Tensor: a.v[i]})
	}
	return out
}
