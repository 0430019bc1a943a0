package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/checkpoint"
)

// naive computes a pair's counts by the definitions, in plain loops over whole
// tensors: codes are rounded by comparing distances, sums are plain.
func naive(p pair, a, b []byte) *elements {
	n := int(p.n())
	e := &elements{rows: make([]int64, p.rows), cols: make([]int64, p.cols), hist: make([]int64, 1<<15), bits: make([]uint64, (n+63)/64)}
	v0, v1 := make([]float64, n), make([]float64, n)
	naiveDecode(p.dbase, v0, a)
	naiveDecode(p.dtuned, v1, b)
	for i := range n {
		x, y := v0[i], v1[i]
		c0, c1 := naiveCode(x), naiveCode(y)
		if p.dbase == checkpoint.BF16 { // a NaN's payload survives as stored
			c0 = binary.LittleEndian.Uint16(a[2*i:])
		}
		if p.dtuned == checkpoint.BF16 {
			c1 = binary.LittleEndian.Uint16(b[2*i:])
		}
		e.hist[c0&0x7fff]++
		if c0 != c1 && !(c0&0x7fff == 0 && c1&0x7fff == 0) {
			e.changed++
			e.rows[i/int(p.cols)]++
			e.cols[i%int(p.cols)]++
			e.bits[i/64] |= 1 << (i % 64)
		}
		s0, s1 := p.dbase.Size(), p.dtuned.Size()
		if p.dbase != p.dtuned {
			e.raw = -1
		} else if !bytes.Equal(a[i*s0:(i+1)*s0], b[i*s1:(i+1)*s1]) {
			e.raw++
		}
		bad0, bad1 := math.IsNaN(x) || math.IsInf(x, 0), math.IsNaN(y) || math.IsInf(y, 0)
		if bad0 {
			e.nonfinite[0]++
		}
		if bad1 {
			e.nonfinite[1]++
		}
		if equal := x == y || x != x && y != y && c0 == c1; !equal {
			e.unequal++
			if !(math.Abs(y-x) <= 1e-5) {
				e.far++
			}
		}
		if !bad0 && !bad1 {
			e.fro0 += x * x
			e.fro += (y - x) * (y - x)
			e.maxAbs = max(e.maxAbs, math.Abs(y-x))
		}
	}
	return e
}

func naiveDecode(d checkpoint.DType, dst []float64, src []byte) {
	for i := range dst {
		switch d {
		case checkpoint.F64:
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		case checkpoint.F32:
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		case checkpoint.F16:
			dst[i] = float64(checkpoint.F16To(binary.LittleEndian.Uint16(src[2*i:])))
		case checkpoint.BF16:
			dst[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16))
		}
	}
}

// naiveCode finds the nearest code by bisection over all finite ones.
func naiveCode(v float64) uint16 {
	value := func(c int) float64 {
		if c == 0x7f80 {
			return math.Ldexp(1, 128)
		}
		return float64(math.Float32frombits(uint32(c) << 16))
	}
	sign, m := uint16(0), math.Abs(v)
	if math.Signbit(v) {
		sign = 0x8000
	}
	if v != v {
		return checkpoint.BF16From(float32(v))
	}
	if m >= value(0x7f80) {
		return sign | 0x7f80
	}
	lo, hi := 0, 0x7f80
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; value(mid) <= m {
			lo = mid
		} else {
			hi = mid
		}
	}
	below, above := m-value(lo), value(hi)-m
	if above < below || above == below && lo&1 == 1 {
		lo = hi
	}
	return sign | uint16(lo)
}

var (
	finiteOdd = []float64{0, math.Copysign(0, -1), 1e-40, -3e-39, 1e-6, 2e-6, 1024.001, 6e4}
	allOdd    = append([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 3.3e38, 3.4e38}, finiteOdd...) // the larger of the finite ones round to infinity
)

// weights are random numbers with odd ones among them.
func weights(r *rand.Rand, n int, odd []float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = r.NormFloat64() * 0.02
		if odd != nil && r.IntN(16) == 0 {
			v[i] = odd[r.IntN(len(odd))]
		}
	}
	return v
}

func encode(t testing.TB, d checkpoint.DType, v []float64) []byte {
	var b []byte
	for _, x := range v {
		switch d {
		case checkpoint.F64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		case checkpoint.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		case checkpoint.F16:
			b = binary.LittleEndian.AppendUint16(b, checkpoint.F16From(float32(x)))
		case checkpoint.BF16:
			b = binary.LittleEndian.AppendUint16(b, checkpoint.BF16From(float32(x)))
		default:
			t.Fatal(d)
		}
	}
	return b
}

// moved changes a share of the entries by a little, and some signs of zero.
func moved(r *rand.Rand, v []float64, share float64) []float64 {
	w := slices.Clone(v)
	for i := range w {
		if r.Float64() < share {
			w[i] += r.NormFloat64() * 1e-4
		}
		if w[i] == 0 && r.IntN(2) == 0 {
			w[i] = math.Copysign(0, -1)
		}
	}
	return w
}

