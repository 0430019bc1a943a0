package grad

import "orrery/learn/tensor"

// RMSNorm is x·w/√(mean(x²)+eps) over the last dimension: x (…, d), w (d)
// (arXiv 1910.07467).
func (t *Tape) RMSNorm(x, w *Var, eps float32) *Var {
	n, d := matrix(x)
	if w.Val.Len() != d {
		misuse("RMSNorm", "x (…, d), w (d)", x, w)
	}
	out := t.node(x.Shape(), x, w)
	y, xs, ws := out.Val.Data, x.Val.Data, w.Val.Data
	inv := t.arena.get(n)
	rowwise(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			inv[i] = tensor.RMSNormRow(y[i*d:(i+1)*d], xs[i*d:(i+1)*d], ws, eps)
		}
	})
	return t.done("RMSNorm", out, func() {
		dy, dx, dw := out.Grad.Data, t.gradSum(x), t.gradSum(w)
		if dx == nil {
			dx = t.spare(n * d)
			defer t.arena.put(dx)
		}
		if dw == nil {
			dw = t.spare(d)
			defer t.arena.put(dw)
		}
		t.sumRows(dw, n, func(i int, part []float32) {
			tensor.RMSNormGradRow(dx[i*d:(i+1)*d], part, dy[i*d:(i+1)*d], xs[i*d:(i+1)*d], ws, inv[i])
		})
	})
}

// LayerNorm is (x−mean)·w/√(var+eps) + b over the last dimension: x (…, d),
// w (d), b (d) or nil (arXiv 1607.06450).
func (t *Tape) LayerNorm(x, w, b *Var, eps float32) *Var {
	n, d := matrix(x)
	if w.Val.Len() != d || b != nil && b.Val.Len() != d {
		misuse("LayerNorm", "x (…, d), w (d), b (d)", x, w, b)
	}
	out := t.node(x.Shape(), x, w, b)
	y, xs, ws := out.Val.Data, x.Val.Data, w.Val.Data
	var bs []float32
	if b != nil {
		bs = b.Val.Data
	}
	mean, rstd := t.arena.get(n), t.arena.get(n)
	rowwise(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			mean[i], rstd[i] = tensor.LayerNormRow(y[i*d:(i+1)*d], xs[i*d:(i+1)*d], ws, bs, eps)
		}
	})
	return t.done("LayerNorm", out, func() {
		dy, dx := out.Grad.Data, t.gradSum(x)
		if dx == nil {
			dx = t.spare(n * d)
			defer t.arena.put(dx)
		}
		both := t.spare(2 * d) // dw, db
		defer t.arena.put(both)
		t.sumRows(both, n, func(i int, part []float32) {
			tensor.LayerNormGradRow(dx[i*d:(i+1)*d], part[:d], part[d:], dy[i*d:(i+1)*d], xs[i*d:(i+1)*d], ws, mean[i], rstd[i])
		})
		if dw := t.gradSum(w); dw != nil {
			tensor.Add(dw, dw, both[:d])
		}
		if db := t.gradSum(b); db != nil {
			tensor.Add(db, db, both[d:])
		}
	})
}
