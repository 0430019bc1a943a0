package spectrum

import (
	"context"
	"math"
)

// deflatedNorm is the spectral norm of W − UΣVᵀ by Golub–Kahan bidiagonalisation
// with full reorthogonalisation, from a random start; it never lies above the
// true norm by more than rounding.
func deflatedNorm(ctx context.Context, w operator, f *factors, seed string) (float64, error) {
	n := w.a.Cols
	tiny := f.roundoff()
	start := gaussian(seed+"\x00lanczos", n, 1)
	var us, vs []dense
	var alpha, beta []float64
	v := start
	if f.project(v, f.v); normalise(v) == 0 {
		return 0, nil
	}
	for range lanczosSteps {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		vs = append(vs, v)
		u := w.times(v)
		f.deflate(u, f.u, f.v, v)
		against(u, us)
		a := normalise(u)
		alpha = append(alpha, a)
		if a <= tiny {
			break
		}
		us = append(us, u)
		v = w.transposeTimes(u)
		f.deflate(v, f.v, f.u, u)
		against(v, vs)
		b := normalise(v)
		beta = append(beta, b)
		if b <= tiny {
			break
		}
	}
	// W·v_j = α_j u_j + β_{j−1} u_{j−1}: upper bidiagonal, the last β a column more.
	k := len(alpha)
	b := newDense(k, max(k, len(beta)+1))
	for i, a := range alpha {
		b.data[i*b.cols+i] = a
		if i < len(beta) {
			b.data[i*b.cols+i+1] = beta[i]
		}
	}
	_, s, _ := svd(b)
	return s[0], nil
}

// deflate subtracts left·Σ·(rightᵀx) from y = W·x.
func (f *factors) deflate(y, left, right, x dense) {
	c := right.transposeTimes(x)
	for i := range c.data {
		c.data[i] *= f.sigma[i]
	}
	z := left.times(c)
	for i, v := range z.data {
		y.data[i] -= v
	}
}

// project takes the span of b out of x.
func (f *factors) project(x, b dense) {
	z := b.times(b.transposeTimes(x))
	for i, v := range z.data {
		x.data[i] -= v
	}
}

// against takes the directions of basis out of x, twice, which is enough.
func against(x dense, basis []dense) {
	for range 2 {
		for _, b := range basis {
			var dot float64
			for i, v := range b.data {
				dot += v * x.data[i]
			}
			for i, v := range b.data {
				x.data[i] -= dot * v
			}
		}
	}
}

// normalise scales x to length 1 and returns the length it had.
func normalise(x dense) float64 {
	norm := math.Sqrt(x.sumSquares())
	if norm > 0 {
		for i := range x.data {
			x.data[i] /= norm
		}
	}
	return norm
}
