package tensor

import "fmt"

// SumProducts writes the sum of products of pairs of rows, which begin at the
// given places of x and y and are as long as dst:
//
//	dst[j] = Σ_i x[xs[i]+j]·y[ys[i]+j]
//
// as one chain of fused multiply-adds over i ascending, starting from zero. dst
// overlaps neither. It panics if a row leaves its slice.
func SumProducts(dst, x []float32, xs []int32, y []float32, ys []int32) {
	n := len(dst)
	if n == 0 {
		return
	}
	if len(xs) != len(ys) {
		panic(fmt.Sprintf("tensor.SumProducts: %d rows of x, %d of y", len(xs), len(ys)))
	}
	for i, p := range xs {
		if q := ys[i]; p < 0 || q < 0 || int(p) > len(x)-n || int(q) > len(y)-n {
			panic(fmt.Sprintf("tensor.SumProducts: pair %d: rows of %d at %d and %d leave slices of %d and %d", i, n, p, q, len(x), len(y)))
		}
	}
	whole := n &^ 15
	switch {
	case len(xs) == 0 || isa == levelGo:
		whole = 0
	case whole == 0:
	case isa == levelAVX512:
		pairsAVX512(whole, &dst[0], len(xs), &x[0], &xs[0], &y[0], &ys[0])
	default:
		pairsAVX2(whole, &dst[0], len(xs), &x[0], &xs[0], &y[0], &ys[0])
	}
	dst = dst[whole:]
	clear(dst)
	for i, p := range xs {
		a, b := x[int(p)+whole:int(p)+n], y[int(ys[i])+whole:int(ys[i])+n]
		for j, v := range a {
			dst[j] = fma(v, b[j], dst[j])
		}
	}
}
