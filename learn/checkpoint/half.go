package checkpoint

import "math"

// BF16From rounds to the nearest bfloat16, ties to even. Values beyond the
// largest finite code become infinite; a NaN keeps its upper payload bits.
func BF16From(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		if code := uint16(b >> 16); code&0x7f != 0 {
			return code
		}
		return uint16(b>>16) | 0x40 // the payload was all in the lower half: stay a NaN
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// BF16To is the value of a bfloat16 code, exactly.
func BF16To(code uint16) float32 { return math.Float32frombits(uint32(code) << 16) }

// F16From rounds to the nearest IEEE half, ties to even. Values that round
// beyond 65504 become infinite; a NaN keeps its upper payload bits.
func F16From(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN
		code := sign | 0x7c00 | uint16(b>>13&0x3ff)
		if code&0x3ff == 0 {
			code |= 0x200
		}
		return code
	case b >= 0x47800000: // 2^16 and infinity
		return sign | 0x7c00
	case b >= 0x38800000: // normal halves, from 2^-14: rebias 127 to 15, then round off 13 bits
		b -= 112 << 23
		return sign | uint16((b+0xfff+b>>13&1)>>13)
	case b < 0x33000000: // below 2^-25, half of the least subnormal
		return sign
	}
	// A subnormal half counts units of 2^-24: shift the 24-bit significand
	// down by 126 - exponent (14 to 24) and round to nearest even.
	shift := 126 - b>>23
	m := b&0x7fffff | 0x800000
	half := uint32(1)<<(shift-1) - 1
	return sign | uint16((m+half+m>>shift&1)>>shift)
}

// F16To is the value of a half code, exactly.
func F16To(code uint16) float32 {
	sign, exp, m := uint32(code&0x8000)<<16, uint32(code>>10&0x1f), uint32(code&0x3ff)
	switch exp {
	case 0:
		v := float32(m) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | m<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | m<<13)
}
