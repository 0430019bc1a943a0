package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of tensor's type copyJob.
const (
	copyDst    = 0
	copyStep   = 8
	copySrc    = 16
	copyLD     = 24
	copyRows   = 32
	copyK      = 40
	copyLoad   = 48 // masks as bits, for AVX-512
	copyStore  = 52
	copyLoadV  = 56 // and as vectors, for AVX2
	copyStoreV = 88
)

// packTrans writes dst[k][r] = src[r][k] for up to as many rows as a vector
// has lanes, by transposing square blocks in registers. Missing rows become
// zeros; only the lanes of the store mask are written.
func (g *gen) packTrans() {
	g.fn("packTrans", "(t *copyJob)", "transposes rows into a panel.")
	n := g.lanes()
	t := g.arg("t")
	field := func(off int) reg.GPVirtual {
		r := g.GP64()
		g.MOVQ(at(t, off), r)
		return r
	}
	dst, step, src, ld := field(copyDst), field(copyStep), field(copySrc), field(copyLD)
	rows, k := field(copyRows), field(copyK)

	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = g.vec()
	}
	var load, store reg.Register
	if g.wide {
		load, store = g.K(), g.K()
		g.KMOVW(at(t, copyStore), store)
	} // AVX2 has no register to spare: its masks are loaded where they are used

	block, stored, end := g.label("block"), g.label("stored"), g.label("end")
	g.Label(block)
	g.CMPQ(k, operand.U8(0))
	g.JLE(operand.LabelRef(end))

	// Columns of this block: all, or the k left.
	if g.wide {
		ones := g.GP32()
		full := g.label("full")
		g.MOVL(operand.U32(0xffff), ones)
		g.CMPQ(k, operand.U8(n))
		g.JGE(operand.LabelRef(full))
		g.BZHIL(k.As32(), ones, ones)
		g.Label(full)
		g.KMOVW(ones, load)
	} else {
		m := g.YMM()
		load = m
		kk, tab := g.GP64(), g.GP64()
		full := g.label("full")
		g.MOVQ(k, kk)
		g.CMPQ(kk, operand.U8(n))
		g.JLE(operand.LabelRef(full))
		g.MOVQ(operand.U32(n), kk)
		g.Label(full)
		g.LEAQ(g.maskTable(), tab)
		g.NEGQ(kk)
		g.VMOVUPS(operand.Mem{Base: tab, Index: kk, Scale: 4, Disp: 64}, m)
	}
	for i := range v {
		g.zero(v[i])
	}
	loaded := g.label("loaded")
	row := g.GP64()
	g.MOVQ(src, row)
	for i := range v {
		if i > 0 {
			g.CMPQ(rows, operand.U8(i))
			g.JLE(operand.LabelRef(loaded))
			g.ADDQ(ld, row)
		}
		if g.wide {
			g.VMOVUPS_Z(at(row, 0), load, v[i])
		} else {
			g.VMASKMOVPS(at(row, 0), load, v[i])
		}
	}
	g.Label(loaded)
	v = g.transpose(v)
	if !g.wide {
		m := g.YMM()
		store = m
		g.VMOVUPS(at(t, copyStoreV), m)
	}
	for i := range v {
		if i > 0 {
			g.CMPQ(k, operand.U8(i))
			g.JLE(operand.LabelRef(stored))
		}
		if g.wide {
			g.VMOVUPS(v[i], store, at(dst, 0))
		} else {
			g.VMASKMOVPS(v[i], store, at(dst, 0))
		}
		g.ADDQ(step, dst)
	}
	g.Label(stored)
	g.ADDQ(operand.U8(4*n), src)
	g.SUBQ(operand.U8(n), k)
	g.JMP(operand.LabelRef(block))
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// transpose transposes 16×16 (AVX-512) or 8×8 (AVX2) and returns the rows of
// the result: first pairs of floats, then pairs of pairs, then 128-bit parts.
func (g *gen) transpose(v []reg.VecVirtual) []reg.VecVirtual {
	n := len(v)
	out := func() []reg.VecVirtual {
		r := make([]reg.VecVirtual, n)
		for i := range r {
			r[i] = g.vec()
		}
		return r
	}
	a := out()
	for i := 0; i < n; i += 2 {
		g.VUNPCKLPS(v[i+1], v[i], a[i])
		g.VUNPCKHPS(v[i+1], v[i], a[i+1])
	}
	// b[4g+j]: in each 128-bit part p, column 4p+j of rows 4g … 4g+3.
	b := out()
	for i := 0; i < n; i += 4 {
		g.VUNPCKLPD(a[i+2], a[i], b[i])
		g.VUNPCKHPD(a[i+2], a[i], b[i+1])
		g.VUNPCKLPD(a[i+3], a[i+1], b[i+2])
		g.VUNPCKHPD(a[i+3], a[i+1], b[i+3])
	}
	c := out()
	if !g.wide {
		for j := range 4 {
			g.VPERM2F128(operand.U8(0x20), b[4+j], b[j], c[j])
			g.VPERM2F128(operand.U8(0x31), b[4+j], b[j], c[4+j])
		}
		return c
	}
	d := out()
	for j := range 4 {
		g.VSHUFF32X4(operand.U8(0x88), b[4+j], b[j], c[0+j])    // parts 0, 2 of rows 0-7
		g.VSHUFF32X4(operand.U8(0xdd), b[4+j], b[j], c[4+j])    // parts 1, 3
		g.VSHUFF32X4(operand.U8(0x88), b[12+j], b[8+j], c[8+j]) // and of rows 8-15
		g.VSHUFF32X4(operand.U8(0xdd), b[12+j], b[8+j], c[12+j])
	}
	for j := range 4 {
		g.VSHUFF32X4(operand.U8(0x88), c[8+j], c[0+j], d[0+j])   // part 0 of all rows
		g.VSHUFF32X4(operand.U8(0x88), c[12+j], c[4+j], d[4+j])  // part 1
		g.VSHUFF32X4(operand.U8(0xdd), c[8+j], c[0+j], d[8+j])   // part 2
		g.VSHUFF32X4(operand.U8(0xdd), c[12+j], c[4+j], d[12+j]) // part 3
	}
	return d
}

