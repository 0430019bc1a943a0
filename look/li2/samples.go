package li2

import (
	"fmt"
	"math"

	"orrery/look/group"
)

// Samples are pairs (x, y) of group elements with the labels x·y.
type Samples struct {
	Group   *group.Group
	M       int       // order of the group
	X, Y, H []int     // n of them: the pair and its product
	Count   []float64 // how many samples have each label, M of them
	Parts   []group.Component
}

// NewSamples takes pairs numbered x·M+y; nil are all of them. Parts are the
// components of the group without the trivial one.
func NewSamples(g *group.Group, pairs []int) (*Samples, error) {
	m := g.Order()
	if m < 2 {
		return nil, fmt.Errorf("samples of %s: it has one element and so nothing to learn: choose another group", g.Name())
	}
	parts, err := g.Components()
	if err != nil {
		return nil, err
	}
	n := len(pairs)
	if pairs == nil {
		n = m * m
	}
	s := &Samples{Group: g, M: m, X: make([]int, n), Y: make([]int, n), H: make([]int, n), Count: make([]float64, m), Parts: parts[1:]}
	for i := range n {
		p := i
		if pairs != nil {
			p = pairs[i]
		}
		if p < 0 || p >= m*m {
			return nil, fmt.Errorf("samples of %s: pair %d is outside its table of %d: number pairs x·M+y", g.Name(), p, m*m)
		}
		s.X[i], s.Y[i] = p/m, p%m
		s.H[i] = g.Mul(p/m, p%m)
		s.Count[s.H[i]]++
	}
	return s, nil
}

// Len is the number n of samples.
func (s *Samples) Len() int { return len(s.X) }

// Share is p = n/M².
func (s *Samples) Share() float64 { return float64(s.Len()) / float64(s.M*s.M) }

// Activation is σ with its derivative, of one node; Complex has neither.
type Activation struct {
	Name      string
	Of, Slope func(float64) float64
}

// Square is σ(x) = x², for which the maxima are known.
var Square = Activation{"square", func(x float64) float64 { return x * x }, func(x float64) float64 { return 2 * x }}

// Complex squares complex nodes, of which neighbours are real and imaginary part.
var Complex = Activation{Name: "complex"}

// Activations are the known ones of one node.
var Activations = []Activation{
	Square,
	{"relu", func(x float64) float64 { return max(x, 0) }, func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	}},
	{"silu", func(x float64) float64 { return x / (1 + math.Exp(-x)) }, func(x float64) float64 {
		s := 1 / (1 + math.Exp(-x))
		return s * (1 + x*(1-s))
	}},
	{"tanh", math.Tanh, func(x float64) float64 { t := math.Tanh(x); return 1 - t*t }},
}

// ActivationNamed finds one of Activations, or Complex.
func ActivationNamed(name string) (Activation, error) {
	if name == Complex.Name {
		return Complex, nil
	}
	for _, a := range Activations {
		if a.Name == name {
			return a, nil
		}
	}
	return Activation{}, fmt.Errorf("li2: the activation %q is not known: choose square, relu, silu, tanh or complex", name)
}

// Net is the weights of a network as package grok keeps them. Node j has the
// weights w_j = (A[·, j]; B[·, j]) (2M) and writes C[·, j] (M).
type Net struct {
	M, K int
	A, B []float32 // (M, K)
	C    []float32 // (M, K), Vᵀ
	Act  Activation
}

// Node copies w_j (2M).
func (n *Net) Node(j int) []float64 {
	w := make([]float64, 2*n.M)
	for a := range n.M {
		w[a], w[n.M+a] = float64(n.A[a*n.K+j]), float64(n.B[a*n.K+j])
	}
	return w
}

func norm2(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return s
}

func dot(x, y []float64) float64 {
	s := 0.0
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

// normalise divides x by its norm, which it returns; zero stays zero.
func normalise(x []float64) float64 {
	r := math.Sqrt(norm2(x))
	if r > 0 {
		for i := range x {
			x[i] /= r
		}
	}
	return r
}
