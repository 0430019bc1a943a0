package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of tensor's type tile64.
const (
	tile64K   = 0
	tile64A   = 8
	tile64B   = 16
	tile64C   = 24
	tile64LDC = 32
)

// gemm64 writes the float64 tile kernel: both operands packed, c read and
// written. Its sums, two vectors of b and an element or two of a fill AVX2's
// sixteen registers.
func (g *gen) gemm64() {
	rows := 6
	if g.wide {
		rows = 12
	}
	g.fn("gemm64", "(t *tile64)", "adds the product of two packed float64 panels to a tile.")
	t := g.arg("t")
	field := func(off int) reg.GPVirtual {
		r := g.GP64()
		g.MOVQ(at(t, off), r)
		return r
	}
	depth, a, b, c, ldc := field(tile64K), field(tile64A), field(tile64B), field(tile64C), field(tile64LDC)
	vector := 4 * g.lanes() // bytes of one vector
	var acc [][2]reg.VecVirtual
	for range rows {
		acc = append(acc, [2]reg.VecVirtual{g.vec(), g.vec()})
	}
	move := func(store bool) {
		row := g.GP64()
		g.MOVQ(c, row)
		for i := range acc {
			for v, r := range acc[i] {
				if store {
					g.VMOVUPD(r, at(row, v*vector))
				} else {
					g.VMOVUPD(at(row, v*vector), r)
				}
			}
			g.ADDQ(ldc, row)
		}
	}
	move(false)
	loop, done := g.label("loop"), g.label("done")
	g.TESTQ(depth, depth)
	g.JE(operand.LabelRef(done))
	g.Label(loop)
	b0, b1 := g.vec(), g.vec()
	g.VMOVUPD(at(b, 0), b0)
	g.VMOVUPD(at(b, vector), b1)
	g.PREFETCHT0(at(b, 16*vector))
	for i := range acc {
		x := g.vec()
		g.VBROADCASTSD(at(a, 8*i), x)
		g.VFMADD231PD(b0, x, acc[i][0])
		g.VFMADD231PD(b1, x, acc[i][1])
	}
	g.ADDQ(operand.Imm(uint64(8*rows)), a)
	g.ADDQ(operand.Imm(uint64(2*vector)), b)
	g.DECQ(depth)
	g.JNE(operand.LabelRef(loop))
	g.Label(done)
	move(true)
	g.VZEROUPPER()
	g.RET()
}
