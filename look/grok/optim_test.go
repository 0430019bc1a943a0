package grok

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestTwoStepsByHand: one weight of W at 1 with gradients 0.5 and −0.25,
// lr 0.1, decay 0.2, β = (0.9, 0.999). All by hand, to six digits:
//
//	adam:  g = 0.5 + 0.2·1 = 0.7; m̂ = 0.7, √v̂ = 0.7; w = 1 − 0.1 = 0.9
//	       g = −0.25 + 0.2·0.9 = −0.07; m = 0.9·0.07 − 0.007 = 0.056, /0.19 = 0.294737;
//	       v = 0.999·0.00049 + 0.001·0.0049 = 0.00049441, /0.001999 = 0.247329, √ = 0.497322;
//	       w = 0.9 − 0.1·0.592648 = 0.840735
//	adamw: w = 0.98 − 0.1 = 0.88; m = 0.9·0.05 − 0.025 = 0.02, /0.19 = 0.105263;
//	       v = 0.999·0.00025 + 0.001·0.0625 = 0.00031225, /0.001999 = 0.156203, √ = 0.395225;
//	       w = 0.88·0.98 − 0.1·0.266338 = 0.835766
//	sgd:   w = 1 − 0.07 = 0.93; w = 0.93 − 0.1(−0.25 + 0.186) = 0.9364
//	muon:  a 2×1 matrix with one gradient is its own direction: X = p(1) = 0.973…
func TestTwoStepsByHand(t *testing.T) {
	for kind, want := range map[string][2]float64{
		"adam": {0.9, 0.840735}, "adamw": {0.88, 0.835766}, "sgd": {0.93, 0.9364},
	} {
		n := NewNet(1, 1, Square)
		n.W[0], n.C[0] = 1, 1
		o := newOptimizer(Optimizer{Kind: kind, LR: 0.1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.2}, n)
		for i, g := range []float32{0.5, -0.25} {
			o.step(i+1, []float32{g, 0}, []float32{g})
			if math.Abs(float64(n.W[0])-want[i]) > 2e-6 || n.C[0] != n.W[0] {
				t.Errorf("%s, step %d: W %v, C %v, want %v", kind, i+1, n.W[0], n.C[0], want[i])
			}
		}
	}
	// Muon's W: momentum 0.005, then 0.99·0.005 − 0.0025 = 0.00245, of the same
	// sign; C is adam's.
	p := polynomial(1)
	n := NewNet(1, 1, Square)
	n.W[0], n.C[0] = 1, 1
	o := newOptimizer(Optimizer{Kind: "muon", LR: 0.1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.2}, n)
	want := 1.0
	for i, g := range []float32{0.5, -0.25} {
		o.step(i+1, []float32{g, 0}, []float32{g})
		want = want*0.98 - 0.1*p
		if math.Abs(float64(n.W[0])-want) > 1e-4 { // 1e-7 in the norm of 0.005 moves p(1) by p'(1)·2e-5
			t.Errorf("muon, step %d: W %v, want %v", i+1, n.W[0], want)
		}
	}
	if math.Abs(float64(n.C[0])-0.840735) > 2e-6 {
		t.Errorf("muon: C %v, want adam's 0.840735", n.C[0])
	}
}

// polynomial is what Muon's five steps make of a singular value.
func polynomial(s float64) float64 {
	for _, c := range muonSteps {
		s = float64(c[0])*s + float64(c[1])*math.Pow(s, 3) + float64(c[2])*math.Pow(s, 5)
	}
	return s
}

// TestMuonMovesSingularValues: a matrix Q·diag(s) with orthonormal columns Q
// becomes Q·diag(p(s/‖s‖)), near 1 however different the s are.
func TestMuonMovesSingularValues(t *testing.T) {
	for s := 0.01; s <= 1; s += 0.001 {
		if p := polynomial(s); p < 0.7 || p > 1.3 {
			t.Errorf("a singular value %.3f becomes %.3f", s, p)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, shape := range [][2]int{{12, 5}, {5, 12}, {142, 64}} {
		rows, cols := shape[0], shape[1]
		long, short := max(rows, cols), min(rows, cols)
		q := make([][]float64, short) // orthonormal, by Gram-Schmidt
		for i := range q {
			q[i] = make([]float64, long)
			for j := range q[i] {
				q[i][j] = rng.NormFloat64()
			}
			for range 2 {
				for _, p := range q[:i] {
					d := 0.0
					for j := range p {
						d += p[j] * q[i][j]
					}
					for j := range p {
						q[i][j] -= d * p[j]
					}
				}
			}
			norm := 0.0
			for _, x := range q[i] {
				norm += x * x
			}
			for j := range q[i] {
				q[i][j] /= math.Sqrt(norm)
			}
		}
		sum := 0.0
		value := func(i int) float64 { return math.Pow(10, -float64(i)/float64(short)) } // 1 … 0.1
		for i := range q {
			sum += value(i) * value(i)
		}
		at := func(i, j int) int { // component j of singular vector i
			if rows > cols {
				return j*cols + i
			}
			return i*cols + j
		}
		src, dst := make([]float32, rows*cols), make([]float32, rows*cols)
		for i := range q {
			for j, x := range q[i] {
				src[at(i, j)] = float32(value(i) * x)
			}
		}
		newMuon(rows, cols).orthogonal(dst, src)
		for i := range q {
			want := polynomial(value(i) / math.Sqrt(sum))
			if want < 0.7 || want > 1.3 {
				t.Errorf("%v: singular value %d becomes %.3f", shape, i, want)
			}
			for j, x := range q[i] {
				// Rounding grows by the polynomial's slope, at most 4⁵.
				if d := float64(dst[at(i, j)]) - want*x; math.Abs(d) > 1e-3 {
					t.Fatalf("%v: element %d of vector %d is %g off", shape, j, i, d)
				}
			}
		}
	}
}
