package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pairs writes the sum of products of pairs of rows. The sums of 64 columns, or
// of 16 of what is left, stay in registers while the pairs pass by; n is a
// multiple of 16 and count at least 1.
func (g *gen) pairs() {
	g.fn("pairs", "(n int, dst *float32, count int, x *float32, xs *int32, y *float32, ys *int32)", "is dst[j] = Σ x[xs[i]+j]·y[ys[i]+j] over i < count.")
	n, dst, count := g.arg("n"), g.arg("dst"), g.arg("count")
	x, xs, y, ys := g.arg("x"), g.arg("xs"), g.arg("y"), g.arg("ys")
	i, a, b := g.GP64(), g.GP64(), g.GP64()
	for _, width := range []int{64, 16} {
		head, pair, end := g.label("columns"), g.label("pair"), g.label("end")
		sums := make([]reg.VecVirtual, width/g.lanes())
		for r := range sums {
			sums[r] = g.vec()
		}
		g.Label(head)
		g.CMPQ(n, operand.U8(width))
		g.JL(operand.LabelRef(end))
		for _, s := range sums {
			g.zero(s)
		}
		g.XORQ(i, i)
		g.Label(pair)
		g.MOVLQSX(idx(xs, i, 4), a)
		g.MOVLQSX(idx(ys, i, 4), b)
		for r, s := range sums {
			v := g.vec()
			g.VMOVUPS(operand.Mem{Base: x, Index: a, Scale: 4, Disp: 4 * g.lanes() * r}, v)
			g.VFMADD231PS(operand.Mem{Base: y, Index: b, Scale: 4, Disp: 4 * g.lanes() * r}, v, s)
		}
		g.INCQ(i)
		g.CMPQ(i, count)
		g.JLT(operand.LabelRef(pair))
		for r, s := range sums {
			g.VMOVUPS(s, at(dst, 4*g.lanes()*r))
		}
		for _, p := range []reg.GPVirtual{dst, x, y} {
			g.ADDQ(operand.U32(4*width), p)
		}
		g.SUBQ(operand.U8(width), n)
		g.JMP(operand.LabelRef(head))
		g.Label(end)
	}
	g.VZEROUPPER()
	g.RET()
}
