package audit

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"orrery/learn/checkpoint"
)

// Every code against itself, its neighbours, ±0, NaN and infinity, at every
// place in a word: the fast comparison is the definition.
func TestMaskAllCodes(t *testing.T) {
	others := func(c uint16) []uint16 {
		if c%64 == 7 { // equal groups, which are skipped, beside one that isn't
			return append(make([]uint16, 0, 10), c, c, c, c, c, c, c, c, c, c^1)
		}
		return []uint16{c, c + 1, c - 1, c ^ 0x8000, 0, 0x8000, 0x7f80, 0xff80, 0x7fc0, 0x7f81}
	}
	var a, b []byte
	var want, wantRaw []bool
	for c := range 1 << 16 {
		for _, o := range others(uint16(c)) {
			a = binary.LittleEndian.AppendUint16(a, uint16(c))
			b = binary.LittleEndian.AppendUint16(b, o)
			zero := uint16(c)&0x7fff == 0 && o&0x7fff == 0
			want = append(want, uint16(c) != o && !zero)
			wantRaw = append(wantRaw, uint16(c) != o)
		}
	}
	for _, cut := range []int{0, 1, 63, 64, 65} { // other phases, and ends within a word
		n := len(want) - cut
		changed, raw := make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)
		for i := range changed {
			changed[i], raw[i] = ^uint64(0), ^uint64(0) // stale bits must go
		}
		maskBF16(changed, raw, a[2*cut:], b[2*cut:])
		for i := range n {
			if got := changed[i/64]>>(i%64)&1 == 1; got != want[cut+i] {
				t.Fatalf("cut %d, element %d: changed %v, want %v", cut, i, got, want[cut+i])
			}
			if got := raw[i/64]>>(i%64)&1 == 1; got != wantRaw[cut+i] {
				t.Fatalf("cut %d, element %d: raw %v, want %v", cut, i, got, wantRaw[cut+i])
			}
		}
		var set, inSlice int64
		for _, w := range want[cut:] {
			if w {
				set++
			}
		}
		if inSlice = onesCount(changed); inSlice != set {
			t.Fatalf("cut %d: %d bits set, want %d", cut, inSlice, set)
		}
	}
}

// The paper's criterion |ŵ−w| ≤ 1e-3·max(|w|,|ŵ|) names the same elements, for
// every finite code and its neighbours: the least relative gap of distinct
// finite codes is 2⁻⁸ (specification, §2).
func TestPaperCriterionIsCodeEquality(t *testing.T) {
	least := math.Inf(1)
	for c := range uint16(0x7f7f) {
		lo, hi := bf16Value(c), bf16Value(c+1)
		gap := (hi - lo) / hi
		least = min(least, gap)
		for _, pair := range [][2]uint16{{c, c}, {c, c + 1}, {c | 0x8000, (c + 1) | 0x8000}} {
			x, y := bf16Value(pair[0]), bf16Value(pair[1])
			close := math.Abs(x-y) <= 1e-3*max(math.Abs(x), math.Abs(y))
			if close == codesDiffer(pair[0], pair[1]) {
				t.Fatalf("codes %#x and %#x: close %v", pair[0], pair[1], close)
			}
		}
	}
	if least != 1.0/256 {
		t.Errorf("the least relative gap is %g, not 2⁻⁸", least)
	}
}

// Every finite code, and the values around the midpoints between neighbours,
// against exact arithmetic.
func TestRoundingFromFloat64(t *testing.T) {
	for c := range uint16(0x7f80) {
		lo := bf16Value(c)
		hi := bf16Value(c + 1) // of the largest finite code: infinity, for which 2^128 stands
		if c == 0x7f7f {
			hi = math.Ldexp(1, 128)
		}
		mid := lo + (hi-lo)/2 // exact in float64, subnormals included
		even := c
		if c&1 == 1 {
			even = c + 1
		}
		for _, x := range []struct {
			v    float64
			want uint16
		}{
			{lo, c}, {mid, even},
			{math.Nextafter(mid, 0), c}, {math.Nextafter(mid, math.Inf(1)), c + 1},
			{math.Nextafter(lo, math.Inf(1)), c},
		} {
			if got := bf16From64(x.v); got != x.want {
				t.Fatalf("%b rounds to %#x, want %#x", x.v, got, x.want)
			}
			if got := bf16From64(-x.v); got != x.want|0x8000 {
				t.Fatalf("%b rounds to %#x, want %#x", -x.v, got, x.want|0x8000)
			}
		}
	}
	for _, v := range []float64{1e300, math.Inf(1)} {
		if got := bf16From64(v); got != infCode {
			t.Errorf("%g rounds to %#x", v, got)
		}
	}
	if got := bf16From64(math.NaN()); got&magnitude <= infCode {
		t.Errorf("NaN rounds to %#x", got)
	}
}

// Where a float32 lies between, rounding twice would go wrong: these values
// round to a tie of bf16 in float32.
func TestRoundingOnce(t *testing.T) {
	v := 1 + math.Ldexp(1, -8) + math.Ldexp(1, -40) // just above the tie of 1 and 1+2⁻⁷
	if twice := checkpoint.BF16From(float32(v)); twice != 0x3f80 {
		t.Fatalf("the case isn't one: %#x", twice)
	}
	if got := bf16From64(v); got != 0x3f81 {
		t.Errorf("%#x, want 0x3f81", got)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		v := math.Ldexp(r.NormFloat64(), r.IntN(280)-150)
		got := bf16From64(v)
		want, _ := new(big.Float).SetMode(big.ToNearestEven).SetPrec(8).SetFloat64(v).Float64()
		if math.Abs(want) >= math.Ldexp(1, -126) && math.Abs(want) <= bf16Value(0x7f7f) && bf16Value(got) != want {
			t.Fatalf("%b rounds to %b, want %b", v, bf16Value(got), want)
		}
	}
}

// BenchmarkMask is the comparison alone, on two arrays of 128 MiB each, beside
// a probe that reads the same memory and does nothing but OR its words.
func BenchmarkMask(b *testing.B) {
	const size = 128 << 20
	x, y := make([]byte, size), make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(x[i:], r.Uint64())
	}
	changed, raw := make([]uint64, 1<<15), make([]uint64, 1<<15)
	const block = 1 << 22
	sink := uint64(0)
	b.Run("probe", func(b *testing.B) {
		b.SetBytes(2 * size)
		for b.Loop() {
			for i := 0; i+32 <= size; i += 32 {
				p, q := x[i:i+32:i+32], y[i:i+32:i+32]
				sink |= binary.LittleEndian.Uint64(p) | binary.LittleEndian.Uint64(p[8:]) | binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[24:]) |
					binary.LittleEndian.Uint64(q) | binary.LittleEndian.Uint64(q[8:]) | binary.LittleEndian.Uint64(q[16:]) | binary.LittleEndian.Uint64(q[24:])
			}
		}
	})
	for _, share := range []float64{0, 0.01, 0.3, 1} {
		copy(y, x)
		for i := 0; i < size; i += 2 {
			if r.Float64() < share {
				y[i] ^= 1
			}
		}
		b.Run("changed="+map[float64]string{0: "0", 0.01: "1%", 0.3: "30%", 1: "all"}[share], func(b *testing.B) {
			b.SetBytes(2 * size)
			for b.Loop() {
				for i := 0; i < size; i += block {
					maskBF16(changed, raw, x[i:i+block], y[i:i+block])
				}
			}
		})
	}
	if sink == 1 {
		b.Fatal()
	}
}
