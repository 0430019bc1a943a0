package grok

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
	"orrery/look/group"
)

func parse(t testing.TB, name string) *group.Group {
	t.Helper()
	g, err := group.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// naive is the definition in float64: loss and gradients of W and C.
func naive(g *group.Group, n *Net, pairs []int) (loss float64, w, c []float64) {
	m, k := n.M, n.K
	w, c = make([]float64, 2*m*k), make([]float64, m*k)
	sigma := func(s float64) (h, slope float64) {
		switch n.Act {
		case Square:
			return s * s, 2 * s
		case ReLU:
			if s > 0 {
				return s, 1
			}
			return 0, 0
		case SiLU:
			p := 1 / (1 + math.Exp(-s))
			return s * p, p * (1 + s*(1-p))
		}
		h = math.Tanh(s)
		return h, 1 - h*h
	}
	for _, p := range pairs {
		x, y := p/m, p%m
		h, slope, o := make([]float64, k), make([]float64, k), make([]float64, m)
		mean := 0.0
		for j := range k {
			h[j], slope[j] = sigma(float64(n.A[x*k+j]) + float64(n.B[y*k+j]))
			for s := range m {
				o[s] += h[j] * float64(n.C[s*k+j])
			}
		}
		for _, v := range o {
			mean += v / float64(m)
		}
		for s := range m {
			o[s] += 1/float64(m) - mean
			if s == g.Mul(x, y) {
				o[s]--
			}
			loss += o[s] * o[s] / float64(len(pairs))
		}
		for s, r := range o {
			for j := range k { // Σ_s r = 0: the mean's own gradient vanishes
				c[s*k+j] += 2 * r * h[j] / float64(len(pairs))
				d := 2 * r * float64(n.C[s*k+j]) * slope[j] / float64(len(pairs))
				w[x*k+j] += d
				w[(m+y)*k+j] += d
			}
		}
	}
	return loss, w, c
}

// byTape is the same network in package grad.
func byTape(t *testing.T, g *group.Group, n *Net, pairs []int) (loss float64, w, c []float32) {
	t.Helper()
	m, k := n.M, n.K
	vw, vc := grad.NewParam("w", tensor.Of(slices.Clone(n.W), 2*m, k)), grad.NewParam("c", tensor.Of(slices.Clone(n.C), m, k))
	tape := grad.NewTape()
	var xs, ys []int
	label := tensor.New(len(pairs), m)
	for i, p := range pairs {
		x, y := p/m, p%m
		xs, ys = append(xs, x), append(ys, m+y)
		for s := range m {
			label.Data[i*m+s] = -1 / float32(m)
		}
		label.Data[i*m+g.Mul(x, y)]++
	}
	s := tape.Add(tape.Embed(vw, xs), tape.Embed(vw, ys))
	h := map[Activation]func(*grad.Var) *grad.Var{Square: tape.Square, ReLU: tape.ReLU, SiLU: tape.SiLU, Tanh: tape.Tanh}[n.Act](s)
	o := tape.MatMul(h, vc, false, true)
	ones := tensor.New(m, m) // the mean over outputs, in every output
	for i := range ones.Data {
		ones.Data[i] = 1 / float32(m)
	}
	centred := tape.Sub(o, tape.MatMul(o, grad.Const(ones), false, false))
	l := tape.Scale(tape.Sum(tape.Square(tape.Sub(centred, grad.Const(label)))), 1/float32(len(pairs)))
	if err := tape.Backward(l); err != nil {
		t.Fatal(err)
	}
	return float64(l.Val.Data[0]), vw.Grad.Data, vc.Grad.Data
}

// distance is the relative distance ‖x − y‖/‖y‖.
func distance[T float32 | float64](x []float32, y []T) float64 {
	d, n := 0.0, 0.0
	for i, v := range y {
		d += (float64(x[i]) - float64(v)) * (float64(x[i]) - float64(v))
		n += float64(v) * float64(v)
	}
	return math.Sqrt(d / n)
}

// randomNet has columns with means, which a fresh one hardly has.
func randomNet(m, k int, act Activation, seed uint64) *Net {
	rng := rand.New(rand.NewPCG(seed, 99))
	n := NewNet(m, k, act)
	for _, w := range [][]float32{n.A, n.B, n.C} {
		for i := range w {
			w[i] = float32(0.3*rng.NormFloat64() + 0.2*float64(i%k%3))
		}
	}
	return n
}

// TestGradient holds both ways of computing to the naive twin and to the tape.
// The bound is a few hundred roundings of float32, 6e-8 each: sums have up to
// M²K terms of both signs.
func TestGradient(t *testing.T) {
	const bound = 3e-5
	for _, c := range []struct {
		group string
		k     int
		share float64
		act   Activation
	}{
		{"Z5", 3, 1, Square}, {"Z7", 17, 0.8, Square}, {"Z11", 70, 0.9, Square}, {"S3", 12, 0.9, Square}, {"Q8", 130, 0.5, Square},
		{"Z5xZ6", 64, 0.95, Square}, {"D5", 9, 0.1, Square}, {"Z1", 4, 1, Square},
		{"Z7", 17, 0.8, ReLU}, {"S3", 33, 0.7, SiLU}, {"Z11", 20, 0.6, Tanh},
	} {
		g := parse(t, c.group)
		m := g.Order()
		pairs := NewSplit(m, int(math.Ceil(c.share*float64(m*m))), 3).Train
		n := randomNet(m, c.k, c.act, 5)
		loss, w, cc := naive(g, n, pairs)
		tl, tw, tc := byTape(t, g, n, pairs)
		for _, whole := range []bool{false, true} {
			if whole && c.act != Square {
				continue
			}
			o := newObjective(g, c.k, pairs, whole)
			got := o.Gradient(n)
			name := fmt.Sprintf("%s, K %d, %s, whole table %v", c.group, c.k, c.act, whole)
			if m == 1 { // one output, centred: nothing to learn
				if math.Abs(got) > 1e-6 {
					t.Errorf("%s: loss %g, want 0", name, got)
				}
				continue
			}
			if math.Abs(got-loss) > bound*loss || math.Abs(got-tl) > bound*loss {
				t.Errorf("%s: loss %g, naive %g, tape %g", name, got, loss, tl)
			}
			if d := distance(o.W(), w); d > bound {
				t.Errorf("%s: gradient of W is %g from the naive one", name, d)
			}
			if d := distance(o.C(), cc); d > bound {
				t.Errorf("%s: gradient of C is %g from the naive one", name, d)
			}
			if d := max(distance(o.W(), tw), distance(o.C(), tc)); d > bound {
				t.Errorf("%s: gradient is %g from the tape's", name, d)
			}
		}
	}
}

// TestGradientByDifferences holds the naive twin, and so all others, to
// central differences of its own loss.
func TestGradientByDifferences(t *testing.T) {
	g := parse(t, "S3")
	pairs := NewSplit(6, 29, 1).Train
	for _, act := range []Activation{Square, SiLU, Tanh} {
		n := randomNet(6, 5, act, 7)
		_, w, c := naive(g, n, pairs)
		rng := rand.New(rand.NewPCG(1, 1))
		for _, p := range []struct {
			name string
			w    []float32
			g    []float64
		}{{"W", n.W, w}, {"C", n.C, c}} {
			for range 12 {
				i := rng.IntN(len(p.w))
				was := p.w[i]
				// A step of 2⁻⁷ is exact in float32 next to weights below 2; the error
				// of the difference is of the order of its square, 6e-5.
				const h = 1.0 / 128
				p.w[i] = was + h
				up, _, _ := naive(g, n, pairs)
				p.w[i] = was - h
				down, _, _ := naive(g, n, pairs)
				p.w[i] = was
				if d := (up - down) / (2 * h); math.Abs(d-p.g[i]) > 1e-3*(1+math.Abs(d)) {
					t.Errorf("%s: ∂L/∂%s[%d] is %g, by differences %g", act, p.name, i, p.g[i], d)
				}
			}
		}
	}
}

// TestGradientOfAnyThreads: same bits on 1, 2, 3 and 7 threads.
func TestGradientOfAnyThreads(t *testing.T) {
	defer tensor.SetThreads(0)
	g := parse(t, "Z13")
	pairs := NewSplit(13, 150, 3).Train
	n := randomNet(13, 150, Square, 5)
	for _, whole := range []bool{false, true} {
		var first *Objective
		for _, threads := range []int{1, 2, 3, 7} {
			tensor.SetThreads(threads)
			o := newObjective(g, 150, pairs, whole)
			o.Gradient(n)
			if first == nil {
				first = o
			}
			if !slices.Equal(o.W(), first.W()) || !slices.Equal(o.C(), first.C()) {
				t.Errorf("whole table %v: %d threads give other bits than one", whole, threads)
			}
		}
	}
}

func benchmark(b *testing.B, name string, k int, share float64, whole bool) {
	g := parse(b, name)
	m := g.Order()
	pairs := NewSplit(m, int(share*float64(m*m)), 3).Train
	n := NewNet(m, k, Square)
	n.Init(1, m, 1)
	o := newObjective(g, k, pairs, whole)
	for b.Loop() {
		o.Gradient(n)
	}
}

func BenchmarkDirectZ23(b *testing.B) { benchmark(b, "Z23", 512, 0.9, false) }
func BenchmarkWholeZ23(b *testing.B)  { benchmark(b, "Z23", 512, 0.9, true) }
func BenchmarkDirectZ71(b *testing.B) { benchmark(b, "Z71", 512, 0.9, false) }
func BenchmarkWholeZ71(b *testing.B)  { benchmark(b, "Z71", 512, 0.9, true) }
