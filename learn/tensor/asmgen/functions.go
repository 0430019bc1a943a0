package main

import "github.com/mmcloughlin/avo/operand"

// The functions follow their twins in package tensor step by step (file
// functions.go there says where they come from), so that the results are the
// same bits. Their arguments may be destroyed.

// exp is e^x.
func (l *loop) exp(x V) V {
	t := l.with(89)
	l.op(l.VMINPS, x, t, x) // the second operand, x, where it is NaN
	l.op(l.VMOVUPS, l.k(-104), t)
	l.op(l.VMAXPS, x, t, x)
	l.op(l.VMOVUPS, l.k(expMagic), t)
	l.addTo(t, x, l.k(expLog2e))
	n := t
	l.op(l.VSUBPS, l.k(expMagic), t, n)
	l.subFrom(x, n, l.k(expLn2Hi))
	l.subFrom(x, n, l.k(expLn2Lo))
	p := l.with(expPoly[0])
	for _, c := range expPoly[1:] {
		l.horner(p, x, l.k(c))
	}
	if l.wide {
		l.op(l.VSCALEFPS, n, p, p)
		return p
	}
	// 2^n in two factors, since n may be beyond the exponents of float32.
	half := l.v()
	l.op(l.VCVTPS2DQ, n, n)
	l.op(l.VPSRAD, operand.U8(1), n, half)
	l.op(l.VPSUBD, half, n, n)
	for _, e := range []V{half, n} {
		l.op(l.VPADDD, l.bits(127), e, e)
		l.op(l.VPSLLD, operand.U8(23), e, e)
		l.op(l.VMULPS, e, p, p)
	}
	return p
}

// share is e^x, and 0 where x < shareFloor. It keeps x.
func (l *loop) share(x V) V {
	t := l.with(shareFloor)
	l.op(l.VMAXPS, x, t, t) // the second operand, x, where it is NaN
	return l.choose(cmpLess, x, l.k(shareFloor), l.zeros(), l.exp(t))
}

// sigmoid is 1/(1+e^−x).
func (l *loop) sigmoid(x V) V {
	e := l.v()
	l.op(l.VORPS, l.bits(signBit), x, e) // −|x|
	e = l.exp(e)
	num := l.with(1)
	den := l.add(e, num)
	if l.wide {
		k := l.K()
		l.VPMOVD2M(x[0], k)
		l.VBLENDMPS(e[0], num[0], k, num[0])
	} else { // by the sign bit of x
		l.op(func(o ...operand.Op) { l.VBLENDVPS(o[0], o[1], o[2], o[3]) }, x, e, num, num)
	}
	l.op(l.VDIVPS, den, num, num)
	return num
}

// tanh keeps x.
func (l *loop) tanh(x V) V {
	a := l.v()
	l.op(l.VANDPS, l.bits(^uint32(signBit)), x, a)
	e := l.exp(l.add(a, a))
	one := l.with(1)
	l.op(l.VADDPS, one, e, e)
	l.op(l.VADDPS, one, one, one)
	l.op(l.VDIVPS, e, one, e) // 2/(e^2|x| + 1)
	big := l.with(1)
	l.op(l.VSUBPS, e, big, big)
	z := l.mul(a, a)
	p := l.with(tanhPoly[0])
	for _, c := range tanhPoly[1:] {
		l.horner(p, z, l.k(c))
	}
	l.op(l.VMULPS, a, z, z)
	l.horner(p, z, a) // small: |x|³P + |x|
	r := l.choose(cmpLess, a, l.k(tanhSmall), p, big)
	sign := l.v()
	l.op(l.VANDPS, l.bits(signBit), x, sign)
	l.or(r, sign)
	return r
}

// log is ln x.
func (l *loop) log(x V) V {
	scaled := l.mul(x, l.k(1<<23))
	e := l.v()
	m := l.choose(cmpLess, x, l.bits(0x00800000), scaled, x)
	down := l.with(-23)
	zero := l.zeros()
	bias := l.choose(cmpLess, x, l.bits(0x00800000), down, zero)
	l.op(l.VPSUBD, l.bits(logSqrtHalf), m, e)
	l.op(l.VPSRAD, operand.U8(23), e, e)
	shifted := l.v()
	l.op(l.VPSLLD, operand.U8(23), e, shifted)
	l.op(l.VPSUBD, shifted, m, m)
	l.op(l.VCVTDQ2PS, e, e)
	l.op(l.VADDPS, bias, e, e)
	l.op(l.VSUBPS, l.k(1), m, m) // f
	z := l.mul(m, m)
	p := l.with(logPoly[0])
	for _, c := range logPoly[1:] {
		l.horner(p, m, l.k(c))
	}
	y := l.mul(m, z)
	l.op(l.VMULPS, p, y, y)
	l.addTo(y, e, l.k(expLn2Lo))
	l.subFrom(y, z, l.k(0.5))
	l.op(l.VADDPS, m, y, y)
	l.addTo(y, e, l.k(expLn2Hi))
	// 0 gives −Inf, less than 0 NaN, +Inf and NaN themselves.
	inf := l.v()
	l.op(l.VMOVUPS, l.bits(plusInf), inf)
	y = l.choose(cmpLess, x, inf, y, x)
	nan := l.v()
	l.op(l.VMOVUPS, l.bits(quietNaN), nan)
	y = l.choose(cmpLess, x, zero, nan, y)
	l.op(l.VMOVUPS, l.bits(minusInf), inf)
	return l.choose(cmpEqual, x, zero, inf, y)
}

const (
	signBit  = 0x80000000
	plusInf  = 0x7f800000
	minusInf = 0xff800000
	quietNaN = 0x7fc00000
	cmpEqual = 0x00

	shareFloor = -64

	expMagic = 12582912 // 1.5·2²³: adding it rounds to an integer
	expLog2e = 1.4426950216293335
	expLn2Hi = 0.693145751953125
	expLn2Lo = 1.428606765330187e-06

	tanhSmall   = 0.625
	logSqrtHalf = 0x3f3504f3
)

// Coefficients, highest power first; as in package tensor.
var (
	expPoly  = []float64{0.001381454, 0.008368745, 0.04166839, 0.16666521, 0.49999994, 1, 1}
	tanhPoly = []float64{-0.005704981740564108, 0.02063908241689205, -0.05373971536755562, 0.13331441581249237, -0.3333328068256378}
	logPoly  = []float64{0.06747740507125854, -0.1167752668261528, 0.11888698488473892, -0.12405338883399963, 0.14219452440738678, -0.16668005287647247, 0.20002123713493347, -0.25000008940696716, 0.3333331346511841}
)
