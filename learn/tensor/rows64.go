package tensor

import "math"

// Dot64 is Σ x·y in float64 in the package's fixed order of rows: element i is
// added, with one rounding, to lane i mod 16, and the lanes are folded. y is at
// least as long as x.
func Dot64(x []float32, y []float64) float64 {
	y = y[:len(x)]
	var lanes [16]float64
	n := len(x) &^ 15
	if n > 0 && isa != levelGo {
		if isa == levelAVX512 {
			dot64AVX512(n, &lanes[0], &x[0], &y[0])
		} else {
			dot64AVX2(n, &lanes[0], &x[0], &y[0])
		}
		x, y = x[n:], y[n:]
	}
	for i, v := range x {
		lanes[i&15] = math.FMA(float64(v), y[i], lanes[i&15])
	}
	for w := 8; w >= 1; w /= 2 {
		for i := range w {
			lanes[i] += lanes[i+w]
		}
	}
	return lanes[0]
}

// Axpy64 adds s·x to y in float64, rounding once. y is at least as long as x.
func Axpy64(y []float64, s float64, x []float32) {
	y = y[:len(x)]
	n := len(x) &^ 15
	if n > 0 && isa != levelGo {
		if isa == levelAVX512 {
			axpy64AVX512(n, &y[0], s, &x[0])
		} else {
			axpy64AVX2(n, &y[0], s, &x[0])
		}
		x, y = x[n:], y[n:]
	}
	for i, v := range x {
		y[i] = math.FMA(s, float64(v), y[i])
	}
}

// widen writes src as float64, exactly; src is at least as long as dst.
func widen(dst []float64, src []float32) {
	src = src[:len(dst)]
	n := len(dst) &^ 15
	if n > 0 && isa != levelGo {
		if isa == levelAVX512 {
			widenAVX512(n, &dst[0], &src[0])
		} else {
			widenAVX2(n, &dst[0], &src[0])
		}
		dst, src = dst[n:], src[n:]
	}
	for i, v := range src {
		dst[i] = float64(v)
	}
}

// widenSub writes a − b in float64; both are at least as long as dst.
func widenSub(dst []float64, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	n := len(dst) &^ 15
	if n > 0 && isa != levelGo {
		if isa == levelAVX512 {
			widenSubAVX512(n, &dst[0], &a[0], &b[0])
		} else {
			widenSubAVX2(n, &dst[0], &a[0], &b[0])
		}
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	for i, v := range a {
		dst[i] = float64(v) - float64(b[i])
	}
}
