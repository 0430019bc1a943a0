package tensor

import "math"

// fmaExact is a·b + c rounded once, as the processors' fused multiply-add
// does it, whatever the architecture.
//
// The product is exact in float64. Rounding the sum to float64 and then to
// float32 could round twice; rounding the first time to odd prevents it
// (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008):
// the error of the sum, which TwoSum gives exactly, tells whether and in which
// direction to step to the odd neighbour. 53 ≥ 24 + 2 bits make that enough.
func fmaExact(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := float64(p + float64(c))
	t := float64(s - p)
	e := float64(p-float64(s-t)) + float64(float64(c)-t)
	if e > 0 || e < 0 { // not NaN, which infinities give
		if bits := math.Float64bits(s); bits&1 == 0 {
			if (e > 0) == (s > 0) {
				bits++
			} else {
				bits--
			}
			s = math.Float64frombits(bits)
		}
	}
	return float32(s)
}
