package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRows64 holds the float64 row kernels to their definitions on odd lengths
// and slices that begin anywhere.
func TestRows64(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for n := range 70 {
		x, z := random32(r, 1, n+3).Data[3:], random32(r, 1, n+5).Data[5:]
		y := make([]float64, n+1)[1:]
		for i := range y {
			y[i] = r.NormFloat64()
		}
		var lanes [16]float64
		want := make([]float64, n)
		for i := range n {
			lanes[i%16] = math.FMA(float64(x[i]), y[i], lanes[i%16])
			want[i] = math.FMA(0.3, float64(x[i]), y[i])
		}
		for w := 8; w >= 1; w /= 2 {
			for i := range w {
				lanes[i] += lanes[i+w]
			}
		}
		if got := Dot64(x, y); got != lanes[0] {
			t.Errorf("n = %d: Dot64 is %v, want %v", n, got, lanes[0])
		}
		Axpy64(y, 0.3, x)
		wide, diff := make([]float64, n), make([]float64, n)
		widen(wide, x)
		widenSub(diff, x, z)
		for i := range n {
			if y[i] != want[i] || wide[i] != float64(x[i]) || diff[i] != float64(x[i])-float64(z[i]) {
				t.Fatalf("n = %d, element %d: axpy %v, want %v; widen %v; difference %v", n, i, y[i], want[i], wide[i], diff[i])
			}
		}
	}
}
