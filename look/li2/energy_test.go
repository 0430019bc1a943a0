package li2

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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

func samples(t testing.TB, name string, pairs []int) *Samples {
	t.Helper()
	s, err := NewSamples(parse(t, name), pairs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// some are n pairs of a group of m elements.
func some(m, n int, seed uint64) []int {
	p := rand.New(rand.NewPCG(seed, 1)).Perm(m * m)[:n]
	slices.Sort(p)
	return p
}

func random(rng *rand.Rand, n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = rng.NormFloat64()
	}
	return w
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.12g, want %.12g", what, got, want)
	}
}

// inside is the projection of both halves of w to a component.
func inside(c group.Component, w []float64) []float64 {
	m := len(w) / 2
	out := make([]float64, 2*m)
	for _, b := range c.Basis {
		p, q := dot(b, w[:m]), dot(b, w[m:])
		for i, x := range b {
			out[i] += p * x
			out[m+i] += q * x
		}
	}
	return out
}

// literal is ½‖Ỹᵀσ(Xw)‖² with the matrices written out.
func literal(s *Samples, act Activation, w []float64) float64 {
	n := s.Len()
	e := 0.0
	for h := range s.M {
		sum := 0.0
		for i := range n {
			y := -s.Count[h] / float64(n)
			if s.H[i] == h {
				y++
			}
			sum += y * act.Of(w[s.X[i]]+w[s.M+s.Y[i]])
		}
		e += sum * sum / 2
	}
	return e
}

func TestEnergyIsItsDefinitionAndItsGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, pairs := range [][]int{nil, some(6, 17, 3)} {
		s := samples(t, "S3", pairs)
		for _, act := range Activations {
			e := Energy{s, act, nil}
			w := random(rng, 12)
			near(t, act.Name, e.At(w), literal(s, act, w), 1e-12)
			// The labels written out as a target are the same energy.
			y := make([][]float64, s.Len())
			for i := range y {
				y[i] = make([]float64, s.M)
				for h := range y[i] {
					y[i][h] = -s.Count[h] / float64(s.Len())
				}
				y[i][s.H[i]]++
			}
			for _, e := range []Energy{e, {s, act, y}} {
				g := make([]float64, 12)
				e.Gradient(w, g)
				for i := range w {
					const d = 1e-5
					p, q := slices.Clone(w), slices.Clone(w)
					p[i] += d
					q[i] -= d
					near(t, act.Name+" gradient", g[i], (e.At(p)-e.At(q))/(2*d), 1e-6)
				}
			}
		}
	}
}

// TestEnergyAddsOverComponents: no cross terms on the full table.
func TestEnergyAddsOverComponents(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for _, name := range []string{"Z8", "D5", "Q8", "S4", "S3xZ3"} {
		s := samples(t, name, nil)
		e := Energy{s, Square, nil}
		w := random(rng, 2*s.M)
		sum := 0.0
		for _, c := range s.Parts {
			sum += e.At(inside(c, w))
		}
		near(t, name, sum, e.At(w), 1e-10)
	}
}

// TestAscentsEndAtTheMaxima: from a random start, in one component, at its
// E*, with coefficient matrices of rank 1 in both halves. Every type occurs.
func TestAscentsEndAtTheMaxima(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	types := map[group.Type]bool{}
	for _, name := range []string{"Z7", "Z8", "D5", "Q8", "Dic3", "S4", "S3xZ3"} {
		s := samples(t, name, nil)
		e := Energy{s, Square, nil}
		for range 6 {
			a := e.Ascend(random(rng, 2*s.M), 3000, 1e-9)
			k, purity := 0, 0.0
			for i, c := range s.Parts {
				if p := c.Power(a.W[:s.M]) + c.Power(a.W[s.M:]); p > purity {
					k, purity = i, p
				}
			}
			c := s.Parts[k]
			types[c.Type] = true
			near(t, name+" purity", purity, 1, 1e-6)
			near(t, name+" E/E*", a.E/c.MaxEnergy(), 1, 1e-6)
			for _, half := range [][]float64{a.W[:s.M], a.W[s.M:]} {
				near(t, name+" rank", Rank(s.Group, c, half, 1e-3), 1, 0)
			}
			if !slices.IsSorted(a.Energy) {
				t.Errorf("%s: E fell", name)
			}
		}
	}
	// Ascents inside one component reach its maximum as well, whatever the others.
	for _, name := range []string{"Q8", "Dic3", "S3xZ3"} {
		s := samples(t, name, nil)
		e := Energy{s, Square, nil}
		for _, c := range s.Parts {
			types[c.Type] = true
			a := e.Ascend(inside(c, random(rng, 2*s.M)), 3000, 1e-9)
			near(t, name+" inside "+c.Label, a.E/c.MaxEnergy(), 1, 1e-6)
		}
	}
	for _, kind := range []group.Type{group.Real, group.ComplexPair, group.Quaternionic} {
		if !types[kind] {
			t.Errorf("no component was %s", kind)
		}
	}
}

