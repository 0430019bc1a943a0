//go:build !arm64

package tensor

import "math"

// fma is a·b + c, rounded once. The product is exact in float64, so only a sum
// half way between two float32 can be rounded twice: whether it is half way is
// in the last 29 of its 53 bits, for results that are not subnormal.
func fma(a, b, c float32) float32 {
	s := float64(a)*float64(b) + float64(c)
	if math.Float64bits(s)<<35 != 1<<63 && (s >= minNormal || s <= -minNormal) {
		return float32(s)
	}
	return fmaExact(a, b, c)
}
