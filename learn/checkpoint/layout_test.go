package checkpoint

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// fp8Value is a code's value by the tables of arXiv 2209.05433 (E4M3, E5M2) and
// 2206.02915 (FNUZ): the special codes first, then sign · 2^(e-bias) · 1.m.
func fp8Value(d DType, code int) float64 {
	type def struct{ exp, man, bias int }
	f := map[DType]def{F8E4M3: {4, 3, 7}, F8E5M2: {5, 2, 15}, F8E4M3FNUZ: {4, 3, 8}, F8E5M2FNUZ: {5, 2, 16}}[d]
	s, e, m := code>>7, code>>f.man&(1<<f.exp-1), code&(1<<f.man-1)
	switch {
	case d == F8E4M3 && e == 15 && m == 7,
		d == F8E5M2 && e == 31 && m > 0,
		(d == F8E4M3FNUZ || d == F8E5M2FNUZ) && code == 0x80:
		return math.NaN()
	case d == F8E5M2 && e == 31:
		return math.Inf(1 - 2*s)
	}
	v := math.Pow(2, float64(e-f.bias)) * (1 + float64(m)/float64(int(1)<<f.man))
	if e == 0 {
		v = math.Pow(2, float64(1-f.bias)) * float64(m) / float64(int(1)<<f.man)
	}
	if s == 1 {
		v = -v
	}
	return v
}

func same(a, b float64) bool {
	return a != a && b != b || math.Float64bits(a) == math.Float64bits(b)
}

var fp8Types = []DType{F8E4M3, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ}

// All 256 codes of each 8-bit type have the value of the definition, and come
// back from it.
func TestEveryFP8Code(t *testing.T) {
	all := make([]byte, 256)
	for c := range all {
		all[c] = byte(c)
	}
	got := make([]float32, 256)
	for _, d := range fp8Types {
		if err := d.Decode(got, all); err != nil {
			t.Fatal(err)
		}
		back, bad, err := d.Encode(nil, got)
		if err != nil || bad >= 0 {
			t.Fatal(bad, err)
		}
		for c, v := range got {
			if want := fp8Value(d, c); !same(float64(v), want) {
				t.Errorf("%s %02x is %g, want %g", d, c, v, want)
			}
			if v == v && back[c] != byte(c) {
				t.Errorf("%s %02x came back as %02x", d, c, back[c])
			}
			if v != v && !same(float64(fp8[d].table[back[c]]), math.NaN()) {
				t.Errorf("%s: the NaN %02x came back as %02x", d, c, back[c])
			}
		}
	}
	if err := F8E8M0.Decode(got, all); err != nil {
		t.Fatal(err)
	}
	for c, v := range got {
		want := math.Pow(2, float64(c-127))
		if c == 255 {
			want = math.NaN()
		}
		if !same(float64(v), want) {
			t.Errorf("E8M0 %02x is %g, want %g", c, v, want)
		}
	}
}

// The largest values that the papers' tables give.
func TestFP8Limits(t *testing.T) {
	for _, c := range []struct {
		d         DType
		max, tiny float64
	}{
		{F8E4M3, 448, 0x1p-9}, {F8E5M2, 57344, 0x1p-16}, {F8E4M3FNUZ, 240, 0x1p-10}, {F8E5M2FNUZ, 57344, 0x1p-17},
	} {
		max, tiny := 0.0, math.Inf(1)
		for _, v := range fp8[c.d].table {
			if v := float64(v); v > 0 && !math.IsInf(v, 0) {
				max, tiny = math.Max(max, v), math.Min(tiny, v)
			}
		}
		if max != c.max || tiny != c.tiny {
			t.Errorf("%s goes from %g to %g, want %g to %g", c.d, tiny, max, c.tiny, c.max)
		}
	}
}

// nearest rounds by search through all codes: the least distance, of two the
// even code; beyond the largest by more than half a step, nothing. The naive
// twin of layout.round.
func nearest(d DType, v float64) (byte, bool) {
	best, dist := -1, math.Inf(1)
	top, below := 0.0, 0.0 // the two largest values
	for c, x := range fp8[d].table[:128] {
		x := float64(x)
		if x != x || math.IsInf(x, 0) {
			continue
		}
		if x > top {
			top, below = x, top
		}
		if gap := math.Abs(math.Abs(v) - x); gap < dist || gap == dist && c%2 == 0 {
			best, dist = c, gap
		}
	}
	// Half a step above the largest lies the tie with the next value, if the
	// format had it: an odd largest code rounds up there, out of range.
	if half := (top - below) / 2; dist > half || dist == half && best%2 == 1 {
		if math.Abs(v) > top {
			return 0, false
		}
	}
	if v < 0 && (best > 0 || d == F8E4M3 || d == F8E5M2) {
		best |= 0x80
	}
	return byte(best), true
}