// packCopy writes dst[k][j] = src[k][j] for the sixteen (AVX-512) or eight
// (AVX2) columns j of the load mask, zeros for other columns of the store mask.
func (g *gen) packCopy() {
	g.fn("packCopy", "(t *copyJob)", "copies columns into a panel.")
	t := g.arg("t")
	field := func(off int) reg.GPVirtual {
		r := g.GP64()
		g.MOVQ(at(t, off), r)
		return r
	}
	dst, step, src, ld := field(copyDst), field(copyStep), field(copySrc), field(copyLD)
	k := field(copyK)
	x := g.vec()
	var load, store reg.Register
	if g.wide {
		load, store = g.K(), g.K()
		g.KMOVW(at(t, copyLoad), load)
		g.KMOVW(at(t, copyStore), store)
	} else {
		l, s := g.YMM(), g.YMM()
		g.VMOVUPS(at(t, copyLoadV), l)
		g.VMOVUPS(at(t, copyStoreV), s)
		load, store = l, s
	}
	loop, end := g.label("loop"), g.label("end")
	g.TESTQ(k, k)
	g.JE(operand.LabelRef(end))
	g.Label(loop)
	if g.wide {
		g.VMOVUPS_Z(at(src, 0), load, x)
		g.VMOVUPS(x, store, at(dst, 0))
	} else {
		g.VMASKMOVPS(at(src, 0), load, x)
		g.VMASKMOVPS(x, store, at(dst, 0))
	}
	g.ADDQ(ld, src)
	g.ADDQ(step, dst)
	g.DECQ(k)
	g.JNE(operand.LabelRef(loop))
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}
