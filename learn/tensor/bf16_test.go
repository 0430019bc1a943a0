package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBF16RoundTrip is exhaustive: every code survives, apart from signalling
// NaNs, which become quiet.
func TestBF16RoundTrip(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		codes := make([]uint16, 1<<16)
		for i := range codes {
			codes[i] = uint16(i)
		}
		wide, back := make([]float32, len(codes)), make([]uint16, len(codes))
		FromBF16(wide, codes)
		ToBF16(back, wide)
		for i, c := range codes {
			if math.Float32bits(wide[i]) != uint32(c)<<16 {
				t.Fatalf("code %#x is %#x", c, math.Float32bits(wide[i]))
			}
			want := c
			if wide[i] != wide[i] {
				want |= 0x40
			}
			if back[i] != want {
				t.Fatalf("code %#x comes back as %#x", c, back[i])
			}
		}
	})
}

// TestBF16RoundsToNearestEven tries, between every pair of neighbouring finite
// codes, the middle and what lies just beside it.
func TestBF16RoundsToNearestEven(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		var x []float32
		var want []uint16
		for code := uint32(0); code < 0x7f80; code++ {
			for _, sign := range []uint32{0, 0x8000} {
				lo := (code | sign) << 16
				for _, c := range []struct {
					low uint32
					up  bool
				}{{0x7fff, false}, {0x8000, code&1 == 1}, {0x8001, true}} {
					x = append(x, math.Float32frombits(lo|c.low))
					w := uint16(code | sign)
					if c.up {
						w++ // the largest rounds up to infinity
					}
					want = append(want, w)
				}
			}
		}
		got := make([]uint16, len(x))
		ToBF16(got, x)
		for i := range x {
			if got[i] != want[i] {
				t.Fatalf("%x rounds to %#x, want %#x", x[i], got[i], want[i])
			}
		}
	})
}

// TestBF16OddLengths: whole steps and what is left over, and nothing beyond.
func TestBF16OddLengths(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 13))
		for n := range 70 {
			x := randoms(r, n+3)
			got, back := make([]uint16, n+5), make([]float32, n+5)
			ToBF16(got[1:], x[3:])
			FromBF16(back[1:], got[1:n+1])
			for i := range got {
				want := uint16(0)
				if i >= 1 && i <= n {
					want = bf16(x[i+2])
				}
				if got[i] != want || back[i] != math.Float32frombits(uint32(want)<<16) {
					t.Fatalf("n %d: element %d is %#x, %v; want %#x", n, i, got[i], back[i], want)
				}
			}
		}
	})
}
