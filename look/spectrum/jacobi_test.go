package spectrum

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// jacobi is the independent reference: one-sided Jacobi SVD (Hestenes 1958),
// which shares no code and no idea with the package. a (m, n), m ≥ n or not;
// u (m, c), s descending, v (n, c), c = min(m, n).
func jacobi(a dense) (u dense, s []float64, v dense) {
	if a.rows < a.cols {
		v, s, u = jacobi(a.transposed())
		return u, s, v
	}
	m, n := a.rows, a.cols
	a = a.clone()
	v = newDense(n, n)
	for i := range n {
		v.data[i*n+i] = 1
	}
	rotate := func(d dense, p, q int, c, s float64) {
		for i := range d.rows {
			x, y := d.at(i, p), d.at(i, q)
			d.data[i*d.cols+p], d.data[i*d.cols+q] = c*x-s*y, s*x+c*y
		}
	}
	for range 60 {
		turned := false
		for p := range n {
			for q := p + 1; q < n; q++ {
				var alpha, beta, gamma float64
				for i := range m {
					x, y := a.at(i, p), a.at(i, q)
					alpha, beta, gamma = alpha+x*x, beta+y*y, gamma+x*y
				}
				if math.Abs(gamma) <= 1e-16*math.Sqrt(alpha*beta) || gamma == 0 {
					continue
				}
				turned = true
				zeta := (beta - alpha) / (2 * gamma)
				t := math.Copysign(1, zeta) / (math.Abs(zeta) + math.Hypot(1, zeta))
				c := 1 / math.Hypot(1, t)
				rotate(a, p, q, c, c*t)
				rotate(v, p, q, c, c*t)
			}
		}
		if !turned {
			break
		}
	}
	norms := a.columnNorms()
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compare(norms[j], norms[i]) })
	u, vs := newDense(m, n), newDense(n, n)
	for to, from := range order {
		s = append(s, norms[from])
		for i := range m {
			if norms[from] > 0 {
				u.data[i*n+to] = a.at(i, from) / norms[from]
			}
		}
		for i := range n {
			vs.data[i*n+to] = v.at(i, from)
		}
	}
	return u, s, vs
}

func TestJacobiIsAnSVD(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range [][2]int{{1, 1}, {7, 7}, {20, 9}, {9, 20}} {
		a := randomMatrix(r, size[0], size[1])
		u, s, v := jacobi(a.wide())
		for i := range u.rows {
			for j := range u.cols {
				u.data[i*u.cols+j] *= s[j]
			}
		}
		back := u.times(v.transposed())
		for i, x := range back.data {
			if math.Abs(x-float64(a.Data[i])) > 1e-13 {
				t.Fatalf("%v: element %d comes back as %v, was %v", size, i, x, a.Data[i])
			}
		}
	}
}

func randomMatrix(r *rand.Rand, m, n int) Matrix {
	a := Matrix{make([]float32, m*n), m, n}
	for i := range a.Data {
		a.Data[i] = float32(r.NormFloat64())
	}
	return a
}

// decaying is a matrix whose singular values fall like 1/i: a clear gap nowhere,
// as in trained weights.
func decaying(r *rand.Rand, m, n int) Matrix {
	c := min(m, n)
	u, _ := householderQR(gaussianOf(r, m, c))
	v, _ := householderQR(gaussianOf(r, n, c))
	return build(u, v, func(i int) float64 { return 1 / float64(i+1) })
}

func gaussianOf(r *rand.Rand, m, n int) dense {
	d := newDense(m, n)
	for i := range d.data {
		d.data[i] = r.NormFloat64()
	}
	return d
}

// build is U·diag(σ)·Vᵀ rounded to float32.
func build(u, v dense, sigma func(i int) float64) Matrix {
	us := u.clone()
	for i := range us.rows {
		for j := range us.cols {
			us.data[i*us.cols+j] *= sigma(j)
		}
	}
	w := us.times(v.transposed())
	a := Matrix{make([]float32, len(w.data)), w.rows, w.cols}
	for i, x := range w.data {
		a.Data[i] = float32(x)
	}
	return a
}

// perturbed is w + size·noise, in float32.
func perturbed(r *rand.Rand, w Matrix, size float64) Matrix {
	a := Matrix{make([]float32, len(w.Data)), w.Rows, w.Cols}
	for i, v := range w.Data {
		a.Data[i] = v + float32(size*r.NormFloat64())
	}
	return a
}

func (m Matrix) transpose() Matrix {
	t := Matrix{make([]float32, len(m.Data)), m.Cols, m.Rows}
	for i := range m.Rows {
		for j := range m.Cols {
			t.Data[j*m.Rows+i] = m.Data[i*m.Cols+j]
		}
	}
	return t
}

func mustCompare(t *testing.T, w0, w1 Matrix, o Options) Result {
	t.Helper()
	r, err := Compare(context.Background(), w0, w1, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
