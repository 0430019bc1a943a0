package probe

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"orrery/task"
)

// Constructed is a two-layer transformer whose weights are written down (arXiv
// 2505.12514, section 4, in an exact form): after c thoughts its thought is
//
//	t_c = |V_c|^(−1/2) Σ_{v∈V_c} u_v
//
// for the set V_c of the nodes within c edges of the root. Its residual stream is four
// subspaces, content | buf1 | buf2 | position, of which buffers matter in the 31
// node dimensions alone. The zero value is the exact model; the fields break it.
type Constructed struct {
	Eta       float64 // sharpness of the first layer; default 60/g
	Lambda    float64 // sharpness of the second; default 60/τ
	Unclipped bool    // without the MLP, which makes sums of nodes into sets
}

const (
	nodes = task.SymbolNodes
	vocab = task.SymbolCount

	pairs        = 32   // of the position code: (cos ω_k i, sin ω_k i), ω_k = 10000^(−k/32)
	mostPosition = 1024 // the gap is the same up to here
	farFactor    = 3    // how much more a position without a token of X is drawn to position 0

	clipFrom  = 1.0 / 256 // ε of the MLP: what an edge among 64 adds lies above
	clipWidth = 1.0 / 128 // δ
)

// sink is τ: how much the second layer is drawn to <eos>, half of what the smallest
// coefficient of a thought over all nodes brings.
var sink = 1 / (2 * math.Sqrt(nodes))

// kernel is ⟨p_0, p_d⟩ of the position code; ⟨p_i, R_ℓ p_j⟩ is kernel(i−j−ℓ),
// because R_ℓ p_j = p_{j+ℓ} and rotations keep inner products.
func kernel(d int) float64 { return kernels[max(d, -d)] }

var kernels = func() (k [mostPosition + 3]float64) {
	for d := range k {
		for i := range pairs {
			k[d] += math.Cos(math.Pow(10000, -float64(i)/pairs) * float64(d))
		}
	}
	return k
}()

// gap is g = 32 − max_{d≠0} ⟨p_0, p_d⟩.
var gap = pairs - slices.Max(kernels[1:])

// copyHead is a head of the first layer: a position with a token of from attends to
// the position back before it, any other to position 0, and what it finds there of
// nodes is written to a buffer.
type copyHead struct {
	from   []int
	back   int
	second bool // to buf2 instead of buf1
}

var edgeEnds = []int{task.SymbolBar, task.SymbolQuery} // [Q] serves the last edge

// copyHeads are the first layer. No candidate may enter buf1 at [R]: it would act as an edge.
var copyHeads = []copyHead{
	{edgeEnds, 2, false},
	{edgeEnds, 1, true},
	{[]int{task.SymbolRoot}, 2, true},
	{[]int{task.SymbolRoot}, 1, true},
	{[]int{task.SymbolAnswer}, 1, false},
}

// place is a position of a constructed model after the first layer.
type place struct {
	content    [vocab]float64 // one-hot token, or a thought over the node dimensions
	buf1, buf2 [nodes]float64
}

// Name implements Subject.
func (c Constructed) Name() string { return "constructed" }

// Width implements Subject: a thought's other subspaces are dropped.
func (c Constructed) Width() int { return vocab }

// Embedding implements Subject.
func (c Constructed) Embedding(token int) []float64 {
	u := make([]float64, vocab)
	u[token] = 1
	return u
}

// Read implements Subject.
func (c Constructed) Read(prompt []int) (Mind, error) { return c.read(prompt, false) }

