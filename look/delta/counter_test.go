package delta

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// naiveCost is the definition, written out: every gap is really encoded.
func naiveCost(n int64, b int, pos []int64) (Encoding, int64) {
	if len(pos) == 0 {
		return None, 0
	}
	var gaps []byte
	previous := int64(-1)
	for _, p := range pos {
		gaps = binary.AppendUvarint(gaps, uint64(p-previous-1))
		previous = p
	}
	values := int64(len(pos) * b)
	best, size := Dense, n*int64(b)
	if s := (n+7)/8 + values; s < size {
		best, size = Bitmap, s
	}
	if s := int64(len(gaps)) + values; s < size {
		best, size = Gap, s
	}
	return best, size
}

func TestGapSizeAtLEB128Borders(t *testing.T) {
	for shift := 0; shift < 64; shift++ {
		for _, g := range []uint64{1<<shift - 1, 1 << shift, 1<<shift + 1} {
			if got, want := gapSize(g), int64(len(binary.AppendUvarint(nil, g))); got != want {
				t.Errorf("gap %d takes %d bytes, not %d", g, want, got)
			}
		}
	}
}

// Every subset of up to 12 elements, every element size.
func TestCheapestExhaustive(t *testing.T) {
	for n := int64(0); n <= 12; n++ {
		for set := range uint64(1) << n {
			var pos []int64
			var c, m Counter
			for i := range n {
				if set>>i&1 == 1 {
					pos = append(pos, i)
					c.Change(i)
				}
			}
			m.Mask(0, set)
			if m != c {
				t.Fatalf("n=%d set %b: Mask counts %+v, Change %+v", n, set, m, c)
			}
			for _, b := range []int{1, 2, 4, 8} {
				enc, size := c.Cheapest(n, b)
				wantEnc, wantSize := naiveCost(n, b, pos)
				if enc != wantEnc || size != wantSize {
					t.Fatalf("n=%d b=%d set %b: %s %d, want %s %d", n, b, set, enc, size, wantEnc, wantSize)
				}
			}
		}
	}
}

func TestCounterAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range []float64{1e-5, 1e-3, 1.0 / 128, 0.02, 0.1, 0.125, 0.5, 0.9, 0.9376, 0.99, 1} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			const n = 1<<18 + 13
			var pos []int64
			var c, m Counter
			for at := int64(0); at < n; at += 64 {
				var mask uint64
				for i := range min(64, n-at) {
					if r.Float64() < p {
						mask |= 1 << i
						pos = append(pos, at+i)
						c.Change(at + i)
					}
				}
				m.Mask(at, mask)
			}
			if m != c {
				t.Errorf("Mask counts %+v, Change %+v", m, c)
			}
			for _, b := range []int{1, 2, 4, 8} {
				enc, size := c.Cheapest(n, b)
				wantEnc, wantSize := naiveCost(n, b, pos)
				if enc != wantEnc || size != wantSize {
					t.Errorf("b=%d: %s %d, want %s %d", b, enc, size, wantEnc, wantSize)
				}
			}
		})
	}
}

func TestCounterLongGaps(t *testing.T) {
	var c Counter
	var want int64
	at := int64(0)
	for _, gap := range []int64{0, 127, 128, 16383, 16384, 1<<21 - 1, 1 << 21, 1 << 28, 1 << 35, 1 << 42} {
		at += gap
		c.Change(at)
		at++
		want += int64((bits.Len64(uint64(gap)|1) + 6) / 7)
	}
	if c.GapBytes() != want || c.Changed() != 10 {
		t.Errorf("%d gap bytes of %d changes, want %d of 10", c.GapBytes(), c.Changed(), want)
	}
}

func TestCounterWantsAscendingPositions(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a position counted twice went unnoticed")
		}
	}()
	var c Counter
	c.Change(5)
	c.Change(5)
}

func TestIIDBound(t *testing.T) {
	for _, c := range []struct {
		n, c int64
		b    int
		want float64
	}{
		{0, 0, 2, 0},
		{100, 0, 2, 0},
		{100, 100, 2, 200},
		{800, 400, 2, 100 + 800}, // H₂(½) = 1 bit
		{1 << 20, 1 << 18, 2, (2-0.75*math.Log2(3))*(1<<17) + 1<<19}, // H₂(¼) = 2 − ¾·log₂3
		// The specification's example: 1.54 B parameters, 1 % changed.
		{1_540_000_000, 15_400_000, 2, 15.4e6 * (8.079313589591118/8 + 2)}, // H₂(p)/p at p = 0.01, by Python
	} {
		if got := IIDBound(c.n, c.c, c.b); math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("n=%d c=%d b=%d: %g, want %g", c.n, c.c, c.b, got, c.want)
		}
	}
}

// No encoding of independent changes beats the bound but by chance: positions
// of one draw have entropy n·H₂(p), within a few √n.
func TestCheapestAboveBound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range []float64{0.001, 0.01, 0.1, 0.3, 0.5} {
		const n = 1 << 18
		var c Counter
		for i := range int64(n) {
			if r.Float64() < p {
				c.Change(i)
			}
		}
		_, size := c.Cheapest(n, 2)
		if bound := IIDBound(n, c.Changed(), 2); float64(size) < bound-1 { // the bound uses the draw's own c, so the slack is rounding alone
			t.Errorf("p=%g: %d bytes are below the bound %g", p, size, bound)
		}
	}
}

func BenchmarkCounterMask(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	masks := make([]uint64, 1<<12)
	for i := range masks {
		for bit := range 64 {
			if r.Float64() < 0.02 {
				masks[i] |= 1 << bit
			}
		}
	}
	b.SetBytes(int64(len(masks)) * 64 * 2) // bf16 elements
	for b.Loop() {
		var c Counter
		for i, m := range masks {
			c.Mask(int64(i)*64, m)
		}
	}
}
