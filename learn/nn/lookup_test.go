package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

func TestOrthonormal(t *testing.T) {
	rows := orthonormal(rand.New(rand.NewPCG(1, 2)), 32, 40)
	for i, a := range rows {
		for j, b := range rows {
			dot, want := 0.0, 0.0
			for k := range a {
				dot += a[k] * b[k]
			}
			if i == j {
				want = 1
			}
			if math.Abs(dot-want) > 1e-12 { // a hundred roundings of doubles near 1
				t.Fatalf("rows %d and %d: %g, want %g", i, j, dot, want)
			}
		}
	}
}

// TestInitLookup looks at the two heads that make a look-up before any training,
// on pairs x y of different tokens, listed twice in different orders: the first
// sees the token before, and the second, at the repeated x, sees its y.
func TestInitLookup(t *testing.T) {
	const pairs, vocab = 12, 200
	c := Config{VocabSize: vocab, HiddenSize: 128, Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 256, MaxPositions: 256, RopeTheta: 10000, Tied: true}
	fresh := func() *Model {
		m, err := New(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Params() {
			if len(p.Val.Shape) == 2 {
				tensor.Scale(p.Val.Data, p.Val.Data, 2)
			}
		}
		return m
	}
	before, m := fresh(), fresh()
	if err := m.InitLookup(1); err != nil {
		t.Fatal(err)
	}
	// weights is what the heads give to the token before and to the answer.
	weights := func(m *Model) (previous, answer float64) {
		rng := rand.New(rand.NewPCG(3, 4))
		const lists = 8
		for range lists {
			names := rng.Perm(vocab)
			var tokens []int
			at := map[int]int{} // x → place of its y in the first list
			for i := range pairs {
				at[names[2*i]] = len(tokens) + 1
				tokens = append(tokens, names[2*i], names[2*i+1])
			}
			for _, i := range rng.Perm(pairs) {
				tokens = append(tokens, names[2*i], names[2*i+1])
			}
			taps := &Taps{Probs: map[string][]*tensor.Tensor{}}
			tape := grad.NewTape()
			tape.NoGrad = true
			m.Hidden(tape, Input{Tokens: tokens, Taps: taps})
			n := len(tokens)
			head0 := func(layer string, q, k int) float64 { return float64(taps.Probs[layer][0].Data[q*n+k]) }
			for q := n / 2; q < n; q += 2 {
				previous += head0("layers.0", q, q-1) / (lists * pairs)
				answer += head0("layers.1", q, at[tokens[q]]) / (lists * pairs)
			}
		}
		return previous, answer
	}
	if p, a := weights(m); p < 0.95 || a < 0.2 {
		// Of 25 to 47 tokens that a query sees, an answer would get 0.03 by
		// chance. More than a part can't be had: eighteen dimensions, which is
		// what rotation leaves, don't tell 24 names apart.
		t.Errorf("the token before has weight %.3f, the answer %.3f", p, a)
	}
	if p, a := weights(before); p > 0.1 || a > 0.1 {
		t.Errorf("without it the token before has weight %.3f, the answer %.3f", p, a)
	}

	for _, bad := range []func(c *Config){
		func(c *Config) { c.Layers = 1 },
		func(c *Config) { c.Positions = "learned" },
		func(c *Config) { c.Bidirectional = true },
	} {
		b := c
		bad(&b)
		if m, err := New(b, 1); err != nil || m.InitLookup(1) == nil {
			t.Errorf("%+v is not refused (%v)", b, err)
		}
	}
}
