package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// plainGRPO is the objective of arXiv 2402.03300 with small numbers.
func plainGRPO() *GRPO {
	return &GRPO{
		Problems: 3, Group: 4, MaxTokens: 6, Temperature: 1, Normalise: true, StdEps: 1e-6, Average: perSequence,
		ClipLow: 0.2, ClipHigh: 0.2, Beta: 0.04, Epochs: 1, Minibatches: 1, Sampler: master,
	}
}

func TestAdvantages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n := 2 + rng.IntN(14)
		r, a, b := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range r {
			r[i] = rng.NormFloat64()
		}
		if advantages(a, r, true, 0) {
			t.Fatal("different rewards were called equal")
		}
		sum, square := 0.0, 0.0
		for _, x := range a {
			sum += x / float64(n)
			square += x * x / float64(n)
		}
		// Rounding of sums of at most 15 numbers of about 1.
		if math.Abs(sum) > 1e-14 || math.Abs(square-1) > 1e-13 {
			t.Fatalf("advantages have mean %v and mean square %v, want 0 and 1", sum, square)
		}
		for _, normalised := range []bool{true, false} {
			advantages(a, r, normalised, 0)
			shift, scale := 10*rng.NormFloat64(), 0.1+rng.Float64()*10
			moved := make([]float64, n)
			for i := range r {
				moved[i] = shift + scale*r[i]
			}
			advantages(b, moved, normalised, 0)
			for i := range a {
				want := a[i]
				if !normalised {
					want *= scale
				}
				// The shift of about 10 costs 1e-15·10 before the subtraction, and
				// the deviation, at least 0.1·|r1−r2|, divides it.
				if math.Abs(b[i]-want) > 1e-9*(1+math.Abs(want)) {
					t.Fatalf("advantage %d is %v of shifted and scaled rewards, want %v", i, b[i], want)
				}
			}
		}
	}
	// Three times 0.1 has a mean that is not 0.1 in float64: equality is decided
	// before.
	a := []float64{1, 2, 3}
	if !advantages(a, []float64{0.1, 0.1, 0.1}, true, 0) || a[0] != 0 || a[1] != 0 || a[2] != 0 {
		t.Errorf("equal rewards have advantages %v, want exactly 0", a)
	}
	advantages(a[:2], []float64{1, 0}, true, 0.5)
	if a[0] != 0.5 || a[1] != -0.5 { // ±½ over ½ + ½
		t.Errorf("rewards 1 and 0 with eps ½ have advantages %v, want ±½", a[:2])
	}
}

// TestTerm compares a token's derivative with central differences and its value
// with the formula written out, away from the two kinks.
func TestTerm(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	g := plainGRPO()
	g.ClipLow, g.ClipHigh = 0.2, 0.28
	clips := 0
	for range 2000 {
		old, ref := -3*rng.Float64(), -3*rng.Float64()
		logp, w, adv := old+rng.NormFloat64()*0.4, 2*rng.Float64(), rng.NormFloat64()
		rho := math.Exp(logp - old)
		const h = 1e-6
		if math.Abs(rho-0.8) < 1e-3 || math.Abs(rho-1.28) < 1e-3 {
			continue
		}
		loss, slope, clipped := g.term(logp, old, ref, w, adv)
		held := rho
		switch {
		case rho < 0.8:
			held = 0.8
		case rho > 1.28:
			held = 1.28
		}
		d := ref - logp
		want := -w*math.Min(rho*adv, held*adv) + 0.04*(math.Exp(d)-d-1)
		if math.Abs(loss-want) > 1e-12 {
			t.Fatalf("the loss at ratio %v, advantage %v is %v, want %v", rho, adv, loss, want)
		}
		if should := adv > 0 && rho > 1.28 || adv < 0 && rho < 0.8; clipped != should {
			t.Fatalf("ratio %v, advantage %v: clipped is %v", rho, adv, clipped)
		} else if should {
			clips++
		}
		up, _, _ := g.term(logp+h, old, ref, w, adv)
		down, _, _ := g.term(logp-h, old, ref, w, adv)
		// Truncation h²·|f‴|/6 ≈ 1e-12·10, rounding 1e-15·10/h ≈ 1e-8.
		if numeric := (up - down) / (2 * h); math.Abs(slope-numeric) > 1e-7 {
			t.Fatalf("the derivative at ratio %v, advantage %v is %v, differences give %v", rho, adv, slope, numeric)
		}
	}
	if clips < 100 {
		t.Errorf("%d of 2000 draws were clipped, too few to test that", clips)
	}
	// On policy the ratio is 1, nothing is clipped, and the slope is −w·A.
	g.Beta = 0
	if loss, slope, clipped := g.term(-1.5, -1.5, -9, 1, 0.7); loss != -0.7 || slope != -0.7 || clipped {
		t.Errorf("on policy the term is %v, %v, %v, want −0.7, −0.7, false", loss, slope, clipped)
	}
	if loss, slope, _ := g.term(-1.2, -1.5, -9, 1, 0); loss != 0 || slope != 0 {
		t.Errorf("without advantage the term is %v, %v, want exactly 0", loss, slope)
	}
}

