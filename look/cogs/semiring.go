package cogs

import (
	"math"
	"math/cmplx"
	"slices"
)

// Element is a part of a network at one frequency: the coefficients A, B and C
// of its hidden nodes. Elements form a commutative semiring (up to the order of
// nodes, which no network depends on).
type Element struct {
	A, B, C []complex128 // one entry a node
}

// Order is the number of nodes.
func (z Element) Order() int { return len(z.A) }

// Plus puts the nodes of y beside those of z.
func (z Element) Plus(y Element) Element {
	return Element{slices.Concat(z.A, y.A), slices.Concat(z.B, y.B), slices.Concat(z.C, y.C)}
}

// Times is the Kronecker product of each row: numbers of nodes multiply.
func (z Element) Times(y Element) Element {
	times := func(u, v []complex128) []complex128 {
		out := make([]complex128, 0, len(u)*len(v))
		for _, x := range u {
			for _, t := range v {
				out = append(out, x*t)
			}
		}
		return out
	}
	return Element{times(z.A, y.A), times(z.B, y.B), times(z.C, y.C)}
}

// Monomial is a product of three coefficients, summed over nodes: what a
// potential is, but for the factor 2D, at one frequency. It is a homomorphism:
// ρ(z+y) = ρ(z)+ρ(y) and ρ(z·y) = ρ(z)ρ(y); the scaled potential is only
// additive.
type Monomial struct {
	Name    string
	Family  Family
	factors [3]factor
}

// Family says what a monomial is in a network that adds.
type Family string

const (
	Signal Family = "abc" // must not vanish
	Rc     Family = "Rc"  // one conjugate
	Rn     Family = "Rn"  // a square modulus: need only vanish summed over all frequencies
	RStar  Family = "R*"  // squares of a or b
)

type factor struct {
	role      byte
	conjugate bool
}

// Monomials are the ten that appear at one frequency.
var Monomials = []Monomial{
	{"abc", Signal, [3]factor{{'a', false}, {'b', false}, {'c', false}}},
	{"āb c", Rc, [3]factor{{'a', true}, {'b', false}, {'c', false}}},
	{"a b̄ c", Rc, [3]factor{{'a', false}, {'b', true}, {'c', false}}},
	{"a b c̄", Rc, [3]factor{{'a', false}, {'b', false}, {'c', true}}},
	{"aā c", Rn, [3]factor{{'a', false}, {'a', true}, {'c', false}}},
	{"b b̄ c", Rn, [3]factor{{'b', false}, {'b', true}, {'c', false}}},
	{"aac", RStar, [3]factor{{'a', false}, {'a', false}, {'c', false}}},
	{"bbc", RStar, [3]factor{{'b', false}, {'b', false}, {'c', false}}},
	{"āāc", RStar, [3]factor{{'a', true}, {'a', true}, {'c', false}}},
	{"b̄b̄c", RStar, [3]factor{{'b', true}, {'b', true}, {'c', false}}},
}

// Of is the monomial of an element.
func (m Monomial) Of(z Element) (sum complex128) {
	for j := range z.A {
		product := complex(1, 0)
		for _, f := range m.factors {
			v := z.row(f.role)[j]
			if f.conjugate {
				v = cmplx.Conj(v)
			}
			product *= v
		}
		sum += product
	}
	return sum
}

func (z Element) row(role byte) []complex128 {
	switch role {
	case 'a':
		return z.A
	case 'b':
		return z.B
	}
	return z.C
}

// Largest is the largest |monomial| of a family relative to |Σabc|; NaN if that
// is 0.
func (z Element) Largest(f Family) float64 {
	most, signal := 0.0, cmplx.Abs(Monomials[0].Of(z))
	if signal == 0 {
		return math.NaN()
	}
	for _, m := range Monomials {
		if m.Family == f {
			most = max(most, cmplx.Abs(m.Of(z)))
		}
	}
	return most / signal
}
