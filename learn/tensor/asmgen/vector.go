package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// V is a vector of the loop's step: one register, or with AVX2 in reductions
// two, so that a reduction has sixteen lanes everywhere.
type V []reg.VecVirtual

// loop is a kernel over n elements: a body for whole steps and the same body
// for the rest, with masks.
type loop struct {
	*gen
	parts int // registers of a V
	tail  bool
	off   reg.GPVirtual // bytes done
	kmask reg.Register  // AVX-512: the lanes of the tail
	ymask V             // AVX2
}

// kernel writes a kernel whose first parameter is n. names lists pointer
// parameters, scalars float32 ones; sum says that it has lanes to keep apart.
// setup runs before the loop and returns the body and what follows the loop.
func (g *gen) kernel(name, doc string, pointers, scalars string, sum bool, result string, setup func(l *loop, p []reg.GPVirtual, s []V) (body, finish func())) {
	ps, ss := strings.Fields(pointers), strings.Fields(scalars)
	sig := "(n int"
	if len(ps) > 0 {
		sig += ", " + strings.Join(ps, ", ") + " *float32"
	}
	if len(ss) > 0 {
		sig += ", " + strings.Join(ss, ", ") + " float32"
	}
	sig += ")" + result
	g.fn(name, sig, doc)
	l := &loop{gen: g, parts: 1}
	if sum && !g.wide {
		l.parts = 2
	}
	n := g.arg("n")
	var p []reg.GPVirtual
	for _, name := range ps {
		p = append(p, g.arg(name))
	}
	var s []V
	for _, name := range ss {
		r := g.vec()
		b, err := g.Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		g.VBROADCASTSS(b.Addr, r)
		s = append(s, l.same(r))
	}
	l.off = g.GP64()
	g.XORQ(l.off, l.off)
	body, finish := setup(l, p, s)

	step := g.lanes() * l.parts
	head, tail, end := g.label("loop"), g.label("tail"), g.label("end")
	g.SUBQ(operand.U8(step), n)
	g.JL(operand.LabelRef(tail))
	g.Label(head)
	body()
	g.ADDQ(operand.U8(4*step), l.off)
	g.SUBQ(operand.U8(step), n)
	g.JGE(operand.LabelRef(head))
	g.Label(tail)
	g.ADDQ(operand.U8(step), n)
	g.JE(operand.LabelRef(end))
	l.tail = true
	l.maskFirst(n)
	body()
	l.tail = false
	g.Label(end)
	if finish != nil {
		finish()
	}
	g.VZEROUPPER()
	g.RET()
}

// maskFirst prepares the masks of the first n lanes of a step, n less than it.
func (l *loop) maskFirst(n reg.GPVirtual) {
	if l.wide {
		m := l.GP32()
		l.MOVL(operand.U32(0xffff), m)
		l.BZHIL(n.As32(), m, m)
		l.kmask = l.K()
		l.KMOVW(m, l.kmask)
		return
	}
	tab := l.GP64()
	l.LEAQ(l.maskTable(), tab)
	l.NEGQ(n)
	l.ymask = l.v()
	for i, m := range l.ymask {
		l.VMOVUPS(operand.Mem{Base: tab, Index: n, Scale: 4, Disp: 64 + 32*i}, m)
	}
}

// v is a fresh vector.
func (l *loop) v() V {
	x := make(V, l.parts)
	for i := range x {
		x[i] = l.vec()
	}
	return x
}

// same is a vector whose parts are one register, for values equal in all lanes.
func (l *loop) same(r reg.VecVirtual) V {
	x := make(V, l.parts)
	for i := range x {
		x[i] = r
	}
	return x
}

// zeros is a fresh vector of zeros.
func (l *loop) zeros() V {
	x := l.v()
	for _, r := range x {
		l.zero(r)
	}
	return x
}

// op applies an instruction to each part.
func (l *loop) op(f func(...operand.Op), args ...any) {
	for i := range l.parts {
		ops := make([]operand.Op, len(args))
		for j, a := range args {
			switch a := a.(type) {
			case V:
				ops[j] = a[i]
			case operand.Op:
				ops[j] = a
			default:
				panic(fmt.Sprintf("operand %T", a))
			}
		}
		f(ops...)
	}
}

// mem is the memory of part i at the present position.
func (l *loop) mem(p reg.Register, i int) operand.Mem {
	return operand.Mem{Base: p, Index: l.off, Scale: 1, Disp: 32 * i}
}

// load reads a step from p; missing lanes are zeros.
func (l *loop) load(p reg.Register) V {
	x := l.v()
	for i, r := range x {
		switch m := l.mem(p, i); {
		case !l.tail:
			l.VMOVUPS(m, r)
		case l.wide:
			l.VMOVUPS_Z(m, l.kmask, r)
		default:
			l.VMASKMOVPS(m, l.ymask[i], r)
		}
	}
	return x
}