func softmax(x []float64) []float64 {
	sum := 0.0
	p := make([]float64, len(x))
	for i, v := range x {
		p[i] = math.Exp(v)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// TestK3 sums over all outcomes of a categorical policy: the mean of k3 is the
// KL exactly, and the mean gradient of a loss that is β·k3 alone is that of
// KL(ref‖π), whose closed form for logits is π − ref.
func TestK3(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 50 {
		x, y := make([]float64, 7), make([]float64, 7)
		for i := range x {
			x[i], y[i] = rng.NormFloat64(), rng.NormFloat64()
		}
		p, q := softmax(x), softmax(y)
		g := &GRPO{Beta: 1}
		kl, mean := 0.0, 0.0
		gradient := make([]float64, len(p))
		for a := range p {
			lp, lq := math.Log(p[a]), math.Log(q[a])
			kl += p[a] * (lp - lq)
			v := k3(lp, lq)
			if v < 0 {
				t.Fatalf("k3 is %v", v)
			}
			mean += p[a] * v
			_, slope, _ := g.term(lp, lp, lq, 1, 0)
			for j := range gradient { // ∇log p[a] = onehot − p
				gradient[j] += p[a] * slope * (one(j == a) - p[j])
			}
		}
		if math.Abs(mean-kl) > 1e-12 {
			t.Fatalf("the mean of k3 is %v, the KL %v", mean, kl)
		}
		for j := range gradient {
			if want := p[j] - q[j]; math.Abs(gradient[j]-want) > 1e-12 {
				t.Fatalf("the mean gradient is %v, want π − ref = %v", gradient[j], want)
			}
		}
	}
}

// TestGroupGradientIsUnbiased sums over all 2^G outcomes of a two-armed bandit:
// without division the mean gradient is (1 − 1/G)·∇E[reward], the factor because
// a response is part of the mean it is compared with.
func TestGroupGradientIsUnbiased(t *testing.T) {
	g := plainGRPO()
	g.Beta, g.Normalise = 0, false
	for _, size := range []int{2, 3, 5, 8} {
		for _, p := range []float64{0.1, 0.5, 0.83} { // of arm 1, which alone is rewarded
			mean := 0.0 // derivative by the log-odds of arm 1
			r, a := make([]float64, size), make([]float64, size)
			for arms := range 1 << size {
				prob := 1.0
				for i := range r {
					r[i] = float64(arms >> i & 1)
					prob *= r[i]*p + (1-r[i])*(1-p)
				}
				advantages(a, r, g.Normalise, 0)
				for i := range a {
					logp := math.Log(r[i]*p + (1-r[i])*(1-p))
					_, slope, _ := g.term(logp, logp, 0, 1, a[i])
					mean -= prob * g.share(1, size, size) * slope * (r[i] - p)
				}
			}
			if want := (1 - 1/float64(size)) * p * (1 - p); math.Abs(mean-want) > 1e-12 {
				t.Errorf("G = %d, p = %v: the mean gradient is %v, want %v", size, p, mean, want)
			}
		}
	}
}

// TestShares: all three averages are 1 over the total weight that their papers
// give, on responses of 1, 2 and 5 tokens.
func TestShares(t *testing.T) {
	g := plainGRPO()
	for average, want := range map[string]float64{perSequence: 1, perToken: 1, constant: 8.0 / (3 * 6)} {
		g.Average = average
		sum := 0.0
		for _, n := range []int{1, 2, 5} {
			sum += float64(n) * g.share(n, 3, 8)
		}
		if math.Abs(sum-want) > 1e-15 {
			t.Errorf("%s: a batch of ones has loss %v, want %v", average, sum, want)
		}
	}
}

func TestValidateGRPO(t *testing.T) {
	if err := plainGRPO().Validate(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(g *GRPO){
		"problems": func(g *GRPO) { g.Problems = 0 }, "group": func(g *GRPO) { g.Group = 1 },
		"max_tokens": func(g *GRPO) { g.MaxTokens = 0 }, "temperature": func(g *GRPO) { g.Temperature = 0 },
		"format_reward": func(g *GRPO) { g.FormatReward = math.NaN() }, "std_eps": func(g *GRPO) { g.StdEps = -1 },
		"average": func(g *GRPO) { g.Average = "mean" }, "clip_low": func(g *GRPO) { g.ClipLow = 1.5 },
		"clip_high": func(g *GRPO) { g.ClipHigh = math.Inf(1) }, "beta": func(g *GRPO) { g.Beta = -1 },
		"epochs": func(g *GRPO) { g.Epochs = 0 }, "minibatches": func(g *GRPO) { g.Minibatches = 4 },
		"sampler": func(g *GRPO) { g.Sampler = "int4" }, "importance_cap": func(g *GRPO) { g.ImportanceCap = -1 },
	} {
		g := plainGRPO()
		spoil(g)
		if err := g.Validate(); err == nil || !contains(err, "GRPO: "+field+" is") {
			t.Errorf("spoiling %s gives %v", field, err)
		}
	}
}

// TestRoundBF16 holds the rounding of weights to a definition by search: the
// nearest of the two neighbours, the even one of two equally near.
func TestRoundBF16(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	p := grad.NewParam("w", tensor.New(1000))
	var before []float32
	for i := range p.Val.Data {
		p.Val.Data[i] = float32(rng.NormFloat64() * math.Pow(2, float64(rng.IntN(20)-10)))
	}
	p.Val.Data[0] = 1 + 1.0/256  // a tie: down to the even 1
	p.Val.Data[1] = 1 + 3.0/256  // a tie: up to the even 1 + 4/256
	p.Val.Data[2] = 0.1 + 1.9e-4 // less than half a gap (2.4e-4) above bf16(0.1) = 0.10009765625
	before = append(before, p.Val.Data...)
	roundBF16([]*grad.Var{p})
	for i, x := range before {
		down := math.Float32frombits(math.Float32bits(x) &^ 0xffff)
		up := math.Float32frombits(math.Float32bits(down) + 0x10000)
		want, a, b := down, math.Abs(float64(x-down)), math.Abs(float64(up-x))
		if b < a || a == b && math.Float32bits(down)>>16&1 == 1 {
			want = up
		}
		if p.Val.Data[i] != want {
			t.Fatalf("%v became %v, want %v", x, p.Val.Data[i], want)
		}
	}
	if p.Val.Data[0] != 1 || p.Val.Data[1] != 1+4.0/256 || p.Val.Data[2] != 0.10009765625 {
		t.Errorf("the examples became %v", p.Val.Data[:3])
	}
}
