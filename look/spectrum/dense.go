package spectrum

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"

	"orrery/learn/tensor"
)

// dense is a float64 matrix, row-major.
type dense struct {
	rows, cols int
	data       []float64
}

func newDense(rows, cols int) dense { return dense{rows, cols, make([]float64, rows*cols)} }

func (d dense) mat() tensor.Mat64       { return tensor.M64(d.data, d.rows, d.cols) }
func (d dense) operand() tensor.Operand { return tensor.Wide(d.mat()) }
func (d dense) at(i, j int) float64     { return d.data[i*d.cols+j] }
func (d dense) row(i int) []float64     { return d.data[i*d.cols : (i+1)*d.cols] }

func (d dense) general() blas64.General {
	return blas64.General{Rows: d.rows, Cols: d.cols, Stride: d.cols, Data: d.data}
}

func (d dense) clone() dense {
	c := newDense(d.rows, d.cols)
	copy(c.data, d.data)
	return c
}

// transposed is a copy.
func (d dense) transposed() dense {
	t := newDense(d.cols, d.rows)
	for i := range d.rows {
		for j, v := range d.row(i) {
			t.data[j*d.rows+i] = v
		}
	}
	return t
}

// first is a copy of the first k columns.
func (d dense) first(k int) dense {
	c := newDense(d.rows, k)
	for i := range d.rows {
		copy(c.row(i), d.row(i)[:k])
	}
	return c
}

// times is d·x.
func (d dense) times(x dense) dense {
	c := newDense(d.rows, x.cols)
	tensor.Gemm64(c.mat(), d.operand(), x.operand(), false)
	return c
}

// transposeTimes is dᵀ·x.
func (d dense) transposeTimes(x dense) dense {
	c := newDense(d.cols, x.cols)
	tensor.Gemm64(c.mat(), d.operand().T(), x.operand(), false)
	return c
}

func (d dense) sumSquares() float64 {
	var s sum
	for i := range d.rows {
		var row float64
		for _, v := range d.row(i) {
			row += v * v
		}
		s.add(row)
	}
	return s.value()
}

// columnNorms are ‖d_j‖₂.
func (d dense) columnNorms() []float64 {
	norms := make([]float64, d.cols)
	for i := range d.rows {
		for j, v := range d.row(i) {
			norms[j] += v * v
		}
	}
	for j, v := range norms {
		norms[j] = math.Sqrt(v)
	}
	return norms
}

// sum adds with compensation (Neumaier 1974).
type sum struct{ s, c float64 }

func (k *sum) add(x float64) {
	t := k.s + x
	if math.Abs(k.s) >= math.Abs(x) {
		k.c += (k.s - t) + x
	} else {
		k.c += (x - t) + k.s
	}
	k.s = t
}

func (k *sum) value() float64 { return k.s + k.c }

// gaussian fills a (rows, cols) matrix from a generator seeded with a string.
func gaussian(seed string, rows, cols int) dense {
	h := sha256.Sum256([]byte(seed))
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:])))
	d := newDense(rows, cols)
	for i := range d.data {
		d.data[i] = r.NormFloat64()
	}
	return d
}

// orthonormal factors x (m, l), l ≤ m, into q·r with orthonormal columns of q,
// which span x's, and upper triangular r; q takes x's place. It is Cholesky QR
// done twice, whose cost is in products (Yamamoto et al. 2015); where the
// columns are too nearly dependent for that, Householder's.
func orthonormal(x dense) (q, r dense) {
	r1, ok := choleskyQR(x, math.Inf(1))
	if !ok {
		return householderQR(x)
	}
	// The second round repairs what the first lost, if that was not all: with
	// ‖I − xᵀx‖ below ½ its result is orthonormal to rounding. Dependent columns
	// or not, x·r1 is what x was, each row to rounding.
	r2, ok := choleskyQR(x, 0.5)
	if !ok {
		x, r2 = householderQR(x)
	}
	return x, r2.times(r1)
}

