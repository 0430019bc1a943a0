package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// rows writes the reductions over a row and the kernels that use their results.
func (g *gen) rows() {
	// sum is a kernel that adds a step to sixteen lanes and returns their fold.
	sum := func(name, doc, pointers, scalars string, body func(l *loop, p regs, s []V, acc V)) {
		g.kernel(name, doc, pointers, scalars, true, " (r float32)", func(l *loop, p regs, s []V) (func(), func()) {
			acc := l.zeros()
			return func() { body(l, p, s, acc) }, func() { l.give(l.fold(acc), "r") }
		})
	}
	each := func(name, doc, pointers, scalars string, body func(l *loop, p regs, s []V)) {
		g.kernel(name, doc, pointers, scalars, false, "", func(l *loop, p regs, s []V) (func(), func()) {
			return func() { body(l, p, s) }, nil
		})
	}
	sum("sum", "is Σx.", "x", "", func(l *loop, p regs, s []V, acc V) {
		l.op(l.VADDPS, l.load(p[0]), acc, acc)
	})
	sum("dot", "is Σx·y.", "x y", "", func(l *loop, p regs, s []V, acc V) {
		l.addTo(acc, l.load(p[0]), l.load(p[1]))
	})
	sum("dot3", "is Σ(x·y)·z.", "x y z", "", func(l *loop, p regs, s []V, acc V) {
		l.addTo(acc, l.mul(l.load(p[0]), l.load(p[1])), l.load(p[2]))
	})
	sum("spread", "is Σ(x−mean)².", "x", "mean", func(l *loop, p regs, s []V, acc V) {
		d := l.sub(l.load(p[0]), s[0])
		l.only(d)
		l.addTo(acc, d, d)
	})
	sum("expSum", "is Σe^(x−m).", "x", "m", func(l *loop, p regs, s []V, acc V) {
		e := l.share(l.sub(l.load(p[0]), s[0]))
		l.only(e)
		l.op(l.VADDPS, e, acc, acc)
	})
	sum("expShift", "is dst = e^(dst−m), and the sum of it.", "dst", "m", func(l *loop, p regs, s []V, acc V) {
		e := l.share(l.sub(l.load(p[0]), s[0]))
		l.only(e)
		l.store(p[0], e)
		l.op(l.VADDPS, e, acc, acc)
	})
	g.maxima()
	each("softmaxGrad", "is dx += scale·p·(dp−d).", "dx p dp", "scale d", func(l *loop, p regs, s []V) {
		q := l.mul(l.load(p[1]), s[0])
		t := l.sub(l.load(p[2]), s[1])
		x := l.load(p[0])
		l.addTo(x, q, t)
		l.store(p[0], x)
	})
	each("scaleMul", "is dst = (x·r)·w.", "dst x w", "r", func(l *loop, p regs, s []V) {
		l.store(p[0], l.mul(l.mul(l.load(p[1]), s[0]), l.load(p[2])))
	})
	each("rmsGrad", "adds the gradients of an RMS norm; c is r³/n·Σ(w·dy·x).", "dx dw dy x w", "r c", func(l *loop, p regs, s []V) {
		x, dy := l.load(p[3]), l.load(p[2])
		g := l.mul(l.mul(l.load(p[4]), s[0]), dy)
		l.subFrom(g, x, s[1])
		l.store(p[0], l.add(l.load(p[0]), g))
		dw := l.load(p[1])
		l.addTo(dw, dy, l.mul(x, s[0]))
		l.store(p[1], dw)
	})
	each("center", "is dst = (x−mean)·rstd·w.", "dst x w", "mean rstd", func(l *loop, p regs, s []V) {
		l.store(p[0], l.mul(l.mul(l.sub(l.load(p[1]), s[0]), s[1]), l.load(p[2])))
	})
	each("centerBias", "is dst = (x−mean)·rstd·w + b.", "dst x w b", "mean rstd", func(l *loop, p regs, s []V) {
		y := l.mul(l.sub(l.load(p[1]), s[0]), s[1])
		l.horner(y, l.load(p[2]), l.load(p[3]))
		l.store(p[0], y)
	})
	g.kernel("layerSums", "is Σg and Σg·x̂, g = dy·w, x̂ = (x−mean)·rstd.", "dy x w", "mean rstd", true, " (r, q float32)", func(l *loop, p regs, s []V) (func(), func()) {
		a, b := l.zeros(), l.zeros()
		return func() {
				g := l.mul(l.load(p[0]), l.load(p[2]))
				x := l.mul(l.sub(l.load(p[1]), s[0]), s[1])
				l.only(x)
				l.op(l.VADDPS, g, a, a)
				l.addTo(b, g, x)
			}, func() {
				l.give(l.fold(a), "r")
				l.give(l.fold(b), "q")
			}
	})
	each("layerGrad", "adds the gradients of a layer norm; mg and mgx are the means of g and g·x̂.", "dx dw dy x w", "mean rstd mg mgx", func(l *loop, p regs, s []V) {
		dy := l.load(p[2])
		x := l.mul(l.sub(l.load(p[3]), s[0]), s[1])
		t := l.sub(l.mul(dy, l.load(p[4])), s[2])
		l.subFrom(t, x, s[3])
		dx := l.load(p[0])
		l.addTo(dx, t, s[1])
		l.store(p[0], dx)
		dw := l.load(p[1])
		l.addTo(dw, dy, x)
		l.store(p[1], dw)
	})
}

