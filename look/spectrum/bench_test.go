//go:build unix

package spectrum

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// benchmarkMatrix has entries of the size of a trained weight's; the time does
// not depend on them.
func benchmarkMatrix(m, n int) Matrix {
	w := randomMatrix(rand.New(rand.NewPCG(41, 42)), m, n)
	for i := range w.Data {
		w.Data[i] *= 0.02
	}
	return w
}

// processorTime of this process, all threads: what a shared machine leaves
// comparable.
func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func measure(b *testing.B, flops float64, f func() error) {
	start := processorTime()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	cpu := processorTime() - start
	b.ReportMetric(cpu.Seconds()*1e3/float64(b.N), "cpu-ms/op")
	if flops > 0 {
		b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	}
}

// BenchmarkTopK is the leading 64 triplets with their certificate. GFLOP/s
// counts the seven products with the 80- and 64-column factors alone.
func BenchmarkTopK(b *testing.B) {
	for _, size := range [][2]int{{2048, 2048}, {4096, 1024}} {
		m, n := size[0], size[1]
		w := benchmarkMatrix(m, n)
		flops := 2 * float64(m) * float64(n) * (80*(2+2*powerRounds) + 64)
		b.Run(fmt.Sprintf("%dx%d", m, n), func(b *testing.B) {
			measure(b, flops, func() error {
				_, err := randomised(context.Background(), w.operand(), 64, "bench")
				return err
			})
		})
	}
}

// BenchmarkExact is all singular values, the leading 64 vectors and their
// certificate; ORRERY_LAPACK says with what.
func BenchmarkExact(b *testing.B) {
	w := benchmarkMatrix(1024, 1024)
	b.Run("1024x1024", func(b *testing.B) {
		measure(b, 0, func() error {
			_, err := exact(context.Background(), w.operand(), 64)
			return err
		})
	})
}
