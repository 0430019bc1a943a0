package tensor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Benchmarks count: products 2·m·n·k operations, others elements. The rival's
// figures come from testdata/rival.py, which measures both by turns.

func benchLevels(b *testing.B, f func(b *testing.B)) {
	for l := levelGo; l <= bestLevel(); l++ {
		b.Run(l.String(), func(b *testing.B) {
			defer func(old level) { isa = old }(isa)
			isa = l
			f(b)
		})
	}
}

func perSecond(b *testing.B, work int, unit string) {
	b.ReportMetric(float64(work)*float64(b.N)/b.Elapsed().Seconds()/1e9, unit)
}

func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, d := range [][3]int{{1024, 1024, 1024}, {2048, 256, 256}, {512, 768, 256}, {100, 100, 32}, {1, 768, 256}} {
		for _, form := range []string{"NN", "NT", "TN"} {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", d[0], d[1], d[2], form), func(b *testing.B) {
				m, n, k := d[0], d[1], d[2]
				x, y, c := M(randoms(r, m*k), m, k), M(randoms(r, k*n), k, n), M(make([]float32, m*n), m, n)
				if form[0] == 'T' {
					x = M(x.Data, k, m).T()
				}
				if form[1] == 'T' {
					y = M(y.Data, n, k).T()
				}
				for b.Loop() {
					Gemm(c, x, y, false)
				}
				perSecond(b, 2*m*n*k, "GFLOP/s")
			})
		}
	}
}

func BenchmarkGemmLevels(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 256
	x, y, c := M(randoms(r, n*n), n, n), M(randoms(r, n*n), n, n).T(), M(make([]float32, n*n), n, n)
	benchLevels(b, func(b *testing.B) {
		for b.Loop() {
			Gemm(c, x, y, false)
		}
		perSecond(b, 2*n*n*n, "GFLOP/s")
	})
}

func BenchmarkGemmPacked(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, k = 1024, 256
	p := Pack(M(randoms(r, n*k), n, k).T())
	for _, m := range []int{1, 2, 8, 32} {
		b.Run(fmt.Sprint(m, " rows"), func(b *testing.B) {
			x, c := M(randoms(r, m*k), m, k), M(make([]float32, m*n), m, n)
			for b.Loop() {
				GemmPacked(c, x, p, false)
			}
			perSecond(b, 2*m*n*k, "GFLOP/s")
		})
	}
}

// BenchmarkGemmBatch is the attention of eight sequences of 100 with 8 heads.
func BenchmarkGemmBatch(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const l, hd, heads, width = 100, 32, 8, 256
	q, k := randoms(r, 8*l*width), randoms(r, 8*l*width)
	var cs, as, bs []Mat
	for s := range 8 {
		for h := range heads {
			at := s*l*width + h*hd
			as = append(as, Mat{Data: q[at:], Rows: l, Cols: hd, Stride: width})
			bs = append(bs, Mat{Data: k[at:], Rows: l, Cols: hd, Stride: width}.T())
			cs = append(cs, M(make([]float32, l*l), l, l))
		}
	}
	for b.Loop() {
		GemmBatch(cs, as, bs, false)
	}
	perSecond(b, 2*64*l*l*hd, "GFLOP/s")
}

func BenchmarkKernels(b *testing.B) {
	const n = 1000
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range kernelCases {
		if strings.Contains(c.name, "in place") { // again and again, until only infinities are left
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			benchLevels(b, func(b *testing.B) {
				x := make([][]float32, c.slices)
				for i := range x {
					x[i] = randoms(r, n)
				}
				for b.Loop() {
					c.run(x)
				}
				perSecond(b, n, "Gelem/s")
			})
		})
	}
}

func BenchmarkParallel(b *testing.B) {
	f := func(lo, hi int) {}
	for b.Loop() {
		Parallel(2, 1, f)
	}
}
