package cogs

import (
	"math"
	"math/cmplx"
)

// omega3 is exp(2πi/3).
var omega3 = cmplx.Rect(1, 2*math.Pi/3)

// unit is the point of the unit circle at an angle.
func unit(angle float64) complex128 { return cmplx.Rect(1, angle) }

// Phases are the angles, in radians, of the parameters of generators, points of
// the unit circle.
type Phases struct {
	Nu, Xi, Alpha, Beta float64
}

// Generic are phases at which no monomial vanishes by accident.
var Generic = Phases{Nu: 0.9, Xi: 0.4, Alpha: 0.5, Beta: 1.1}

// ZSyn is z_syn: (1,ω₃,ω̄₃) three times.
func ZSyn() Element { return ZSynAlphaBeta(0, 0) }

// ZSynAlphaBeta is z_syn,αβ: (1,αω₃,βω̄₃), (1,ᾱω₃,β̄ω̄₃), (1,ω₃,ω̄₃).
func ZSynAlphaBeta(alpha, beta float64) Element {
	w, v := omega3, cmplx.Conj(omega3)
	return Element{
		A: []complex128{1, unit(alpha) * w, unit(beta) * v},
		B: []complex128{1, unit(-alpha) * w, unit(-beta) * v},
		C: []complex128{1, w, v},
	}
}

// ZNu is z_ν: (1,ν), (1,−ν), (1,−ν̄²).
func ZNu(nu float64) Element {
	return Element{A: []complex128{1, unit(nu)}, B: []complex128{1, -unit(nu)}, C: []complex128{1, -unit(-2 * nu)}}
}

// ZNuI is z_ν at ν = i: (1,i), (1,−i), (1,1).
func ZNuI() Element {
	return Element{A: []complex128{1, 1i}, B: []complex128{1, -1i}, C: []complex128{1, 1}}
}

// ZXi is z_ξ: (1,ξ), (1,−iξ̄), (1,i).
func ZXi(xi float64) Element {
	return Element{A: []complex128{1, unit(xi)}, B: []complex128{1, -1i * unit(-xi)}, C: []complex128{1, 1i}}
}

// Generator is a part that makes some monomials vanish, whatever its phases.
type Generator struct {
	Name     string
	Make     func(Phases) Element
	Vanishes []string // names of Monomials, at generic phases exactly these
}

// Generators are the ones of arXiv 2410.01779 that networks are made of.
var Generators = []Generator{
	{"z_syn", func(Phases) Element { return ZSyn() }, []string{"āb c", "a b̄ c", "a b c̄", "aā c", "b b̄ c", "āāc", "b̄b̄c"}},
	{"z_syn,αβ", func(p Phases) Element { return ZSynAlphaBeta(p.Alpha, p.Beta) }, []string{"a b c̄", "aā c", "b b̄ c"}},
	{"z_ν", func(p Phases) Element { return ZNu(p.Nu) }, []string{"aac", "bbc"}},
	{"z_ν=i", func(Phases) Element { return ZNuI() }, []string{"āb c", "a b̄ c", "aac", "bbc", "āāc", "b̄b̄c"}},
	{"z_ξ", func(p Phases) Element { return ZXi(p.Xi) }, []string{"a b c̄"}},
}
