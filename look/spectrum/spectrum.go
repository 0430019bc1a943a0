// Package spectrum compares two matrices by their singular values and vectors:
// what training did to a weight, W0 → W1 = W0 + ΔW. It computes the spectral
// metrics of arXiv 2511.08567, each with an error certificate, and the
// inequalities that theory puts around them.
//
// It knows matrices only: no files, no tensor names beyond a seed string, no
// policy about which matrices to look at.
//
// # How
//
// W is float32, row-major, (m, n), and is never copied; thin factors are
// float64, and so is every product (tensor.Gemm64). Mode Top finds the leading k
// singular triplets by a randomised range finder with two rounds of
// orthogonalised power iteration (Halko, Martinsson and Tropp, arXiv 0909.4061,
// algorithm 4.4) and measures how far to trust them. Mode Exact finds all
// singular values from the eigenvalues of the Gram matrix of the smaller side.
//
// Results do not depend on the number of threads. An installed LAPACK, which
// Exact uses for one step, may round differently from ours; Result.With names it.
package spectrum

import (
	"context"
	"fmt"
	"math"

	"orrery/learn/tensor"
)

// Matrix is row-major, (Rows, Cols), and is only read.
type Matrix struct {
	Data       []float32
	Rows, Cols int
}

// Mode is how spectra are found.
type Mode string

const (
	Top   Mode = "top"   // the leading k, randomised, with a certificate
	Exact Mode = "exact" // all singular values
	None  Mode = "none"  // nothing is computed
)

// Options of Compare. The zero value is the default.
type Options struct {
	K    int    // leading singular triplets looked at; 0 is DefaultK
	Mode Mode   // empty is Top
	Seed string // of the random test matrix: the tensor's name
}

const (
	DefaultK = 16

	oversampling = 16 // columns of the test matrix beyond k
	powerRounds  = 2
	lanczosSteps = 30
	// tauMargin is how far the true norm of the deflated matrix may lie above
	// what lanczosSteps steps from a random start find (path-not-taken §3).
	tauMargin = 1.06
	// SubspaceSize is the number of right singular vectors of ΔW that
	// Similarity compares.
	SubspaceSize = 16
)

func (o Options) k() int {
	if o.K == 0 {
		return DefaultK
	}
	return o.K
}

func (o Options) mode() Mode {
	if o.Mode == "" {
		return Top
	}
	return o.Mode
}

// clippedK is k, at most half the smaller side but at least 1.
func (o Options) clippedK(m, n int) int { return max(1, min(o.k(), min(m, n)/2)) }

func (o Options) check() error {
	if o.K < 0 {
		return fmt.Errorf("comparing spectra: k is %d; it must be positive", o.K)
	}
	switch o.mode() {
	case Top, Exact, None:
		return nil
	}
	return fmt.Errorf("comparing spectra: there is no mode %q; use top, exact or none", o.Mode)
}

// check refuses a matrix that has no spectrum: empty, mis-sized, or with an
// element that is not finite.
func (m Matrix) check(name string) error {
	if m.Rows < 1 || m.Cols < 1 {
		return fmt.Errorf("comparing spectra: %s is %d×%d: a matrix without elements has no spectrum", name, m.Rows, m.Cols)
	}
	if len(m.Data) != m.Rows*m.Cols {
		return fmt.Errorf("comparing spectra: %s is %d×%d but has %d elements", name, m.Rows, m.Cols, len(m.Data))
	}
	for i, v := range m.Data {
		if v-v != 0 {
			return fmt.Errorf("comparing spectra: %s has %v at row %d, column %d; singular values need finite elements", name, v, i/m.Cols, i%m.Cols)
		}
	}
	return nil
}

func (m Matrix) operand() operator { return operator{a: tensor.M(m.Data, m.Rows, m.Cols)} }

