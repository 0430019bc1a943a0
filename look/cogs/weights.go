package cogs

import (
	"fmt"
	"math"
	"math/cmplx"
)

// Weights are a network's, real: a_j(x) is A[x*Q+j], c_j(s) is C[s*Q+j].
type Weights struct {
	D, Q    int
	A, B, C []float64 // (D, Q)
}

// checkModulus reports a d that the theory does not cover.
func checkModulus(d int) error {
	if d < 3 || d%2 == 0 {
		return fmt.Errorf("CoGS for addition modulo %d: the theory is of odd moduli from 3 on: choose such a one", d)
	}
	return nil
}

// NewWeights makes a network of zeros. d is odd.
func NewWeights(d, q int) *Weights {
	return &Weights{D: d, Q: q, A: make([]float64, d*q), B: make([]float64, d*q), C: make([]float64, d*q)}
}

// From32 copies weights that were trained in float32, each (d, q).
func From32(d, q int, a, b, c []float32) (*Weights, error) {
	if err := checkModulus(d); err != nil {
		return nil, err
	}
	if len(a) != d*q || len(b) != d*q || len(c) != d*q {
		return nil, fmt.Errorf("reading the weights of a CoGS network: a, b and c have %d, %d and %d numbers, want %d × %d = %d each", len(a), len(b), len(c), d, q, d*q)
	}
	w := NewWeights(d, q)
	for i := range a {
		w.A[i], w.B[i], w.C[i] = float64(a[i]), float64(b[i]), float64(c[i])
	}
	return w, nil
}

// Table runs the network over all D² pairs. The loss is the mean of
// ‖õ − (onehot(x+y) − 1/D)‖², õ = o minus its mean over outputs; accuracy is
// the share of pairs whose largest output is x+y, the first of equal ones
// counting. The identity of Potentials.Loss holds for this loss alone, not for
// that of some of the pairs.
func (w *Weights) Table() (loss, accuracy float64) {
	d, q := w.D, w.Q
	c := make([]float64, d*q) // centred over outputs
	for j := range q {
		mean := 0.0
		for s := range d {
			mean += w.C[s*q+j] / float64(d)
		}
		for s := range d {
			c[s*q+j] = w.C[s*q+j] - mean
		}
	}
	h, o := make([]float64, q), make([]float64, d)
	right := 0
	for x := range d {
		for y := range d {
			a, b := w.A[x*q:(x+1)*q], w.B[y*q:(y+1)*q]
			for j, v := range a {
				s := v + b[j]
				h[j] = s * s
			}
			best, target := 0, (x+y)%d
			for s := range d {
				if o[s] = dot(c[s*q:(s+1)*q], h); o[s] > o[best] {
					best = s
				}
			}
			if best == target {
				right++
			}
			for s, v := range o {
				want := -1 / float64(d)
				if s == target {
					want++
				}
				loss += (v - want) * (v - want)
			}
		}
	}
	n := float64(d * d)
	return loss / n, float64(right) / n
}

// dot has four sums, since one waits on itself.
func dot(x, y []float64) float64 {
	var s [4]float64
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s[0] += x[i] * y[i]
		s[1] += x[i+1] * y[i+1]
		s[2] += x[i+2] * y[i+2]
		s[3] += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		s[0] += x[i] * y[i]
	}
	return s[0] + s[1] + s[2] + s[3]
}

// Without returns the network without node j.
func (w *Weights) Without(j int) *Weights {
	out := NewWeights(w.D, w.Q-1)
	for x := range w.D {
		for _, p := range []struct{ to, from []float64 }{{out.A, w.A}, {out.B, w.B}, {out.C, w.C}} {
			row := p.from[x*w.Q : (x+1)*w.Q]
			to := p.to[x*out.Q : (x+1)*out.Q]
			copy(to, row[:j])
			copy(to[j:], row[j+1:])
		}
	}
	return out
}

// Spectrum are the Fourier coefficients of the weights of each node, with
// ω = exp(2πi/D):
//
//	A[k] = (1/D) Σ_x a(x) ω^(−kx), B likewise, C[k] = (1/D) Σ_s c(s) ω^(+ks)
//
// C has the opposite sign, so that a(x) = Σ_k A[k] ω^(kx) and
// c(s) = Σ_k C[k] ω^(−ks). Weights are real: index D−k holds the conjugate of k.
type Spectrum struct {
	D, Q    int
	A, B, C []complex128 // (Q, D): coefficient k of node j is at j*D+k
}

// NewSpectrum makes coefficients of zero.
func NewSpectrum(d, q int) *Spectrum {
	return &Spectrum{D: d, Q: q, A: make([]complex128, d*q), B: make([]complex128, d*q), C: make([]complex128, d*q)}
}

// roots are ω^m, m < d.
func roots(d int) []complex128 {
	w := make([]complex128, d)
	for m := range w {
		sin, cos := math.Sincos(2 * math.Pi * float64(m) / float64(d))
		w[m] = complex(cos, sin)
	}
	return w
}

// Spectrum transforms the weights.
func (w *Weights) Spectrum() *Spectrum {
	d, q := w.D, w.Q
	s := NewSpectrum(d, q)
	omega := roots(d)
	sum := make([]complex128, q)
	transform := func(to []complex128, from []float64, conjugate bool) {
		for k := 0; k <= d/2; k++ {
			clear(sum)
			for x := range d {
				t := omega[k*x%d]
				if conjugate {
					t = cmplx.Conj(t)
				}
				re, im := real(t)/float64(d), imag(t)/float64(d)
				for j, v := range from[x*q : (x+1)*q] {
					sum[j] += complex(v*re, v*im)
				}
			}
			for j, v := range sum {
				to[j*d+k] = v
				if k > 0 {
					to[j*d+d-k] = cmplx.Conj(v)
				}
			}
		}
	}
	transform(s.A, w.A, true)
	transform(s.B, w.B, true)
	transform(s.C, w.C, false)
	return s
}

// Weights transforms back.
func (s *Spectrum) Weights() *Weights {
	d, q := s.D, s.Q
	w := NewWeights(d, q)
	omega := roots(d)
	transform := func(to []float64, from []complex128, conjugate bool) {
		for j := range q {
			for k, v := range from[j*d : (j+1)*d] {
				if v == 0 {
					continue
				}
				if conjugate { // the real part of v·ω̄ is that of v̄·ω
					v = cmplx.Conj(v)
				}
				for x := range d {
					t := omega[k*x%d]
					to[x*q+j] += real(v)*real(t) - imag(v)*imag(t)
				}
			}
		}
	}
	transform(w.A, s.A, false)
	transform(w.B, s.B, false)
	transform(w.C, s.C, true)
	return w
}
