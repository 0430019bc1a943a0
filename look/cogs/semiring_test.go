package cogs

import (
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomElement(rng *rand.Rand, n int) Element {
	row := func() []complex128 {
		out := make([]complex128, n)
		for i := range out {
			out[i] = complex(rng.NormFloat64(), rng.NormFloat64())
		}
		return out
	}
	return Element{row(), row(), row()}
}

func TestMonomialsAreHomomorphisms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	if len(Monomials) != 10 {
		t.Fatalf("there are %d monomials, want 10", len(Monomials))
	}
	for range 20 {
		z, y := randomElement(rng, 1+rng.IntN(4)), randomElement(rng, 1+rng.IntN(4))
		if n := z.Times(y).Order(); n != z.Order()*y.Order() {
			t.Fatalf("a product has %d nodes", n)
		}
		for _, m := range Monomials {
			near(t, m.Name+" of a sum", cmplx.Abs(m.Of(z.Plus(y))-m.Of(z)-m.Of(y)), 0, 1e-12)
			// Products of numbers of order 10.
			near(t, m.Name+" of a product", cmplx.Abs(m.Of(z.Times(y))-m.Of(z)*m.Of(y)), 0, 1e-10)
		}
	}
}

// At generic phases exactly the listed monomials vanish.
func TestWhatGeneratorsCancel(t *testing.T) {
	for _, g := range Generators {
		for _, p := range []Phases{Generic, {Nu: 2.3, Xi: -1.2, Alpha: 2.9, Beta: -0.6}} {
			z := g.Make(p)
			near(t, g.Name+": abc", cmplx.Abs(Monomials[0].Of(z)), float64(z.Order()), 1e-14)
			for _, m := range Monomials {
				got := cmplx.Abs(m.Of(z))
				// A generic sum of two or three unit numbers is far from 0.
				if vanishes := got < 1e-14; vanishes != slices.Contains(g.Vanishes, m.Name) || !vanishes && got < 0.05 {
					t.Errorf("%s at %+v: |%s| is %.3g", g.Name, p, m.Name, got)
				}
			}
		}
	}
}
