package grok

import (
	"math"
	"slices"
	"testing"

	"orrery/learn/tensor"
	"orrery/look/li2"
)

func ridgeSettings() Settings {
	return li2Settings("Z7", 20, 0.7, 0.005, 1e-3).with(func(s *Settings) { s.Output, s.Epochs = ridgeOutput, 60 })
}

// TestRidge: at every moment of the training the output matrix is the closed
// form, where the gradient with decay vanishes, and the loss with decay is no
// larger than with one that is trained.
func TestRidge(t *testing.T) {
	for _, act := range []Activation{Square, SiLU, Complex} {
		s := ridgeSettings()
		s.Activation = act
		r, err := NewTrainer(s)
		if err != nil {
			t.Fatal(err)
		}
		samples, err := li2.NewSamples(r.Group, r.Split.Train)
		if err != nil {
			t.Fatal(err)
		}
		start := slices.Clone(r.Net.W)
		for range 40 {
			view, err := li2View(r.Net)
			if err != nil {
				t.Fatal(err)
			}
			want, err := samples.CodeRidgeV(samples.Hidden(view), li2.Eta(s.Optimizer.Decay, samples.Len()))
			if err != nil {
				t.Fatal(err)
			}
			// V is rounded to float32; its largest element is of order 1.
			for k := range r.Net.M {
				for j := range r.Net.K {
					if got, v := float64(r.Net.C[k*r.Net.K+j]), want.At(j, k); math.Abs(got-v) > 1e-4*(1+math.Abs(v)) {
						t.Fatalf("%s, epoch %d: V[%d,%d] is %g, in closed form %g", act, r.Epoch, j, k, got, v)
					}
				}
			}
			r.objective.Gradient(r.Net)
			g := slices.Clone(r.objective.C())
			tensor.Axpy(g, float32(s.Optimizer.Decay), r.Net.C)
			// The two terms cancel but for rounding.
			if d := float64(tensor.Dot(g, g)); d > 1e-8*float64(tensor.Dot(r.Net.C, r.Net.C)) {
				t.Fatalf("%s, epoch %d: the gradient of V with decay has the square %g, want 0", act, r.Epoch, d)
			}
			if _, err := r.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Equal(start, r.Net.W) {
			t.Errorf("%s: the hidden nodes are not trained", act)
		}
	}
}

// TestRidgeOfAnyThreads: same bits on 1, 2 and 5 threads.
func TestRidgeOfAnyThreads(t *testing.T) {
	defer tensor.SetThreads(0)
	var first []float32
	for _, threads := range []int{1, 2, 5} {
		tensor.SetThreads(threads)
		s := ridgeSettings()
		s.Width = 130
		r, err := NewTrainer(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := r.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if first == nil {
			first = slices.Clone(r.Net.C)
		}
		if !slices.Equal(first, r.Net.C) {
			t.Errorf("%d threads give another V than one", threads)
		}
	}
}

// TestComplexIsFourReal: a complex node is four real ones, since
// Re z² = r² − i² and Im z² = ((r+i)² − (r−i)²)/2; loss and gradient follow by the
// chain rule.
func TestComplexIsFourReal(t *testing.T) {
	const m, k = 7, 12 // six complex nodes
	g := parse(t, "Z7")
	pairs := NewSplit(m, 33, 1).Train
	n := randomNet(m, k, Complex, 4)
	real := NewNet(m, 2*k, Square)
	for x := range m {
		for j := range k / 2 {
			for _, p := range [2]struct{ from, to []float32 }{{n.A, real.A}, {n.B, real.B}} {
				re, im := p.from[x*k+2*j], p.from[x*k+2*j+1]
				copy(p.to[x*2*k+4*j:], []float32{re, im, re + im, re - im})
			}
			c, d := n.C[x*k+2*j], n.C[x*k+2*j+1]
			copy(real.C[x*2*k+4*j:], []float32{c, -c, d / 2, -d / 2})
		}
	}
	a, b := NewObjective(g, k, Complex, pairs), NewObjective(g, 2*k, Square, pairs)
	la, lb := a.Gradient(n), b.Gradient(real)
	if math.Abs(la-lb) > 1e-5*lb {
		t.Errorf("the complex net has loss %g, the real one %g", la, lb)
	}
	var w, c []float64
	for x := range 2 * m {
		for j := range k / 2 {
			r := b.W()[x*2*k+4*j:][:4]
			w = append(w, float64(r[0]+r[2]+r[3]), float64(r[1]+r[2]-r[3]))
		}
	}
	for x := range m {
		for j := range k / 2 {
			r := b.C()[x*2*k+4*j:][:4]
			c = append(c, float64(r[0]-r[1]), float64(r[2]-r[3])/2)
		}
	}
	// As in TestGradient, a few hundred roundings.
	if d := max(distance(a.W(), w), distance(a.C(), c)); d > 3e-5 {
		t.Errorf("the gradients differ by %g", d)
	}
	// The stages see the same network.
	va, _ := li2View(n)
	vb, _ := li2View(real)
	s, err := li2.NewSamples(g, pairs)
	if err != nil {
		t.Fatal(err)
	}
	ha, hb := s.Hidden(va), s.Hidden(vb)
	for i := range s.Len() {
		for j := range k / 2 {
			re, im := hb.At(i, 4*j)-hb.At(i, 4*j+1), (hb.At(i, 4*j+2)-hb.At(i, 4*j+3))/2
			if math.Abs(ha.At(i, 2*j)-re) > 1e-5 || math.Abs(ha.At(i, 2*j+1)-im) > 1e-5 {
				t.Fatalf("li2 sees (%g, %g) in node %d of pair %d, want (%g, %g)", ha.At(i, 2*j), ha.At(i, 2*j+1), j, i, re, im)
			}
		}
	}
}
