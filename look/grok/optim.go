package grok

import (
	"fmt"
	"math"

	"orrery/learn/tensor"
)

// Optimizer says how weights follow the gradient g, with decay λ:
//
//	adam   Adam (arXiv 1412.6980) of g + λw: coupled, as both papers' code
//	adamw  Adam of g, and w ← (1 − lr·λ)w: decoupled (arXiv 1711.05101)
//	sgd    w ← w − lr(g + λw)
//	muon   W ← (1 − lr·λ)W − lr·orthogonalised momentum; C by adam
type Optimizer struct {
	Kind  string  `json:"kind"`
	LR    float64 `json:"lr"`
	Beta1 float64 `json:"beta1"` // of Adam
	Beta2 float64 `json:"beta2"`
	Eps   float64 `json:"eps"`
	Decay float64 `json:"decay"`
}

// Check reports the first setting without meaning, by its JSON name.
func (o Optimizer) Check() error {
	finite := func(x float64) bool { return x >= 0 && !math.IsInf(x, 0) }
	switch {
	case o.Kind != "adam" && o.Kind != "adamw" && o.Kind != "sgd" && o.Kind != "muon":
		return fmt.Errorf("optimizer.kind is %q, want adam, adamw, sgd or muon", o.Kind)
	case !finite(o.LR) || o.LR == 0:
		return fmt.Errorf("optimizer.lr is %v, want more than 0", o.LR)
	case !(o.Beta1 >= 0 && o.Beta1 < 1):
		return fmt.Errorf("optimizer.beta1 is %v, want from 0 to below 1", o.Beta1)
	case !(o.Beta2 >= 0 && o.Beta2 < 1):
		return fmt.Errorf("optimizer.beta2 is %v, want from 0 to below 1", o.Beta2)
	case !finite(o.Eps) || o.Eps == 0:
		return fmt.Errorf("optimizer.eps is %v, want more than 0", o.Eps)
	case !finite(o.Decay):
		return fmt.Errorf("optimizer.decay is %v, want 0 or more", o.Decay)
	}
	return nil
}

// optimizer updates one network.
type optimizer struct {
	Optimizer
	net    *Net
	mw, vw []float32 // moments of W; of Muon mw is the momentum and vw is nil
	mc, vc []float32 // moments of C
	muon   *muon

	hiddenOnly bool // C is somebody else's
}

func newOptimizer(o Optimizer, n *Net) *optimizer {
	s := &optimizer{Optimizer: o, net: n}
	if o.Kind == "sgd" {
		return s
	}
	s.mw, s.mc, s.vc = make([]float32, len(n.W)), make([]float32, len(n.C)), make([]float32, len(n.C))
	if o.Kind == "muon" {
		s.muon = newMuon(2*n.M, n.K)
	} else {
		s.vw = make([]float32, len(n.W))
	}
	return s
}

// step is update t, counted from 1; it overwrites the gradients.
func (s *optimizer) step(t int, gw, gc []float32) {
	sgd := func(w, g []float32) {
		tensor.Axpy(g, float32(s.Decay), w)
		tensor.Axpy(w, float32(-s.LR), g)
	}
	switch s.Kind {
	case "sgd":
		sgd(s.net.W, gw)
	case "muon":
		s.muon.step(s.net.W, gw, s.mw, float32(s.LR), float32(s.Decay))
	default:
		s.adam(t, s.net.W, gw, s.mw, s.vw)
	}
	switch {
	case s.hiddenOnly:
	case s.Kind == "sgd":
		sgd(s.net.C, gc)
	default:
		s.adam(t, s.net.C, gc, s.mc, s.vc)
	}
}

func (s *optimizer) adam(t int, w, g, m, v []float32) {
	c1 := float32(1 - math.Pow(s.Beta1, float64(t)))
	c2 := float32(1 - math.Pow(s.Beta2, float64(t)))
	tensor.Parallel(len(w), 1<<14, func(lo, hi int) {
		w, g, m, v := w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
		decoupled := float32(0)
		if s.Kind == "adamw" {
			decoupled = float32(s.Decay)
		} else if s.Decay != 0 {
			tensor.Axpy(g, float32(s.Decay), w)
		}
		tensor.AdamStep(w, g, m, v, float32(s.LR), float32(s.Beta1), float32(s.Beta2), float32(s.Eps), decoupled, c1, c2)
	})
}

// named calls f with each array that a resumed run needs.
func (s *optimizer) named(f func(name string, data []float32)) {
	for _, x := range []struct {
		name string
		data []float32
	}{{"mw", s.mw}, {"vw", s.vw}, {"mc", s.mc}, {"vc", s.vc}} {
		if x.data != nil {
			f(x.name, x.data)
		}
	}
}

// muon orthogonalises a matrix's momentum before the step (arXiv 2509.21519's
// muon_opt.py: no Nesterov, no rescaling).
type muon struct {
	rows, cols int       // of x: rows ≤ cols
	flip       bool      // x is the transpose of the momentum
	x, y       []float32 // (rows, cols)
	a, b       []float32 // (rows, rows)
}

// muonSteps are the coefficients (a, b, c) of X ← aX + (bA + cA²)X, A = XXᵀ.
// A singular value s becomes as + bs³ + cs⁵; after the five it is near 1 for
// all s from 0.01 to 1.
var muonSteps = [5][3]float32{
	{4.01, -9.22, 5.80}, {3.49, -6.38, 3.23}, {3.34, -6.21, 3.20}, {3.64, -7.48, 4.43}, {3.46, -5.35, 2.85},
}

func newMuon(rows, cols int) *muon {
	m := &muon{rows: min(rows, cols), cols: max(rows, cols), flip: rows > cols}
	n := rows * cols
	m.x, m.y = make([]float32, n), make([]float32, n)
	m.a, m.b = make([]float32, m.rows*m.rows), make([]float32, m.rows*m.rows)
	return m
}

// step updates w (rows, cols) with momentum M ← 0.99M + 0.01g.
func (m *muon) step(w, g, momentum []float32, lr, decay float32) {
	tensor.Scale(momentum, momentum, 0.99)
	tensor.Axpy(momentum, 0.01, g)
	m.orthogonal(g, momentum)
	tensor.Scale(w, w, 1-lr*decay)
	tensor.Axpy(w, -lr, g)
}

// orthogonal writes to dst the matrix of src with its singular values moved
// near 1; both have the shape that newMuon was given.
func (m *muon) orthogonal(dst, src []float32) {
	norm := 1 / (float32(math.Sqrt(float64(tensor.Dot(src, src)))) + 1e-7)
	if m.flip {
		transpose(m.x, m.cols, src, m.rows, m.cols, m.rows)
		tensor.Scale(m.x, m.x, norm)
	} else {
		tensor.Scale(m.x, src, norm)
	}
	x, y := tensor.M(m.x, m.rows, m.cols), tensor.M(m.y, m.rows, m.cols)
	a, b := tensor.M(m.a, m.rows, m.rows), tensor.M(m.b, m.rows, m.rows)
	for _, c := range muonSteps {
		tensor.Gemm(a, x, x.T(), false)
		tensor.Gemm(b, a, a, false)
		tensor.Scale(b.Data, b.Data, c[2])
		tensor.Axpy(b.Data, c[1], a.Data)
		tensor.Gemm(y, b, x, false)
		tensor.Axpy(y.Data, c[0], x.Data)
		x, y = y, x
	}
	if m.flip {
		transpose(dst, m.rows, x.Data, m.cols, m.rows, m.cols)
	} else {
		copy(dst, x.Data)
	}
}
