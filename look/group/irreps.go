package group

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Type of an irreducible representation over the reals.
type Type string

const (
	Real         Type = "real"
	ComplexPair  Type = "complex pair"
	Quaternionic Type = "quaternionic"
)

// Component is a real isotypic component of the regular representation: all
// copies of one real irreducible representation, as a subspace of the
// functions on the group.
type Component struct {
	Label  string      // the frequency of Z_n, or the component's number
	Type   Type        //
	Degree int         // d of the complex irreducible representation
	Dim    int         // of the component: d², or 2d² for a complex pair
	Basis  [][]float64 // (Dim, order), orthonormal rows
}

// Trivial reports whether it is the constant functions.
func (c Component) Trivial() bool {
	if c.Dim != 1 {
		return false
	}
	for _, x := range c.Basis[0] {
		if math.Abs(x-c.Basis[0][0]) > 1e-6 {
			return false
		}
	}
	return true
}

// MaxEnergy is the largest E(w) = ½‖Ỹᵀσ(Xw)‖² of a unit vector inside the
// component, for σ(x) = x² on the full table: M/(2d) for a real one, M/(4d) for
// a complex pair or a quaternionic one. (arXiv 2509.21519, Theorem 2, prints a
// quarter of it: its proof drops the 2 of 2uv.)
func (c Component) MaxEnergy() float64 {
	e := float64(len(c.Basis[0])) / float64(2*c.Degree)
	if c.Type != Real {
		e /= 2
	}
	return e
}

// Power is ‖Π w‖², the part of w (order) inside the component.
func (c Component) Power(w []float64) float64 {
	p := 0.0
	for _, b := range c.Basis {
		dot := 0.0
		for i, x := range b {
			dot += x * w[i]
		}
		p += dot * dot
	}
	return p
}

// Projector is Π = BᵀB, order² entries by rows.
func (c Component) Projector() []float64 {
	n := len(c.Basis[0])
	p := make([]float64, n*n)
	for _, b := range c.Basis {
		for i, x := range b {
			for j, y := range b {
				p[i*n+j] += x * y
			}
		}
	}
	return p
}

// Components splits the functions on the group into real isotypic components,
// the trivial one first. Those of addition mod n are the frequencies 1 … n/2
// in order; others come by degree, type and a fixed random order.
func (g *Group) Components() ([]Component, error) {
	if g.IsSum() {
		return g.fourier(), nil
	}
	// A class function may give two components the same eigenvalue by bad luck,
	// which the degrees then reveal.
	var err error
	for seed := range uint64(8) {
		var cs []Component
		if cs, err = g.split(seed); err == nil {
			return cs, nil
		}
	}
	return nil, fmt.Errorf("components of %s: %w", g.name, err)
}

// fourier are the frequencies of Z_n.
func (g *Group) fourier() []Component {
	n := g.order
	var cs []Component
	for k := 0; 2*k <= n; k++ {
		c := Component{Label: fmt.Sprint(k), Type: Real, Degree: 1, Dim: 1}
		parts := []func(float64) float64{math.Cos}
		scale := math.Sqrt(1 / float64(n))
		if k > 0 && 2*k < n {
			c.Type, c.Dim = ComplexPair, 2
			parts = append(parts, math.Sin)
			scale = math.Sqrt(2 / float64(n))
		}
		for _, f := range parts {
			row := make([]float64, n)
			for x := range row {
				row[x] = scale * f(2*math.Pi*float64(k*x%n)/float64(n))
			}
			c.Basis = append(c.Basis, row)
		}
		cs = append(cs, c)
	}
	return cs
}

