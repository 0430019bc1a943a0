package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// shapes are small models that between them use every option.
func shapes() map[string]Config {
	base := Config{VocabSize: 13, HiddenSize: 12, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4, Intermediate: 20, MaxPositions: 200}
	with := func(f func(*Config)) Config { c := base; f(&c); return c }
	return map[string]Config{
		"llama": base,
		"tied":  with(func(c *Config) { c.Tied = true }),
		"gpt2": with(func(c *Config) {
			c.Positions, c.Norm, c.MLP, c.Bias, c.Tied, c.KVHeads = "learned", "layer", "gelu", true, true, 4
		}),
		"nanda": with(func(c *Config) { // arXiv 2301.05217's
			c.Positions, c.Norm, c.MLP, c.KVHeads = "learned", "none", "relu", 4
		}),
		"nopos":         with(func(c *Config) { c.Positions, c.HeadDim, c.KVHeads = "none", 3, 1 }),
		"bidirectional": with(func(c *Config) { c.Bidirectional = true }),
	}
}

// lively is a model with weights large enough for every path to matter:
// biases and norms too are random.
func lively(t testing.TB, c Config, seed uint64) *Model {
	t.Helper()
	m, err := New(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 3))
	for _, p := range m.Params() {
		for i := range p.Val.Data {
			p.Val.Data[i] += float32(r.NormFloat64() * 0.3)
		}
	}
	return m
}

func randomTokens(r *rand.Rand, n, vocab int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = r.IntN(vocab)
	}
	return out
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g, want %g, to the last bit", what, i, got[i], want[i])
		}
	}
}

func TestInit(t *testing.T) {
	c := Config{VocabSize: 400, HiddenSize: 64, Layers: 8, Heads: 4}
	m, err := New(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		var sum, sq float64
		for _, v := range p.Val.Data {
			sum += float64(v)
			sq += float64(v) * float64(v)
		}
		n := float64(p.Val.Len())
		mean, std := sum/n, math.Sqrt(sq/n)
		want := 0.02
		switch {
		case strings.Contains(p.Name, "norm"):
			if std != 1 || mean != 1 {
				t.Errorf("%s is not all ones", p.Name)
			}
			continue
		case strings.Contains(p.Name, "o_proj"), strings.Contains(p.Name, "down_proj"):
			want = 0.02 / 4 // √(2·8) = 4
		}
		// The standard deviation of a sample of n normals scatters by 1/√(2n)
		// of itself, the mean by std/√n: five times that is never exceeded.
		if math.Abs(std/want-1) > 5/math.Sqrt(2*n) || math.Abs(mean) > 5*want/math.Sqrt(n) {
			t.Errorf("%s: mean %g, standard deviation %g, want 0 and %g", p.Name, mean, std, want)
		}
	}
	again, _ := New(c, 1)
	other, _ := New(c, 2)
	sameBits(t, "same seed", again.embed.Val.Data, m.embed.Val.Data)
	if slices.Equal(other.embed.Val.Data, m.embed.Val.Data) {
		t.Error("two seeds gave the same weights")
	}
}

// TestSize holds the count of weights to the formula, counted by hand.
func TestSize(t *testing.T) {
	m, err := New(Config{VocabSize: 50, HiddenSize: 16, Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 8, Intermediate: 24}, 1)
	if err != nil {
		t.Fatal(err)
	}
	layer := 16*32 + 2*16*16 + 32*16 + 3*16*24 + 2*16
	if want := 2*50*16 + 3*layer + 16; m.Size() != want {
		t.Errorf("%d weights, want %d", m.Size(), want)
	}
	if n := m.Params()[0].Name; n != "model.embed_tokens.weight" {
		t.Errorf("first parameter is %s", n)
	}
}

