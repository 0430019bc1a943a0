package grad

import "orrery/learn/tensor"

// Add is a + b, of equal shapes.
func (t *Tape) Add(a, b *Var) *Var {
	out := t.like("Add", a, b)
	y := out.Val.Data
	flat(len(y), func(lo, hi int) { tensor.Add(y[lo:hi], a.Val.Data[lo:hi], b.Val.Data[lo:hi]) })
	return t.done("Add", out, func() {
		t.pass(a, out.Grad.Data)
		t.pass(b, out.Grad.Data)
	})
}

// SwiGLU is silu(gate)·up, of equal shapes (arXiv 2002.05202).
func (t *Tape) SwiGLU(gate, up *Var) *Var {
	out := t.like("SwiGLU", gate, up)
	y, g, u := out.Val.Data, gate.Val.Data, up.Val.Data
	flat(len(y), func(lo, hi int) { tensor.SwiGLU(y[lo:hi], g[lo:hi], u[lo:hi]) })
	return t.done("SwiGLU", out, func() {
		dg, du, dy := t.gradSum(gate), t.gradSum(up), out.Grad.Data
		if dg == nil || du == nil || gate == up {
			spare := t.spare(len(y))
			defer t.arena.put(spare)
			if dg == nil {
				dg = spare
			} else {
				du = spare
			}
		}
		flat(len(y), func(lo, hi int) {
			tensor.SwiGLUGrad(dg[lo:hi], du[lo:hi], dy[lo:hi], g[lo:hi], u[lo:hi])
		})
		if gate == up {
			tensor.Add(dg, dg, du)
		}
	})
}

// like makes the result of an operation on Vars of equal shape.
func (t *Tape) like(op string, a, b *Var) *Var {
	if len(a.Shape()) != len(b.Shape()) {
		misuse(op, "equal shapes", a, b)
	}
	for i, d := range a.Shape() {
		if b.Shape()[i] != d {
			misuse(op, "equal shapes", a, b)
		}
	}
	return t.node(a.Shape(), a, b)
}

// pass adds g to v's gradient, if v wants one.
func (t *Tape) pass(v *Var, g []float32) {
	if !v.need {
		return
	}
	d, fresh := t.grad(v)
	flat(len(d), func(lo, hi int) {
		if fresh {
			copy(d[lo:hi], g[lo:hi])
		} else {
			tensor.Add(d[lo:hi], d[lo:hi], g[lo:hi])
		}
	})
}

// spare lends n zeros, for a gradient that nobody wants.
func (t *Tape) spare(n int) []float32 {
	b := t.arena.get(n)
	clear(b)
	return b
}

// GELU is ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (arXiv 1606.08415).
func (t *Tape) GELU(x *Var) *Var { return t.unary("GELU", x, tensor.GELU, tensor.GELUGrad) }

// unary is an operation on single elements; back adds to dx, given dy and x.
func (t *Tape) unary(name string, x *Var, f func(y, x []float32), back func(dx, dy, x []float32)) *Var {
	out := t.node(x.Shape(), x)
	y, xs := out.Val.Data, x.Val.Data
	flat(len(y), func(lo, hi int) { f(y[lo:hi], xs[lo:hi]) })
	return t.done(name, out, func() {
		dx, dy := t.gradSum(x), out.Grad.Data
		flat(len(y), func(lo, hi int) { back(dx[lo:hi], dy[lo:hi], xs[lo:hi]) })
	})
}

// StopGrad is x, with no gradient back to it. It shares x's memory.
func (t *Tape) StopGrad(x *Var) *Var { return &Var{Name: x.Name, Val: x.Val} }
