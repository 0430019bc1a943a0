package grad

import (
	"math"

	"orrery/learn/tensor"
)

// unary is an operation on single elements, y = f(x); back adds its gradient to
// dx, given dy, x and y.
func (t *Tape) unary(name string, x *Var, f func(y, x []float32), back func(dx, dy, x, y []float32)) *Var {
	out := t.node(x.Shape(), x)
	y, xs := out.Val.Data, x.Val.Data
	flat(len(y), func(lo, hi int) { f(y[lo:hi], xs[lo:hi]) })
	return t.done(name, out, func() {
		dx, dy := t.gradSum(x), out.Grad.Data
		flat(len(y), func(lo, hi int) { back(dx[lo:hi], dy[lo:hi], xs[lo:hi], y[lo:hi]) })
	})
}

// Scale is s·x.
func (t *Tape) Scale(x *Var, s float32) *Var {
	return t.unary("Scale", x,
		func(y, x []float32) { tensor.Scale(y, x, s) },
		func(dx, dy, _, _ []float32) { tensor.Axpy(dx, s, dy) })
}

// Exp is eˣ.
func (t *Tape) Exp(x *Var) *Var {
	return t.unary("Exp", x, tensor.Exp, func(dx, dy, _, y []float32) { tensor.MulAdd(dx, dy, y) })
}

// Log is the natural logarithm.
func (t *Tape) Log(x *Var) *Var {
	return t.unary("Log", x, func(y, x []float32) {
		for i, v := range x {
			y[i] = float32(math.Log(float64(v)))
		}
	}, func(dx, dy, x, _ []float32) {
		for i, v := range x {
			dx[i] += dy[i] / v
		}
	})
}

// Sqrt is √x; its gradient at 0 is infinite.
func (t *Tape) Sqrt(x *Var) *Var {
	return t.unary("Sqrt", x, func(y, x []float32) {
		for i, v := range x {
			y[i] = float32(math.Sqrt(float64(v)))
		}
	}, func(dx, dy, _, y []float32) {
		for i, v := range y {
			dx[i] += dy[i] / (2 * v)
		}
	})
}

// Square is x².
func (t *Tape) Square(x *Var) *Var {
	return t.unary("Square", x, func(y, x []float32) { tensor.Mul(y, x, x) }, func(dx, dy, x, _ []float32) {
		for i, v := range x {
			dx[i] += 2 * v * dy[i]
		}
	})
}

// Tanh is the hyperbolic tangent.
func (t *Tape) Tanh(x *Var) *Var {
	return t.unary("Tanh", x, tensor.Tanh, func(dx, dy, _, y []float32) {
		for i, v := range y {
			dx[i] += dy[i] * (1 - v*v)
		}
	})
}

// Sigmoid is 1/(1+e⁻ˣ).
func (t *Tape) Sigmoid(x *Var) *Var {
	return t.unary("Sigmoid", x, tensor.Sigmoid, func(dx, dy, _, y []float32) {
		for i, v := range y {
			dx[i] += dy[i] * v * (1 - v)
		}
	})
}

// ReLU is x where x > 0, else 0; NaN stays. Its gradient at 0 is 0.
func (t *Tape) ReLU(x *Var) *Var {
	return t.unary("ReLU", x, func(y, x []float32) {
		for i, v := range x {
			y[i] = v
			if v < 0 {
				y[i] = 0
			}
		}
	}, func(dx, dy, x, _ []float32) {
		for i, v := range x {
			if v > 0 {
				dx[i] += dy[i]
			}
		}
	})
}

// GELU is ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (arXiv 1606.08415).
func (t *Tape) GELU(x *Var) *Var {
	return t.unary("GELU", x, tensor.GELU, func(dx, dy, x, _ []float32) { tensor.GELUGrad(dx, dy, x) })
}

// SiLU is x·σ(x) (arXiv 1702.03118).
func (t *Tape) SiLU(x *Var) *Var {
	return t.unary("SiLU", x, tensor.SiLU, func(dx, dy, x, _ []float32) { tensor.SiLUGrad(dx, dy, x) })
}

// Clamp limits x to [lo, hi]; the gradient is 0 outside. NaN stays.
func (t *Tape) Clamp(x *Var, lo, hi float32) *Var {
	return t.unary("Clamp", x, func(y, x []float32) {
		for i, v := range x {
			y[i] = min(max(v, lo), hi)
		}
	}, func(dx, dy, x, _ []float32) {
		for i, v := range x {
			if v >= lo && v <= hi {
				dx[i] += dy[i]
			}
		}
	})
}
