package grad

import (
	"fmt"

	"orrery/learn/tensor"
)

// Rotary turns each head of x (N, heads·hd) by the angles of its row's position
// (arXiv 2104.09864, in Llama's half-split form). cos and sin are (P, hd/2);
// pos (N) indexes their rows.
func (t *Tape) Rotary(x *Var, heads int, pos []int, cos, sin *tensor.Tensor) *Var {
	n, width := matrix(x)
	if heads <= 0 || width%(2*heads) != 0 || len(pos) != n || cos.Dim(-1) != width/heads/2 || cos.Len() != sin.Len() {
		misuse("Rotary", fmt.Sprintf("x (%d positions, %d·hd), cos and sin %v", len(pos), heads, cos.Shape), x)
	}
	for _, p := range pos {
		if p < 0 || p >= cos.Dim(0) {
			panic(fmt.Sprintf("grad.Rotary: position %d of a table of %d", p, cos.Dim(0)))
		}
	}
	pos = append([]int(nil), pos...)
	hd := width / heads
	turn := func(dst, src []float32, inverse bool) {
		rowwise(n, width, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				c, s := cos.Data[pos[i]*hd/2:(pos[i]+1)*hd/2], sin.Data[pos[i]*hd/2:(pos[i]+1)*hd/2]
				for h := i * width; h < (i+1)*width; h += hd {
					tensor.RotaryRow(dst[h:h+hd], src[h:h+hd], c, s, inverse)
				}
			}
		})
	}
	out := t.node(x.Shape(), x)
	turn(out.Val.Data, x.Val.Data, false)
	return t.done("Rotary", out, func() {
		dx, fresh := t.grad(x)
		if fresh {
			turn(dx, out.Grad.Data, true)
			return
		}
		back := t.arena.get(n * width)
		turn(back, out.Grad.Data, true)
		t.pass(x, back)
		t.arena.put(back)
	})
}
