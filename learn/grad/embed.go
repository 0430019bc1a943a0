package grad

import (
	"fmt"

	"orrery/learn/tensor"
)

// Embed gathers rows of a table w (V, d): the result is (len(ids), d). The id
// −1 gives a row of zeros, to which ScatterAdd may add a vector from elsewhere.
func (t *Tape) Embed(w *Var, ids []int) *Var { return t.gather("Embed", w, ids, -1) }

// Rows gathers rows of x (…, d), any of them any number of times: the result
// is (len(rows), d).
func (t *Tape) Rows(x *Var, rows []int) *Var { return t.gather("Rows", x, rows, 0) }

func (t *Tape) gather(op string, x *Var, rows []int, lowest int) *Var {
	n, d := matrix(x)
	rows = append([]int(nil), rows...)
	out := t.node([]int{len(rows), d}, x)
	src, dst := x.Val.Data, out.Val.Data
	for i, r := range rows {
		if r < lowest || r >= n {
			panic(fmt.Sprintf("grad.%s: row %d of a table of %d", op, r, n))
		}
		if r < 0 {
			clear(dst[i*d : (i+1)*d])
			continue
		}
		copy(dst[i*d:(i+1)*d], src[r*d:(r+1)*d])
	}
	return t.done(op, out, func() { addRows(t.gradSum(x), out.Grad.Data, rows, d) })
}

// addRows adds row i of src to row rows[i] of dst, skipping −1. It is split by
// columns, so that rows which meet are added in the order of the list.
func addRows(dst, src []float32, rows []int, d int) {
	tensor.Parallel(d, max(16, 1<<14/max(1, len(rows))), func(lo, hi int) {
		for i, r := range rows {
			if r >= 0 {
				tensor.Add(dst[r*d+lo:r*d+hi], dst[r*d+lo:r*d+hi], src[i*d+lo:i*d+hi])
			}
		}
	})
}

// ScatterAdd adds row i of src (len(rows), d) to row rows[i] of a copy of base
// (N, d).
func (t *Tape) ScatterAdd(base, src *Var, rows []int) *Var {
	n, d := matrix(base)
	if m, c := matrix(src); c != d || m != len(rows) {
		misuse("ScatterAdd", fmt.Sprintf("base (N, d), src (%d, d)", len(rows)), base, src)
	}
	rows = append([]int(nil), rows...)
	for _, r := range rows {
		if r < 0 || r >= n {
			panic(fmt.Sprintf("grad.ScatterAdd: row %d of %d", r, n))
		}
	}
	out := t.node(base.Shape(), base, src)
	copy(out.Val.Data, base.Val.Data)
	addRows(out.Val.Data, src.Val.Data, rows, d)
	return t.done("ScatterAdd", out, func() {
		dy := out.Grad.Data
		t.pass(base, dy)
		if ds := t.gradSum(src); ds != nil {
			for i, r := range rows {
				tensor.Add(ds[i*d:(i+1)*d], ds[i*d:(i+1)*d], dy[r*d:(r+1)*d])
			}
		}
	})
}
