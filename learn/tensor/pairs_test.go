package tensor

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestSumProducts holds the kernels to the definition, a chain over the pairs,
// for row lengths around those that registers and blocks hold.
func TestSumProducts(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range []int{0, 1, 7, 15, 16, 17, 31, 48, 63, 64, 65, 80, 128, 150, 208} {
			for _, count := range []int{0, 1, 2, 9} {
				x, y := randoms(r, 3*n+11), randoms(r, 2*n+5)
				xs, ys := make([]int32, count), make([]int32, count)
				for i := range xs {
					xs[i], ys[i] = int32(r.IntN(2*n+12)), int32(r.IntN(n+6))
				}
				want := make([]float32, n)
				for i := range xs {
					for j := range want {
						want[j] = fma(x[int(xs[i])+j], y[int(ys[i])+j], want[j])
					}
				}
				got := randoms(r, n)
				SumProducts(got, x, xs, y, ys)
				wantSame(t, fmt.Sprintf("%d columns, %d pairs", n, count), got, want)
			}
		}
	})
}

func TestSumProductsPanics(t *testing.T) {
	for _, xs := range []int32{-1, 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a row at %d of a slice of its own length: no panic", xs)
				}
			}()
			SumProducts(make([]float32, 20), make([]float32, 20), []int32{xs}, make([]float32, 20), []int32{0})
		}()
	}
}
