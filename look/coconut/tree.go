package coconut

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/task"
)

// Choice is what a model would write next after K thoughts on one graph: of the nodes
// that a walk of K edges can have come to, the one whose sentence it would begin
// with (arXiv 2412.06769, section 5.3: a latent search tree's values).
type Choice struct {
	Item   int       `json:"item"`
	K      int       `json:"thoughts"`
	Nodes  []int     `json:"nodes"`  // the frontier, ids ascending
	Values []float64 `json:"values"` // probability of each, normalised over them
	Mass   float64   `json:"mass"`   // what all of them have of all tokens: a model that has done with steps has little
}

// choices asks for the values of a problem after 1 to most thoughts, while steps are
// left to write: with as many thoughts as hops the target has been reached.
func (m *Model) choices(p task.Problem, item, most int) (out []Choice, err error) {
	g := p.Data.(*task.Graph)
	frontier := g.Frontiers(most)
	for k := 1; k <= min(most, g.Hops()-1); k++ {
		c := Choice{Item: item, K: k, Nodes: frontier[k]}
		starts := make([][]int, len(c.Nodes))
		for i, v := range c.Nodes {
			starts[i] = m.Vocab.Encode("Every " + g.IdxToSymbol[v] + " is a")
		}
		at := 0 // the token that names the node
		for other := m.Vocab.Encode("Every " + otherName(g, c.Nodes[0]) + " is a"); starts[0][at] == other[at]; at++ {
		}
		logits, _, err := m.after(p, k, starts[0][:at])
		if err != nil {
			return nil, err
		}
		c.Values, c.Mass = normalised(logits, starts, at)
		out = append(out, c)
	}
	return out, nil
}

// otherName is the name of another kind of the graph than v: one that some edge enters.
func otherName(g *task.Graph, v int) string {
	for _, e := range g.Edges {
		if e[1] != v {
			return g.IdxToSymbol[e[1]]
		}
	}
	return "" // a graph of one edge; the tokens differ from any
}

// after is the logits (V) behind the prompt, k thoughts or pauses, <eot> and ids, and
// those of each thought read as a token: the logit lens softmax(W h).
func (m *Model) after(p task.Problem, k int, ids []int) (logits []float32, lens [][]float32, err error) {
	l := latent.Layout{Vocab: m.Vocab, Method: m.Info.Method}
	d := nn.NewDecoder(m.Net)
	defer func() {
		if err != nil {
			err = fmt.Errorf("asking %s: %w", m.Dir, err)
		}
	}()
	s, hidden, err := d.Prefill(l.Prompt(p))
	if err != nil {
		return nil, nil, err
	}
	defer d.Drop(s)
	rest := l.Filled(k)
	if m.Info.Fill == latent.Thoughts {
		rest = rest[k:] // the thoughts themselves are no tokens
		for range k {
			lens = append(lens, slices.Clone(hidden))
			rows, err := d.StepEmbeds([]*nn.Seq{s}, [][]float32{slices.Clone(s.Hidden())})
			if err != nil {
				return nil, nil, err
			}
			hidden = rows[0]
		}
	}
	rows, err := d.Extend([]*nn.Seq{s}, [][]int{append(slices.Clone(rest), ids...)})
	if err != nil {
		return nil, nil, err
	}
	return rows[0], lens, nil
}

// normalised is the softmax of logits at place at of each start, over all of them, and
// their part of the softmax over all tokens.
func normalised(logits []float32, starts [][]int, at int) (values []float64, mass float64) {
	most := float64(slices.Max(logits))
	all := 0.0
	for _, l := range logits {
		all += math.Exp(float64(l) - most)
	}
	for _, s := range starts {
		v := math.Exp(float64(logits[s[at]]) - most)
		values, mass = append(values, v), mass+v
	}
	for i := range values {
		values[i] /= mass
	}
	return values, mass / all
}

// heights is each node's shortest distance to a leaf.
func heights(g *task.Graph) []int {
	children := g.Children()
	h := make([]int, g.Nodes())
	for v := range h {
		h[v] = -1
	}
	for d, left := 0, true; left; d++ {
		left = false
		for v := range h {
			if h[v] >= 0 {
				continue
			}
			if d == 0 && len(children[v]) == 0 || slices.ContainsFunc(children[v], func(c int) bool { return h[c] >= 0 && h[c] == d-1 }) {
				h[v] = d
				left = true
			}
		}
	}
	return h
}

// Tree is what thoughts hold of many graphs.
type Tree struct {
	Model    *Model
	Problems []task.Problem
	Score    *Score
	Choices  []Choice
	Lenses   []Lens // of the examples
}

// Lens is what each thought of a problem would be, were it read as a token.
type Lens struct {
	Item     int         `json:"item"`
	Readings [][]Reading `json:"readings"` // of each thought, the likeliest first
}

// Reading is a token and its part of softmax(W h).
type Reading struct {
	Text string  `json:"text"`
	P    float64 `json:"p"`
}

const (
	shown    = 4 // problems that are drawn
	readings = 5 // of a thought
)

// Grow looks into a model that fills its places with thoughts or pauses, on ProsQA
// problems.
func (m *Model) Grow(ctx context.Context, ps []task.Problem, seed uint64, progress func(done, total int)) (*Tree, error) {
	if m.Info.Fill == latent.Nothing || !strings.HasPrefix(m.Info.Task, "prosqa") {
		return nil, fmt.Errorf("looking into %s: it was trained by method %q on %s: give a model that has thoughts or pauses, on a ProsQA task", m.Dir, m.Info.Method, m.Info.Task)
	}
	t := &Tree{Model: m, Problems: ps}
	var err error
	total := len(ps) + 1
	if t.Score, err = m.Measure(ctx, ps, seed, nil); err != nil {
		return nil, err
	}
	for i, p := range ps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(i+1, total)
		}
		c, err := m.choices(p, i, m.Info.Thoughts)
		if err != nil {
			return nil, err
		}
		t.Choices = append(t.Choices, c...)
	}
	if m.Info.Fill != latent.Thoughts {
		return t, nil
	}
	for _, i := range t.examples() {
		_, lens, err := m.after(ps[i], m.Info.Thoughts, nil)
		if err != nil {
			return nil, err
		}
		l := Lens{Item: i}
		for _, logits := range lens {
			l.Readings = append(l.Readings, m.read(logits))
		}
		t.Lenses = append(t.Lenses, l)
	}
	return t, nil
}

// examples are the problems that are drawn: those with the most nodes to choose from,
// after two thoughts if they have that many.
func (t *Tree) examples() []int {
	nodes := make([]int, len(t.Problems))
	for _, c := range t.Choices {
		if c.K <= 2 {
			nodes[c.Item] += len(c.Nodes)
		}
	}
	items := make([]int, len(nodes))
	for i := range items {
		items[i] = i
	}
	slices.SortStableFunc(items, func(a, b int) int { return nodes[b] - nodes[a] })
	return items[:min(shown, len(items))]
}

// read lists the likeliest tokens.
func (m *Model) read(logits []float32) (out []Reading) {
	ids := make([]int, len(logits))
	for i := range ids {
		ids[i] = i
	}
	slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	most, mass := float64(logits[ids[0]]), 0.0
	for _, l := range logits {
		mass += math.Exp(float64(l) - most)
	}
	for _, id := range ids[:min(readings, len(ids))] {
		name := strings.TrimSpace(string(m.Vocab.Bytes(id)))
		if name == "" {
			name = m.Vocab.Name(id)
		}
		out = append(out, Reading{name, math.Exp(float64(logits[id])-most) / mass})
	}
	return out
}
