package cogs

import (
	"fmt"
	"math"
	"math/cmplx"
	"strings"
)

// Construction is a network that is written down, not trained.
type Construction struct {
	Name  string
	About string
	build func(d int, p Phases) *Built
	most  int // largest d that may be built
}

// Constructions are the known ones.
var Constructions = []Construction{
	{"F6", "z_ν*z_syn at every frequency: six nodes each, exact", func(d int, p Phases) *Built {
		return everywhere(d, func(int) Element { return ZNu(p.Nu).Times(ZSyn()) })
	}, 127},
	{"F6i", "z_ν=i*z_syn,αβ at every frequency: six nodes each, exact", func(d int, p Phases) *Built {
		return everywhere(d, func(int) Element { return ZNuI().Times(ZSynAlphaBeta(p.Alpha, p.Beta)) })
	}, 127},
	{"F4", "z_ν=i*z_ξ at every frequency: four nodes each; no solution, since Rn stays: loss 2(1 − 1/d)", func(d int, p Phases) *Built {
		return everywhere(d, func(int) Element { return ZNuI().Times(ZXi(p.Xi)) })
	}, 127},
	{"F46", "F4 but for six nodes at frequency 1, which have the bias that cancels Rn: 2d nodes, exact", f46, 127},
	{"F46-unbiased", "F46 before the bias: not a solution", unbiased46, 127},
	{"memorise", "a node for every pair: d² nodes, exact, and no structure", memorise, 43},
}

// Built is a network that was constructed.
type Built struct {
	Construction
	*Spectrum
	Frequency []int // of each node; 0: of all
}

// Build writes down the construction of this name for addition modulo d.
func Build(name string, d int, p Phases) (*Built, error) {
	if err := checkModulus(d); err != nil {
		return nil, err
	}
	var known []string
	for _, c := range Constructions {
		if c.Name == name {
			if d > c.most {
				return nil, fmt.Errorf("building %s modulo %d: its weights would be too many: choose d up to %d", name, d, c.most)
			}
			b := c.build(d, p)
			b.Construction = c
			return b, nil
		}
		known = append(known, c.Name)
	}
	return nil, fmt.Errorf("building a network: the construction %q is not known: choose one of %s", name, strings.Join(known, ", "))
}

// everywhere places an element at every frequency up to d/2, with its
// conjugate at the mirrored one, each node scaled so that r[k,k,k] = 1.
func everywhere(d int, at func(k int) Element) *Built {
	b := &Built{}
	var parts []Element
	for k := 1; k <= d/2; k++ {
		z := at(k)
		parts = append(parts, z)
		for range z.Order() {
			b.Frequency = append(b.Frequency, k)
		}
	}
	b.Spectrum = NewSpectrum(d, len(b.Frequency))
	j := 0
	for i, z := range parts {
		k := i + 1
		s := complex(math.Pow(2*float64(d)*cmplx.Abs(Monomials[0].Of(z)), -1.0/3), 0)
		for n := range z.A {
			b.set(b.A, j, k, s*z.A[n])
			b.set(b.B, j, k, s*z.B[n])
			b.set(b.C, j, k, s*z.C[n])
			j++
		}
	}
	return b
}

// set writes the coefficient of node j at k and its conjugate at −k.
func (s *Spectrum) set(to []complex128, j, k int, v complex128) {
	to[j*s.D+k] = v
	to[j*s.D+s.D-k] = cmplx.Conj(v)
}

func unbiased46(d int, p Phases) *Built {
	return everywhere(d, func(k int) Element {
		if k == 1 {
			return ZNu(p.Nu).Times(ZSyn())
		}
		return ZNuI().Times(ZXi(p.Xi))
	})
}

// f46 lets the six nodes of frequency 1 cancel Σ_j N_j C[k,j], which is what
// remains of aā c + b b̄ c, at every other k: they are the same amount of
// square modulus each, and no other potential sees them there.
func f46(d int, p Phases) *Built {
	b := unbiased46(d, p)
	n := make([]float64, b.Q)
	six := 0.0
	for j := range n {
		for k := range d {
			n[j] += square(b.A[j*d+k]) + square(b.B[j*d+k])
		}
		if b.Frequency[j] == 1 {
			six += n[j]
		}
	}
	for k := 2; k <= d/2; k++ {
		var bias complex128
		for j := range n {
			bias -= complex(n[j]/six, 0) * b.C[j*d+k]
		}
		for j := range n {
			if b.Frequency[j] == 1 {
				b.set(b.C, j, k, b.C[j*d+k]+bias)
			}
		}
	}
	return b
}

// memorise is z_M: for each (j1, j2) the node γ(e_j1 − 1/d), γ(e_j2 − 1/d),
// γ(e_(j1+j2) − 1/d) with γ = 2^(−1/3).
func memorise(d int, _ Phases) *Built {
	w := NewWeights(d, d*d)
	gamma := math.Pow(2, -1.0/3)
	for j1 := range d {
		for j2 := range d {
			j := j1*d + j2
			for x := range d {
				at := func(row []float64, one int) {
					row[x*w.Q+j] = -gamma / float64(d)
					if x == one {
						row[x*w.Q+j] += gamma
					}
				}
				at(w.A, j1)
				at(w.B, j2)
				at(w.C, (j1+j2)%d)
			}
		}
	}
	return &Built{Spectrum: w.Spectrum(), Frequency: make([]int, d*d)}
}

// Element is what the nodes say at frequency k.
func (s *Spectrum) Element(k int, nodes []int) Element {
	z := Element{}
	for _, j := range nodes {
		z.A = append(z.A, s.A[j*s.D+k])
		z.B = append(z.B, s.B[j*s.D+k])
		z.C = append(z.C, s.C[j*s.D+k])
	}
	return z
}

// Value is a monomial relative to |Σabc| of the frequency.
type Value struct {
	Monomial
	Relative float64
}

// Removal is what removing one node of a construction breaks.
type Removal struct {
	Node, Frequency int
	Loss, Accuracy  float64 // on the whole table, without the node
	R               complex128
	// Broken are the monomials of Rc, Rn and R* at the node's frequency that
	// vanished and now don't, relative to |Σabc|. None if the node belongs to
	// all frequencies.
	Broken []Value
}

// vanishing is below what counts as 0 in a sum of a few products of order 1.
const vanishing = 1e-9

// Remove takes one node out.
func (b *Built) Remove(node int) (Removal, error) {
	if node < 0 || node >= b.Q {
		return Removal{}, fmt.Errorf("removing node %d of a network of %d: choose one from 0 to %d", node, b.Q, b.Q-1)
	}
	rest := b.Weights().Without(node)
	out := Removal{Node: node, Frequency: b.Frequency[node]}
	out.Loss, out.Accuracy = rest.Table()
	k := out.Frequency
	if k == 0 {
		out.R = cmplx.NaN()
		return out, nil
	}
	out.R = rest.Spectrum().Diagonal()[k]
	var all, left []int
	for j, f := range b.Frequency {
		if f != k {
			continue
		}
		all = append(all, j)
		if j != node {
			left = append(left, j)
		}
	}
	before, after := b.Element(k, all), b.Element(k, left)
	signal := cmplx.Abs(Monomials[0].Of(before))
	for _, m := range Monomials[1:] {
		was, is := cmplx.Abs(m.Of(before))/signal, cmplx.Abs(m.Of(after))/signal
		if was < vanishing && is >= vanishing {
			out.Broken = append(out.Broken, Value{m, is})
		}
	}
	return out, nil
}