// store writes a step to p, apart from missing lanes.
func (l *loop) store(p reg.Register, x V) {
	for i, r := range x {
		switch m := l.mem(p, i); {
		case !l.tail:
			l.VMOVUPS(r, m)
		case l.wide:
			l.VMOVUPS(r, l.kmask, m)
		default:
			l.VMASKMOVPS(r, l.ymask[i], m)
		}
	}
}

// only clears the missing lanes of x in place.
func (l *loop) only(x V) {
	if !l.tail {
		return
	}
	for i, r := range x {
		if l.wide {
			l.VMOVAPS_Z(r, l.kmask, r)
		} else {
			l.VANDPS(l.ymask[i], r, r)
		}
	}
}

// orElse puts other into the missing lanes of x.
func (l *loop) orElse(x, other V) {
	if !l.tail {
		return
	}
	for i, r := range x {
		if l.wide {
			l.VBLENDMPS(r, other[i], l.kmask, r)
		} else {
			l.VBLENDVPS(l.ymask[i], r, other[i], r)
		}
	}
}

// bits is memory that holds sixteen times the same word.
func (g *gen) bits(b uint32) operand.Mem {
	if m, ok := g.consts[b]; ok {
		return m
	}
	m := g.StaticGlobal(fmt.Sprintf("c%08x", b))
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for range g.lanes() {
		g.AppendDatum(operand.U32(b))
	}
	g.consts[b] = m
	return m
}

// k is memory that holds sixteen times the same number.
func (g *gen) k(x float64) operand.Mem { return g.bits(math.Float32bits(float32(x))) }

// with is a fresh vector of a constant.
func (l *loop) with(x float64) V {
	v := l.v()
	l.op(l.VMOVUPS, l.k(x), v)
	return v
}

// Arithmetic with fresh results; x − y, x·y and so on in the order written.
func (l *loop) add(x V, y any) V { r := l.v(); l.op(l.VADDPS, y, x, r); return r }
func (l *loop) sub(x V, y any) V { r := l.v(); l.op(l.VSUBPS, y, x, r); return r }
func (l *loop) mul(x V, y any) V { r := l.v(); l.op(l.VMULPS, y, x, r); return r }
func (l *loop) div(x V, y any) V { r := l.v(); l.op(l.VDIVPS, y, x, r); return r }

// addTo is z += x·y and subFrom z −= x·y, rounded once, in place.
func (l *loop) addTo(z, x V, y any)   { l.op(l.VFMADD231PS, y, x, z) }
func (l *loop) subFrom(z, x V, y any) { l.op(l.VFNMADD231PS, y, x, z) }

// horner is z = z·x + y, in place.
func (l *loop) horner(z, x V, y any) { l.op(l.VFMADD213PS, y, x, z) }

// and, or and xor are bitwise, in place.
func (l *loop) and(x V, y any) { l.op(l.VANDPS, y, x, x) }
func (l *loop) or(x V, y any)  { l.op(l.VORPS, y, x, x) }
func (l *loop) xor(x V, y any) { l.op(l.VXORPS, y, x, x) }

// Predicates of VCMPPS.
const (
	cmpLess      = 0x11 // false for NaN, quiet
	cmpUnordered = 0x03
)

// choose is yes where the predicate holds of (x, y), otherwise no; fresh.
func (l *loop) choose(pred uint8, x V, y any, yes, no V) V {
	r := l.v()
	if l.wide {
		k := l.K()
		l.op(l.VCMPPS, operand.U8(pred), y, x, k)
		l.op(l.VBLENDMPS, yes, no, k, r)
		return r
	}
	m := l.v()
	l.op(l.VCMPPS, operand.U8(pred), y, x, m)
	l.op(func(o ...operand.Op) { l.VBLENDVPS(o[0], o[1], o[2], o[3]) }, m, yes, no, r)
	return r
}

// fold adds the sixteen lanes in the tree 8, 4, 2, 1 and leaves the sum in the
// lowest lane of the result.
func (l *loop) fold(acc V) reg.VecVirtual {
	return l.reduce(acc, l.VADDPS)
}

func (l *loop) reduce(acc V, f func(...operand.Op)) reg.VecVirtual {
	y := l.YMM()
	if l.wide {
		high := l.YMM()
		l.VEXTRACTF64X4(operand.U8(1), acc[0], high)
		low := l.YMM()
		l.VEXTRACTF64X4(operand.U8(0), acc[0], low)
		f(high, low, y)
	} else {
		f(acc[1], acc[0], y)
	}
	x, t := l.XMM(), l.XMM()
	l.VEXTRACTF128(operand.U8(1), y, t)
	f(t, y.AsX(), x)
	l.VMOVHLPS(x, x, t)
	f(t, x, x)
	l.VMOVSHDUP(x, t)
	f(t, x, x)
	return x
}

// give stores the lowest lane as a result.
func (l *loop) give(x reg.VecVirtual, name string) {
	l.Store(x.AsX(), l.Return(name))
}
