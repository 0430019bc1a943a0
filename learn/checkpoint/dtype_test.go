package checkpoint

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every code survives the way to float32 and back, NaN payloads included.
func TestEveryCodeSurvives(t *testing.T) {
	for code := range 1 << 16 {
		c := uint16(code)
		if got := BF16From(BF16To(c)); got != c {
			t.Fatalf("BF16 %04x came back as %04x", c, got)
		}
		if got := F16From(F16To(c)); got != c {
			t.Fatalf("F16 %04x came back as %04x", c, got)
		}
	}
}

// codeValue is a code's value by the definition of the format: sign, exponent
// bits with their bias, mantissa bits.
func codeValue(code uint16, expBits, manBits int) float64 {
	bias := 1<<(expBits-1) - 1
	e, m := int(code>>manBits)&(1<<expBits-1), float64(code&(1<<manBits-1))
	v := math.Ldexp(1+m/float64(int(1)<<manBits), e-bias)
	if e == 0 {
		v = math.Ldexp(m, 1-bias-manBits)
	}
	if code>>15 == 1 {
		v = -v
	}
	return v
}

// The float just below, at and just above the middle between two neighbouring
// codes must round down, to the even one, and up; so the whole step function
// is right, as rounding is monotone.
func TestRoundingAtEveryMidpoint(t *testing.T) {
	for _, f := range []struct {
		name     string
		exp, man int
		inf      uint16
		to       func(uint16) float32
		from     func(float32) uint16
	}{
		{"BF16", 8, 7, 0x7f80, BF16To, BF16From},
		{"F16", 5, 10, 0x7c00, F16To, F16From},
	} {
		for c := uint16(0); c < f.inf; c++ {
			lo, hi := codeValue(c, f.exp, f.man), codeValue(c+1, f.exp, f.man) // hi: 2^(max+1) in place of Inf, as IEEE rounds
			if float64(f.to(c)) != lo {
				t.Fatalf("%s %04x is %g, want %g", f.name, c, f.to(c), lo)
			}
			mid := float32((lo + hi) / 2) // exact: float32 has more mantissa bits than either
			if float64(mid) != (lo+hi)/2 {
				t.Fatalf("%s %04x: the midpoint isn't a float32", f.name, c)
			}
			even := c + c&1
			for _, s := range []struct {
				v    float32
				want uint16
			}{
				{float32(lo), c},
				{math.Nextafter32(mid, 0), c}, {mid, even}, {math.Nextafter32(mid, float32(math.Inf(1))), c + 1},
			} {
				if got := f.from(s.v); got != s.want {
					t.Fatalf("%s: %g rounds to %04x, want %04x", f.name, s.v, got, s.want)
				}
				if got := f.from(-s.v); got != s.want|0x8000 {
					t.Fatalf("%s: %g rounds to %04x, want %04x", f.name, -s.v, got, s.want|0x8000)
				}
			}
		}
		for _, v := range []float32{math.MaxFloat32, float32(math.Inf(1))} {
			if got := f.from(v); got != f.inf {
				t.Errorf("%s: %g rounds to %04x, want infinity", f.name, v, got)
			}
		}
		// NaNs whose payload lies in the dropped bits alone must stay NaNs.
		for _, bits := range []uint32{0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff} {
			if got := f.to(f.from(math.Float32frombits(bits))); got == got {
				t.Errorf("%s: the NaN %08x became %g", f.name, bits, got)
			}
		}
	}
}

// Rounding never moves a value further than half a step, 2^-(mantissa bits+1)
// relative, on values that are no midpoints.
func TestRoundingErrorBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		v := float32(r.NormFloat64())
		if math.Abs(float64(v)) < 1e-4 { // subnormal halves have an absolute bound instead
			continue
		}
		if d := math.Abs(float64(BF16To(BF16From(v))-v)) / math.Abs(float64(v)); d > 1.0/256 {
			t.Fatalf("BF16 moves %g by %g of itself", v, d)
		}
		if d := math.Abs(float64(F16To(F16From(v))-v)) / math.Abs(float64(v)); d > 1.0/2048 {
			t.Fatalf("F16 moves %g by %g of itself", v, d)
		}
	}
}
