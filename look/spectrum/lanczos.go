package spectrum

import (
	"context"
	"math"

	"orrery/learn/tensor"
)

// deflatedNorm is the spectral norm of A = W − UΣVᵀ, which is (I − UUᵀ)W, by
// Lanczos's method on AᵀA from a random start, fully reorthogonalised. It never
// lies above the true norm by more than rounding.
func deflatedNorm(ctx context.Context, w operator, f *factors, seed string) (float64, error) {
	n := w.a.Cols
	v := gaussian(seed+"\x00lanczos", n, 1)
	f.project(v)
	if normalise(v) == 0 {
		return 0, nil
	}
	noise := square(f.roundoff())
	var basis []dense
	var alpha, beta []float64
	for range min(lanczosSteps, n) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		basis = append(basis, v)
		z := w.deflatedNormal(f, v)
		a := dot(z.data, v.data)
		alpha = append(alpha, a)
		f.project(z)
		against(z, basis)
		b := normalise(z)
		if b <= noise {
			break
		}
		beta = append(beta, b)
		v = z
	}
	// AᵀA on the basis is tridiagonal; its largest eigenvalue is ‖A‖².
	t := tridiagonal{d: alpha, e: beta[:len(alpha)-1]}
	lambda, err := t.values()
	if err != nil {
		return 0, err
	}
	return math.Sqrt(max(0, lambda[0])), nil
}

// normalBlocks is how many ranges of rows keep sums of their own: a constant, so
// that the sums do not depend on the number of threads.
const normalBlocks = 16

// deflatedNormal is AᵀAv (n, 1), W being read once: with c = ΣVᵀv,
//
//	y_i = W_i·v − U_i·c,  z = Σ y_i·W_i,  AᵀAv = z − VΣ(Uᵀy)
//
// Elements of a difference are rounded to float32, which its norm, wanted to a
// few percent, does not feel.
func (w operator) deflatedNormal(f *factors, v dense) dense {
	m, n, k := w.a.Rows, w.a.Cols, f.k
	c := f.v.transposeTimes(v).data
	for i := range c {
		c[i] *= f.sigma[i]
	}
	zs, gs := newDense(normalBlocks, n), newDense(normalBlocks, k)
	tensor.Parallel(normalBlocks, 1, func(lo, hi int) {
		buffer := make([]float32, n)
		for b := lo; b < hi; b++ {
			z, g := zs.row(b), gs.row(b)
			for i := m * b / normalBlocks; i < m*(b+1)/normalBlocks; i++ {
				row, u := w.row(i, buffer), f.u.row(i)
				y := tensor.Dot64(row, v.data) - dot(u, c)
				tensor.Axpy64(z, y, row)
				axpy(g, y, u)
			}
		}
	})
	z, g := dense{n, 1, zs.row(0)}, dense{k, 1, gs.row(0)}
	for b := 1; b < normalBlocks; b++ {
		axpy(z.data, 1, zs.row(b))
		axpy(g.data, 1, gs.row(b))
	}
	for i := range g.data {
		g.data[i] *= f.sigma[i]
	}
	axpy(z.data, -1, f.v.times(g).data)
	return z
}

// row is row i in float32; buffer (n) holds it where it must be computed.
func (w operator) row(i int, buffer []float32) []float32 {
	n := w.a.Cols
	a := w.a.Data[i*n : (i+1)*n]
	if !w.isDelta {
		return a
	}
	tensor.Sub(buffer, a, w.minus.Data[i*n:(i+1)*n])
	return buffer
}

// project takes the span of V out of x.
func (f *factors) project(x dense) {
	axpy(x.data, -1, f.v.times(f.v.transposeTimes(x)).data)
}

// against takes the directions of basis out of x, twice, which is enough.
func against(x dense, basis []dense) {
	for range 2 {
		for _, b := range basis {
			axpy(x.data, -dot(b.data, x.data), b.data)
		}
	}
}

func dot(x, y []float64) float64 {
	var s [4]float64
	y = y[:len(x)]
	for len(x) >= 4 {
		s[0] += x[0] * y[0]
		s[1] += x[1] * y[1]
		s[2] += x[2] * y[2]
		s[3] += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s[0] += v * y[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// axpy adds s·x to y.
func axpy(y []float64, s float64, x []float64) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] += s * v
	}
}

// normalise scales x to length 1 and returns the length it had.
func normalise(x dense) float64 {
	norm := math.Sqrt(dot(x.data, x.data))
	if norm > 0 {
		for i := range x.data {
			x.data[i] /= norm
		}
	}
	return norm
}
