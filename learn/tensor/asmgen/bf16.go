package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bf16 writes the conversions between float32 and bfloat16, sixteen at a time;
// n is a multiple of sixteen. They work on integers, so that what is left over
// may be converted elsewhere without a difference.
func (g *gen) bf16() {
	g.convert("toBF16", "(n int, dst *uint16, src *float32)", "rounds to nearest even; NaN stays NaN.", func(l *loop, dst, src reg.GPVirtual) {
		x := l.v()
		for i := range x {
			l.VMOVUPS(at(src, 32*i), x[i])
		}
		y := l.v()
		l.op(l.VPSRLD, operand.U8(16), x, y)
		one := l.v()
		l.op(l.VMOVUPS, l.bits(1), one)
		l.op(l.VANDPS, one, y, y)
		l.op(l.VPADDD, l.bits(0x7fff), y, y)
		l.op(l.VPADDD, x, y, y)
		quiet := l.v()
		l.op(l.VORPS, l.bits(0x00400000), x, quiet)
		y = l.choose(cmpUnordered, x, x, quiet, y)
		l.op(l.VPSRLD, operand.U8(16), y, y)
		if l.wide {
			l.VPMOVDW(y[0], at(dst, 0))
		} else {
			z := l.YMM()
			l.VPACKUSDW(y[1], y[0], z)
			l.VPERMQ(operand.U8(0xd8), z, z) // the pack works within 128-bit parts
			l.VMOVUPS(z, at(dst, 0))
		}
		l.ADDQ(operand.U8(32), dst)
		l.ADDQ(operand.U8(64), src)
	})
	g.convert("fromBF16", "(n int, dst *float32, src *uint16)", "is exact.", func(l *loop, dst, src reg.GPVirtual) {
		x := l.v()
		for i := range x {
			l.VPMOVZXWD(at(src, 16*i), x[i])
			l.VPSLLD(operand.U8(16), x[i], x[i])
			l.VMOVUPS(x[i], at(dst, 32*i))
		}
		l.ADDQ(operand.U8(64), dst)
		l.ADDQ(operand.U8(32), src)
	})
}

// convert is a loop over sixteen elements at a time.
func (g *gen) convert(name, sig, doc string, body func(l *loop, dst, src reg.GPVirtual)) {
	g.fn(name, sig, doc)
	l := &loop{gen: g, parts: 16 / g.lanes()}
	n, dst, src := g.arg("n"), g.arg("dst"), g.arg("src")
	head, end := g.label("loop"), g.label("end")
	g.SUBQ(operand.U8(16), n)
	g.JL(operand.LabelRef(end))
	g.Label(head)
	body(l, dst, src)
	g.SUBQ(operand.U8(16), n)
	g.JGE(operand.LabelRef(head))
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}
