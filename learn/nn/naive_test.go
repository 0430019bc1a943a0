package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// naive is the transformer by its definition: float64, one position at a time,
// no package of ours. It gives the logits of one sequence.
type naive struct {
	c Config
	w map[string][]float64
}

func newNaive(m *Model) *naive {
	n := &naive{m.Config, map[string][]float64{}}
	for _, p := range m.Params() {
		for _, v := range p.Val.Data {
			n.w[p.Name] = append(n.w[p.Name], float64(v))
		}
	}
	return n
}

func (n *naive) linear(name string, x []float64) []float64 {
	w := n.w[name+".weight"]
	out := make([]float64, len(w)/len(x))
	for o := range out {
		if b := n.w[name+".bias"]; b != nil {
			out[o] = b[o]
		}
		for i, v := range x {
			out[o] += w[o*len(x)+i] * v
		}
	}
	return out
}

func (n *naive) norm(name string, x []float64) []float64 {
	var mean, sq float64
	if n.c.Norm == "none" {
		return x
	}
	if n.c.Norm == "layer" {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		sq += (v - mean) * (v - mean) / float64(len(x))
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = (v - mean) / math.Sqrt(sq+n.c.NormEps) * n.w[name+".weight"][i]
		if b := n.w[name+".bias"]; b != nil {
			out[i] += b[i]
		}
	}
	return out
}

func (n *naive) rotate(x []float64, pos int) []float64 {
	out, hd := append([]float64(nil), x...), n.c.HeadDim
	if n.c.Positions != "rotary" {
		return out
	}
	for h := 0; h < len(x); h += hd {
		for i := range hd / 2 {
			s, c := math.Sincos(float64(pos) / math.Pow(n.c.RopeTheta, 2*float64(i)/float64(hd)))
			a, b := x[h+i], x[h+i+hd/2]
			out[h+i], out[h+i+hd/2] = a*c-b*s, a*s+b*c
		}
	}
	return out
}

func (n *naive) mlp(place string, x []float64) []float64 {
	up := n.linear(place+".up_proj", x)
	switch n.c.MLP {
	case "gelu":
		for i, v := range up {
			up[i] = v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		}
	case "relu":
		for i, v := range up {
			up[i] = max(v, 0)
		}
	default:
		for i, g := range n.linear(place+".gate_proj", x) {
			up[i] *= g / (1 + math.Exp(-g))
		}
	}
	return n.linear(place+".down_proj", up)
}

func (n *naive) logits(tokens []int) []float64 {
	c := n.c
	xs := make([][]float64, len(tokens))
	for i, id := range tokens {
		xs[i] = append([]float64(nil), n.w["model.embed_tokens.weight"][id*c.HiddenSize:(id+1)*c.HiddenSize]...)
		if c.Positions == "learned" {
			for j := range xs[i] {
				xs[i][j] += n.w["model.embed_positions.weight"][i*c.HiddenSize+j]
			}
		}
	}
	for l := range c.Layers {
		place := "model.layers." + string(rune('0'+l))
		q, k, v := make([][]float64, len(xs)), make([][]float64, len(xs)), make([][]float64, len(xs))
		for i, x := range xs {
			h := n.norm(place+".input_layernorm", x)
			q[i] = n.rotate(n.linear(place+".self_attn.q_proj", h), i)
			k[i] = n.rotate(n.linear(place+".self_attn.k_proj", h), i)
			v[i] = n.linear(place+".self_attn.v_proj", h)
		}
		for i, x := range xs {
			add(x, n.linear(place+".self_attn.o_proj", n.attend(q[i], k, v, i)))
			add(x, n.mlp(place+".mlp", n.norm(place+".post_attention_layernorm", x)))
		}
	}
	head := "lm_head.weight"
	if c.Tied {
		head = "model.embed_tokens.weight"
	}
	var out []float64
	for _, x := range xs {
		h := n.norm("model.norm", x)
		for t := range c.VocabSize {
			var s float64
			for j, v := range h {
				s += v * n.w[head][t*c.HiddenSize+j]
			}
			out = append(out, s)
		}
	}
	return out
}

