package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random32(r *rand.Rand, rows, cols int) Mat {
	m := M(make([]float32, rows*cols), rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(r.NormFloat64())
	}
	return m
}

// TestGemm64 holds the kernels to one chain of fused multiply-adds over k,
// written out here, for every kind of operand, both transpositions, ragged
// sizes around the tile's and the block's, one thread and several.
func TestGemm64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	defer SetThreads(0)
	for _, size := range [][3]int{{1, 1, 1}, {6, 256, 8}, {7, 257, 9}, {5, 3, 70}, {50, 600, 17}, {97, 31, 1040}, {13, 0, 5}} {
		m, k, n := size[0], size[1], size[2]
		for variant := range 8 {
			wide := M64(make([]float64, k*n), k, n)
			if variant&1 != 0 {
				wide = M64(wide.Data, n, k).T()
			}
			for i := range wide.Data {
				wide.Data[i] = r.NormFloat64()
			}
			x, y := random32(r, m, k), random32(r, m, k)
			if variant&2 != 0 {
				x, y = random32(r, k, m).T(), random32(r, k, m).T()
			}
			a := Narrow(x)
			if variant&4 != 0 {
				a = Difference(x, y)
			}
			want := make([]float64, m*n)
			for i := range m {
				for j := range n {
					s := 1.5
					for l := range k {
						v := float64(x.at(i, l))
						if variant&4 != 0 {
							v -= float64(y.at(i, l))
						}
						s = math.FMA(v, wide.at(l, j), s)
					}
					want[i*n+j] = s
				}
			}
			for _, threads := range []int{1, 3} {
				SetThreads(threads)
				c := M64(make([]float64, m*n), m, n)
				for i := range c.Data {
					c.Data[i] = 1.5
				}
				Gemm64(c, a, Wide(wide), true)
				for i, v := range c.Data {
					if v != want[i] {
						t.Fatalf("%v variant %d threads %d: element %d is %v, want %v", size, variant, threads, i, v, want[i])
					}
				}
				// Against its transpose: (ab)ᵀ = bᵀaᵀ, the same chains.
				d := M64(make([]float64, m*n), n, m)
				Gemm64(d, Wide(wide.T()), a.T(), false)
				Gemm64(c, a, Wide(wide), false)
				for i := range m {
					for j := range n {
						if c.Data[i*n+j] != d.Data[j*m+i] {
							t.Fatalf("%v variant %d: the transposed product differs at (%d,%d)", size, variant, i, j)
						}
					}
				}
			}
		}
	}
}

func TestGemm64Refuses(t *testing.T) {
	for name, f := range map[string]func(){
		"shapes": func() {
			Gemm64(M64(make([]float64, 4), 2, 2), Narrow(M(make([]float32, 6), 2, 3)), Wide(M64(make([]float64, 4), 2, 2)), false)
		},
		"short": func() {
			Gemm64(M64(make([]float64, 3), 2, 2), Wide(M64(make([]float64, 4), 2, 2)), Wide(M64(make([]float64, 4), 2, 2)), false)
		},
		"difference": func() { Difference(M(make([]float32, 6), 2, 3), M(make([]float32, 6), 3, 2)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			f()
		}()
	}
}

// BenchmarkGemm64 counts 2·m·k·n operations of W·X and Wᵀ·X, 80 columns, W float32.
func BenchmarkGemm64(b *testing.B) {
	const m, n, l = 4096, 4096, 80
	w := random32(rand.New(rand.NewPCG(1, 2)), m, n)
	x, c := M64(make([]float64, n*l), n, l), M64(make([]float64, m*l), m, l)
	for i := range x.Data {
		x.Data[i] = float64(i%17) - 8
	}
	for name, a := range map[string]Operand{"WX": Narrow(w), "WtX": Narrow(w).T(), "DX": Difference(w, w)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Gemm64(c, a, Wide(x), false)
			}
			b.ReportMetric(2*m*n*l*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