// choleskyQR is one round, x becoming x·r⁻¹; it fails, and leaves x, if the Gram
// matrix is not positive definite or further than limit from I.
func choleskyQR(x dense, limit float64) (r dense, ok bool) {
	g := x.transposeTimes(x)
	if !math.IsInf(limit, 1) {
		var off float64
		for i := range g.rows {
			for j, v := range g.row(i) {
				if i == j {
					v--
				}
				off += v * v
			}
		}
		if !(math.Sqrt(off) < limit) {
			return dense{}, false
		}
	}
	_, ok = lapack64.Potrf(blas64.Symmetric{N: g.rows, Stride: g.cols, Data: g.data, Uplo: blas.Upper})
	if !ok {
		return dense{}, false
	}
	for i := range g.rows {
		clear(g.row(i)[:i])
	}
	inverse := g.clone()
	if !lapack64.Trtri(blas64.Triangular{N: g.rows, Stride: g.cols, Data: inverse.data, Uplo: blas.Upper, Diag: blas.NonUnit}) {
		return dense{}, false
	}
	const block = 2048 // rows at a time: large enough for the threads, small beside x
	for i := 0; i < x.rows; i += block {
		part := dense{min(block, x.rows-i), x.cols, x.data[i*x.cols : min(i+block, x.rows)*x.cols]}
		copy(part.data, part.times(inverse).data)
	}
	return g, true
}

// householderQR is orthonormal, whatever the columns; x is left as it is.
func householderQR(x dense) (q, r dense) {
	q = x.clone()
	tau := make([]float64, x.cols)
	work := make([]float64, 1)
	lapack64.Geqrf(q.general(), tau, work, -1)
	work = make([]float64, int(work[0]))
	lapack64.Geqrf(q.general(), tau, work, len(work))
	r = newDense(x.cols, x.cols)
	for i := range x.cols {
		copy(r.row(i)[i:], q.row(i)[i:])
	}
	work = work[:1]
	lapack64.Orgqr(q.general(), tau, work, -1)
	work = make([]float64, int(work[0]))
	lapack64.Orgqr(q.general(), tau, work, len(work))
	return q, r
}

// svd is u·diag(s)·vᵀ of a small matrix, thin, s descending.
func svd(a dense) (u dense, s []float64, v dense) {
	k := min(a.rows, a.cols)
	s = make([]float64, k)
	u = newDense(a.rows, k)
	vt := newDense(k, a.cols)
	a = a.clone()
	work := make([]float64, 1)
	lapack64.Gesvd(lapack.SVDStore, lapack.SVDStore, a.general(), u.general(), vt.general(), s, work, -1)
	work = make([]float64, int(work[0]))
	if !lapack64.Gesvd(lapack.SVDStore, lapack.SVDStore, a.general(), u.general(), vt.general(), s, work, len(work)) {
		panic("spectrum: the QR iteration of a small SVD did not converge") // finite input: never seen
	}
	return u, s, vt.transposed()
}

// singularValues of a thin matrix, by way of its triangular factor.
func singularValues(a dense) []float64 {
	if a.rows > a.cols {
		_, a = householderQR(a)
	}
	_, s, _ := svd(a)
	return s
}

// operator is W, or ΔW = a − minus, read as float64.
type operator struct {
	a, minus tensor.Mat
	isDelta  bool
}

func (w operator) operand() tensor.Operand {
	if w.isDelta {
		return tensor.Difference(w.a, w.minus)
	}
	return tensor.Narrow(w.a)
}

// times is W·x (m, cols of x).
func (w operator) times(x dense) dense {
	c := newDense(w.a.Rows, x.cols)
	tensor.Gemm64(c.mat(), w.operand(), x.operand(), false)
	return c
}

// transposeTimes is Wᵀ·x (n, cols of x).
func (w operator) transposeTimes(x dense) dense {
	c := newDense(w.a.Cols, x.cols)
	tensor.Gemm64(c.mat(), w.operand().T(), x.operand(), false)
	return c
}

// frobenius is ‖W‖_F: squares added along rows, rows added with compensation.
func (w operator) frobenius() float64 {
	m, n := w.a.Rows, w.a.Cols
	rows := make([]float64, m)
	tensor.Parallel(m, 1+1<<16/n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			rows[i] = w.rowSquares(i)
		}
	})
	var s sum
	for _, v := range rows {
		s.add(v)
	}
	return math.Sqrt(s.value())
}

// rowSquares is ‖W_i‖², in four interleaved sums.
func (w operator) rowSquares(i int) float64 {
	n := w.a.Cols
	a := w.a.Data[i*n : (i+1)*n]
	var s [4]float64
	if !w.isDelta {
		for j, v := range a {
			x := float64(v)
			s[j&3] += x * x
		}
	} else {
		for j, v := range w.minus.Data[i*n : (i+1)*n] {
			x := float64(a[j]) - float64(v)
			s[j&3] += x * x
		}
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}