func add(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}

func (n *naive) attend(q []float64, k, v [][]float64, i int) []float64 {
	c := n.c
	hd, group := c.HeadDim, c.Heads/c.KVHeads
	if !c.Bidirectional {
		k = k[:i+1]
	}
	out := make([]float64, len(q))
	for h := range c.Heads {
		w, sum := make([]float64, len(k)), 0.0
		for j := range k {
			var dot float64
			for e := range hd {
				dot += q[h*hd+e] * k[j][h/group*hd+e]
			}
			w[j] = math.Exp(dot / math.Sqrt(float64(hd)))
			sum += w[j]
		}
		for j := range k {
			for e := range hd {
				out[h*hd+e] += w[j] / sum * v[j][h/group*hd+e]
			}
		}
	}
	return out
}

// TestModelIsItsDefinition compares logits with the naive float64 transformer.
// The logits are of order 3, and float32 rounds some hundred times on the way
// to each: 2e-5 is asked.
func TestModelIsItsDefinition(t *testing.T) {
	for name, c := range shapes() {
		m := lively(t, c, 21)
		tokens := randomTokens(rand.New(rand.NewPCG(2, 2)), 75, 13)
		tape := &grad.Tape{NoGrad: true}
		got := m.Logits(tape, m.Hidden(tape, Input{Tokens: tokens}), nil).Val.Data
		want := newNaive(m).logits(tokens)
		worst := 0.0
		for i, w := range want {
			worst = max(worst, math.Abs(float64(got[i])-w))
		}
		if !(worst <= 2e-5) {
			t.Errorf("%s: logits differ from the definition by up to %g", name, worst)
		}
	}
}

// TestTaps: values are named and live, an edit takes effect, attention weights
// add up to one over what a position sees.
func TestTaps(t *testing.T) {
	c := shapes()["llama"]
	m := lively(t, c, 21)
	tokens := []int{1, 2, 3, 4, 5}
	taps := &Taps{Vars: map[string]*grad.Var{}, Probs: map[string][]*tensor.Tensor{}}
	tape := grad.NewTape()
	h := m.Hidden(tape, Input{Tokens: tokens, Taps: taps})
	for _, name := range []string{"embed", "layers.0.norm1", "layers.0.q", "layers.0.k", "layers.0.v", "layers.0.attn", "layers.0.attn_out", "layers.0.norm2", "layers.0.mlp_out", "layers.0", "layers.1", "norm"} {
		if taps.Vars[name] == nil {
			t.Errorf("no value named %s", name)
		}
	}
	if taps.Vars["norm"] != h {
		t.Error("norm is not the result")
	}
	plain := m.Hidden(tape, Input{Tokens: tokens})
	sameBits(t, "tapped", h.Val.Data, plain.Val.Data)
	p := taps.Probs["layers.1"][0]
	for h := range c.Heads {
		for i := range 5 {
			var sum float32
			for j, v := range p.Data[(h*5+i)*5 : (h*5+i+1)*5] {
				if sum += v; j > i && v != 0 {
					t.Errorf("head %d: position %d sees %d", h, i, j)
				}
			}
			if math.Abs(float64(sum)-1) > 1e-6 { // five roundings
				t.Errorf("head %d: weights of position %d add up to %g", h, i, sum)
			}
		}
	}
	mid := taps.Vars["layers.0"]
	mid.Keep = true
	if err := tape.Backward(tape.Sum(h)); err != nil || mid.Grad == nil {
		t.Errorf("no gradient of a kept tap: %v", err)
	}
	// Replacing the stream after layer 0 by that of another input gives that
	// input's result.
	other := []int{5, 4, 3, 2, 1}
	from := &Taps{Vars: map[string]*grad.Var{}}
	want := m.Hidden(tape, Input{Tokens: other, Taps: from})
	got := m.Hidden(tape, Input{Tokens: tokens, Taps: &Taps{Edit: func(name string, _ *grad.Var) *grad.Var {
		if name == "layers.0" {
			return from.Vars[name]
		}
		return nil
	}}})
	sameBits(t, "patched", got.Val.Data, want.Val.Data)
}
