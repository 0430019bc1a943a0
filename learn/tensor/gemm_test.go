package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

// onLevels runs f with each kind of kernel that this processor has.
func onLevels(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for l := levelGo; l <= bestLevel(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			old := isa
			isa = l
			t.Cleanup(func() { isa = old })
			f(t)
		})
	}
}

// withThreads sets the thread limit for one test.
func withThreads(t *testing.T, n int) {
	SetThreads(n)
	t.Cleanup(func() { SetThreads(0) })
}

// sameBits reports whether two floats are the same, any NaN being the same as
// any other: which NaN an operation gives is not part of the contract.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// wantSame fails unless the slices are equal bit for bit.
func wantSame(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: length %d, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !sameBits(got[i], want[i]) {
			t.Fatalf("%s: element %d is %v (%#x), want %v (%#x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

func randoms(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// randomMat is a view of a larger slice that begins anywhere and has a stride
// of its own.
func randomMat(r *rand.Rand, rows, cols int, trans bool) Mat {
	if trans {
		return randomMat(r, cols, rows, false).T()
	}
	stride := cols + r.IntN(2)*r.IntN(9)
	skip := r.IntN(5)
	return Mat{Data: randoms(r, skip+rows*stride+r.IntN(3))[skip:], Rows: rows, Cols: cols, Stride: stride}
}

// wantProduct compares c with the definition, and the elements between the
// rows of c with what was there before.
func wantProduct(t *testing.T, what string, c, before, a, b Mat, acc bool) {
	t.Helper()
	want := before
	want.Data = append([]float32(nil), before.Data...)
	gemmTwin(want, a, b, acc)
	wantSame(t, what, c.Data, want.Data)
}

func TestGemmIsTheChain(t *testing.T) {
	// The definition itself, in float64 with one rounding a step by fmaExact.
	r := rand.New(rand.NewPCG(1, 1))
	a, b := randomMat(r, 5, 7, false), randomMat(r, 7, 3, true)
	c := M(make([]float32, 15), 5, 3)
	gemmTwin(c, a, b, false)
	for i := range 5 {
		for j := range 3 {
			var s float32
			for k := range 7 {
				s = fmaExact(a.at(i, k), b.at(k, j), s)
			}
			if c.at(i, j) != s {
				t.Errorf("element (%d,%d) is %v, want %v", i, j, c.at(i, j), s)
			}
		}
	}
}

func TestGemmAgainstTwin(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(2, 3))
		sizes := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 28, 29, 31, 32, 33, 47, 48, 49, 64, 65, 95, 130}
		pick := func() int { return sizes[r.IntN(len(sizes))] }
		for i := range 160 {
			m, n, k := pick(), pick(), pick()
			switch i % 40 { // beyond the limits of blocks, packing and threads
			case 0:
				k = 2*blockK + r.IntN(40)
			case 1:
				n = packColumns + r.IntN(40)
			case 2:
				m, n, k = 120+r.IntN(9), packColumns+r.IntN(40), 100
			}
			if isa == levelGo && m*n*k > 1<<18 {
				continue
			}
			for form := range 8 {
				a, b := randomMat(r, m, k, form&1 != 0), randomMat(r, k, n, form&2 != 0)
				c, acc := randomMat(r, m, n, false), form&4 != 0
				before := c
				before.Data = append([]float32(nil), c.Data...)
				what := fmt.Sprintf("(%d,%d,%d) form %d", m, n, k, form)
				Gemm(c, a, b, acc)
				wantProduct(t, what, c, before, a, b, acc)
				copy(c.Data, before.Data)
				GemmPacked(c, a, Pack(b), acc)
				wantProduct(t, what+" packed", c, before, a, b, acc)
				copy(c.Data, before.Data)
				GemmSerial(c, a, b, acc)
				wantProduct(t, what+" serial", c, before, a, b, acc)
				if m*n*k > 1<<16 {
					break
				}
			}
		}
	})
}

// TestGemmBlocks crosses the limits of row and column blocks.
func TestGemmBlocks(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		if isa == levelGo {
			t.Skip("the twin has no blocks")
		}
		r := rand.New(rand.NewPCG(4, 4))
		for _, d := range [][3]int{{blockM + 3, 35, 3}, {5, blockN + 35, 3}, {60, blockN + 35, 2}, {blockM + 1, packColumns, 2}} {
			a, b := randomMat(r, d[0], d[2], true), randomMat(r, d[2], d[1], false)
			c := M(make([]float32, d[0]*d[1]), d[0], d[1])
			before := M(make([]float32, d[0]*d[1]), d[0], d[1])
			Gemm(c, a, b, false)
			wantProduct(t, fmt.Sprint(d), c, before, a, b, false)
			clear(c.Data)
			GemmPacked(c, a, Pack(b), true)
			wantProduct(t, fmt.Sprint(d, "packed"), c, before, a, b, true)
		}
	})
}

// TestGemmSpecialValues puts NaN and infinities into edges: an element must not
// hear of another row's or column's.
func TestGemmSpecialValues(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 5))
		special := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, 1e-39}
		for i := range 60 {
			m, n, k := 1+r.IntN(20), 1+r.IntN(40), 1+r.IntN(20)
			a, b := randomMat(r, m, k, i&1 != 0), randomMat(r, k, n, i&2 != 0)
			for range 3 {
				a.Data[r.IntN(len(a.Data))] = special[r.IntN(len(special))]
				b.Data[r.IntN(len(b.Data))] = special[r.IntN(len(special))]
			}
			c := M(make([]float32, m*n), m, n)
			Gemm(c, a, b, false)
			wantProduct(t, fmt.Sprint(m, n, k), c, M(make([]float32, m*n), m, n), a, b, false)
		}
	})
}

