package li2

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// network draws weights; scale multiplies the output layer.
func network(m, k int, scale float64, seed uint64) *Net {
	rng := rand.New(rand.NewPCG(seed, 3))
	draw := func(n int, by float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(by * rng.NormFloat64())
		}
		return x
	}
	return &Net{M: m, K: k, A: draw(m*k, 0.5), B: draw(m*k, 0.5), C: draw(m*k, scale), Act: Square}
}

func equal(t *testing.T, what string, got, want *mat.Dense, tol float64) {
	t.Helper()
	var d mat.Dense
	d.Sub(got, want)
	if r := mat.Norm(&d, 2) / mat.Norm(want, 2); !(r <= tol) {
		t.Errorf("%s: relative distance %.3g, want at most %.3g", what, r, tol)
	}
}

// TestGF against finite differences of J, and G_F ⟂ 1.
func TestGF(t *testing.T) {
	s := samples(t, "S3", some(6, 23, 1))
	net := network(6, 7, 0.4, 2)
	y, f, v := s.Labels(), s.Hidden(net), net.V()
	g := GF(y, f, v)
	j := func(f *mat.Dense) float64 { n := mat.Norm(Residual(y, f, v), 2); return n * n / 2 }
	for i := range 23 {
		for c := range 7 {
			const d = 1e-5
			x := f.At(i, c)
			f.Set(i, c, x+d)
			up := j(f)
			f.Set(i, c, x-d)
			down := j(f)
			f.Set(i, c, x)
			near(t, "G_F", g.At(i, c), -(up-down)/(2*d), 1e-7)
		}
	}
	for c := range 7 {
		near(t, "1ᵀG_F", mat.Sum(g.ColView(c)), 0, 1e-12)
	}
}

// TestStageOne: after a time t of gradient flow from V = 0, G_F is t·ỸỸᵀF̃ up to
// t²: halving t halves the relative distance.
func TestStageOne(t *testing.T) {
	s := samples(t, "Z7", some(7, 31, 1))
	net := network(7, 9, 0.1, 3)
	y, f := s.Labels(), s.Hidden(net)
	want := StageOne(y, f)
	away := func(time float64) float64 {
		// Euler's method in a thousand steps.
		v := mat.NewDense(9, 7, nil)
		for range 1000 {
			step := product(Centre(f).T(), Residual(y, f, v))
			step.Scale(time/1000, step)
			v.Add(v, step)
		}
		g := GF(y, f, v)
		g.Scale(1/time, g)
		g.Sub(g, want)
		return mat.Norm(g, 2) / mat.Norm(want, 2)
	}
	a, b := away(1e-4), away(5e-5)
	if a > 0.05 || math.Abs(a/b-2) > 0.1 {
		t.Errorf("relative distances at t and t/2 are %.3g and %.3g", a, b)
	}
}

// TestLimitG: the SVD's form is G_F at the ridge solution, at a large η to
// rounding; and keeps its digits where η is small. The output scale β is a
// decay of η/β².
func TestLimitG(t *testing.T) {
	for _, width := range []int{6, 40} { // fewer nodes than samples, and more
		s := samples(t, "S3", some(6, 20, 5))
		net := network(6, width, 0.1, 4)
		y, f := s.Labels(), s.Hidden(net)
		const eta, beta = 0.3, 1.7
		v, err := RidgeV(y, f, eta)
		if err != nil {
			t.Fatal(err)
		}
		limit, err := LimitG(y, f, eta)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "G_F(∞)", limit, GF(y, f, v), 1e-11)

		// η(F̃F̃ᵀ+ηI)⁻¹ ỸỸᵀF̃ (F̃ᵀF̃+ηI)⁻¹ with inverses.
		c := Centre(f)
		left, right := product(c, c.T()), product(c.T(), c)
		for _, x := range []*mat.Dense{left, right} {
			r, _ := x.Dims()
			for i := range r {
				x.Set(i, i, x.At(i, i)+eta)
			}
			if err := x.Inverse(x); err != nil {
				t.Fatal(err)
			}
		}
		whole := product(left, product(StageOne(y, f), right))
		whole.Scale(eta, whole)
		equal(t, "literal G_F(∞)", limit, whole, 1e-10)

		// −∂J_β/∂F = βP(Y−βFV)Vᵀ at its own ridge solution, decay η.
		scaled := mat.DenseCopyOf(f)
		scaled.Scale(beta, f)
		vb, err := RidgeV(y, scaled, eta)
		if err != nil {
			t.Fatal(err)
		}
		g := GF(y, scaled, vb)
		g.Scale(beta, g)
		other, err := LimitG(y, f, eta/(beta*beta))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "β", g, other, 1e-10)

		// As η → 0, G/η tends to a limit if K ≥ n (everything is explained) and G
		// itself does otherwise. The literal form has no digit left there.
		var svd mat.SVD
		svd.Factorize(c, mat.SVDNone)
		smallest := math.Inf(1)
		for _, x := range svd.Values(nil) {
			if x > 1e-10 {
				smallest = min(smallest, x*x)
			}
		}
		small, err := LimitG(y, f, 1e-5*smallest)
		if err != nil {
			t.Fatal(err)
		}
		smaller, err := LimitG(y, f, 1e-7*smallest)
		if err != nil {
			t.Fatal(err)
		}
		if width >= s.Len() {
			smaller.Scale(100, smaller)
		}
		equal(t, "small η", smaller, small, 1e-4) // the next order in η/s² is 1e-5
	}
	if _, err := RidgeV(mat.NewDense(2, 2, nil), mat.NewDense(2, 2, nil), 0); err == nil {
		t.Error("η = 0 was taken")
	}
}

