package grad

import "orrery/learn/tensor"

// MatMul is a·b of matrices, either transposed first if asked: (M, K)·(K, N),
// the result is (M, N).
func (t *Tape) MatMul(a, b *Var, transA, transB bool) *Var {
	if len(a.Shape()) != 2 || len(b.Shape()) != 2 {
		misuse("MatMul", "two matrices", a, b)
	}
	return t.matmul("MatMul", a, b, transA, transB)
}

// BatchMatMul is MatMul of each pair of matrices of a (…, M, K) and b (…, K, N)
// with equal leading dimensions; the result is (…, M, N).
func (t *Tape) BatchMatMul(a, b *Var, transA, transB bool) *Var {
	n := len(a.Shape())
	if n < 2 || len(b.Shape()) != n {
		misuse("BatchMatMul", "a (…, M, K), b (…, K, N)", a, b)
	}
	for i := range n - 2 {
		if a.Shape()[i] != b.Shape()[i] {
			misuse("BatchMatMul", "equal leading dimensions", a, b)
		}
	}
	return t.matmul("BatchMatMul", a, b, transA, transB)
}

func (t *Tape) matmul(op string, a, b *Var, transA, transB bool) *Var {
	batch := 1
	lead := a.Shape()[:len(a.Shape())-2]
	for _, d := range lead {
		batch *= d
	}
	as, bs := stack(a.Val, a.Val.Data, batch, transA), stack(b.Val, b.Val.Data, batch, transB)
	m, k := oriented(a, transA)
	k2, n := oriented(b, transB)
	if k != k2 {
		misuse(op, "inner dimensions that agree", a, b)
	}
	out := t.node(append(append([]int(nil), lead...), m, n), a, b)
	tensor.GemmBatch(stack(out.Val, out.Val.Data, batch, false), as, bs, false)
	return t.done(op, out, func() {
		// With A and B as multiplied: dA = dC·Bᵀ, dB = Aᵀ·dC. Of an operand
		// that was transposed, the transposed equation.
		dc := stack(out.Val, out.Grad.Data, batch, false)
		if a.need {
			g, fresh := t.grad(a)
			if da := stack(a.Val, g, batch, false); transA {
				tensor.GemmBatch(da, bs, flip(dc), !fresh)
			} else {
				tensor.GemmBatch(da, dc, flip(bs), !fresh)
			}
		}
		if b.need {
			g, fresh := t.grad(b)
			if db := stack(b.Val, g, batch, false); transB {
				tensor.GemmBatch(db, flip(dc), as, !fresh)
			} else {
				tensor.GemmBatch(db, flip(as), dc, !fresh)
			}
		}
	})
}

// oriented is a matrix's shape after transposition.
func oriented(v *Var, trans bool) (rows, cols int) {
	rows, cols = v.Val.Dim(-2), v.Val.Dim(-1)
	if trans {
		rows, cols = cols, rows
	}
	return rows, cols
}

// stack views data, of x's shape, as a batch of matrices.
func stack(x *tensor.Tensor, data []float32, batch int, trans bool) []tensor.Mat {
	r, c := x.Dim(-2), x.Dim(-1)
	ms := make([]tensor.Mat, batch)
	for i := range ms {
		ms[i] = tensor.M(data[i*r*c:(i+1)*r*c], r, c)
		if trans {
			ms[i] = ms[i].T()
		}
	}
	return ms
}

func flip(ms []tensor.Mat) []tensor.Mat {
	out := make([]tensor.Mat, len(ms))
	for i, m := range ms {
		out[i] = m.T()
	}
	return out
}

// AddBias adds b (n) to every row of x (…, n).
func (t *Tape) AddBias(x, b *Var) *Var {
	n, d := matrix(x)
	if b.Val.Len() != d {
		misuse("AddBias", "x (…, n), b (n)", x, b)
	}
	out := t.node(x.Shape(), x, b)
	y := out.Val.Data
	rowwise(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			tensor.Add(y[i*d:(i+1)*d], x.Val.Data[i*d:(i+1)*d], b.Val.Data)
		}
	})
	return t.done("AddBias", out, func() {
		dy := out.Grad.Data
		if db := t.gradSum(b); db != nil {
			t.sumRows(db, n, func(i int, part []float32) { tensor.Add(part, part, dy[i*d:(i+1)*d]) })
		}
		t.hand(x, out)
	})
}
