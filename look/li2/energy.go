package li2

import (
	"math"

	"orrery/look/group"
)

// Energy is what every hidden node climbs on its own in stage II:
//
//	E(w) = ½‖Tᵀσ(Xw)‖²  (arXiv 2509.21519, §4)
//
// with w = (u; v) (2M) and T = Ỹ, the centred labels. On the full table with
// σ = x² it is a sum over the components of the group, without cross terms.
type Energy struct {
	*Samples
	Act Activation
	// Target is another T (n, columns) by rows, such as what the network leaves
	// unexplained (see Residual); nil: the centred labels.
	Target [][]float64
}

// At is E(w).
func (e Energy) At(w []float64) float64 { return e.eval(w, nil) }

// Gradient writes ∇E(w) to g (2M) and returns E(w).
func (e Energy) Gradient(w, g []float64) float64 {
	clear(g)
	return e.eval(w, g)
}

func (e Energy) eval(w, g []float64) float64 {
	u, v := w[:e.M], w[e.M:]
	f := make([]float64, e.Len())
	for i := range f {
		f[i] = e.Act.Of(u[e.X[i]] + v[e.Y[i]])
	}
	value, pull := e.project(f)
	if g != nil {
		for i := range f {
			d := pull(i) * e.Act.Slope(u[e.X[i]]+v[e.Y[i]])
			g[e.X[i]] += d
			g[e.M+e.Y[i]] += d
		}
	}
	return value
}

// project is ½‖Tᵀf‖² and its derivative with respect to f_i.
func (e Energy) project(f []float64) (value float64, pull func(i int) float64) {
	if e.Target != nil {
		s := make([]float64, len(e.Target[0]))
		for i, row := range e.Target {
			for c, t := range row {
				s[c] += t * f[i]
			}
		}
		return norm2(s) / 2, func(i int) float64 { return dot(e.Target[i], s) }
	}
	// Ỹᵀf = Yᵀf − n_h·mean(f).
	s, mean := make([]float64, e.M), 0.0
	for i, x := range f {
		s[e.H[i]] += x
		mean += x
	}
	mean /= float64(len(f))
	for h := range s {
		s[h] -= e.Count[h] * mean
	}
	common := dot(s, e.Count) / float64(len(f))
	return norm2(s) / 2, func(i int) float64 { return s[e.H[i]] - common }
}

// Ascent is where an ascent ended.
type Ascent struct {
	W      []float64 // unit
	E      float64
	Slope  float64 // the tangent part of ∇E, relative to ∇E
	Steps  int
	Energy []float64 // by step
}

// Ascend climbs E on the unit sphere from w until the gradient is radial to
// tol, in at most so many steps. E never falls.
func (e Energy) Ascend(w []float64, steps int, tol float64) Ascent {
	a := Ascent{W: append([]float64(nil), w...)}
	normalise(a.W)
	g, next := make([]float64, len(w)), make([]float64, len(w))
	a.E = e.Gradient(a.W, g)
	step := 1.0
	for ; a.Steps < steps; a.Steps++ {
		a.Energy = append(a.Energy, a.E)
		size := math.Sqrt(norm2(g))
		radial := dot(a.W, g)
		for i := range g {
			g[i] -= radial * a.W[i]
		}
		slope := norm2(g)
		if a.Slope = math.Sqrt(slope) / size; size == 0 || a.Slope <= tol {
			return a
		}
		// Armijo's rule: a third of the rise that the slope promises, or less.
		better := false
		for range 60 {
			for i := range next {
				next[i] = a.W[i] + step*g[i]
			}
			normalise(next)
			if v := e.At(next); v > a.E+step*slope/3 {
				better = true
				break
			}
			step /= 2
		}
		if !better {
			return a // flat to rounding
		}
		a.W, next = next, a.W
		a.E = e.Gradient(a.W, g)
		step *= 2
	}
	return a
}

// Rank is how many columns of the coefficient matrix of u (M) at a component
// are independent: the dimension of the span of its translates u(h·) there,
// over the least that one can have, d of a real component and 2d of the others.
// The maxima of E have rank 1; for d ≥ 2 a generic node has more.
func Rank(g *group.Group, c group.Component, u []float64, tol float64) float64 {
	m := g.Order()
	rows := make([][]float64, m)
	shifted := make([]float64, m)
	for h := range m {
		for x := range m {
			shifted[x] = u[g.Mul(h, x)]
		}
		rows[h] = make([]float64, c.Dim)
		for k, b := range c.Basis {
			rows[h][k] = dot(b, shifted)
		}
	}
	least := float64(c.Degree)
	if c.Type != group.Real {
		least *= 2
	}
	return float64(rank(rows, tol)) / least
}

// rank counts the independent rows by Gram-Schmidt with pivots, to tol of the
// longest.
func rank(rows [][]float64, tol float64) int {
	first, found := 0.0, 0
	for {
		best, at := 0.0, -1
		for i, r := range rows {
			if n := math.Sqrt(norm2(r)); n > best {
				best, at = n, i
			}
		}
		if first == 0 {
			first = best
		}
		if at < 0 || best <= tol*first {
			return found
		}
		found++
		q := append([]float64(nil), rows[at]...)
		normalise(q)
		for _, r := range rows {
			p := dot(q, r)
			for i := range r {
				r[i] -= p * q[i]
			}
		}
	}
}

// OneTarget is the energy if there is a single target h: the labels other than
// h are not there to be told from it, so T is the plain indicator of h.
func OneTarget(s *Samples, act Activation, h int) Energy {
	t := make([][]float64, s.Len())
	for i := range t {
		t[i] = make([]float64, 1)
		if s.H[i] == h {
			t[i][0] = 1
		}
	}
	return Energy{s, act, t}
}
