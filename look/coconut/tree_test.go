package coconut

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/task"
)

// thinker is an untrained model with preferences.
func thinker(t *testing.T, m latent.Method, vocabulary string) *Model {
	t.Helper()
	ts, err := task.Lookup("prosqa-tiny")
	if err != nil {
		t.Fatal(err)
	}
	v, err := latent.Vocabulary(ts, vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.New(nn.Config{VocabSize: v.Size(), BOS: v.BOS(), EOS: v.EOS(), HiddenSize: 16, Layers: 2, Heads: 2, MaxPositions: 400, Tied: true}, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Params() {
		tensor.Scale(p.Val.Data, p.Val.Data, 6)
	}
	return &Model{Dir: "m/final", Info: latent.NewInfo(m, 3, "prosqa-tiny"), Net: net, Vocab: v}
}

// TestValues: a node's value is the probability of the sentence about it, in either
// vocabulary, by thoughts and by pauses, normalised over the nodes that walks come to.
func TestValues(t *testing.T) {
	ps, err := Problems("prosqa-tiny", task.Standard, 6, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Model{thinker(t, latent.Coconut, latent.Phrases), thinker(t, latent.PauseAsThought, latent.Phrases), thinker(t, latent.Coconut, latent.Words)} {
		for i, p := range ps {
			g := p.Data.(*task.Graph)
			list, err := m.choices(p, i, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if !slices.Equal(c.Nodes, g.Frontiers(c.K)[c.K]) {
					t.Fatalf("after %d thoughts nodes %v", c.K, c.Nodes)
				}
				sum := 0.0
				for _, v := range c.Values {
					sum += v
				}
				if math.Abs(sum-1) > 1e-12 || c.Mass <= 0 || c.Mass >= 1 {
					t.Errorf("values add up to %v, of a mass of %v", sum, c.Mass)
				}
			}
			if len(list) != g.Hops()-1 {
				t.Fatalf("%d hops have %d choices", g.Hops(), len(list))
			}
			// In phrases the first token that is written names the node.
			if m.Vocab.Spaced() {
				continue
			}
			for _, c := range list {
				r, err := m.answer(t.Context(), ps[i:i+1], c.K, nil)
				if err != nil {
					t.Fatal(err)
				}
				for a, v := range c.Nodes {
					id := m.Vocab.Encode("Every " + g.IdxToSymbol[v] + " is a")
					first := m.Vocab.Encode("Every " + g.IdxToSymbol[c.Nodes[0]] + " is a")
					want := math.Exp(float64(r[0].First[id[0]]) - float64(r[0].First[first[0]]))
					if got := c.Values[a] / c.Values[0]; len(id) != 1 || math.Abs(got/want-1) > 1e-9 {
						t.Errorf("%d thoughts: node %d is %v times as likely as %d, the written token %v times", c.K, v, got, c.Nodes[0], want)
					}
				}
			}
		}
	}
}

// TestHeights compares with walks of every length.
func TestHeights(t *testing.T) {
	ps, err := Problems("prosqa", task.Standard, 5, 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		g := p.Data.(*task.Graph)
		h := heights(g)
		children := g.Children()
		for v := range h {
			want, at := -1, []int{v}
			for d := 0; want < 0; d++ {
				var next []int
				for _, u := range at {
					if len(children[u]) == 0 {
						want = d
					}
					next = append(next, children[u]...)
				}
				at = next
			}
			if h[v] != want {
				t.Errorf("node %d is %d from a leaf, want %d", v, h[v], want)
			}
		}
	}
}

func TestGrow(t *testing.T) {
	ps, err := Problems("prosqa-tiny", task.Standard, 12, 2)
	if err != nil {
		t.Fatal(err)
	}
	m := thinker(t, latent.Coconut, latent.Phrases)
	tree, err := m.Grow(t.Context(), ps, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Lenses) != shown || len(tree.Lenses[0].Readings) != 3 || len(tree.Lenses[0].Readings[0]) != readings {
		t.Errorf("lenses %+v", tree.Lenses)
	}
	for _, list := range tree.Lenses[0].Readings {
		for i := 1; i < len(list); i++ {
			if list[i].P > list[i-1].P || list[i].P <= 0 {
				t.Errorf("readings %+v are not the likeliest first", list)
			}
		}
	}
	nodes := 0
	for _, h := range tree.Heights() {
		nodes += h.N[0] + h.N[1]
	}
	want := 0
	for _, c := range tree.Choices {
		want += len(c.Nodes)
	}
	if nodes != want {
		t.Errorf("%d nodes in the table by height, want %d", nodes, want)
	}
	top := tree.Top(1)
	for i := range top[0] {
		if top[0][i] > top[2][i]+1e-12 || !slices.IsSorted(top[1]) {
			t.Fatalf("tops %v", top)
		}
	}
	var b bytes.Buffer
	if err := tree.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"Where the search stands", "by height", "hallucinated edge", "12 problems"} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("no %q in\n%s", s, &b)
		}
	}
	if _, err := json.Marshal(tree.JSON()); err != nil {
		t.Error(err)
	}
	if len(tree.Page("x").Blocks) < 15 {
		t.Error("the page lacks parts")
	}
	m.Info = latent.NewInfo(latent.CoT, 3, "prosqa-tiny")
	if _, err := m.Grow(t.Context(), ps, 1, nil); err == nil || !strings.Contains(err.Error(), "thoughts or pauses") {
		t.Errorf("a model without thoughts: %v", err)
	}
}
