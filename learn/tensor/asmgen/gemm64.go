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

// wideKernels writes the float64 kernels.
func (g *gen) wideKernels() {
	g.gemm64()
	g.widenings()
	g.rows64()
}

// double is four or eight float64: the float32 at m, widened.
func (g *gen) double(m operand.Mem) reg.VecVirtual {
	r := g.vec()
	g.VCVTPS2PD(m, r)
	return r
}

// doubles is how many float64 one vector register holds.
func (g *gen) doubles() int { return g.lanes() / 2 }

// sixteen is a loop over n elements, sixteen at a time; body gets the offset of
// each vector within the sixteen, in elements.
func (g *gen) sixteen(n reg.GPVirtual, body func(i, element int), step func()) {
	head, end := g.label("loop"), g.label("end")
	g.SUBQ(operand.U8(16), n)
	g.JL(operand.LabelRef(end))
	g.Label(head)
	for i := 0; i*g.doubles() < 16; i++ {
		body(i, i*g.doubles())
	}
	step()
	g.SUBQ(operand.U8(16), n)
	g.JGE(operand.LabelRef(head))
	g.Label(end)
}

// advance moves pointers on by sixteen elements of so many bytes.
func (g *gen) advance(bytes uint64, pointers ...reg.GPVirtual) {
	for _, p := range pointers {
		g.ADDQ(operand.Imm(16*bytes), p)
	}
}

// widenings writes the conversions to float64; n is a multiple of sixteen.
func (g *gen) widenings() {
	g.fn("widen", "(n int, dst *float64, src *float32)", "is exact.")
	n, dst, src := g.arg("n"), g.arg("dst"), g.arg("src")
	g.sixteen(n, func(_, e int) {
		g.VMOVUPD(g.double(at(src, 4*e)), at(dst, 8*e))
	}, func() { g.advance(8, dst); g.advance(4, src) })
	g.VZEROUPPER()
	g.RET()

	g.fn("widenSub", "(n int, dst *float64, a, b *float32)", "is a − b.")
	n, dst = g.arg("n"), g.arg("dst")
	a, b := g.arg("a"), g.arg("b")
	g.sixteen(n, func(_, e int) {
		x := g.double(at(a, 4*e))
		g.VSUBPD(g.double(at(b, 4*e)), x, x)
		g.VMOVUPD(x, at(dst, 8*e))
	}, func() { g.advance(8, dst); g.advance(4, a, b) })
	g.VZEROUPPER()
	g.RET()
}

// rows64 writes the products of a float32 row with float64 vectors; n is a
// multiple of sixteen.
func (g *gen) rows64() {
	g.fn("dot64", "(n int, lanes *float64, x *float32, y *float64)", "adds x·y to sixteen lanes.")
	n, lanes, x, y := g.arg("n"), g.arg("lanes"), g.arg("x"), g.arg("y")
	var acc []reg.VecVirtual
	for e := 0; e < 16; e += g.doubles() {
		r := g.vec()
		g.VMOVUPD(at(lanes, 8*e), r)
		acc = append(acc, r)
	}
	g.sixteen(n, func(i, e int) {
		g.VFMADD231PD(at(y, 8*e), g.double(at(x, 4*e)), acc[i])
	}, func() { g.advance(4, x); g.advance(8, y) })
	for i, r := range acc {
		g.VMOVUPD(r, at(lanes, 8*i*g.doubles()))
	}
	g.VZEROUPPER()
	g.RET()

	g.fn("axpy64", "(n int, y *float64, s float64, x *float32)", "adds s·x to y.")
	n, y, x = g.arg("n"), g.arg("y"), g.arg("x")
	s := g.vec()
	p, err := g.Param("s").Resolve()
	if err != nil {
		panic(err)
	}
	g.VBROADCASTSD(p.Addr, s)
	g.sixteen(n, func(_, e int) {
		r := g.vec()
		g.VMOVUPD(at(y, 8*e), r)
		g.VFMADD231PD(g.double(at(x, 4*e)), s, r)
		g.VMOVUPD(r, at(y, 8*e))
	}, func() { g.advance(8, y); g.advance(4, x) })
	g.VZEROUPPER()
	g.RET()
}
