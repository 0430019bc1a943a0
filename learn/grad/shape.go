package grad

import (
	"fmt"
	"slices"

	"orrery/learn/tensor"
)

// Reshape is x under another shape of the same size. It shares x's memory.
func (t *Tape) Reshape(x *Var, shape ...int) *Var {
	out := &Var{need: x.need && !t.NoGrad, Val: x.Val.Reshape(shape...)}
	return t.done("Reshape", out, func() { t.hand(x, out) })
}

// axisOf checks an axis, which counts from the end if negative, and sees x as
// (outer, size, inner) around it.
func axisOf(op string, x *Var, axis int) (at, outer, size, inner int) {
	s := x.Shape()
	at = axis
	if at < 0 {
		at += len(s)
	}
	if at < 0 || at >= len(s) {
		misuse(op, fmt.Sprintf("a shape with axis %d", axis), x)
	}
	outer, inner = 1, 1
	for _, d := range s[:at] {
		outer *= d
	}
	for _, d := range s[at+1:] {
		inner *= d
	}
	return at, outer, s[at], inner
}

// Slice is the part [lo, hi) of x along an axis.
func (t *Tape) Slice(x *Var, axis, lo, hi int) *Var {
	at, outer, size, inner := axisOf("Slice", x, axis)
	if lo < 0 || hi < lo || hi > size {
		misuse("Slice", fmt.Sprintf("a shape with [%d, %d) in axis %d", lo, hi, axis), x)
	}
	shape := slices.Clone(x.Shape())
	shape[at] = hi - lo
	out := t.node(shape, x)
	n := (hi - lo) * inner
	for o := range outer {
		copy(out.Val.Data[o*n:(o+1)*n], x.Val.Data[(o*size+lo)*inner:])
	}
	return t.done("Slice", out, func() {
		dx := t.gradSum(x)
		for o := range outer {
			d := dx[(o*size+lo)*inner : (o*size+hi)*inner]
			tensor.Add(d, d, out.Grad.Data[o*n:(o+1)*n])
		}
	})
}

// Concat joins Vars along an axis; their other dimensions are equal.
func (t *Tape) Concat(axis int, xs ...*Var) *Var {
	if len(xs) == 0 {
		panic("grad.Concat: nothing to join")
	}
	xs = slices.Clone(xs)
	at, outer, _, inner := axisOf("Concat", xs[0], axis)
	shape := slices.Clone(xs[0].Shape())
	shape[at] = 0
	for _, x := range xs {
		s := slices.Clone(x.Shape())
		if len(s) == len(shape) {
			shape[at], s[at] = shape[at]+s[at], shape[at]+s[at]
		}
		if !slices.Equal(s, shape) {
			misuse("Concat", fmt.Sprintf("shapes that are equal but for axis %d", axis), xs...)
		}
	}
	out := t.node(shape, xs...)
	total := shape[at] * inner
	from := 0
	for _, x := range xs {
		n := x.Shape()[at] * inner
		for o := range outer {
			copy(out.Val.Data[o*total+from:o*total+from+n], x.Val.Data[o*n:])
		}
		from += n
	}
	return t.done("Concat", out, func() {
		from := 0
		for _, x := range xs {
			n := x.Shape()[at] * inner
			if dx := t.gradSum(x); dx != nil {
				for o := range outer {
					tensor.Add(dx[o*n:(o+1)*n], dx[o*n:(o+1)*n], out.Grad.Data[o*total+from:o*total+from+n])
				}
			}
			from += n
		}
	})
}

// Transpose swaps two axes of x.
func (t *Tape) Transpose(x *Var, i, j int) *Var {
	i, _, _, _ = axisOf("Transpose", x, i)
	j, _, _, _ = axisOf("Transpose", x, j)
	shape := slices.Clone(x.Shape())
	shape[i], shape[j] = shape[j], shape[i]
	out := t.node(shape, x)
	from := transposed(x.Shape(), i, j)
	for k, f := range from {
		out.Val.Data[k] = x.Val.Data[f]
	}
	return t.done("Transpose", out, func() {
		dx := t.gradSum(x)
		for k, f := range from {
			dx[f] += out.Grad.Data[k]
		}
	})
}

// transposed lists, for each element after swapping axes i and j of a shape,
// where it was before.
func transposed(shape []int, i, j int) []int {
	n := len(shape)
	stride, dims := make([]int, n), slices.Clone(shape)
	size := 1
	for k := n - 1; k >= 0; k-- {
		stride[k] = size
		size *= shape[k]
	}
	dims[i], dims[j] = dims[j], dims[i]
	stride[i], stride[j] = stride[j], stride[i]
	from, at, where := make([]int, size), make([]int, n), 0
	for e := range from {
		from[e] = where
		for k := n - 1; k >= 0; k-- {
			at[k]++
			where += stride[k]
			if at[k] < dims[k] {
				break
			}
			where -= at[k] * stride[k]
			at[k] = 0
		}
	}
	return from
}