// maxima writes the kernels that find a maximum: NaN if there is one, and
// never −0, so that lanes and order do not show.
func (g *gen) maxima() {
	inf := math.Inf(-1)
	find := func(name, doc, pointers, scalars string, value func(l *loop, p regs, s []V) V) {
		g.kernel(name, doc, pointers, scalars, true, " (r float32)", func(l *loop, p regs, s []V) (func(), func()) {
			low := l.same(l.with(inf)[0])
			acc, nan := l.with(inf), V(nil)
			kn := l.K()
			if l.wide {
				l.KXORW(kn, kn, kn)
			} else {
				nan = l.zeros()
			}
			body := func() {
				x := value(l, p, s)
				if l.wide {
					k := l.K()
					l.VCMPPS(operand.U8(cmpUnordered), x[0], x[0], k)
					l.KORW(k, kn, kn)
				} else {
					k := l.v()
					l.op(l.VCMPPS, operand.U8(cmpUnordered), x, x, k)
					l.or(nan, k)
				}
				l.orElse(x, low)
				l.op(l.VMAXPS, x, acc, acc)
			}
			finish := func() {
				m := l.reduce(acc, l.VMAXPS)
				if l.wide {
					l.KORTESTW(kn, kn)
				} else {
					any, bits := l.YMM(), l.GP32()
					l.VORPS(nan[0], nan[1], any)
					l.VMOVMSKPS(any, bits)
					l.TESTL(bits, bits)
				}
				ok := l.label("ok")
				l.JE(operand.LabelRef(ok))
				q := l.GP32()
				l.MOVL(operand.U32(quietNaN), q)
				l.VMOVD(q, m.AsX())
				l.Label(ok)
				z := l.XMM()
				l.VXORPS(z, z, z)
				l.VADDPS(z, m.AsX(), m.AsX()) // −0 becomes +0
				l.give(m, "r")
			}
			return body, finish
		})
	}
	find("max", "is the largest x.", "x", "", func(l *loop, p regs, s []V) V { return l.load(p[0]) })
	find("scaleMax", "is dst = scale·x, and the largest of it.", "dst x", "scale", func(l *loop, p regs, s []V) V {
		x := l.mul(l.load(p[1]), s[0])
		l.store(p[0], x)
		return x
	})
	find("scaleBiasMax", "is dst = scale·x + bias, and the largest of it.", "dst x bias", "scale", func(l *loop, p regs, s []V) V {
		x := l.load(p[1])
		l.horner(x, s[0], l.load(p[2]))
		l.store(p[0], x)
		return x
	})
}
