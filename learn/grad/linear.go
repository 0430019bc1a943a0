package grad

import "orrery/learn/tensor"

// Linear is x·wᵀ + b: x (…, in), w (out, in), b (out) or nil; the result is
// (…, out).
func (t *Tape) Linear(x, w, b *Var) *Var {
	n, in := matrix(x)
	if len(w.Shape()) != 2 || w.Shape()[1] != in || b != nil && b.Val.Len() != w.Shape()[0] {
		misuse("Linear", "x (…, in), w (out, in), b (out)", x, w, b)
	}
	o := w.Shape()[0]
	out := t.node(withLast(x, o), x, w, b)
	y := out.Val.Data
	tensor.Gemm(tensor.M(y, n, o), tensor.M(x.Val.Data, n, in), tensor.M(w.Val.Data, o, in).T(), false)
	if b != nil {
		bias := b.Val.Data
		rowwise(n, o, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				tensor.Add(y[i*o:(i+1)*o], y[i*o:(i+1)*o], bias)
			}
		})
	}
	return t.done("Linear", out, func() {
		dy := out.Grad.Data
		if x.need {
			dx, fresh := t.grad(x)
			tensor.Gemm(tensor.M(dx, n, in), tensor.M(dy, n, o), tensor.M(w.Val.Data, o, in), !fresh)
		}
		if w.need {
			dw, fresh := t.grad(w)
			tensor.Gemm(tensor.M(dw, o, in), tensor.M(dy, n, o).T(), tensor.M(x.Val.Data, n, in), !fresh)
		}
		if db := t.gradSum(b); db != nil {
			t.sumRows(db, n, func(i int, part []float32) { tensor.Add(part, part, dy[i*o:(i+1)*o]) })
		}
	})
}

// withLast is the shape of v with another last dimension.
func withLast(v *Var, last int) []int {
	s := append([]int(nil), v.Shape()...)
	if len(s) == 0 {
		return []int{last}
	}
	s[len(s)-1] = last
	return s
}