func TestFP8Rounding(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, d := range fp8Types {
		var list []float64
		values := fp8[d].table[:128]
		for c := range len(values) - 1 {
			lo, hi := float64(values[c]), float64(values[c+1])
			mid := (lo + hi) / 2
			if mid == mid && !math.IsInf(mid, 0) {
				list = append(list, mid, math.Nextafter(mid, 0), math.Nextafter(mid, math.Inf(1)), hi)
			}
		}
		top := float64(values[fp8[d].max])
		step := top - float64(values[fp8[d].max-1])
		list = append(list, top+step/2, math.Nextafter(top+step/2, 0), 2*top, 1e300, 5e-324, 1e-30)
		for range 5000 {
			list = append(list, math.Ldexp(r.Float64(), r.IntN(36)-19))
		}
		for _, v := range list {
			for _, v := range []float64{v, -v} {
				got, ok := fp8[d].round(v)
				if want, in := nearest(d, v); ok != in || ok && byte(got) != want {
					t.Errorf("%s: %g rounds to %02x %v, want %02x %v", d, v, got, ok, want, in)
				}
			}
		}
		for _, v := range []float64{math.Inf(1), math.Inf(-1)} {
			code, ok := fp8[d].round(v)
			if x := float64(fp8[d].table[code]); ok != (d == F8E5M2) || ok && x != v {
				t.Errorf("%s: %g became %g, %v", d, v, x, ok)
			}
		}
	}
}

// From float64 the 16-bit types round once. Through float32 the value just
// above a midpoint would first fall onto it and then to even.
func TestEncode64RoundsOnce(t *testing.T) {
	for _, f := range []struct {
		d    DType
		l    layout
		to   func(uint16) float32
		from func(float32) uint16
	}{{F16, layoutF16, F16To, F16From}, {BF16, layoutBF16, BF16To, BF16From}} {
		for c := uint16(0); c < f.l.max; c++ {
			if v := f.l.value(c); v != float64(f.to(c)) {
				t.Fatalf("%s %04x is %g, want %g", f.d, c, v, f.to(c))
			}
			mid := (f.l.value(c) + f.l.value(c+1)) / 2
			list := []float64{math.Nextafter(mid, 0), mid, math.Nextafter(mid, math.Inf(1))}
			got, bad, err := f.d.Encode64(nil, list)
			if bad >= 0 || err != nil {
				t.Fatal(bad, err)
			}
			for i, want := range []uint16{c, c + c&1, c + 1} {
				if code := binary.LittleEndian.Uint16(got[2*i:]); code != want {
					t.Fatalf("%s: %g rounds to %04x, want %04x", f.d, list[i], code, want)
				}
			}
		}
		// Where float32 is exact, both ways agree.
		r := rand.New(rand.NewPCG(5, 6))
		for range 100_000 {
			v := math.Float32frombits(r.Uint32())
			got, _, _ := f.d.Encode64(nil, []float64{float64(v)})
			if want := f.from(v); v == v && binary.LittleEndian.Uint16(got) != want {
				t.Fatalf("%s: %g rounds to %x, want %04x", f.d, v, got, want)
			}
		}
	}
	if _, bad, _ := F32.Encode64(nil, []float64{0, math.Inf(1), 1e39}); bad != 2 {
		t.Errorf("1e39 in F32: first bad is %d", bad)
	}
	if _, bad, _ := F16.Encode64(nil, []float64{math.Inf(1), 65520}); bad != 1 {
		t.Errorf("65520 in F16: first bad is %d", bad)
	}
	for _, d := range []DType{I8, Bool, C64, F4, F6E2M3, F8E8M0, "X"} {
		if _, _, err := d.Encode64(nil, []float64{1}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestDecode64IsExact(t *testing.T) {
	const n = 1000 // more than one buffer
	list := make([]float64, n)
	for i := range list {
		list[i] = math.Pi * float64(i)
	}
	raw, _, err := F64.Encode64(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, n)
	if err := F64.Decode64(got, raw); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i] != list[i] {
			t.Fatalf("element %d is %v, was %v", i, got[i], list[i])
		}
	}
	raw, _, err = BF16.Encode64(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	if err := BF16.Decode64(got, raw); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if want := float64(BF16To(BF16From(float32(list[i])))); got[i] != want { // π·i has no midpoints, so rounding twice is harmless
			t.Fatalf("element %d is %v, want %v", i, got[i], want)
		}
	}
	if err := I64.Decode64(got[:1], raw); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}