// split finds the eigenspaces of Z = Σ_h r(h)·R_h, R_h e_g = e_{hg}, for a
// random class function r with r(h) = r(h⁻¹). Z is symmetric and commutes with
// all R_h on either side, so by Schur's lemma it is a number on each component.
func (g *Group) split(seed uint64) ([]Component, error) {
	n := g.order
	rng := rand.New(rand.NewPCG(seed, 0x67726f7570)) // "group"
	r := make([]float64, n)
	for _, class := range g.Classes() {
		v := rng.NormFloat64()
		for _, h := range class {
			r[h] += v
			r[g.inverse[h]] += v
		}
	}
	z := make([]float64, n*n)
	for a := range n {
		for b := range n {
			z[a*n+b] = r[g.Mul(a, g.inverse[b])]
		}
	}
	values, vectors := jacobi(z, n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	scale := 0.0
	for _, v := range values {
		scale = max(scale, math.Abs(v))
	}
	var cs []Component
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && values[order[hi]]-values[order[hi-1]] < 1e-8*scale {
			hi++
		}
		c := Component{Dim: hi - lo}
		for _, i := range order[lo:hi] {
			c.Basis = append(c.Basis, vectors[i*n:(i+1)*n])
		}
		if err := g.classify(&c); err != nil {
			return nil, err
		}
		cs = append(cs, c)
		lo = hi
	}
	slices.SortStableFunc(cs, func(a, b Component) int {
		at, bt := 1, 1
		if a.Trivial() {
			at = 0
		}
		if b.Trivial() {
			bt = 0
		}
		return cmp.Or(at-bt, a.Degree-b.Degree, -cmp.Compare(a.Type, b.Type))
	})
	for i := range cs {
		cs[i].Label = fmt.Sprint(i)
	}
	return cs, nil
}

// classify finds type and degree by t = (1/M) Σ_h tr(Π R_hh), which is d times
// the Frobenius-Schur indicator: d, 0 or −d.
func (g *Group) classify(c *Component) error {
	n := g.order
	squares := make([]float64, n) // how many h have h·h = x
	for h := range n {
		squares[g.Mul(h, h)]++
	}
	t := 0.0
	for x, count := range squares {
		if count == 0 {
			continue
		}
		for _, b := range c.Basis { // tr(Π R_x) = Σ_g Π[g, xg]
			for a := range n {
				t += count * b[a] * b[g.Mul(x, a)]
			}
		}
	}
	t /= float64(n)
	var square float64
	switch {
	case math.Abs(t) < 0.5:
		c.Type, square = ComplexPair, float64(c.Dim)/2
	case t > 0:
		c.Type, square = Real, float64(c.Dim)
	default:
		c.Type, square = Quaternionic, float64(c.Dim)
	}
	d := math.Round(math.Sqrt(square))
	c.Degree = int(d)
	if d*d != square || c.Type != ComplexPair && math.Abs(math.Abs(t)-d) > 1e-6 || c.Type == ComplexPair && math.Abs(t) > 1e-6 {
		return fmt.Errorf("an eigenspace of dimension %d with indicator %.3g is no isotypic component", c.Dim, t)
	}
	return nil
}

// jacobi is the cyclic Jacobi method for a symmetric matrix of n rows, which
// it destroys. Row i of vectors belongs to values[i].
func jacobi(a []float64, n int) (values, vectors []float64) {
	vectors = make([]float64, n*n)
	norm := 0.0
	for i := range n {
		vectors[i*n+i] = 1
	}
	for _, x := range a {
		norm += x * x
	}
	for range 60 { // convergence is quadratic: ten sweeps are many
		off := 0.0
		for p := range n {
			for q := range p {
				off += a[p*n+q] * a[p*n+q]
			}
		}
		if off <= 1e-28*norm {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, vectors, n, p, q)
			}
		}
	}
	values = make([]float64, n)
	for i := range n {
		values[i] = a[i*n+i]
	}
	return values, vectors
}

// rotate makes a[p][q] zero.
func rotate(a, v []float64, n, p, q int) {
	apq := a[p*n+q]
	if apq == 0 {
		return
	}
	theta := (a[q*n+q] - a[p*n+p]) / (2 * apq)
	t := math.Copysign(1, theta) / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	turn := func(x, y []float64) {
		y = y[:len(x)]
		for i := range x {
			x[i], y[i] = c*x[i]-s*y[i], s*x[i]+c*y[i]
		}
	}
	turn(a[p*n:(p+1)*n], a[q*n:(q+1)*n])
	for i := range n {
		x, y := a[i*n+p], a[i*n+q]
		a[i*n+p], a[i*n+q] = c*x-s*y, s*x+c*y
	}
	turn(v[p*n:(p+1)*n], v[q*n:(q+1)*n])
}
