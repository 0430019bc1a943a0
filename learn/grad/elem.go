package grad

import "orrery/learn/tensor"

// Add is a + b, of equal shapes.
func (t *Tape) Add(a, b *Var) *Var {
	out := t.like("Add", a, b)
	y := out.Val.Data
	flat(len(y), func(lo, hi int) { tensor.Add(y[lo:hi], a.Val.Data[lo:hi], b.Val.Data[lo:hi]) })
	return t.done("Add", out, func() {
		t.pass(b, out.Grad.Data)
		t.hand(a, out)
	})
}

// Sub is a − b, of equal shapes.
func (t *Tape) Sub(a, b *Var) *Var {
	return t.binary("Sub", a, b, func(y, a, b []float32) {
		for i, v := range a {
			y[i] = v - b[i]
		}
	}, func(da, db, dy, _, _ []float32) {
		if da != nil {
			tensor.Add(da, da, dy)
		}
		if db != nil {
			tensor.Axpy(db, -1, dy)
		}
	})
}

// Mul is a·b, element by element, of equal shapes.
func (t *Tape) Mul(a, b *Var) *Var {
	return t.binary("Mul", a, b, tensor.Mul, func(da, db, dy, a, b []float32) {
		if da != nil {
			tensor.MulAdd(da, dy, b)
		}
		if db != nil {
			tensor.MulAdd(db, dy, a)
		}
	})
}

// Div is a/b, element by element, of equal shapes.
func (t *Tape) Div(a, b *Var) *Var {
	return t.binary("Div", a, b, func(y, a, b []float32) {
		for i, v := range a {
			y[i] = v / b[i]
		}
	}, func(da, db, dy, a, b []float32) {
		for i, v := range b {
			if da != nil {
				da[i] += dy[i] / v
			}
			if db != nil {
				db[i] -= dy[i] * a[i] / (v * v)
			}
		}
	})
}

// Min is the smaller of a and b, element by element, of equal shapes; where
// they are equal the gradient goes to a. NaN in either is NaN.
func (t *Tape) Min(a, b *Var) *Var {
	return t.binary("Min", a, b, func(y, a, b []float32) {
		for i, v := range a {
			y[i] = min(v, b[i])
		}
	}, func(da, db, dy, a, b []float32) {
		for i, v := range a {
			if first := v <= b[i]; first && da != nil {
				da[i] += dy[i]
			} else if !first && db != nil {
				db[i] += dy[i]
			}
		}
	})
}

// binary is an operation on pairs of elements; back adds to da and db, of which
// those not wanted are nil, given dy, a and b. a and b may be the same Var.
func (t *Tape) binary(name string, a, b *Var, f func(y, a, b []float32), back func(da, db, dy, a, b []float32)) *Var {
	out := t.like(name, a, b)
	y, as, bs := out.Val.Data, a.Val.Data, b.Val.Data
	flat(len(y), func(lo, hi int) { f(y[lo:hi], as[lo:hi], bs[lo:hi]) })
	return t.done(name, out, func() {
		da, db, dy := t.gradSum(a), t.gradSum(b), out.Grad.Data
		part := func(x []float32, lo, hi int) []float32 {
			if x == nil {
				return nil
			}
			return x[lo:hi]
		}
		flat(len(y), func(lo, hi int) { back(part(da, lo, hi), part(db, lo, hi), dy[lo:hi], as[lo:hi], bs[lo:hi]) })
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

// hand adds the gradient of an operation's result to v's, by handing over the
// buffer if v has none: nobody needs the result's gradient after its operation.
func (t *Tape) hand(v, out *Var) {
	if !v.need || v.Grad != nil || out.Keep {
		t.pass(v, out.Grad.Data)
		return
	}
	v.Grad, out.Grad = out.Grad.Reshape(v.Shape()...), nil
}

// spare lends n zeros, for a gradient that nobody wants.
func (t *Tape) spare(n int) []float32 {
	b := t.arena.get(n)
	clear(b)
	return b
}

// StopGrad is x, with no gradient back to it. It shares x's memory.
func (t *Tape) StopGrad(x *Var) *Var { return &Var{Name: x.Name, Val: x.Val} }