func sameElements(t *testing.T, got, want *elements, exact bool) {
	t.Helper()
	if got.changed != want.changed || got.raw != want.raw || got.far != want.far || got.unequal != want.unequal || got.nonfinite != want.nonfinite {
		t.Errorf("changed %d raw %d far %d unequal %d nonfinite %v, want %d %d %d %d %v", got.changed, got.raw, got.far, got.unequal, got.nonfinite,
			want.changed, want.raw, want.far, want.unequal, want.nonfinite)
	}
	if !slices.Equal(got.rows, want.rows) || !slices.Equal(got.cols, want.cols) {
		t.Error("profiles differ")
	}
	if !slices.Equal(got.hist, want.hist) {
		t.Error("histograms differ")
	}
	if !slices.Equal(got.bits, want.bits) {
		t.Error("masks differ")
	}
	// The twin adds up to 3·10⁵ squares in a row: an error of at most n·2⁻⁵³.
	tol := 4e-11
	if exact {
		tol = 0
	}
	if want.nonfinite != [2]int64{} && !exact {
		return // such tensors have no norms
	}
	for _, x := range [][2]float64{{got.fro0, want.fro0}, {got.fro, want.fro}, {got.maxAbs, want.maxAbs}} {
		if math.Abs(x[0]-x[1]) > tol*math.Abs(x[1]) {
			t.Errorf("norms %v, want %v", x[0], x[1])
		}
	}
}

// Every pair of types, shapes that end anywhere in a word, a block and a chunk,
// with odd values and without: the engine is its twin, and its results are the
// same bits at every number of workers and size of chunk.
func TestElementsAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	types := []checkpoint.DType{checkpoint.BF16, checkpoint.F32, checkpoint.F16, checkpoint.F64}
	shapes := [][2]int64{{2, 1}, {3, 5}, {64, 1}, {2, 32769}, {201, 333}, {201, 334}, {2, sumBlock}}
	for _, d0 := range types {
		for _, d1 := range types {
			for _, sh := range shapes {
				if sh[0]*sh[1] > 1<<16 && d0 != d1 && d0 != checkpoint.BF16 {
					continue // what chunks and blocks do, the other pairs show
				}
				t.Run(fmt.Sprint(d0, d1, sh), func(t *testing.T) {
					n := int(sh[0] * sh[1])
					base := weights(r, n, [][]float64{nil, finiteOdd, allOdd}[sh[1]%3])
					a, b := encode(t, d0, base), encode(t, d1, moved(r, base, 0.3))
					p := pair{bytes.NewReader(a), bytes.NewReader(b), d0, d1, sh[0], sh[1]}
					want := naive(p, a, b)
					first, err := scan{workers: 1, chunk: 1 << 22, bits: true}.elements(context.Background(), p)
					if err != nil {
						t.Fatal(err)
					}
					sameElements(t, first, want, false)
					again, err := scan{workers: 3, chunk: 1, bits: true}.elements(context.Background(), p)
					if err != nil {
						t.Fatal(err)
					}
					sameElements(t, again, first, true)
				})
			}
		}
	}
}

// The predecessor's probe against ours, on the specification's own examples.
func TestPredecessorProbe(t *testing.T) {
	for _, c := range []struct {
		v0, v1             float64
		changed, far, uneq int64
	}{
		{1e-6, 2e-6, 1, 0, 1},         // far apart for a weight of that size, equal for the probe
		{1024.001, 1024.002, 0, 1, 1}, // one code, changed for the probe
		{0, math.Copysign(0, -1), 0, 0, 0},
		{math.NaN(), math.NaN(), 0, 0, 0},
		{math.Inf(1), math.Inf(1), 0, 0, 0},
		{math.Inf(1), math.Inf(-1), 1, 1, 1},
		{1, math.NaN(), 1, 1, 1},
	} {
		a, b := encode(t, checkpoint.F32, []float64{c.v0, 1}), encode(t, checkpoint.F32, []float64{c.v1, 1})
		e, err := scan{workers: 1, chunk: 1}.elements(context.Background(), pair{bytes.NewReader(a), bytes.NewReader(b), checkpoint.F32, checkpoint.F32, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if e.changed != c.changed || e.far != c.far || e.unequal != c.uneq {
			t.Errorf("%g → %g: changed %d, far %d, unequal %d, want %d %d %d", c.v0, c.v1, e.changed, e.far, e.unequal, c.changed, c.far, c.uneq)
		}
	}
}

// What is handed on in order is in order, and complete.
func TestOrderOfMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	n := 7*sumBlock + 11
	base := weights(r, n, nil)
	a, b := encode(t, checkpoint.BF16, base), encode(t, checkpoint.BF16, moved(r, base, 0.1))
	var got []uint64
	s := scan{workers: 4, chunk: 1, order: func(pos int64, raw []uint64) {
		if pos != int64(len(got))*64 {
			t.Fatalf("mask of %d after %d words", pos, len(got))
		}
		got = append(got, raw...)
	}}
	p := pair{bytes.NewReader(a), bytes.NewReader(b), checkpoint.BF16, checkpoint.BF16, 1, int64(n)}
	if _, err := s.elements(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if got[i/64]>>(i%64)&1 == 1 != (a[2*i] != b[2*i] || a[2*i+1] != b[2*i+1]) {
			t.Fatalf("element %d", i)
		}
	}
}

func TestCutTensor(t *testing.T) {
	a := make([]byte, 4*sumBlock)
	p := pair{bytes.NewReader(a), bytes.NewReader(a[:len(a)-3]), checkpoint.BF16, checkpoint.BF16, 2, sumBlock}
	for _, workers := range []int{1, 4} {
		_, err := scan{workers: workers, chunk: 1}.elements(context.Background(), p)
		if err == nil || err.Error() != "tuned: at byte 262141 of the tensor: unexpected EOF" {
			t.Errorf("%v", err)
		}
	}
}
