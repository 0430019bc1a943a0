package grad

import (
	"fmt"

	"orrery/learn/tensor"
)

// Softmax is softmax(x + bias) over the last dimension of x (…, n). bias is nil,
// or (n) for all rows, or as long as x; −Inf in it forbids an element. A row in
// which all is forbidden gives zeros.
func (t *Tape) Softmax(x *Var, bias []float32) *Var {
	n, d := matrix(x)
	if bias != nil && len(bias) != d && len(bias) != n*d {
		misuse("Softmax", fmt.Sprintf("x (…, n) for a bias of %d", len(bias)), x)
	}
	out := t.node(x.Shape(), x)
	y := out.Val.Data
	rowwise(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			b := bias
			if len(bias) > d {
				b = bias[i*d : (i+1)*d]
			}
			tensor.SoftmaxRow(y[i*d:(i+1)*d], x.Val.Data[i*d:(i+1)*d], d, 1, b)
		}
	})
	return t.done("Softmax", out, func() {
		dx, dy := t.gradSum(x), out.Grad.Data
		rowwise(n, d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				tensor.SoftmaxGradRow(dx[i*d:(i+1)*d], y[i*d:(i+1)*d], dy[i*d:(i+1)*d], 1)
			}
		})
	})
}

// LogSoftmax is x − LogSumExp(x) over the last dimension of x (…, n).
func (t *Tape) LogSoftmax(x *Var) *Var {
	n, d := matrix(x)
	out := t.node(x.Shape(), x)
	y := out.Val.Data
	rowwise(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := x.Val.Data[i*d : (i+1)*d]
			l := tensor.LogSumExp(row)
			for j, v := range row {
				y[i*d+j] = v - l
			}
		}
	})
	// dx = dy − softmax·Σdy
	return t.done("LogSoftmax", out, func() {
		dx, dy := t.gradSum(x), out.Grad.Data
		p := t.arena.get(n * d)
		defer t.arena.put(p)
		rowwise(n, d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				row, g := p[i*d:(i+1)*d], dy[i*d:(i+1)*d]
				tensor.Exp(row, y[i*d:(i+1)*d])
				tensor.Add(dx[i*d:(i+1)*d], dx[i*d:(i+1)*d], g)
				tensor.Axpy(dx[i*d:(i+1)*d], -tensor.Sum(g), row)
			}
		})
	})
}