// TestCodeRidgeV: no slope of the loss that is trained,
// mean ‖o − rowmean(o) − (y−1/M)‖² with decay, by finite differences.
func TestCodeRidgeV(t *testing.T) {
	s := samples(t, "Z5", some(5, 17, 5))
	f := s.Hidden(network(5, 4, 0.1, 4))
	const wd = 0.02
	v, err := s.CodeRidgeV(f, Eta(wd, s.Len()))
	if err != nil {
		t.Fatal(err)
	}
	loss := func() float64 {
		o, sum := product(f, v), 0.0
		for i, h := range s.H {
			row := o.RawRowView(i)
			mean := 0.0
			for _, x := range row {
				mean += x / 5
			}
			row[h]--
			for _, x := range row {
				sum += (x - mean + 0.2) * (x - mean + 0.2) / float64(s.Len())
			}
		}
		n := mat.Norm(v, 2)
		return sum + wd/2*n*n
	}
	for j := range 4 {
		for k := range 5 {
			const d = 1e-4
			x := v.At(j, k)
			v.Set(j, k, x+d)
			up := loss()
			v.Set(j, k, x-d)
			down := loss()
			v.Set(j, k, x)
			near(t, "slope", (up-down)/(2*d), 0, 1e-9)
		}
	}
}

// TestEta: the ridge solution at η = wd·n/2 is where the paper's loss as a mean,
// 2/n of it, with coupled decay wd has no slope.
func TestEta(t *testing.T) {
	s := samples(t, "Z5", some(5, 17, 5))
	net := network(5, 8, 0.1, 4)
	y, f := s.Labels(), s.Hidden(net)
	const wd = 0.02
	v, err := RidgeV(y, f, Eta(wd, s.Len()))
	if err != nil {
		t.Fatal(err)
	}
	g := product(Centre(f).T(), Residual(y, f, v))
	g.Scale(2/float64(s.Len()), g)
	decay := mat.DenseCopyOf(v)
	decay.Scale(wd, v)
	equal(t, "slope", g, decay, 1e-11)
}

// TestFlow holds the cheap form to the matrices.
func TestFlow(t *testing.T) {
	for _, pairs := range [][]int{nil, some(24, 301, 1)} {
		s := samples(t, "S4", pairs)
		for _, act := range Activations {
			net := network(24, 19, 0.2, 6)
			net.Act = act
			y, f := s.Labels(), s.Hidden(net)
			g := GF(y, f, net.V())
			got := s.Flow(net)
			near(t, act.Name+" ‖G_F‖", got.Norm, mat.Norm(g, 2), 1e-10)
			near(t, act.Name+" c", got.Alignment, Cosine(g, StageOne(y, f)), 1e-10)
		}
	}
	s := samples(t, "Z5", nil)
	if f := s.Flow(network(5, 4, 0, 1)); f.Norm != 0 || !math.IsNaN(f.Alignment) {
		t.Errorf("without output G_F is %+v, want 0 and no direction", f)
	}
}

func TestDiagonality(t *testing.T) {
	s := samples(t, "Z7", some(7, 40, 1))
	net := network(7, 5, 0.2, 6)
	f := s.Hidden(net)
	c := Centre(f)
	nodes, pairs := s.Diagonality(net)
	literal := func(x *mat.Dense) float64 { r, _ := x.Dims(); return diagonality(x.RawMatrix().Data, r) }
	near(t, "nodes", nodes, literal(product(c.T(), c)), 1e-12)
	near(t, "pairs", pairs, literal(product(c, f.T())), 1e-12)
	// Equal nodes are as much alike as themselves.
	for j := range 5 {
		for a := range 7 {
			net.A[a*5+j], net.B[a*5+j] = net.A[a*5], net.B[a*5]
		}
	}
	nodes, _ = s.Diagonality(net)
	near(t, "equal nodes", nodes, 1, 1e-12)
}