func (c Constructed) read(prompt []int, keep bool) (*constructedMind, error) {
	if len(prompt) == 0 || prompt[0] != task.SymbolEOS {
		return nil, errors.New("read a prompt: it does not begin with <eos>, on which the constructed model rests: write it with Symbols.Prompt")
	}
	m := &constructedMind{Constructed: c, keep: keep}
	if m.Eta == 0 {
		m.Eta = 60 / gap
	}
	if m.Lambda == 0 {
		m.Lambda = 60 / sink
	}
	for _, token := range prompt {
		if token < 0 || token >= vocab {
			return nil, fmt.Errorf("read a prompt: token %d is not one of the %d symbols", token, vocab)
		}
		if err := m.Feed(c.Embedding(token)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// constructedMind holds the positions read. Earlier ones never change, and the
// second layer's output is needed at the last alone.
type constructedMind struct {
	Constructed
	places []place
	keep   bool
	first  [][][]float64 // the first layer's weights by position and head, if they are kept
}

// Feed implements Mind: content is a one-hot token or a thought.
func (m *constructedMind) Feed(content []float64) error {
	if len(content) != vocab {
		return fmt.Errorf("feed a thought: it has %d numbers, the constructed model's have %d", len(content), vocab)
	}
	if len(m.places) == mostPosition {
		return fmt.Errorf("feed a thought: the constructed model has %d positions, and all are taken", mostPosition)
	}
	m.places = append(m.places, place{content: [vocab]float64(content)})
	i := len(m.places) - 1
	p := &m.places[i]
	var kept [][]float64
	for _, h := range copyHeads {
		w := m.copyWeights(h, i)
		buf := &p.buf1
		if h.second {
			buf = &p.buf2
		}
		for j, a := range w {
			if a == 0 { // most are: their exponential underflows
				continue
			}
			for v := range buf {
				buf[v] += a * m.places[j].content[v]
			}
		}
		kept = append(kept, w)
	}
	if m.keep {
		m.first = append(m.first, kept)
	}
	return nil
}

// copyWeights is the softmax over j ≤ i of η(⟨p_i, R_ℓ p_j⟩ + 3·⟨x̄, content_i⟩·⟨p_0, p_j⟩),
// x̄ being ones outside the head's tokens.
func (m *constructedMind) copyWeights(h copyHead, i int) []float64 {
	outside := 0.0
	for t, c := range m.places[i].content {
		if !slices.Contains(h.from, t) {
			outside += c
		}
	}
	w := make([]float64, i+1)
	for j := range w {
		w[j] = m.Eta * (kernel(i-j-h.back) + farFactor*outside*kernel(j))
	}
	return softmax(w)
}

// matchLogits are the second layer's logits at position i, over j ≤ i:
// λ(⟨node content_i, buf1_j⟩ + [A]_i·[R]_j + τ·[eos]_j).
func (m *constructedMind) matchLogits(i int) []float64 {
	q := &m.places[i]
	w := make([]float64, i+1)
	for j := range w {
		k := &m.places[j]
		w[j] = q.content[task.SymbolAnswer]*k.content[task.SymbolRoot] + sink*k.content[task.SymbolEOS]
		for v := range k.buf1 {
			w[j] += q.content[v] * k.buf1[v]
		}
		w[j] *= m.Lambda
	}
	return w
}

// after is the node content at position i behind both layers.
func (m *constructedMind) after(i int) (x [nodes]float64) {
	copy(x[:], m.places[i].content[:nodes])
	for j, a := range softmax(m.matchLogits(i)) {
		if a == 0 {
			continue
		}
		for v := range x {
			x[v] += a * m.places[j].buf2[v]
		}
	}
	if m.Unclipped {
		return x
	}
	for v := range x {
		a := (x[v] - clipFrom) / clipWidth
		x[v] = max(0, a) - max(0, a-1)
	}
	return x
}

// Thought implements Mind: the node content divided by its L2 norm.
func (m *constructedMind) Thought() []float64 {
	x := m.after(len(m.places) - 1)
	square := 0.0
	for _, a := range x {
		square += a * a
	}
	t := make([]float64, vocab)
	if square > 0 {
		for v, a := range x {
			t[v] = a / math.Sqrt(square)
		}
	}
	return t
}

// Logits implements Mind: content and buf1 over the nodes; nothing of the other tokens.
func (m *constructedMind) Logits() []float64 {
	i := len(m.places) - 1
	out := make([]float64, vocab)
	for v, x := range m.after(i) {
		out[v] = x + m.places[i].buf1[v]
	}
	return out
}

// Fork implements Mind.
func (m *constructedMind) Fork() Mind {
	fork := *m
	fork.places, fork.first = slices.Clone(m.places), slices.Clone(m.first)
	return &fork
}

// Answer implements Mind.
func (m *constructedMind) Answer() ([]float64, error) {
	asked := m.Fork()
	if err := asked.Feed(m.Embedding(task.SymbolAnswer)); err != nil {
		return nil, err
	}
	return asked.Logits(), nil
}

// Look implements Subject.
func (c Constructed) Look(prompt []int, thoughts [][]float64) (*Attention, error) {
	m, err := c.read(prompt, true)
	if err != nil {
		return nil, err
	}
	for _, t := range thoughts {
		if err := m.Feed(t); err != nil {
			return nil, err
		}
	}
	second := make([][]float64, len(m.places)) // logits
	weights := make([][]float64, len(m.places))
	for i := range second {
		second[i] = m.matchLogits(i)
		weights[i] = softmax(slices.Clone(second[i]))
	}
	return &Attention{
		Heads: [2]int{len(copyHeads), 1},
		Weight: func(layer, head, from, to int) float64 {
			if layer == 0 {
				return m.first[from][head][to]
			}
			return weights[from][to]
		},
		Logit: func(_, from, to int) float64 { return second[from][to] },
	}, nil
}

// softmax replaces logits by their softmax and returns it.
func softmax(w []float64) []float64 {
	top, sum := slices.Max(w), 0.0
	for i := range w {
		w[i] = math.Exp(w[i] - top)
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}
