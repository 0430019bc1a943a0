package audit

import (
	"encoding/binary"
	"math"
	"math/bits"

	"orrery/learn/checkpoint"
)

const (
	magnitude = 0x7fff // of a bf16 code, without its sign
	infCode   = 0x7f80 // and above: not finite

	lanes = 0x0001_0001_0001_0001 // four codes in a word
)

// bf16From64 rounds to the nearest bfloat16, ties to even, once: first to
// float32 towards odd, which keeps every bit that the second rounding asks for.
func bf16From64(v float64) uint16 {
	f := float32(v)
	if back := float64(f); back != v && v == v {
		b := math.Float32bits(f)
		if math.Abs(back) > math.Abs(v) {
			b-- // towards zero; the code below infinity is the largest finite one
		}
		f = math.Float32frombits(b | 1)
	}
	return checkpoint.BF16From(f)
}

func bf16Value(code uint16) float64 { return float64(checkpoint.BF16To(code)) }

// codesDiffer is the definition of a change: the codes differ, and not only as
// +0 and -0 do.
func codesDiffer(a, b uint16) bool { return a != b && (a|b)&magnitude != 0 }

// maskBF16 compares little-endian bf16 codes, 64 at a time: bit i of changed[w]
// is element 64w+i by codesDiffer, of raw[w] by its bytes. The bits past the end are
// clear. changed and raw have a word for every 64 elements begun.
func maskBF16(changed, raw []uint64, a, b []byte) {
	n := len(a) / 2
	full := n / 64
	for w := range full {
		p, q := a[w*128:w*128+128:w*128+128], b[w*128:w*128+128:w*128+128]
		var c, r uint64
		for g := 0; g < 128; g += 32 {
			p, q := p[g:g+32:g+32], q[g:g+32:g+32]
			a0, a1 := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
			a2, a3 := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
			b0, b1 := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(q[8:])
			b2, b3 := binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint64(q[24:])
			if (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3) == 0 {
				continue
			}
			c0, r0 := lanesDiffer(a0, b0)
			c1, r1 := lanesDiffer(a1, b1)
			c2, r2 := lanesDiffer(a2, b2)
			c3, r3 := lanesDiffer(a3, b3)
			at := g / 2
			c |= (c0 | c1<<4 | c2<<8 | c3<<12) << at
			r |= (r0 | r1<<4 | r2<<8 | r3<<12) << at
		}
		changed[w], raw[w] = c, r
	}
	if n%64 == 0 {
		return
	}
	changed[full], raw[full] = 0, 0
	for i := full * 64; i < n; i++ {
		x, y := binary.LittleEndian.Uint16(a[2*i:]), binary.LittleEndian.Uint16(b[2*i:])
		if x != y {
			raw[full] |= 1 << (i % 64)
		}
		if codesDiffer(x, y) {
			changed[full] |= 1 << (i % 64)
		}
	}
}

// lanesDiffer compares four codes: bit i of changed and raw is lane i.
func lanesDiffer(a, b uint64) (changed, raw uint64) {
	const low = magnitude * lanes
	// The top bit of a lane of (x&low+low)|x is set unless x is 0 there; no lane carries.
	x := a ^ b
	r := (x&low + low | x) >> 15 & lanes
	c := r & (((a|b)&low + low) >> 15)
	// Bits 0, 16, 32 and 48 move to 48, 49, 50 and 51.
	const gather = 1<<48 | 1<<33 | 1<<18 | 1<<3
	return c * gather >> 48 & 15, r * gather >> 48 & 15
}

// onesCount is the number of set bits.
func onesCount(words []uint64) (n int64) {
	for _, w := range words {
		n += int64(bits.OnesCount64(w))
	}
	return n
}