func TestConfigErrors(t *testing.T) {
	good := shapes()["llama"]
	for want, spoil := range map[string]func(*Config){
		"vocab_size is 0":                    func(c *Config) { c.VocabSize = 0 },
		"num_attention_heads is -1":          func(c *Config) { c.Heads = -1 },
		"num_key_value_heads 3 does not":     func(c *Config) { c.KVHeads = 3 },
		"head_dim 3 is odd":                  func(c *Config) { c.HeadDim = 3 },
		`positions is "alibi"`:               func(c *Config) { c.Positions = "alibi" },
		`norm is "batch"`:                    func(c *Config) { c.Norm = "batch" },
		`mlp is "elu"`:                       func(c *Config) { c.MLP = "elu" },
		"must be positive":                   func(c *Config) { c.NormEps = math.NaN() },
		"is not a multiple of num_attention": func(c *Config) { c.HiddenSize, c.HeadDim = 13, 0 },
	} {
		c := good
		spoil(&c)
		if _, err := New(c, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// lossOf is the training loss of a ragged batch with every row supervised.
func lossOf(m *Model, tape *grad.Tape, in Input, targets []int) *grad.Var {
	loss, _ := tape.CrossEntropy(m.Logits(tape, m.Hidden(tape, in), nil), targets, nil)
	return loss
}

// slope is the derivative of value by element i of p, by central differences of
// fourth order.
func slope(p *grad.Var, i int, value func() float64) float64 {
	const h = 1.0 / 128
	x := p.Val.Data[i]
	defer func() { p.Val.Data[i] = x }()
	at := func(d float32) float64 {
		p.Val.Data[i] = x + d
		return value()
	}
	return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
}

// TestModelGradients compares the gradient of the whole model with finite
// differences, in some elements of every parameter. Five points and h = 2⁻⁷:
// the loss is near 3 in float32, so rounding leaves about 3·2⁻²⁴/h ≈ 2e-5, and
// truncation O(h⁴) less; 1e-3 of the parameter's largest gradient, at least
// 3e-5, is asked.
func TestModelGradients(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			m := lively(t, c, 5)
			r := rand.New(rand.NewPCG(1, 1))
			in := Input{Tokens: randomTokens(r, 9, 13), Lens: []int{4, 5}}
			targets := randomTokens(r, 9, 13)
			tape := grad.NewTape()
			if err := tape.Backward(lossOf(m, tape, in, targets)); err != nil {
				t.Fatal(err)
			}
			value := func() float64 {
				// The mean of the rows' losses in float64, finer than the tape's.
				tape := &grad.Tape{NoGrad: true}
				_, logp := tape.CrossEntropy(m.Logits(tape, m.Hidden(tape, in), nil), targets, nil)
				var s float64
				for _, p := range logp {
					s -= float64(p)
				}
				return s / float64(len(logp))
			}
			for _, p := range m.Params() {
				largest := 0.0
				for _, g := range p.Grad.Data {
					largest = max(largest, math.Abs(float64(g)))
				}
				for range 6 {
					i := r.IntN(p.Val.Len())
					want := slope(p, i, value)
					if got := float64(p.Grad.Data[i]); math.Abs(got-want) > 3e-5+1e-3*largest {
						t.Errorf("%s element %d: gradient %g, finite difference %g (largest %g)", p.Name, i, got, want, largest)
					}
				}
			}
		})
	}
}

// TestBatchEqualsSingles: a sequence's numbers do not depend on what else is in
// the batch.
func TestBatchEqualsSingles(t *testing.T) {
	for name, c := range shapes() {
		m := lively(t, c, 2)
		r := rand.New(rand.NewPCG(9, 9))
		lens := []int{1, 17, 3, 0, 70, 16}
		tape := &grad.Tape{NoGrad: true}
		var all []int
		for _, l := range lens {
			all = append(all, randomTokens(r, l, 13)...)
		}
		batch := m.Logits(tape, m.Hidden(tape, Input{Tokens: all, Lens: lens}), nil)
		at := 0
		for i, l := range lens {
			single := m.Logits(tape, m.Hidden(tape, Input{Tokens: all[at : at+l]}), nil)
			sameBits(t, name+": sequence "+string(rune('0'+i)), batch.Val.Data[at*13:(at+l)*13], single.Val.Data)
			at += l
		}
	}
}