// TestGemmInvariance: the number of threads and the other rows change no bit.
func TestGemmInvariance(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(6, 6))
		m, n, k := 150, 260, 410
		if isa == levelGo {
			m, n, k = 40, 40, 50
		}
		a, b := randomMat(r, m, k, false), randomMat(r, k, n, true)
		p := Pack(b)
		want := M(make([]float32, m*n), m, n)
		SetThreads(1)
		Gemm(want, a, b, false)
		for _, threads := range []int{1, 2, 3, 7} {
			withThreads(t, threads)
			c := M(make([]float32, m*n), m, n)
			Gemm(c, a, b, false)
			wantSame(t, fmt.Sprint(threads, " threads"), c.Data, want.Data)
			for _, rows := range []int{1, 2, 3, 5, 16, 33} {
				i := r.IntN(m - rows)
				part := a
				part.Rows, part.Data = rows, a.Data[i*a.Stride:]
				c := M(make([]float32, rows*n), rows, n)
				Gemm(c, part, b, false)
				wantSame(t, fmt.Sprint(rows, " rows"), c.Data, want.Data[i*n:(i+rows)*n])
				GemmPacked(c, part, p, false)
				wantSame(t, fmt.Sprint(rows, " rows packed"), c.Data, want.Data[i*n:(i+rows)*n])
			}
		}
	})
}

func TestGemmBatch(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 7))
		for _, count := range []int{0, 1, 3, 24} {
			for _, size := range []int{9, 60, 150} {
				if isa == levelGo && size > 9 {
					continue
				}
				var c, before, a, b []Mat
				for i := range count {
					m, n, k := 1+r.IntN(size), 1+r.IntN(size), r.IntN(40)
					a = append(a, randomMat(r, m, k, i&1 != 0))
					b = append(b, randomMat(r, k, n, i&2 != 0))
					c = append(c, randomMat(r, m, n, false))
					old := c[i]
					old.Data = append([]float32(nil), old.Data...)
					before = append(before, old)
				}
				for _, threads := range []int{1, 2, 7} {
					withThreads(t, threads)
					for i := range c {
						copy(c[i].Data, before[i].Data)
					}
					GemmBatch(c, a, b, true)
					for i := range c {
						wantProduct(t, fmt.Sprint(count, size, i), c[i], before[i], a[i], b[i], true)
					}
				}
			}
		}
	})
}

// TestGemmConcurrently: products share pools, but nothing else.
func TestGemmConcurrently(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		withThreads(t, 3)
		var all sync.WaitGroup
		for g := range uint64(6) {
			all.Go(func() {
				r := rand.New(rand.NewPCG(14, g))
				for range 4 {
					m, n, k := 1+r.IntN(90), 1+r.IntN(230), 1+r.IntN(90)
					if isa == levelGo {
						m = 1 + m/9
					}
					a, b := randomMat(r, m, k, false), randomMat(r, k, n, true)
					c, want := M(make([]float32, m*n), m, n), M(make([]float32, m*n), m, n)
					gemmTwin(want, a, b, false)
					Gemm(c, a, b, false)
					for i := range c.Data {
						if c.Data[i] != want.Data[i] {
							t.Errorf("(%d,%d,%d): element %d is %v, want %v", m, n, k, i, c.Data[i], want.Data[i])
							return
						}
					}
				}
			})
		}
		all.Wait()
	})
}

func TestGemmPanicsOnShapes(t *testing.T) {
	x := make([]float32, 12)
	for name, f := range map[string]func(){
		"disagree":   func() { Gemm(M(x, 2, 2), M(x, 2, 3), M(x, 2, 2), false) },
		"transposed": func() { Gemm(M(x, 2, 2).T(), M(x, 2, 3), M(x, 3, 2), false) },
		"short":      func() { Gemm(M(x, 2, 2), M(x, 2, 7), M(x, 7, 2), false) },
		"overlap":    func() { Gemm(Mat{x, 2, 2, 1, false}, M(x, 2, 2), M(x, 2, 2), false) },
		"packed":     func() { GemmPacked(M(x, 2, 2), M(x, 2, 3), Pack(M(x, 2, 2)), false) },
		"pack":       func() { Pack(M(x, 4, 4)) },
		"batch":      func() { GemmBatch(make([]Mat, 1), nil, nil, false) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "tensor.") {
					t.Errorf("panic %q, want one that names the operation", s)
				}
			}()
			f()
		})
	}
}

// TestGemmAllocatesNothing once its buffers are warm. One thread, because
// AllocsPerRun leaves one processor, where helpers that are never scheduled
// would pile up.
func TestGemmAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("under the race detector sync.Pool drops what it is given at random; runs without -race")
	}
	onLevels(t, func(t *testing.T) {
		withThreads(t, 1)
		defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
		for _, d := range [][3]int{{3, 40, 20}, {100, 100, 32}, {50, 200, 20}} {
			m, n, k := d[0], d[1], d[2]
			a, b, c := M(make([]float32, m*k), m, k), M(make([]float32, k*n), n, k).T(), M(make([]float32, m*n), m, n)
			p := Pack(b)
			as, bs, cs := []Mat{a, a, a, a}, []Mat{b, b, b, b}, []Mat{}
			for range as {
				cs = append(cs, M(make([]float32, m*n), m, n))
			}
			if got := testing.AllocsPerRun(3, func() {
				Gemm(c, a, b, false)
				GemmPacked(c, a, p, false)
				GemmBatch(cs, as, bs, false)
			}); got > 0 {
				t.Errorf("%v: %v allocations a run", d, got)
			}
		}
	})
}
