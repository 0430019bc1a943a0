package main

import "github.com/mmcloughlin/avo/reg"

type regs = []reg.GPVirtual

// elem writes the elementwise kernels.
func (g *gen) elem() {
	// each is a kernel whose body is all there is.
	each := func(name, doc, pointers, scalars string, body func(l *loop, p regs, s []V)) {
		g.kernel(name, doc, pointers, scalars, false, "", func(l *loop, p regs, s []V) (func(), func()) {
			return func() { body(l, p, s) }, nil
		})
	}
	each("add", "is dst = a + b.", "dst a b", "", func(l *loop, p regs, s []V) {
		l.store(p[0], l.add(l.load(p[1]), l.load(p[2])))
	})
	each("sub", "is dst = a − b.", "dst a b", "", func(l *loop, p regs, s []V) {
		l.store(p[0], l.sub(l.load(p[1]), l.load(p[2])))
	})
	each("mul", "is dst = a·b.", "dst a b", "", func(l *loop, p regs, s []V) {
		l.store(p[0], l.mul(l.load(p[1]), l.load(p[2])))
	})
	each("div", "is dst = a/b.", "dst a b", "", func(l *loop, p regs, s []V) {
		l.store(p[0], l.div(l.load(p[1]), l.load(p[2])))
	})
	each("mulAdd", "is dst += a·b.", "dst a b", "", func(l *loop, p regs, s []V) {
		d := l.load(p[0])
		l.addTo(d, l.load(p[1]), l.load(p[2]))
		l.store(p[0], d)
	})
	each("scale", "is dst = s·a.", "dst a", "s", func(l *loop, p regs, s []V) {
		l.store(p[0], l.mul(l.load(p[1]), s[0]))
	})
	each("axpy", "is dst += s·a.", "dst a", "s", func(l *loop, p regs, s []V) {
		d := l.load(p[0])
		l.addTo(d, l.load(p[1]), s[0])
		l.store(p[0], d)
	})
	for _, f := range []struct {
		name, doc string
		f         func(*loop, V) V
	}{
		{"exp", "is dst = e^x.", (*loop).exp},
		{"log", "is dst = ln x.", (*loop).log},
		{"tanh", "is dst = tanh x.", (*loop).tanh},
		{"sigmoid", "is dst = 1/(1+e^−x).", (*loop).sigmoid},
	} {
		each(f.name, f.doc, "dst x", "", func(l *loop, p regs, s []V) {
			l.store(p[0], f.f(l, l.load(p[1])))
		})
	}
	g.activations(each)
	each("rotary", "rotates pairs (a, b) by angles; sign is −0 for the inverse, else 0.", "lo hi a b cos sin", "sign", func(l *loop, p regs, s []V) {
		sin, a, b, cos := l.load(p[5]), l.load(p[2]), l.load(p[3]), l.load(p[4])
		l.xor(sin, s[0])
		x := l.mul(b, sin)
		l.op(l.VFMSUB231PS, cos, a, x) // a·cos − b·sin
		y := l.mul(a, sin)
		l.addTo(y, b, cos)
		l.store(p[0], x)
		l.store(p[1], y)
	})
	each("adam", "is tensor.AdamStep; keep is 1−lr·decay, rate lr/c1, inv2 1/c2, rest1 and rest2 1−β1 and 1−β2.", "w grad m v", "beta1 rest1 beta2 rest2 inv2 eps rate keep", func(l *loop, p regs, s []V) {
		grad := l.load(p[1])
		m, v := l.load(p[2]), l.load(p[3])
		t := l.mul(grad, s[1])
		l.addTo(t, m, s[0])
		l.store(p[2], t)
		u := l.mul(grad, s[3])
		l.op(l.VMULPS, grad, u, u)
		l.addTo(u, v, s[2])
		l.store(p[3], u)
		l.op(l.VMULPS, s[4], u, u)
		l.op(l.VSQRTPS, u, u)
		l.op(l.VADDPS, s[5], u, u)
		l.op(l.VMULPS, s[6], t, t)
		l.op(l.VDIVPS, u, t, t)
		w := l.load(p[0])
		l.op(l.VFMSUB132PS, s[7], t, w) // w·keep − t
		l.store(p[0], w)
	})
}

// activations writes silu, swiglu and gelu with their gradients.
func (g *gen) activations(each func(name, doc, pointers, scalars string, body func(l *loop, p regs, s []V))) {
	each("silu", "is dst = x·σ(x).", "dst x", "", func(l *loop, p regs, s []V) {
		x := l.load(p[1])
		l.store(p[0], l.mul(x, l.sigmoid(x)))
	})
	// slope is σ(x)(1 + x(1−σ(x))), the derivative of silu; it returns σ too.
	slope := func(l *loop, x V) (h, sig V) {
		sig = l.sigmoid(x)
		one := l.with(1)
		q := l.sub(one, sig)
		l.horner(q, x, one) // x(1−σ) + 1
		return q, sig
	}
	each("siluGrad", "is dx += dy·σ(x)(1+x(1−σ(x))).", "dx dy x", "", func(l *loop, p regs, s []V) {
		h, sig := slope(l, l.load(p[2]))
		d := l.load(p[0])
		l.op(l.VMULPS, l.load(p[1]), sig, sig)
		l.addTo(d, sig, h)
		l.store(p[0], d)
	})
	each("swiglu", "is dst = x·σ(x)·up.", "dst x up", "", func(l *loop, p regs, s []V) {
		x := l.load(p[1])
		y := l.mul(x, l.sigmoid(x))
		l.store(p[0], l.mul(y, l.load(p[2])))
	})
	each("swigluGrad", "adds the gradients of swiglu.", "dx dup dy x up", "", func(l *loop, p regs, s []V) {
		x := l.load(p[3])
		h, sig := slope(l, x)
		dys := l.mul(l.load(p[2]), sig) // dy·σ
		dup := l.load(p[1])
		l.addTo(dup, dys, x)
		l.store(p[1], dup)
		l.op(l.VMULPS, l.load(p[4]), dys, dys)
		dx := l.load(p[0])
		l.addTo(dx, dys, h)
		l.store(p[0], dx)
	})
	const c, d = 0.7978845608028654, 0.044715
	// bent is tanh of gelu's inner polynomial.
	bent := func(l *loop, x V) V {
		u := l.mul(x, x)
		z := l.with(c * d)
		l.horner(z, u, l.k(c))
		return l.tanh(l.mul(x, z))
	}
	each("gelu", "is dst = ½x(1+tanh(…)).", "dst x", "", func(l *loop, p regs, s []V) {
		x := l.load(p[1])
		t := bent(l, x)
		l.op(l.VMULPS, l.k(0.5), x, x)
		l.horner(t, x, x)
		l.store(p[0], t)
	})
	each("geluGrad", "adds the gradient of gelu.", "dx dy x", "", func(l *loop, p regs, s []V) {
		x := l.load(p[2])
		t := bent(l, x)
		a := l.with(0.5)
		l.addTo(a, t, l.k(0.5)) // ½(1+t)
		b := l.with(1)
		l.subFrom(b, t, t) // 1−t²
		z := l.mul(x, x)
		e := l.with(3 * c * d)
		l.horner(e, z, l.k(c))
		l.op(l.VMULPS, l.k(0.5), x, x)
		l.op(l.VMULPS, b, x, x)
		l.addTo(a, x, e)
		dx := l.load(p[0])
		l.addTo(dx, l.load(p[1]), a)
		l.store(p[0], dx)
	})
}
