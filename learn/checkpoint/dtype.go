package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DType is a safetensors element type, by the name the header uses.
type DType string

// The types of the format. F64 to F8_E8M0 convert to float32; integers,
// booleans, complex numbers and what is smaller than a byte pass as bytes only:
// float32 can't hold the former, and the format doesn't say how the latter are
// packed.
const (
	F64        DType = "F64"
	F32        DType = "F32"
	F16        DType = "F16"
	BF16       DType = "BF16"
	F8E4M3     DType = "F8_E4M3"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	F8E8M0     DType = "F8_E8M0"
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	F4         DType = "F4"
	C64        DType = "C64" // two F32
	I64        DType = "I64"
	I32        DType = "I32"
	I16        DType = "I16"
	I8         DType = "I8"
	U64        DType = "U64"
	U32        DType = "U32"
	U16        DType = "U16"
	U8         DType = "U8"
	Bool       DType = "BOOL"
)

// kinds gives for each type its bits an element and its place in a file
// written here: descending, so that wide types come first and stay aligned.
// The ranks are those of the reference implementation's enumeration, so that
// the order of tensors is the reference's.
var kinds = map[DType]struct{ bits, rank int }{
	Bool: {8, 0}, F4: {4, 1}, F6E2M3: {6, 2}, F6E3M2: {6, 3}, U8: {8, 4}, I8: {8, 5},
	F8E5M2: {8, 6}, F8E4M3: {8, 7}, F8E8M0: {8, 8}, F8E4M3FNUZ: {8, 9}, F8E5M2FNUZ: {8, 10},
	I16: {16, 11}, U16: {16, 12}, F16: {16, 13}, BF16: {16, 14},
	I32: {32, 15}, U32: {32, 16}, F32: {32, 17},
	C64: {64, 18}, F64: {64, 19}, I64: {64, 20}, U64: {64, 21},
}

// Bits is the bits of one element, 0 for a type that the format doesn't have.
func (d DType) Bits() int { return kinds[d].bits }

// Size is the bytes of one element, 0 for those that are smaller than a byte
// and for a type that the format doesn't have.
func (d DType) Size() int { return kinds[d].bits / 8 }

// Float reports whether elements convert to float32.
func (d DType) Float() bool {
	switch d {
	case F64, F32, F16, BF16, F8E8M0:
		return true
	}
	return fp8[d] != nil
}

// check says why d can't be read, nil if it can.
func (d DType) check() error {
	if kinds[d].bits == 0 {
		return fmt.Errorf("unknown dtype %.80q", string(d))
	}
	return nil
}

// encodes says why float32 doesn't convert to d, nil if it does.
func (d DType) encodes() error {
	if !d.Float() || d == F8E8M0 { // E8M0 holds powers of two: nothing says how others round
		return fmt.Errorf("%w: floats don't convert to %s", ErrUnsupported, d)
	}
	return nil
}

// Decode converts len(dst) little-endian elements of src to float32. F64 rounds
// to nearest, ties to even; the others are exact. The error is ErrUnsupported
// for a type that Float denies.
func (d DType) Decode(dst []float32, src []byte) error {
	if !d.Float() {
		return fmt.Errorf("%w: %s doesn't convert to float32", ErrUnsupported, d)
	}
	d.decode(dst, src)
	return nil
}

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
	case F8E8M0:
		for i := range dst {
			dst[i] = e8m0To(src[i])
		}
	default:
		table := &fp8[d].table
		for i := range dst {
			dst[i] = table[src[i]]
		}
	}
}

// Decode64 is Decode to float64, exact for every type.
func (d DType) Decode64(dst []float64, src []byte) error {
	if d == F64 {
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
		return nil
	}
	var part [512]float32
	for lo := 0; lo < len(dst); lo += len(part) {
		n := min(len(part), len(dst)-lo)
		if err := d.Decode(part[:n], src[lo*d.Size():]); err != nil {
			return err
		}
		for i, v := range part[:n] {
			dst[lo+i] = float64(v)
		}
	}
	return nil
}

// Encode appends the elements in little-endian order, each rounded to nearest,
// ties to even. It returns the index of the first value that the type can't
// hold, -1 if there is none: a finite one beyond the largest, or an infinity
// where the type has none. The error is ErrUnsupported for a type that floats
// don't convert to.
func (d DType) Encode(dst []byte, src []float32) ([]byte, int, error) {
	if err := d.encodes(); err != nil {
		return dst, -1, err
	}
	bad := -1
	for i, v := range src {
		ok := true
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
			ok = code&0x7fff != inf || math.IsInf(float64(v), 0)
			dst = binary.LittleEndian.AppendUint16(dst, code)
		default:
			var code uint16
			code, ok = fp8[d].round(float64(v))
			dst = append(dst, byte(code))
		}
		if !ok && bad < 0 {
			bad = i
		}
	}
	return dst, bad, nil
}

// Encode64 is Encode from float64, with a single rounding.
func (d DType) Encode64(dst []byte, src []float64) ([]byte, int, error) {
	if err := d.encodes(); err != nil {
		return dst, -1, err
	}
	bad := -1
	for i, v := range src {
		ok := true
		switch d {
		case F64:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		case F32:
			f := float32(v)
			ok = !math.IsInf(float64(f), 0) || math.IsInf(v, 0)
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
		case F16, BF16:
			l := layoutBF16
			if d == F16 {
				l = layoutF16
			}
			var code uint16
			code, ok = l.round(v)
			dst = binary.LittleEndian.AppendUint16(dst, code)
		default:
			var code uint16
			code, ok = fp8[d].round(v)
			dst = append(dst, byte(code))
		}
		if !ok && bad < 0 {
			bad = i
		}
	}
	return dst, bad, nil
}
