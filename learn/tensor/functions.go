package tensor

import "math"

// The functions below are what the assembly computes, step by step and bit for
// bit: polynomials by Horner's rule in fused multiply-adds. Coefficients are
// minimax fits of the relative error (testdata/fit.py), rounded to float32.
// The bounds in units of the last place are over every float32 and hold in the
// subnormals too; a test with -stride 1 tries them all.
//
// A product whose result may reach an addition is converted, float32(a·b),
// here and in all twins: the conversion keeps the compiler from fusing them.

const (
	expMagic = 12582912 // 1.5·2²³: adding it rounds to an integer
	expLog2e = 1.4426950216293335
	expLn2Hi = 0.693145751953125 // fifteen bits: its product with n is exact
	expLn2Lo = 1.428606765330187e-06

	tanhSmall   = 0.625
	logSqrtHalf = 0x3f3504f3 // √½
	minNormal   = 0x1p-126
)

var (
	expPoly  = [...]float32{0.001381454, 0.008368745, 0.04166839, 0.16666521, 0.49999994, 1, 1}
	tanhPoly = [...]float32{-0.005704981740564108, 0.02063908241689205, -0.05373971536755562, 0.13331441581249237, -0.3333328068256378}
	logPoly  = [...]float32{0.06747740507125854, -0.1167752668261528, 0.11888698488473892, -0.12405338883399963, 0.14219452440738678, -0.16668005287647247, 0.20002123713493347, -0.25000008940696716, 0.3333331346511841}
)

func horner(c []float32, x float32) float32 {
	p := c[0]
	for _, k := range c[1:] {
		p = fma(p, x, k)
	}
	return p
}

// expTwin is e^x: x = n·ln2 + r with |r| ≤ ½ln2, then 2^n·P(r), rounded once
// more only where the result is subnormal.
func expTwin(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > 89: // e^x overflows from 88.72…; 2^n from n = 129
		x = 89
	case x < -104: // e^x is less than half the smallest float32
		x = -104
	}
	n := fma(x, expLog2e, expMagic) - expMagic
	x = fma(-n, expLn2Hi, x)
	x = fma(-n, expLn2Lo, x)
	p := horner(expPoly[:], x)
	half := int32(n) >> 1
	p *= math.Float32frombits(uint32(half+127) << 23)
	return float32(p * math.Float32frombits(uint32(int32(n)-half+127)<<23))
}

// shareFloor is where a softmax stops: e^−64 = 1.6e−28 of the largest element is
// far below what float32 can add to it, and is taken to be 0. Smaller shares
// would become subnormal, here or in the products that follow, and processors
// take a hundred times as long for those.
const shareFloor = -64

// shareTwin is e^x, and 0 where x < shareFloor.
func shareTwin(x float32) float32 {
	if x < shareFloor {
		return 0
	}
	return expTwin(x)
}

// sigmoidTwin is 1/(1+e^−x), from e^−|x| so that nothing overflows and small
// results keep their digits.
func sigmoidTwin(x float32) float32 {
	e := expTwin(-float32(math.Abs(float64(x))))
	if math.Signbit(float64(x)) {
		return e / (e + 1)
	}
	return 1 / (e + 1)
}

// tanhTwin is odd: x + x³P(x²) for |x| < 0.625, else 1 − 2/(e^2|x| + 1).
func tanhTwin(x float32) float32 {
	a := float32(math.Abs(float64(x)))
	var y float32
	if a < tanhSmall {
		z := float32(a * a)
		y = fma(horner(tanhPoly[:], z), float32(z*a), a)
	} else {
		y = 1 - 2/(expTwin(a+a)+1)
	}
	return float32(math.Copysign(float64(y), float64(x)))
}

// logTwin is ln x: x = m·2^e with m in [√½, √2), f = m−1, and
// f − ½f² + f³P(f) + e·ln2. 0 gives −Inf, less NaN.
func logTwin(x float32) float32 {
	switch {
	case x != x || x > math.MaxFloat32:
		return x
	case x == 0:
		return float32(math.Inf(-1))
	case x < 0:
		return float32(math.NaN())
	}
	var e float32
	if x < minNormal {
		x, e = x*(1<<23), -23
	}
	bits := int32(math.Float32bits(x))
	n := (bits - logSqrtHalf) >> 23
	e += float32(n)
	f := math.Float32frombits(uint32(bits-n<<23)) - 1
	z := float32(f * f)
	y := float32(float32(z*f) * horner(logPoly[:], f))
	y = fma(e, expLn2Lo, y)
	y = fma(-z, 0.5, y)
	y = float32(y + f)
	return fma(e, expLn2Hi, y)
}
