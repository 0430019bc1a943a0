package cogs

import "math/cmplx"

// Potentials are the cubic forms of the coefficients that the loss consists of:
//
//	r[k1,k2,k] = 2D Σ_j A[k1,j] B[k2,j] C[k,j]
//	ra[m,k]    = 2D Σ_j Σ_k' A[k',j] A[m−k',j] C[k,j], rb the same with B
type Potentials struct {
	D      int
	R      []complex128 // (D, D, D): r[k1,k2,k] is at (k*D+k1)*D+k2
	Ra, Rb []complex128 // (D, D): ra[m,k] is at k*D+m
}

// Potentials computes all of them, in about D³·Q/2 products.
func (s *Spectrum) Potentials() *Potentials {
	d := s.D
	p := &Potentials{D: d, R: make([]complex128, d*d*d), Ra: make([]complex128, d*d), Rb: make([]complex128, d*d)}
	aa, bb := make([]complex128, d), make([]complex128, d)
	for j := range s.Q {
		a, b, c := s.A[j*d:(j+1)*d], s.B[j*d:(j+1)*d], s.C[j*d:(j+1)*d]
		convolve(aa, a)
		convolve(bb, b)
		for k := 0; k <= d/2; k++ {
			ck := c[k] * complex(2*float64(d), 0)
			if ck == 0 {
				continue
			}
			for m := range d {
				p.Ra[k*d+m] += aa[m] * ck
				p.Rb[k*d+m] += bb[m] * ck
			}
			for k1, v := range a {
				if v == 0 {
					continue
				}
				t, row := v*ck, p.R[(k*d+k1)*d:(k*d+k1+1)*d]
				for k2, u := range b {
					row[k2] += t * u
				}
			}
		}
	}
	p.mirror()
	return p
}

// mirror fills the output frequencies above D/2: weights are real, so that
// turning all indices turns a potential to its conjugate.
func (p *Potentials) mirror() {
	d := p.D
	for k := 1; k <= d/2; k++ {
		for k1 := range d {
			m := (d - k1) % d
			p.Ra[(d-k)*d+m] = cmplx.Conj(p.Ra[k*d+k1])
			p.Rb[(d-k)*d+m] = cmplx.Conj(p.Rb[k*d+k1])
			for k2 := range d {
				p.R[((d-k)*d+m)*d+(d-k2)%d] = cmplx.Conj(p.R[(k*d+k1)*d+k2])
			}
		}
	}
}

// convolve writes Σ_k' v[k'] v[m−k'] to out.
func convolve(out, v []complex128) {
	d := len(v)
	clear(out)
	for k, x := range v {
		if x == 0 {
			continue
		}
		for l, y := range v {
			m := k + l
			if m >= d {
				m -= d
			}
			out[m] += x * y
		}
	}
}

// G is r[k1,k2,k] with ½ra[m,k] folded into (m,0) and ½rb[m,k] into (0,m).
func (p *Potentials) G(k, k1, k2 int) complex128 {
	d := p.D
	g := p.R[(k*d+k1)*d+k2]
	if k2 == 0 {
		g += p.Ra[k*d+k1] / 2
	}
	if k1 == 0 {
		g += p.Rb[k*d+k2] / 2
	}
	return g
}

// Loss is that of the whole table, exactly:
//
//	(1/D) Σ_{k≠0} Σ_{k1,k2} |G_k(k1,k2) − [k1=k2=k]|²
//
// split into what r[k,k,k] ≠ 1 costs and what all others cost.
func (p *Potentials) Loss() (diagonal, others float64) {
	d := p.D
	for k := 1; k < d; k++ {
		for k1 := range d {
			for k2 := range d {
				g := p.G(k, k1, k2)
				if k1 == k && k2 == k {
					diagonal += square(g - 1)
				} else {
					others += square(g)
				}
			}
		}
	}
	return diagonal / float64(d), others / float64(d)
}

func square(z complex128) float64 { return real(z)*real(z) + imag(z)*imag(z) }

// Diagonal are r[k,k,k] for all k, in D·Q products. A network that adds has 1
// at k ≠ 0.
func (s *Spectrum) Diagonal() []complex128 {
	d := s.D
	r := make([]complex128, d)
	for j := range s.Q {
		for k := range d {
			i := j*d + k
			r[k] += s.A[i] * s.B[i] * s.C[i]
		}
	}
	for k := range r {
		r[k] *= complex(2*float64(d), 0)
	}
	return r
}
