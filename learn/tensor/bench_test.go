package tensor

import "testing"
import "fmt"

func BenchmarkGemm(b *testing.B) {
	for _, d := range [][3]int{{1024, 1024, 1024}, {2048, 256, 256}, {512, 768, 256}, {1, 768, 256}, {8, 768, 256}, {100, 100, 32}} {
		for _, tr := range []string{"NN", "NT", "TN"} {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", d[0], d[1], d[2], tr), func(b *testing.B) {
				m, n, k := d[0], d[1], d[2]
				x, y, z := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
				for i := range x {
					x[i] = float32(i % 7)
				}
				for i := range y {
					y[i] = float32(i % 5)
				}
				A, B := M(x, m, k), M(y, k, n)
				if tr[0] == 'T' {
					A = M(x, k, m).T()
				}
				if tr[1] == 'T' {
					B = M(y, n, k).T()
				}
				for b.Loop() {
					Gemm(M(z, m, n), A, B, false)
				}
				b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
