package spectrum

import (
	"context"
	"math"
)

// factors are the leading singular triplets of a matrix (m, n), what else is
// known of its spectrum, and how far to trust it.
type factors struct {
	k     int
	u, v  dense     // (m, k), (n, k)
	sigma []float64 // descending: k+oversampling Ritz values, or all of them
	fro   float64
	with  string

	complete bool      // sigma is the whole spectrum
	rho      []float64 // residual of each of the k triplets
	residual float64   // spectral norm of all of them
	tail     float64   // ‖W‖_F² − ‖QᵀW‖_F²
	tau      float64   // norm of W − UΣVᵀ
	// gramError is the absolute error of the eigenvalues that sigma are the
	// roots of; 0 for Ritz values.
	gramError float64
}

// randomised finds the leading k triplets of w:
//
//	Q = orth(WΩ), twice Q = orth(W·orth(WᵀQ)), SVD of QᵀW
//
// with Gaussian Ω (n, k+16) from the seed.
func randomised(ctx context.Context, w operator, k int, seed string) (factors, error) {
	m, n := w.a.Rows, w.a.Cols
	l := min(k+oversampling, m, n)
	q, _ := orthonormal(w.times(gaussian(seed, n, l)))
	for range powerRounds {
		if err := ctx.Err(); err != nil {
			return factors{}, err
		}
		p, _ := orthonormal(w.transposeTimes(q))
		q, _ = orthonormal(w.times(p))
	}
	if err := ctx.Err(); err != nil {
		return factors{}, err
	}
	f := factors{k: k, fro: w.frobenius(), with: "randomised", complete: l == min(m, n)}
	f.ritz(w, q)
	f.tail = f.tailEnergy()
	return f, f.certify(ctx, w, seed)
}

// ritz sets the factors and sigma from the SVD of QᵀW, q (m, l).
func (f *factors) ritz(w operator, q dense) {
	p, r := orthonormal(w.transposeTimes(q)) // WᵀQ = PR (n, l), (l, l)
	ur, s, vr := svd(r.transposed())         // QᵀW = RᵀPᵀ
	f.u, f.v = q.times(ur.first(f.k)), p.times(vr.first(f.k))
	f.sigma = s
}

// tailEnergy is ‖W‖_F² − ‖QᵀW‖_F², with 0 for what rounding leaves of nothing.
func (f *factors) tailEnergy() float64 {
	var inside sum
	for _, s := range f.sigma {
		inside.add(s * s)
	}
	total := square(f.fro)
	tail := total - inside.value()
	if f.complete || tail <= float64(f.u.rows+f.v.rows)*epsilon*total {
		return 0
	}
	return tail
}

// epsilon is the distance from 1 to the next float64.
const epsilon = 0x1p-52

// certify measures the residuals WV − UΣ and the norm of what is left. The other
// residual, WᵀU − VΣ, is zero but for rounding, since U and V come from the SVD
// of QᵀW; the floor of rounding stands for it.
func (f *factors) certify(ctx context.Context, w operator, seed string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wv := w.times(f.v)
	for i := range wv.rows {
		row, u := wv.row(i), f.u.row(i)
		for j := range row {
			row[j] -= f.sigma[j] * u[j]
		}
	}
	f.rho = wv.columnNorms()
	for i, r := range f.rho {
		f.rho[i] = max(r, f.roundoff())
	}
	f.residual = max(f.roundoff(), math.Sqrt(singularValues(wv.transposeTimes(wv))[0]))
	if f.complete {
		f.tau = f.next()
		return nil
	}
	tau, err := deflatedNorm(ctx, w, f, seed)
	f.tau = tau
	return err
}

// roundoff is what float64 products of W with unit vectors may be off by: the
// error of a long chain grows like the root of its length, and each term is an
// element times 1/√n.
func (f *factors) roundoff() float64 { return 4 * epsilon * f.fro }

// next is the best estimate of σ_{k+1}; where it is not known exactly, Ritz
// value and τ are both estimates from below. It is 0 for k = min(m, n).
func (f *factors) next() float64 {
	var ritz float64
	if f.k < len(f.sigma) {
		ritz = f.sigma[f.k]
	}
	if f.complete {
		return ritz
	}
	return max(ritz, f.tau)
}

func (f *factors) gap() float64 { return max(0, f.sigma[f.k-1]-f.next()) }

func (f *factors) maxRho() float64 {
	var r float64
	for _, v := range f.rho {
		r = max(r, v)
	}
	return r
}

// sigmaError bounds |σ_i − its computed value|. For a Ritz value it is the
// quadratic residual bound 2ρ²/(η + √(η²+4ρ²)), η the distance to the spectrum
// of the rest (C.-K. Li and R.-C. Li, 2005, for the matrix [0 W; Wᵀ 0]); without
// a known distance that is ρ. For the root of an eigenvalue λ with error δ it is
// √(λ+δ) − √λ ≈ δ/2σ.
func (f *factors) sigmaError(i int) float64 {
	if i >= f.k && f.gramError > 0 {
		s := f.sigma[i]
		return f.gramError / (math.Sqrt(s*s+f.gramError) + s)
	}
	if i >= f.k || f.residual == 0 {
		return f.roundoff()
	}
	margin := tauMargin
	if f.complete {
		margin = 1
	}
	eta, r := max(0, f.sigma[i]-margin*f.next()), f.residual
	return f.roundoff() + 2*r*r/(eta+math.Hypot(eta, 2*r))
}

// angleError bounds the sine of the angle between the computed subspaces and the
// true ones: residual over gap (Wedin 1972, with the computed values as one side).
func (f *factors) angleError() float64 {
	if f.gap() == 0 {
		return math.NaN()
	}
	return f.residual / f.gap()
}

func (f *factors) separated() bool {
	margin := tauMargin
	if f.complete {
		margin = 1
	}
	return margin*f.next()+f.maxRho() < f.sigma[f.k-1]
}

func (f *factors) certificate() Certificate {
	c := Certificate{
		Rho: Num(f.maxRho()), Residual: Num(f.residual), TailEnergy: Num(f.tail),
		Tau: Num(f.tau), Gap: Num(f.gap()), Separated: f.separated(),
	}
	if !c.Separated {
		c.NearestK = f.nearestK()
	}
	return c
}

// nearestK looks for the nearest other k, the smaller first, that would be
// separated, and failing that for one with a larger relative gap.
func (f *factors) nearestK() *int {
	relative := func(k int) float64 {
		if f.sigma[k-1] == 0 {
			return 0
		}
		return (f.sigma[k-1] - f.sigma[k]) / f.sigma[k-1]
	}
	last := len(f.sigma) - 1 // the largest k whose σ_{k+1} is known
	if f.k > last {
		return nil
	}
	here, rho := relative(f.k), f.maxRho()
	for _, good := range []func(k int) bool{
		func(k int) bool { return tauMargin*f.sigma[k]+rho < f.sigma[k-1] },
		func(k int) bool { return relative(k) > here },
	} {
		for d := 1; d < len(f.sigma); d++ {
			for _, k := range [2]int{f.k - d, f.k + d} {
				if k >= 1 && k <= last && good(k) {
					return &k
				}
			}
		}
	}
	return nil
}

// leading is the right singular vectors that Similarity compares: as many as ΔW
// has singular values above rounding, at most SubspaceSize.
func (f *factors) leading() dense {
	count := 0
	for count < min(f.k, SubspaceSize) && f.sigma[count] > rankThreshold(f.sigma[0], f.u.rows, f.v.rows) {
		count++
	}
	return f.v.first(count)
}
