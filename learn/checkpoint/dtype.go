package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DType is a safetensors element type, by the name the header uses.
type DType string

// The types that are read and written. Floats convert to float32 and back;
// integers and booleans pass as bytes only, as float32 can't hold them all.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U64  DType = "U64"
	U32  DType = "U32"
	U16  DType = "U16"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// kinds gives for each type its bytes an element and its place in a file
// written here: descending, so that wide types come first and stay aligned.
// The ranks are those of the reference implementation's enumeration, so that
// the order of tensors is the reference's.
var kinds = map[DType]struct{ size, rank int }{
	Bool: {1, 0}, U8: {1, 1}, I8: {1, 2},
	I16: {2, 3}, U16: {2, 4}, F16: {2, 5}, BF16: {2, 6},
	I32: {4, 7}, U32: {4, 8}, F32: {4, 9},
	F64: {8, 10}, I64: {8, 11}, U64: {8, 12},
}

// foreign are types of the format that this package doesn't read.
var foreign = map[DType]bool{
	"F8_E4M3": true, "F8_E5M2": true, "F8_E8M0": true, "F8_E4M3FNUZ": true, "F8_E5M2FNUZ": true,
	"F4": true, "F6_E2M3": true, "F6_E3M2": true, "C64": true,
}

// Size is the bytes of one element, 0 for a type that is not read here.
func (d DType) Size() int { return kinds[d].size }

// Float reports whether elements convert to float32.
func (d DType) Float() bool { return d == F64 || d == F32 || d == F16 || d == BF16 }

// check says why d can't be read, nil if it can.
func (d DType) check() error {
	switch {
	case kinds[d].size > 0:
		return nil
	case foreign[d]:
		return fmt.Errorf("%w %s", ErrUnsupported, d)
	}
	return fmt.Errorf("unknown dtype %q", string(d))
}

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

// decode converts little-endian elements of a float type to float32. F64
// rounds to nearest even, the others are exact.
func (d DType) decode(dst []float32, src []byte) {
	switch d {
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = F16To(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = BF16To(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
}

// encode appends the elements in little-endian order. It returns the index of
// the first finite value that the type would turn into an infinity, -1 if none.
func (d DType) encode(dst []byte, src []float32) ([]byte, int) {
	bad := -1
	for i, v := range src {
		switch d {
		case F64:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(v)))
		case F32:
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		case F16, BF16:
			code, inf := BF16From(v), uint16(0x7f80)
			if d == F16 {
				code, inf = F16From(v), 0x7c00
			}
			if code&0x7fff == inf && bad < 0 && !math.IsInf(float64(v), 0) {
				bad = i
			}
			dst = binary.LittleEndian.AppendUint16(dst, code)
		}
	}
	return dst, bad
}
