package tensor

import "math"

// ToBF16 writes src as bfloat16, the upper half of a float32, rounded to
// nearest, ties to even. Values beyond the largest become infinite; a NaN stays
// one (quiet, the upper bits of its payload kept). dst is at least as long as
// src.
func ToBF16(dst []uint16, src []float32) {
	n := len(src)
	dst = dst[:n]
	whole := 0
	if n >= 16 && isa != levelGo {
		whole = n &^ 15
		if isa == levelAVX512 {
			toBF16AVX512(whole, &dst[0], &src[0])
		} else {
			toBF16AVX2(whole, &dst[0], &src[0])
		}
	}
	for i := whole; i < n; i++ {
		dst[i] = bf16(src[i])
	}
}

func bf16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 writes bfloat16 as float32, exactly. dst is at least as long as src.
func FromBF16(dst []float32, src []uint16) {
	n := len(src)
	dst = dst[:n]
	whole := 0
	if n >= 16 && isa != levelGo {
		whole = n &^ 15
		if isa == levelAVX512 {
			fromBF16AVX512(whole, &dst[0], &src[0])
		} else {
			fromBF16AVX2(whole, &dst[0], &src[0])
		}
	}
	for i := whole; i < n; i++ {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}