// Compare computes every spectral metric of the pair. It fails on matrices of
// different shape, without elements, or with elements that are not finite, and
// when ctx ends, which mode Exact does not notice while it reduces a matrix, some
// seconds at 4096×4096. To compare one base with several tuned matrices use NewBase
// and Base.Compare.
func Compare(ctx context.Context, w0, w1 Matrix, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	if o.mode() == None {
		return Result{Mode: None}, nil
	}
	b, err := NewBase(ctx, w0, o)
	if err != nil {
		return Result{}, err
	}
	return b.Compare(ctx, w0, w1)
}

// Base is what Compare needs of the base matrix; it serves any number of tuned
// matrices. Save and LoadBase keep it on disk.
type Base struct {
	o Options
	f factors
}

// NewBase finds the base's spectrum.
func NewBase(ctx context.Context, w0 Matrix, o Options) (*Base, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.mode() == None {
		return nil, fmt.Errorf("comparing spectra: mode none has no base to keep")
	}
	if err := w0.check("the base"); err != nil {
		return nil, err
	}
	f, err := decompose(ctx, w0.operand(), o.clippedK(w0.Rows, w0.Cols), o)
	if err != nil {
		return nil, err
	}
	return &Base{o: o, f: f}, nil
}

// decompose finds the leading k triplets of w and their certificate, and in
// mode Exact all singular values.
func decompose(ctx context.Context, w operator, k int, o Options) (factors, error) {
	if o.mode() == Exact {
		return exact(ctx, w, k)
	}
	return randomised(ctx, w, k, o.Seed)
}

// Compare is the package's Compare with the base's spectrum known. w0 is the
// matrix that b was made of.
func (b *Base) Compare(ctx context.Context, w0, w1 Matrix) (Result, error) {
	if w0.Rows != w1.Rows || w0.Cols != w1.Cols {
		return Result{}, fmt.Errorf("comparing spectra: the base is %d×%d and the tuned matrix %d×%d; pair matrices of one shape", w0.Rows, w0.Cols, w1.Rows, w1.Cols)
	}
	if m, n := b.f.u.rows, b.f.v.rows; m != w0.Rows || n != w0.Cols {
		return Result{}, fmt.Errorf("comparing spectra: the base's factors are of a %d×%d matrix, not of this %d×%d one", m, n, w0.Rows, w0.Cols)
	}
	if err := w1.check("the tuned matrix"); err != nil {
		return Result{}, err
	}
	f1, err := decompose(ctx, w1.operand(), b.f.k, b.o)
	if err != nil {
		return Result{}, err
	}
	delta := operator{a: tensor.M(w1.Data, w1.Rows, w1.Cols), minus: tensor.M(w0.Data, w0.Rows, w0.Cols), isDelta: true}
	kd := min(max(b.f.k, SubspaceSize), w0.Rows, w0.Cols)
	od := b.o
	od.Seed += "\x00delta"
	fd, err := decompose(ctx, delta, kd, od)
	if err != nil {
		return Result{}, err
	}
	return b.result(ctx, &f1, &fd, delta)
}

func (b *Base) result(ctx context.Context, f1, fd *factors, delta operator) (Result, error) {
	f0 := &b.f
	r := Result{Mode: b.o.mode(), With: f1.with, K: f0.k}
	if f0.k < b.o.k() {
		r.Warnings = append(r.Warnings, fmt.Sprintf("k = %d was reduced to %d, half the smaller side of a %d×%d matrix", b.o.k(), f0.k, f0.u.rows, f0.v.rows))
	}
	r.Sigma0, r.Sigma1 = nums(f0.sigma[:f0.k]), nums(f1.sigma[:f0.k])
	r.Gap = Num(f0.gap())
	r.Certificate = &Certificates{Base: f0.certificate(), Tuned: f1.certificate()}
	r.spectra(f0, f1, fd)
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	r.angles(f0, f1)
	r.update(fd)
	r.energies(f0, fd, delta)
	r.Inequalities = inequalities(f0, f1, fd, &r)
	r.Update = &Subspace{v: fd.leading()}
	return r, ctx.Err()
}

