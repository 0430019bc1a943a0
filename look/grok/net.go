package grok

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"orrery/learn/tensor"
)

// Activation is σ of the hidden layer.
type Activation string

const (
	Square Activation = "square" // x²
	ReLU   Activation = "relu"
	SiLU   Activation = "silu"
	Tanh   Activation = "tanh"
	// Complex makes a complex node z of two neighbours, its real and its imaginary
	// part, and squares it: h = (Re z², Im z²). The outputs are real.
	Complex Activation = "complex"
)

// Net is a two-layer network on pairs of group elements, without biases:
//
//	h_j(x, y) = σ(a_j(x) + b_j(y)),  o(s) = Σ_j c_j(s)·h_j(x, y)
//
// The networks of both papers are this one: CoGS calls the weights W_a and W_b
// (d, q) and W_c (q, d), Li2 calls W (2M, K) what is here A above B, and V
// (K, M) what is the transpose of C. They differ in the initial scale.
type Net struct {
	M, K int        // elements of the group, hidden nodes
	Act  Activation //
	W    []float32  // (2M, K): A above B
	A, B []float32  // (M, K): halves of W; a_j(x) is A[x*K+j]
	C    []float32  // (M, K): c_j(s) is C[s*K+j]
}

// NewNet makes a network of zeros.
func NewNet(m, k int, act Activation) *Net {
	w := make([]float32, 2*m*k)
	return &Net{M: m, K: k, Act: act, W: w, A: w[:m*k], B: w[m*k:], C: make([]float32, m*k)}
}

// Init draws weights from U(±bound): 1/√fanIn for A and B, 1/√K for C times
// scaleC. fanIn is M for CoGS (two matrices) and 2M for Li2 (one).
func (n *Net) Init(seed uint64, fanIn int, scaleC float64) {
	rng := rand.New(rand.NewPCG(seed, initStream))
	fill := func(w []float32, bound float64) {
		for i := range w {
			w[i] = float32(bound * (2*rng.Float64() - 1))
		}
	}
	fill(n.W, 1/math.Sqrt(float64(fanIn)))
	fill(n.C, scaleC/math.Sqrt(float64(n.K)))
}

// Streams of random numbers under a run's seed.
const (
	initStream  = 0x696e6974 // "init"
	splitStream = 0x73706c69 // "spli"
	batchStream = 0x62617463 // "batc", plus the epoch
)

// Clone copies the weights.
func (n *Net) Clone() *Net {
	c := NewNet(n.M, n.K, n.Act)
	copy(c.W, n.W)
	copy(c.C, n.C)
	return c
}

// check reports settings that no network can have.
func (a Activation) check() error {
	switch a {
	case Square, ReLU, SiLU, Tanh, Complex:
		return nil
	}
	return fmt.Errorf("activation is %q, want %s, %s, %s, %s or %s", string(a), Square, ReLU, SiLU, Tanh, Complex)
}

// apply writes σ(s) to h.
func (a Activation) apply(h, s []float32) {
	switch a {
	case Square:
		tensor.Mul(h, s, s)
	case ReLU:
		for i, v := range s {
			h[i] = max(v, 0)
		}
	case SiLU:
		tensor.SiLU(h, s)
	case Tanh:
		tensor.Tanh(h, s)
	case Complex:
		for i := 0; i+1 < len(s); i += 2 {
			h[i], h[i+1] = s[i]*s[i]-s[i+1]*s[i+1], 2*s[i]*s[i+1]
		}
	}
}

// pull replaces dh by half the gradient with respect to s, ½·dh∘σ'(s); h is
// σ(s) and is overwritten. The half is what remains of 2x, the derivative of
// the activation that matters most.
func (a Activation) pull(dh, h, s []float32) {
	switch a {
	case Square:
		tensor.Mul(dh, dh, s)
	case ReLU:
		for i, v := range s {
			if v > 0 {
				dh[i] /= 2
			} else {
				dh[i] = 0
			}
		}
	case SiLU:
		tensor.Scale(h, dh, 0.5)
		clear(dh)
		tensor.SiLUGrad(dh, h, s)
	case Tanh:
		for i, v := range h {
			dh[i] *= (1 - v*v) / 2
		}
	case Complex:
		for i := 0; i+1 < len(s); i += 2 {
			re, im := dh[i], dh[i+1]
			dh[i], dh[i+1] = re*s[i]+im*s[i+1], im*s[i]-re*s[i+1]
		}
	}
}

// Split is which pairs (x, y), numbered x·M+y, are trained on and which are
// held out, both ascending.
type Split struct {
	Train, Test []int
}

// NewSplit draws n of the M² pairs to train on.
func NewSplit(m, n int, seed uint64) Split { return SplitPairs(m*m, n, seed) }

// SplitPairs draws n of so many pairs to train on.
func SplitPairs(pairs, n int, seed uint64) Split {
	order := rand.New(rand.NewPCG(seed, splitStream)).Perm(pairs)
	s := Split{order[:n:n], order[n:]}
	slices.Sort(s.Train)
	slices.Sort(s.Test)
	return s
}

// padded is the least row length ≥ n at which the rows of a matrix begin at
// all places of the first cache, so that products read it where it is
// (tensor copies other ones first): an odd number of cache lines.
func padded(n int) int {
	const line = 16
	lines := (n + line - 1) / line
	return (lines | 1) * line
}

// centred writes x (rows, cols) minus its column means to dst, whose rows are
// stride apart, and the means to mean.
func centred(dst []float32, stride int, x []float32, rows, cols int, mean []float32) {
	copy(mean, x[:cols])
	for r := 1; r < rows; r++ {
		tensor.Add(mean, mean, x[r*cols:(r+1)*cols])
	}
	tensor.Scale(mean, mean, 1/float32(rows))
	for r := range rows {
		tensor.Sub(dst[r*stride:r*stride+cols], x[r*cols:(r+1)*cols], mean)
	}
}

// transpose writes x (rows, cols), rows stride apart, to dst, whose rows are
// dstStride apart.
func transpose(dst []float32, dstStride int, x []float32, stride, rows, cols int) {
	const tile = 16
	for c0 := 0; c0 < cols; c0 += tile {
		for r := range rows {
			for c := c0; c < min(c0+tile, cols); c++ {
				dst[c*dstStride+r] = x[r*stride+c]
			}
		}
	}
}
