package cogs

import (
	"math/cmplx"
)

// Factorisation says which parts a trained network consists of.
type Factorisation struct {
	D, Q        int
	Threshold   float64 // of |A| for a node to be kept
	Dropped     int     // nodes below it
	DC          []int   // kept nodes that are largest at frequency 0
	Frequencies []Frequency
}

// Frequency is what a network does at one frequency k from 1 to D/2.
type Frequency struct {
	K       int
	Nodes   []int
	Element Element
	R       complex128 // r[k,k,k], over all nodes; 1 in a network that adds
	// The largest |monomial| of a family over the frequency's nodes, relative to
	// |Σabc|; NaN without nodes. Rn may well be large at one frequency: only its
	// sum over all of them has to vanish.
	Rc, Rn, RStar float64
	Robust        Robust
	Compatible    Compatible
}

// Order is the number of nodes.
func (f Frequency) Order() int { return len(f.Nodes) }

// Kind is what a frequency's nodes multiply to.
type Kind string

const (
	Kind4  Kind = "z_ν=i*z_ξ"
	Kind6i Kind = "z_ν=i*z_syn,αβ"
	Kind6  Kind = "z_ν*z_syn"
	Other  Kind = "other"
)

// Kinds are all, in the order of published tables.
var Kinds = []Kind{Kind4, Kind6i, Kind6, Other}

// threshold is what |A| a node must have. The amplitude of a node of the exact
// solutions is (12D)^(−1/3), 0.087 at D = 127 and 0.069 at 251.
func threshold(d int) float64 {
	if d > 250 {
		return 0.025
	}
	return 0.05
}

// Factorise takes a network apart.
func (s *Spectrum) Factorise() *Factorisation {
	d := s.D
	f := &Factorisation{D: d, Q: s.Q, Threshold: threshold(d)}
	at := make([][]int, d/2+1)
	for j, k := range s.assign(f.Threshold) {
		switch {
		case k < 0:
			f.Dropped++
		case k == 0:
			f.DC = append(f.DC, j)
		default:
			at[k] = append(at[k], j)
		}
	}
	r := s.Diagonal()
	for k := 1; k <= d/2; k++ {
		z := s.Element(k, at[k])
		f.Frequencies = append(f.Frequencies, Frequency{
			K: k, Nodes: at[k], Element: z, R: r[k],
			Rc: z.Largest(Rc), Rn: z.Largest(Rn), RStar: z.Largest(RStar),
			Robust: z.robust(), Compatible: z.compatible(),
		})
	}
	return f
}

// assign gives each node the frequency from 0 to D/2 at which |A| is largest;
// −1 if it is not above the threshold there.
func (s *Spectrum) assign(threshold float64) []int {
	out := make([]int, s.Q)
	for j := range out {
		best, most := -1, threshold
		for k := 0; k <= s.D/2; k++ {
			if v := cmplx.Abs(s.A[j*s.D+k]); v > most {
				best, most = k, v
			}
		}
		out[j] = best
	}
	return out
}

// orders counts the nodes of each frequency from 1 to D/2.
func (s *Spectrum) orders() []int {
	out := make([]int, s.D/2)
	for _, k := range s.assign(threshold(s.D)) {
		if k > 0 {
			out[k-1]++
		}
	}
	return out
}