// TestGenericNodesOfOneComponentAreNoMaxima: for d ≥ 2 a random u with v = ±Pu,
// Pu(g) = u(g⁻¹), lies inside one component and below E*.
func TestGenericNodesOfOneComponentAreNoMaxima(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	tried := 0
	for _, name := range []string{"D5", "Q8", "S4"} {
		s := samples(t, name, nil)
		e := Energy{s, Square, nil}
		for _, c := range s.Parts {
			w := inside(c, random(rng, 2*s.M))
			for g := range s.M {
				w[s.M+g] = w[s.Group.Inverse(g)]
			}
			normalise(w)
			ratio := e.At(w) / c.MaxEnergy()
			full := float64(c.Degree)
			if c.Type == group.Quaternionic {
				full /= 2
			}
			near(t, name+" "+c.Label+" rank", Rank(s.Group, c, w[:s.M], 1e-6), full, 0)
			if full > 1 {
				tried++
				if ratio > 0.999 {
					t.Errorf("%s %s: a generic node has E/E* = %.4f", name, c.Label, ratio)
				}
			} else {
				// With one column there is nothing to be generic in, up to the
				// phase between the halves that Pu fixes.
				near(t, name+" "+c.Label+" E/E*", ratio, 1, 1e-9)
			}
		}
	}
	if tried < 3 {
		t.Errorf("only %d components of rank 2 or more", tried)
	}
}

// TestPhaseFreedom: at an Abelian component any phases of the two halves give E*.
func TestPhaseFreedom(t *testing.T) {
	s := samples(t, "Z9", nil)
	e := Energy{s, Square, nil}
	rng := rand.New(rand.NewPCG(7, 2))
	for k, c := range s.Parts {
		w := make([]float64, 18)
		for range 5 {
			p, q := 7*rng.Float64(), 7*rng.Float64()
			for x := range 9 {
				a := 2 * math.Pi * float64((k+1)*x) / 9
				w[x], w[9+x] = math.Cos(a+p), math.Cos(a+q)
			}
			normalise(w)
			near(t, "E/E*", e.At(w)/c.MaxEnergy(), 1, 1e-12)
		}
	}
}

// TestEnergyIsInvariant under automorphisms and under (a, b) → (ga, bg).
func TestEnergyIsInvariant(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	s := samples(t, "S4", nil)
	e := Energy{s, Square, nil}
	w := random(rng, 2*s.M)
	want := e.At(w)
	for g := range s.M {
		moved, twisted := make([]float64, 2*s.M), make([]float64, 2*s.M)
		for a := range s.M {
			moved[s.Group.Mul(g, a)] = w[a]
			moved[s.M+s.Group.Mul(a, g)] = w[s.M+a]
			inner := s.Group.Mul(s.Group.Mul(g, a), s.Group.Inverse(g))
			twisted[inner], twisted[s.M+inner] = w[a], w[s.M+a]
		}
		near(t, "shifted", e.At(moved), want, 1e-12)
		near(t, "conjugated", e.At(twisted), want, 1e-12)
	}
	// An automorphism that is not inner: multiplication by a unit of Z_8.
	z := samples(t, "Z8", nil)
	w = random(rng, 16)
	turned := make([]float64, 16)
	for a := range 8 {
		turned[3*a%8], turned[8+3*a%8] = w[a], w[8+a]
	}
	e = Energy{z, Square, nil}
	near(t, "by a unit", e.At(turned), e.At(w), 1e-12)
}

// TestOneTargetMemorises: with x² a node that holds one pair of the target is
// a maximum, and so is any that weighs several; an activation that grows faster
// prefers one pair, ReLU and tanh spread.
func TestOneTargetMemorises(t *testing.T) {
	s := samples(t, "S3", nil)
	const h = 4
	pair := make([]float64, 12)
	pair[2], pair[6+s.Group.Mul(s.Group.Inverse(2), h)] = math.Sqrt(0.5), math.Sqrt(0.5)
	spread := make([]float64, 12)
	for g := range 6 {
		spread[g], spread[6+s.Group.Mul(s.Group.Inverse(g), h)] = 1/math.Sqrt(12), 1/math.Sqrt(12)
	}
	rng := rand.New(rand.NewPCG(9, 2))
	best := func(act Activation) float64 {
		e, top := OneTarget(s, act, h), 0.0
		for range 8 {
			// From positive weights: ReLU leaves a pair that starts below zero dead.
			w := random(rng, 12)
			for i := range w {
				w[i] = math.Abs(w[i])
			}
			top = max(top, e.Ascend(w, 4000, 1e-9).E)
		}
		return top
	}
	square := OneTarget(s, Square, h)
	near(t, "x², one pair", square.At(pair), 2, 1e-12)
	near(t, "x², spread", square.At(spread), 2, 1e-12)
	near(t, "x², best", best(Square), 2, 1e-6)

	cube := Activation{"cube", func(x float64) float64 { return x * x * x }, func(x float64) float64 { return 3 * x * x }}
	near(t, "x³, best", best(cube), OneTarget(s, cube, h).At(pair), 1e-6)
	for _, name := range []string{"relu", "tanh"} {
		act, err := ActivationNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+", best", best(act), OneTarget(s, act, h).At(spread), 1e-6)
	}
	// A pair that occurs more often wins with x² as well: Σ_a p_a z_a².
	pairs := []int{0, 0, 1*6 + s.Group.Mul(s.Group.Inverse(1), s.Group.Mul(0, 0))}
	twice := samples(t, "S3", pairs)
	a := OneTarget(twice, Square, twice.H[0]).Ascend(random(rng, 12), 3000, 1e-9)
	near(t, "the commoner pair", a.W[0]*a.W[0]+a.W[6]*a.W[6], 1, 1e-6)
}

func TestSamplesRefuse(t *testing.T) {
	if _, err := NewSamples(parse(t, "Z5"), []int{25}); err == nil {
		t.Error("a pair outside the table was taken")
	}
	if _, err := ActivationNamed("gelu"); err == nil {
		t.Error("gelu was taken")
	}
}
