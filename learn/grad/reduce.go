package grad

import (
	"math"
	"slices"

	"orrery/learn/tensor"
)

// Sum adds all elements; the result is a scalar. Of nothing it is 0.
func (t *Tape) Sum(x *Var) *Var {
	out := t.node(nil, x)
	out.Val.Data[0] = tensor.Sum(x.Val.Data)
	return t.done("Sum", out, func() {
		dx, g := t.gradSum(x), out.Grad.Data[0]
		for i := range dx {
			dx[i] += g
		}
	})
}

// Mean is the mean of all elements, a scalar. Of nothing it is NaN.
func (t *Tape) Mean(x *Var) *Var { return t.Scale(t.Sum(x), 1/float32(x.Val.Len())) }

// SumAxis adds along one axis, which the result does not have.
func (t *Tape) SumAxis(x *Var, axis int) *Var {
	at, outer, size, inner := axisOf("SumAxis", x, axis)
	out := t.node(slices.Delete(slices.Clone(x.Shape()), at, at+1), x)
	y, xs := out.Val.Data, x.Val.Data
	rowwise(outer, size*inner, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			if inner == 1 {
				y[o] = tensor.Sum(xs[o*size : (o+1)*size])
				continue
			}
			sum := y[o*inner : (o+1)*inner]
			clear(sum)
			for k := o * size; k < (o+1)*size; k++ {
				tensor.Add(sum, sum, xs[k*inner:(k+1)*inner])
			}
		}
	})
	return t.done("SumAxis", out, func() {
		dx, dy := t.gradSum(x), out.Grad.Data
		rowwise(outer*size, inner, func(lo, hi int) {
			for k := lo; k < hi; k++ {
				d := dx[k*inner : (k+1)*inner]
				tensor.Add(d, d, dy[k/size*inner:(k/size+1)*inner])
			}
		})
	})
}

// MeanAxis is the mean along one axis, which the result does not have.
func (t *Tape) MeanAxis(x *Var, axis int) *Var {
	_, _, size, _ := axisOf("MeanAxis", x, axis)
	return t.Scale(t.SumAxis(x, axis), 1/float32(size))
}

// Max is the largest element along one axis, which the result does not have:
// −Inf of nothing, NaN if there is a NaN. The gradient goes to the first of
// equals.
func (t *Tape) Max(x *Var, axis int) *Var {
	at, outer, size, inner := axisOf("Max", x, axis)
	out := t.node(slices.Delete(slices.Clone(x.Shape()), at, at+1), x)
	from := make([]int, outer*inner) // where each came from
	for o := range outer {
		for i := range inner {
			best, where := float32(math.Inf(-1)), -1
			for k := range size {
				e := (o*size+k)*inner + i
				if v := x.Val.Data[e]; where < 0 || v > best || v != v && best == best {
					best, where = v, e
				}
			}
			out.Val.Data[o*inner+i], from[o*inner+i] = best, where
		}
	}
	return t.done("Max", out, func() {
		dx := t.gradSum(x)
		for i, e := range from {
			if e >= 0 {
				dx[e] += out.Grad.Data[i]
			}
		}
	})
}
