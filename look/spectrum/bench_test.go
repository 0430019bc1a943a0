package spectrum

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchmarkMatrix has entries like a trained weight's; the time does not depend
// on them.
func benchmarkMatrix(m, n int) Matrix {
	w := randomMatrix(rand.New(rand.NewPCG(41, 42)), m, n)
	for i := range w.Data {
		w.Data[i] *= 0.02
	}
	return w
}

// BenchmarkTopK is the leading 64 triplets with their certificate. GFLOP/s
// counts the seven products with the 80- and 64-column factors alone.
func BenchmarkTopK(b *testing.B) {
	for _, size := range [][2]int{{2048, 2048}, {4096, 1024}} {
		m, n := size[0], size[1]
		w := benchmarkMatrix(m, n)
		b.Run(fmt.Sprintf("%dx%d", m, n), func(b *testing.B) {
			for b.Loop() {
				if _, err := randomised(context.Background(), w.operand(), 64, "bench"); err != nil {
					b.Fatal(err)
				}
			}
			flops := 2 * float64(m) * float64(n) * (80*(2+2*powerRounds) + 64)
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// BenchmarkExact is all singular values and the leading 16 vectors.
func BenchmarkExact(b *testing.B) {
	w := benchmarkMatrix(1024, 1024)
	b.Run("1024x1024", func(b *testing.B) {
		for b.Loop() {
			if _, err := exact(context.Background(), w.operand(), 16); err != nil {
				b.Fatal(err)
			}
		}
	})
}
