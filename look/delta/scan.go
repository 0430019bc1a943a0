package delta

import (
	"bytes"
	"encoding/binary"
)

// chunk is the bytes of a tensor that are in memory at a time: a multiple of 64
// elements of any width, so that masks never straddle two chunks.
const chunk = 4 << 20

// changes sets bit i%64 of dst[i/64] if element i of a and b, of width bytes
// each, differs, and returns the words set. a and b are equally long and hold
// whole elements; bits past the last element are zero.
func changes(dst []uint64, a, b []byte, width int) []uint64 {
	block := 64 * width
	words := (len(a) + block - 1) / block
	dst = dst[:words]
	if bytes.Equal(a, b) {
		clear(dst)
		return dst
	}
	whole := len(a) / block
	for i := range whole {
		dst[i] = mask64(a[i*block:(i+1)*block], b[i*block:(i+1)*block], width)
	}
	if whole < words {
		dst[whole] = maskSlow(a[whole*block:], b[whole*block:], width)
	}
	return dst
}

// maskSlow is the definition, for up to 64 elements.
func maskSlow(a, b []byte, width int) (mask uint64) {
	for i := 0; i*width < len(a); i++ {
		if !bytes.Equal(a[i*width:(i+1)*width], b[i*width:(i+1)*width]) {
			mask |= 1 << i
		}
	}
	return mask
}

// mask64 is maskSlow for exactly 64 elements, eight bytes at a time.
func mask64(a, b []byte, width int) (mask uint64) {
	per := 8 / width // elements a word
	for i := 0; len(a) >= 8 && len(b) >= 8; i += per {
		if x := binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b); x != 0 {
			mask |= lanes(x, width) << i
		}
		a, b = a[8:], b[8:]
	}
	return mask
}

// lanes has bit i set if lane i of x, of width bytes, is not zero. Adding all
// ones below a lane's top bit carries into that bit unless they are all zero.
func lanes(x uint64, width int) uint64 {
	switch width {
	case 1:
		const low = 0x7f7f7f7f7f7f7f7f
		m := ((x&low + low | x) &^ low) >> 7 // bits 0, 8, …, 56
		return m * 0x0102040810204080 >> 56  // the product's top byte gathers them
	case 2:
		const low = 0x7fff7fff7fff7fff
		m := ((x&low + low | x) &^ low) >> 15 // bits 0, 16, 32, 48
		return (m | m>>15 | m>>30 | m>>45) & 15
	case 4:
		const low = 0x7fffffff7fffffff
		m := ((x&low + low | x) &^ low) >> 31 // bits 0, 32
		return (m | m>>31) & 3
	}
	return 1 // the word is the element, and not zero
}

// load is element i of b, little-endian.
func load(b []byte, i, width int) uint64 {
	switch width {
	case 1:
		return uint64(b[i])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b[2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return binary.LittleEndian.Uint64(b[8*i:])
}

// store sets element i of b.
func store(b []byte, i, width int, v uint64) {
	switch width {
	case 1:
		b[i] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	default:
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
}