// TestCausality: changing a token changes its own logits and later ones, and no
// earlier one by a single bit; without causality it changes earlier ones.
func TestCausality(t *testing.T) {
	for name, c := range shapes() {
		m := lively(t, c, 4)
		r := rand.New(rand.NewPCG(3, 1))
		tokens := randomTokens(r, 80, 13)
		run := func(tokens []int) []float32 {
			tape := &grad.Tape{NoGrad: true}
			return m.Hidden(tape, Input{Tokens: tokens}).Val.Data
		}
		before := run(tokens)
		for _, p := range []int{0, 33, 64, 79} {
			changed := slices.Clone(tokens)
			changed[p] = (changed[p] + 1) % 13
			after := run(changed)
			cut := p * c.HiddenSize
			if c.Bidirectional {
				if p > 0 && slices.Equal(after[:cut], before[:cut]) {
					t.Errorf("%s: position %d does not reach back", name, p)
				}
				continue
			}
			sameBits(t, name, after[:cut], before[:cut])
			if slices.Equal(after[len(after)-c.HiddenSize:], before[len(after)-c.HiddenSize:]) {
				t.Errorf("%s: position %d does not reach the last", name, p)
			}
		}
	}
}

// TestAllow: the causal mask given as a function is causal attention, bit for
// bit; a mask that cuts a sequence in two makes two sequences.
func TestAllow(t *testing.T) {
	for name, c := range shapes() {
		m := lively(t, c, 4)
		tokens := randomTokens(rand.New(rand.NewPCG(3, 1)), 20, 13)
		run := func(in Input) []float32 {
			tape := &grad.Tape{NoGrad: true}
			return m.Hidden(tape, in).Val.Data
		}
		causal := m.Config
		causal.Bidirectional = false
		twin := &Model{Config: causal, embed: m.embed, positions: m.positions, layers: m.layers, norm: m.norm, head: m.head, cos: m.cos, sin: m.sin}
		tape := &grad.Tape{NoGrad: true}
		sameBits(t, name, run(Input{Tokens: tokens, Allow: func(_, q, k int) bool { return k <= q }}),
			twin.Hidden(tape, Input{Tokens: tokens}).Val.Data)

		positions := make([]int, 20)
		for i := range positions {
			positions[i] = i % 10
		}
		halves := func(_, q, k int) bool { return q/10 == k/10 && (k <= q || c.Bidirectional) }
		got := run(Input{Tokens: tokens, Positions: positions, Allow: halves})
		want := run(Input{Tokens: tokens, Lens: []int{10, 10}})
		// The second half's sums start in other lanes of the reduction, so
		// this holds to rounding only: values are of order 1.
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("%s: element %d is %g under the mask, %g in two sequences", name, i, got[i], want[i])
			}
		}
	}
}

// TestOverfit: a tiny model learns a tiny data set by heart with plain Adam.
func TestOverfit(t *testing.T) {
	m, err := New(Config{VocabSize: 13, HiddenSize: 32, Layers: 2, Heads: 4, KVHeads: 2, Intermediate: 48, Tied: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	lens := []int{7, 12, 9}
	tokens := randomTokens(r, 28, 13)
	targets := make([]int, 28)
	at := 0
	for i, l := range lens {
		tokens[at] = i // tells the sequences apart
		for j := range l {
			targets[at+j] = -1
			if j+1 < l {
				targets[at+j] = tokens[at+j+1]
			}
		}
		at += l
	}
	var mom, vel [][]float32
	for _, p := range m.Params() {
		mom, vel = append(mom, make([]float32, p.Val.Len())), append(vel, make([]float32, p.Val.Len()))
	}
	tape := grad.NewTape()
	var first, last float32
	for step := 1; step <= 120; step++ {
		tape.Reset()
		loss := lossOf(m, tape, Input{Tokens: tokens, Lens: lens}, targets)
		if step == 1 {
			first = loss.Val.Data[0]
		}
		last = loss.Val.Data[0]
		if err := tape.Backward(loss); err != nil {
			t.Fatal(err)
		}
		c1, c2 := 1-float32(math.Pow(0.9, float64(step))), 1-float32(math.Pow(0.99, float64(step)))
		for i, p := range m.Params() {
			tensor.AdamStep(p.Val.Data, p.Grad.Data, mom[i], vel[i], 0.01, 0.9, 0.99, 1e-8, 0, c1, c2)
			p.ZeroGrad()
		}
	}
	// An untrained model guesses uniformly: log 13 = 2.565, to the few hundredths
	// that weights of 0.02 can move it. Learned by heart means p > 0.98 a token.
	if math.Abs(float64(first)-math.Log(13)) > 0.1 || last > 0.02 {
		t.Errorf("loss went from %g to %g, want from %g to below 0.02", first, last, math.Log(13))
	}
}
