package probe

import (
	"math"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/task"
)

// written is the constructed model as weights of package nn, in float32: the same two
// layers, but for the length of a thought, which is left as it is: a 1 for each node.
// It holds Trained, the decoder and the open pass to a model that is known.
func written(t testing.TB) *nn.Model {
	t.Helper()
	const (
		buf1, buf2, pos = vocab, 2 * vocab, 3 * vocab
		width           = 3*vocab + 2*pairs
		hd              = 2 * pairs
	)
	heads := len(copyHeads)
	m, err := nn.New(nn.Config{VocabSize: vocab, HiddenSize: width, Layers: 2, Heads: heads, HeadDim: hd, Intermediate: 4*nodes + 2*hd,
		MaxPositions: 256, Positions: "learned", Norm: "none", MLP: "relu", Bias: true, Tied: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	params := map[string][]float32{}
	columns := map[string]int{}
	for _, p := range m.Params() {
		if !strings.Contains(p.Name, "norm") {
			clear(p.Val.Data)
		}
		params[p.Name], columns[p.Name] = p.Val.Data, p.Shape()[len(p.Shape())-1]
	}
	set := func(name string, row, column int, x float64) {
		data, ok := params[name]
		if !ok {
			t.Fatalf("the model has no %s", name)
		}
		data[row*columns[name]+column] += float32(x)
	}
	angle := func(k, by int) (cos, sin float64) {
		sin, cos = math.Sincos(math.Pow(10000, -float64(k)/pairs) * float64(by))
		return cos, sin
	}
	for v := range vocab {
		set("model.embed_tokens.weight", v, v, 1)
	}
	for i := range 256 {
		for k := range pairs {
			cos, sin := angle(k, i)
			set("model.embed_positions.weight", i, pos+2*k, cos)
			set("model.embed_positions.weight", i, pos+2*k+1, sin)
		}
	}
	sharp := math.Sqrt(hd) * 60 / gap // the softmax divides by √hd
	at := func(layer int, what string) string {
		return "model.layers." + string(rune('0'+layer)) + "." + what + ".weight"
	}
	q, k, v, o := at(0, "self_attn.q_proj"), at(0, "self_attn.k_proj"), at(0, "self_attn.v_proj"), at(0, "self_attn.o_proj")
	for h, c := range copyHeads {
		for i := range pairs { // q = η(R_−ℓ p_i + 3·⟨x̄, content⟩·p_0), k = p_j
			cos, sin := angle(i, c.back)
			a, b := h*hd+2*i, h*hd+2*i+1
			set(q, a, pos+2*i, sharp*cos)
			set(q, a, pos+2*i+1, sharp*sin)
			set(q, b, pos+2*i, -sharp*sin)
			set(q, b, pos+2*i+1, sharp*cos)
			for token := range vocab {
				if !contains(c.from, token) {
					set(q, a, token, sharp*farFactor)
				}
			}
			set(k, a, pos+2*i, 1)
			set(k, b, pos+2*i+1, 1)
		}
		to := buf1
		if c.second {
			to = buf2
		}
		for n := range nodes {
			set(v, h*hd+n, n, 1)
			set(o, to+n, h*hd+n, 1)
		}
	}
	match := math.Sqrt(hd) * 60 / sink
	q, k, v, o = at(1, "self_attn.q_proj"), at(1, "self_attn.k_proj"), at(1, "self_attn.v_proj"), at(1, "self_attn.o_proj")
	for n := range nodes {
		set(q, n, n, match)
		set(k, n, buf1+n, 1)
		set(v, n, buf2+n, 1)
		set(o, n, n, 1)
	}
	set(q, nodes, task.SymbolAnswer, match)
	set(k, nodes, task.SymbolRoot, 1)
	set("model.layers.1.self_attn.q_proj.bias", 0, nodes+1, match*sink)
	set(k, nodes+1, task.SymbolEOS, 1)
	for h := 1; h < heads; h++ { // the other heads rest at <eos>
		set("model.layers.1.self_attn.q_proj.bias", 0, h*hd, match)
		set(k, h*hd, task.SymbolEOS, 1)
	}

	up, down, bias := at(1, "mlp.up_proj"), at(1, "mlp.down_proj"), "model.layers.1.mlp.up_proj.bias"
	unit := 0
	neuron := func(from int, slope, offset float64, to int, weight float64) {
		set(up, unit, from, slope)
		set(bias, 0, unit, offset)
		set(down, to, unit, weight)
		unit++
	}
	for n := range nodes {
		neuron(n, 1/clipWidth, -clipFrom/clipWidth, n, 1) // the clipped content takes the content's place
		neuron(n, 1/clipWidth, -clipFrom/clipWidth-1, n, -1)
		neuron(n, 1, 0, n, -1)
		neuron(buf1+n, 1, 0, n, 1) // at [A]: the last thought, for the answer
	}
	for p := range hd { // the position is dropped, and added again at the next input
		neuron(pos+p, 1, 0, pos+p, -1)
		neuron(pos+p, -1, 0, pos+p, 1)
	}
	return m
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// TestWrittenModelIsTheConstructed: through nn's decoder and its open pass the model
// of float32 weights answers, attends and copies as the one in closed form.
func TestWrittenModelIsTheConstructed(t *testing.T) {
	s, err := NewTrained("written", written(t))
	if err != nil {
		t.Fatal(err)
	}
	items := generated(t, 81, 12, task.Standard)
	got, want := study(t, s, items), study(t, Constructed{}, items)
	if got.Oracle.Right != len(items) || got.Accuracy[mostThoughts].Right != len(items) {
		t.Errorf("%+v, and with %d thoughts %+v", got.Oracle, mostThoughts, got.Accuracy[mostThoughts])
	}
	// float32 logits of size 10⁵ are off by 10⁻², which moves a weight of one part in n edges
	// by less than 1 %.
	for i, a := range got.Attention {
		for _, c := range classes {
			if x, y := a.of(c).Value(), want.Attention[i].of(c).Value(); math.Abs(x-y) > .01*y+1e-6 {
				t.Errorf("attention on %v edges with %d thoughts: %v, want %v", c, i, x, y)
			}
		}
	}
	for i, b := range got.Inner { // one-hot embeddings and thoughts of ones
		for _, c := range classes {
			reached := 0.0
			if c >= task.Reachable {
				reached = 1
			}
			if math.Abs(b.of(c).Value()-reached) > 1e-3 {
				t.Errorf("inner product of thought %d with %v nodes: %v, want %v", i+1, c, b.of(c).Value(), reached)
			}
		}
		if cos := got.Thoughts[i].Cosine.Value(); cos < 1-1e-5 {
			t.Errorf("thought %d: cosine %v with the exact superposition", i+1, cos)
		}
	}
	for h, c := range got.Copying {
		w := want.Copying[h]
		if math.Abs(c.Source.Value()-w.Source.Value()) > 1e-4 || math.Abs(c.Target.Value()-w.Target.Value()) > 1e-4 || math.Abs(c.First.Value()-w.First.Value()) > 1e-4 {
			t.Errorf("head %d: %v %v %v", h, c.Source.Value(), c.Target.Value(), c.First.Value())
		}
	}
	if exact := got.standIn("exact").Share; exact.Right != len(items) {
		t.Errorf("with exact superpositions %+v", exact)
	}
}
