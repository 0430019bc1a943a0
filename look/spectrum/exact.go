package spectrum

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	lapackgonum "gonum.org/v1/gonum/lapack/gonum"

	"orrery/learn/tensor"
)

var gonum lapackgonum.Implementation

// exact finds all singular values of w from the eigenvalues of the Gram matrix
// of its smaller side, and the leading k vectors by inverse iteration.
func exact(ctx context.Context, w operator, k int) (factors, error) {
	m, n := w.a.Rows, w.a.Cols
	side := w
	if m > n {
		side = w.transposed()
	}
	g, err := gram(ctx, side)
	if err != nil {
		return factors{}, err
	}
	t, with, err := tridiagonalise(g)
	if err != nil {
		return factors{}, err
	}
	lambda, err := t.values()
	if err != nil {
		return factors{}, err
	}
	if err := ctx.Err(); err != nil {
		return factors{}, err
	}
	q := t.vectors(lambda[:k])
	if m > n {
		q, _ = orthonormal(w.times(q))
	}
	f := factors{k: k, fro: w.frobenius(), with: with, complete: true}
	f.ritz(w, q)
	ritz := f.sigma
	f.sigma = make([]float64, len(lambda))
	for i, l := range lambda {
		f.sigma[i] = math.Sqrt(max(l, 0))
	}
	copy(f.sigma, ritz)
	slices.SortFunc(f.sigma[:k], func(x, y float64) int { return -compare(x, y) })
	f.gramError = gramErrorFactor * epsilon * math.Sqrt(float64(len(lambda))) * lambda[0]
	return f, f.certify(ctx, w, "")
}

// gramErrorFactor: the rounding of the Gram matrix and of its reduction, in
// units of ε·√c·σ_1², c the smaller side; tests hold it against planted spectra.
const gramErrorFactor = 4

func (w operator) transposed() operator {
	w.a, w.minus = w.a.T(), w.minus.T()
	return w
}

// gramBlock is how many rows of the Gram matrix one product makes.
const gramBlock = 256

// gram is W·Wᵀ, its upper triangle.
func gram(ctx context.Context, w operator) (dense, error) {
	c := w.a.Rows
	g := newDense(c, c)
	for i := 0; i < c; i += gramBlock {
		if err := ctx.Err(); err != nil {
			return dense{}, err
		}
		hi := min(i+gramBlock, c)
		block := tensor.Mat64{Data: g.data[i*c+i:], Rows: hi - i, Cols: c - i, Stride: c}
		tensor.Gemm64(block, w.rows(i, hi).operand(), w.rows(i, c).operand().T(), false)
	}
	return g, nil
}

// rows is rows [lo, hi) of w.
func (w operator) rows(lo, hi int) operator {
	cut := func(m tensor.Mat) tensor.Mat {
		step := m.Stride
		if m.Trans {
			step = 1
		}
		m.Data, m.Rows = m.Data[min(lo*step, len(m.Data)):], hi-lo
		return m
	}
	w.a = cut(w.a)
	if w.isDelta {
		w.minus = cut(w.minus)
	}
	return w
}

// tridiagonal is G = Q·T·Qᵀ: the diagonals of T, and Q as reflectors.
type tridiagonal struct {
	d, e, tau  []float64
	reflectors dense // as Fortran's dsytrd leaves them for uplo U, columns as rows
}

// tridiagonalise reduces a symmetric matrix, of which the upper triangle is set
// and which is overwritten, with the installed LAPACK or else gonum.
func tridiagonalise(g dense) (t tridiagonal, with string, err error) {
	n := g.rows
	t = newTridiagonal(g)
	lib, err := installed()
	if err != nil {
		return t, "", err
	}
	if lib != nil && n > 1 {
		if err := lib.reduce(&t); err != nil {
			return t, "", fmt.Errorf("comparing spectra: %w; %s=off does without it", err, LapackVariable)
		}
		return t, lib.name, nil
	}
	reduceHere(&t)
	return t, "gonum", nil
}

// reduceHere is library.reduce by gonum, whose rows are rows: the reflectors
// are transposed into Fortran's place.
func reduceHere(t *tridiagonal) {
	g := t.reflectors
	n := g.rows
	work := make([]float64, 1)
	gonum.Dsytrd(blas.Upper, n, g.data, n, t.d, t.e, t.tau, work, -1)
	work = make([]float64, int(work[0]))
	gonum.Dsytrd(blas.Upper, n, g.data, n, t.d, t.e, t.tau, work, len(work))
	transposeInPlace(g)
}

func newTridiagonal(g dense) tridiagonal {
	n := g.rows
	return tridiagonal{d: make([]float64, n), e: make([]float64, n-1), tau: make([]float64, n-1), reflectors: g}
}

// values are T's eigenvalues, descending.
func (t *tridiagonal) values() ([]float64, error) {
	d, e := slices.Clone(t.d), slices.Clone(t.e)
	if !gonum.Dsterf(len(d), d, e) {
		return nil, fmt.Errorf("comparing spectra: the eigenvalues of a %d×%d Gram matrix did not converge; use mode top", len(d), len(d))
	}
	slices.Reverse(d)
	return d, nil
}

// vectors are G's eigenvectors (n, k) for T's leading eigenvalues: inverse
// iteration on T, each made orthogonal to those before it, and Q applied.
func (t *tridiagonal) vectors(lambda []float64) dense {
	n, k := len(t.d), len(lambda)
	x := newDense(k, n) // rows are vectors of T
	start := gaussian("inverse iteration", k, n)
	norm := 0.0
	for i := range n {
		norm = max(norm, math.Abs(t.d[i]))
		if i < n-1 {
			norm = max(norm, math.Abs(t.e[i]))
		}
	}
	var before []dense
	for i, l := range lambda {
		v := dense{n, 1, x.row(i)}
		copy(v.data, start.row(i))
		// Equal eigenvalues get distinct shifts, or T − λ is singular.
		shift := l + norm*epsilon*float64(i+1)
		for range 4 {
			t.solve(shift, norm, v.data)
			normalise(v)
			against(v, before)
			if normalise(v) == 0 {
				copy(v.data, start.row(i))
				against(v, before)
				normalise(v)
			}
		}
		before = append(before, v)
	}
	tensor.Parallel(k, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			t.reflect(x.row(i))
		}
	})
	return x.transposed()
}

// reflect overwrites a vector of T with Q times it, Q = H(n−2)…H(0), each H(i) =
// I − τ_i·v·vᵀ with v before i from row i+1 of the reflectors, 1 at i, 0 after.
func (t *tridiagonal) reflect(x []float64) {
	for i, tau := range t.tau {
		v := t.reflectors.row(i + 1)[:i]
		d := tau * (x[i] + dot(v, x[:i]))
		x[i] -= d
		axpy(x[:i], -d, v)
	}
}

// solve overwrites x with a multiple of (T − shift)⁻¹x.
func (t *tridiagonal) solve(shift, norm float64, x []float64) {
	n := len(t.d)
	saved := slices.Clone(x)
	for tries := 1.0; ; tries *= 2 {
		dl, d, du := slices.Clone(t.e), slices.Clone(t.d), slices.Clone(t.e)
		for i := range d {
			d[i] -= shift
		}
		if gonum.Dgtsv(n, 1, dl, d, du, x, 1) {
			return
		}
		copy(x, saved)
		if norm == 0 { // T = 0: every vector is an eigenvector
			return
		}
		shift += tries * epsilon * norm
	}
}