// spectra sets NSS, or its interval.
func (r *Result) spectra(f0, f1, fd *factors) {
	norm := f0.fro
	if norm == 0 {
		if r.Mode == Exact {
			r.NSS = undefined()
		} else {
			r.NSSInterval = &[2]Num{nan, nan}
		}
		r.Warnings = append(r.Warnings, "the base is zero: ratios to its norm are undefined")
		return
	}
	if r.Mode == Exact {
		var diff, floor float64
		for i := range f0.sigma {
			diff += square(f1.sigma[i] - f0.sigma[i])
			floor += square(f0.sigmaError(i) + f1.sigmaError(i))
		}
		r.NSS, r.NSSFloor = defined(math.Sqrt(diff)/norm), defined(math.Sqrt(floor)/norm)
		return
	}
	var low float64
	for i := range f0.k {
		low += square(max(0, math.Abs(f1.sigma[i]-f0.sigma[i])-f0.sigmaError(i)-f1.sigmaError(i)))
	}
	up := fd.fro / norm
	r.NSSInterval = &[2]Num{Num(min(math.Sqrt(low)/norm, up)), Num(up)}
}

// update sets the stable rank and the rank of ΔW.
func (r *Result) update(fd *factors) {
	if fd.fro == 0 {
		r.Srank, r.UpdateRank, r.UpdateRankShare = nan, defined(0), defined(0)
		return
	}
	m, n := fd.u.rows, fd.v.rows
	r.Srank = Num(square(fd.fro / fd.sigma[0]))
	rank, exact := fd.rank()
	if exact {
		r.UpdateRank, r.UpdateRankShare = defined(float64(rank)), defined(float64(rank)/float64(min(m, n)))
	} else {
		r.UpdateRank, r.UpdateRankShare, r.UpdateRankAtLeast = undefined(), undefined(), rank
	}
}

// rank counts σ_i > σ_1·max(m,n)·2⁻²³, and tells whether the count is exact or
// a lower bound. Ritz values are lower bounds of singular values; what is
// outside the computed subspace is at most the root of the tail energy.
func (f *factors) rank() (count int, exact bool) {
	if f.sigma[0] == 0 {
		return 0, f.tail == 0
	}
	threshold := rankThreshold(f.sigma[0], f.u.rows, f.v.rows)
	for _, s := range f.sigma {
		if s > threshold {
			count++
		}
	}
	return count, f.complete || math.Sqrt(f.tail) <= threshold
}

func rankThreshold(sigma1 float64, m, n int) float64 {
	return sigma1 * float64(max(m, n)) * 0x1p-23
}

// energies sets the shares of ΔW inside and outside the base's leading subspaces:
// ‖UᵀΔWV‖² and ‖(I−UUᵀ)ΔW(I−VVᵀ)‖² = ‖ΔW‖² − ‖UᵀΔW‖² − ‖ΔWV‖² + ‖UᵀΔWV‖².
func (r *Result) energies(f0, fd *factors, delta operator) {
	m, n, k := float64(f0.u.rows), float64(f0.v.rows), float64(f0.k)
	r.EnergyInBaseline, r.EnergyOutBaseline = Num(k*k/(m*n)), Num((1-k/m)*(1-k/n))
	if fd.fro == 0 {
		r.EnergyIn, r.EnergyOut = nan, nan
		return
	}
	du := delta.transposeTimes(f0.u) // ΔWᵀU (n, k)
	dv := delta.times(f0.v)          // ΔW V (m, k)
	inner := du.transposeTimes(f0.v) // UᵀΔWV (k, k)
	total := square(fd.fro)
	in := inner.sumSquares()
	out := total - du.sumSquares() - dv.sumSquares() + in
	r.EnergyIn, r.EnergyOut = Num(min(in/total, 1)), Num(min(max(out/total, 0), 1))
}

func square(x float64) float64 { return x * x }
