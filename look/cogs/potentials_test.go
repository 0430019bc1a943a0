package cogs

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// random draws weights, none of them centred.
func random(d, q int, seed uint64) *Weights {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := NewWeights(d, q)
	for i := range w.A {
		w.A[i], w.B[i], w.C[i] = rng.NormFloat64()*0.3+0.05, rng.NormFloat64()*0.3-0.1, rng.NormFloat64()*0.3+0.2
	}
	return w
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s is %.16g, want %.16g within %g", what, got, want, tolerance)
	}
}

// The loss is the sum of squares of potentials, DC included, at prime and
// composite moduli.
func TestLossIsASumOfPotentials(t *testing.T) {
	for _, d := range []int{3, 5, 9, 11, 15} {
		for _, q := range []int{1, 6} {
			w := random(d, q, uint64(d*q))
			loss, _ := w.Table()
			diagonal, others := w.Spectrum().Potentials().Loss()
			// Some thousand terms of order 1, each rounded to 1e-16.
			near(t, fmt.Sprintf("d=%d q=%d: loss from potentials", d, q), diagonal+others, loss, 1e-12)
		}
	}
}

func TestSpectrumIsItsDefinition(t *testing.T) {
	const d, q = 7, 3
	w := random(d, q, 4)
	s := w.Spectrum()
	for j := range q {
		for k := range d {
			var a, c complex128
			for x := range d {
				angle := 2 * math.Pi * float64(k*x) / d
				a += complex(w.A[x*q+j]/d, 0) * cmplx.Rect(1, -angle)
				c += complex(w.C[x*q+j]/d, 0) * cmplx.Rect(1, angle)
			}
			near(t, "A", cmplx.Abs(a-s.A[j*d+k]), 0, 1e-14)
			near(t, "C", cmplx.Abs(c-s.C[j*d+k]), 0, 1e-14)
		}
	}
	back := s.Weights()
	for i := range w.A {
		near(t, "a", back.A[i], w.A[i], 1e-13)
		near(t, "b", back.B[i], w.B[i], 1e-13)
		near(t, "c", back.C[i], w.C[i], 1e-13)
	}
}

func TestPotentialsAreTheirDefinition(t *testing.T) {
	const d, q = 5, 3
	s := random(d, q, 9).Spectrum()
	p := s.Potentials()
	diagonal := s.Diagonal()
	for k := range d {
		near(t, "diagonal", cmplx.Abs(diagonal[k]-p.R[(k*d+k)*d+k]), 0, 1e-14)
		for k1 := range d {
			var ra, rb complex128
			for j := range q {
				for l := range d {
					ra += 2 * d * s.A[j*d+l] * s.A[j*d+(k1-l+d)%d] * s.C[j*d+k]
					rb += 2 * d * s.B[j*d+l] * s.B[j*d+(k1-l+d)%d] * s.C[j*d+k]
				}
			}
			near(t, "ra", cmplx.Abs(ra-p.Ra[k*d+k1]), 0, 1e-14)
			near(t, "rb", cmplx.Abs(rb-p.Rb[k*d+k1]), 0, 1e-14)
			for k2 := range d {
				var r complex128
				for j := range q {
					r += 2 * d * s.A[j*d+k1] * s.B[j*d+k2] * s.C[j*d+k]
				}
				near(t, "r", cmplx.Abs(r-p.R[(k*d+k1)*d+k2]), 0, 1e-14)
			}
		}
	}
}

// What the loss doesn't depend on.
func TestInvariances(t *testing.T) {
	const d, q = 9, 4
	w := random(d, q, 2)
	loss, accuracy := w.Table()
	changed := func(name string, f func(to *Weights)) {
		t.Helper()
		v := NewWeights(d, q)
		copy(v.A, w.A)
		copy(v.B, w.B)
		copy(v.C, w.C)
		f(v)
		l, a := v.Table()
		near(t, name+": loss", l, loss, 1e-12)
		near(t, name+": accuracy", a, accuracy, 0)
	}
	// move writes row[to(x)] = row[x].
	move := func(row []float64, to func(int) int) {
		old := append([]float64(nil), row...)
		for x := range d {
			copy(row[to(x)*q:(to(x)+1)*q], old[x*q:(x+1)*q])
		}
	}
	changed("order of nodes", func(v *Weights) {
		for _, row := range [][]float64{v.A, v.B, v.C} {
			for x := range d {
				r := row[x*q : (x+1)*q]
				r[0], r[1], r[2], r[3] = r[2], r[0], r[3], r[1]
			}
		}
	})
	changed("sign", func(v *Weights) {
		for x := range d {
			v.A[x*q+1] *= -1
			v.B[x*q+1] *= -1
		}
	})
	changed("a and b swapped", func(v *Weights) { v.A, v.B = v.B, v.A })
	changed("scale of a node", func(v *Weights) {
		for x := range d {
			v.A[x*q+2] *= 1.7
			v.B[x*q+2] *= 1.7
			v.C[x*q+2] /= 1.7 * 1.7
		}
	})
	changed("shift", func(v *Weights) {
		move(v.A, func(x int) int { return (x + 2) % d })
		move(v.B, func(y int) int { return (y + 4) % d })
		move(v.C, func(s int) int { return (s + 6) % d })
	})
	changed("multiplication by a unit", func(v *Weights) {
		for _, row := range [][]float64{v.A, v.B, v.C} {
			move(row, func(x int) int { return 2 * x % d })
		}
	})
	changed("a constant in c", func(v *Weights) {
		for x := range d {
			v.C[x*q+3] += 0.8
		}
	})
	// And one that does: a test of the tests.
	v := NewWeights(d, q)
	copy(v.A, w.A)
	copy(v.B, w.B)
	copy(v.C, w.C)
	move(v.A, func(x int) int { return (x + 1) % d })
	if l, _ := v.Table(); math.Abs(l-loss) < 1e-6 {
		t.Errorf("the loss does not notice that a alone is shifted")
	}
}

func TestFrom32Refuses(t *testing.T) {
	for _, c := range []struct{ d, n int }{{4, 4}, {1, 1}, {5, 4}} {
		x := make([]float32, c.n)
		if _, err := From32(c.d, 1, x, x, x); err == nil {
			t.Errorf("modulus %d with %d numbers a matrix is taken", c.d, c.n)
		}
	}
}
