package nn

import (
	"fmt"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Input is a ragged batch: sequences of any lengths, one after the other.
type Input struct {
	Tokens []int // (N); −1: the row comes from Embeds
	Lens   []int // lengths of the sequences, ΣLens = N; nil: one sequence

	// Embeds (E, d) holds the rows for the tokens that are −1, in their order.
	// It may come from an earlier pass on the same tape (latent thoughts), and
	// then carries gradients back to it. Learned positions are added to it too.
	Embeds *grad.Var

	Positions []int // (N); nil: 0, 1, 2 … in each sequence

	// Allow says whether query position q of a sequence sees key position k.
	// Nil: all up to q, or all of the sequence if the model is bidirectional.
	Allow func(seq, q, k int) bool

	Taps *Taps // nil: none
}

// Taps opens a forward pass. Values are named "embed"; for each layer
// "layers.0.norm1", ".q", ".k" (both turned), ".v", ".attn" (heads side by
// side), ".attn_out", ".norm2", ".mlp_out", and "layers.0" itself, the residual
// stream after it; and "norm", the result.
type Taps struct {
	// Vars, if not nil, receives every value by name. They live until the
	// tape's Reset; set Keep in them to see their gradients after Backward.
	Vars map[string]*grad.Var
	// Probs, if not nil, receives the attention weights of each layer by the
	// name "layers.0": for each sequence (Heads, L, L).
	Probs map[string][]*tensor.Tensor
	// Edit, if not nil, may replace a value by another of its shape; nil leaves
	// it.
	Edit func(name string, v *grad.Var) *grad.Var
}

func (taps *Taps) see(name string, v *grad.Var) *grad.Var {
	if taps == nil {
		return v
	}
	if taps.Edit != nil {
		if w := taps.Edit(name, v); w != nil {
			v = w
		}
	}
	if taps.Vars != nil {
		taps.Vars[name] = v
	}
	return v
}

// Hidden runs the layers: the result is (N, d), after the final norm. It panics
// if the input does not fit itself or the model, as the operations of grad do.
func (m *Model) Hidden(t *grad.Tape, in Input) *grad.Var {
	c := m.Config
	in = m.prepared(in)
	taps := in.Taps
	t.At("model.embed_tokens")
	x := m.embedded(t, in)
	x = taps.see("embed", x)
	at := grad.AttnSpec{Lens: in.Lens, Heads: c.Heads, KVHeads: c.KVHeads, Causal: !c.Bidirectional && in.Allow == nil}
	if in.Allow != nil {
		at.Bias = grad.Mask(in.Lens, in.Allow)
	}
	b := block{positions: in.Positions, taps: taps, attend: func(_ int, q, k, v *grad.Var, probs *[]*tensor.Tensor) *grad.Var {
		at.Probs = probs
		return t.Attention(q, k, v, at)
	}}
	for i := range m.layers {
		x = m.block(t, i, x, b)
	}
	t.At("model.norm")
	return taps.see("norm", m.normed(t, m.norm, x))
}

// block is how a layer runs.
type block struct {
	positions []int // (N)
	taps      *Taps
	// attend is the layer's attention; probs is nil, or where the weights go.
	attend func(layer int, q, k, v *grad.Var, probs *[]*tensor.Tensor) *grad.Var
	// rows, if not nil, are the rows whose results are wanted: the others give
	// keys and values only.
	rows []int
}

// block is one layer: x + attention(norm(x)), then + MLP(norm(·)).
func (m *Model) block(t *grad.Tape, i int, x *grad.Var, b block) *grad.Var {
	c, taps, l := m.Config, b.taps, &m.layers[i]
	name := ""
	if taps != nil {
		name = fmt.Sprintf("layers.%d", i)
	}
	t.At(l.place + ".self_attn")
	h := taps.see(name+".norm1", m.normed(t, l.norm1, x))
	asking, at := h, b.positions
	if b.rows != nil {
		x, asking, at = t.Rows(x, b.rows), t.Rows(h, b.rows), make([]int, len(b.rows))
		for j, r := range b.rows {
			at[j] = b.positions[r]
		}
	}
	q, k, v := l.q.on(t, asking), l.k.on(t, h), l.v.on(t, h)
	if m.cos != nil {
		q = t.Rotary(q, c.Heads, at, m.cos, m.sin)
		k = t.Rotary(k, c.KVHeads, b.positions, m.cos, m.sin)
	}
	q, k, v = taps.see(name+".q", q), taps.see(name+".k", k), taps.see(name+".v", v)
	var probs *[]*tensor.Tensor
	if taps != nil && taps.Probs != nil {
		probs = new([]*tensor.Tensor)
	}
	a := taps.see(name+".attn", b.attend(i, q, k, v, probs))
	if probs != nil {
		taps.Probs[name] = *probs
	}
	x = t.Add(x, taps.see(name+".attn_out", l.o.on(t, a)))

	t.At(l.place + ".mlp")
	h = taps.see(name+".norm2", m.normed(t, l.norm2, x))
	var act *grad.Var
	switch c.MLP {
	case "swiglu":
		act = t.SwiGLU(l.gate.on(t, h), l.up.on(t, h))
	case "relu":
		act = t.ReLU(l.up.on(t, h))
	default:
		act = t.GELU(l.up.on(t, h))
	}
	return taps.see(name, t.Add(x, taps.see(name+".mlp_out", l.down.on(t, act))))
}

func (l linear) on(t *grad.Tape, x *grad.Var) *grad.Var { return t.Linear(x, l.w, l.b) }

func (m *Model) normed(t *grad.Tape, n norm, x *grad.Var) *grad.Var {
	switch m.Config.Norm {
	case "none":
		return x
	case "layer":
		return t.LayerNorm(x, n.w, n.b, float32(m.Config.NormEps))
	}
	return t.RMSNorm(x, n.w, float32(m.Config.NormEps))
}

// embedded is the residual stream before the first layer.
func (m *Model) embedded(t *grad.Tape, in Input) *grad.Var {
	x := t.Embed(m.embed, in.Tokens)
	if in.Embeds != nil {
		var rows []int
		for i, id := range in.Tokens {
			if id < 0 {
				rows = append(rows, i)
			}
		}
		x = t.ScatterAdd(x, in.Embeds, rows)
	}
	if m.positions != nil {
		x = t.Add(x, t.Embed(m.positions, in.Positions))
	}
	return x
}

// prepared fills in lengths and positions and checks the input.
func (m *Model) prepared(in Input) Input {
	n := len(in.Tokens)
	if in.Lens == nil {
		in.Lens = []int{n}
	}
	sum, latent := 0, 0
	for _, l := range in.Lens {
		if l < 0 {
			panic(fmt.Sprintf("nn.Hidden: a sequence of length %d", l))
		}
		sum += l
	}
	if sum != n {
		panic(fmt.Sprintf("nn.Hidden: %d tokens, but the lengths add up to %d", n, sum))
	}
	for i, id := range in.Tokens {
		if id < -1 || id >= m.Config.VocabSize {
			panic(fmt.Sprintf("nn.Hidden: token %d at row %d is outside a vocabulary of %d", id, i, m.Config.VocabSize))
		}
		if id == -1 {
			latent++
		}
	}
	given := 0
	if in.Embeds != nil {
		given = in.Embeds.Val.Dim(0)
	}
	if latent != given {
		panic(fmt.Sprintf("nn.Hidden: %d tokens are −1, but Embeds has %d rows", latent, given))
	}
	if in.Positions == nil {
		in.Positions = make([]int, 0, n)
		for _, l := range in.Lens {
			for i := range l {
				in.Positions = append(in.Positions, i)
			}
		}
	}
	if len(in.Positions) != n {
		panic(fmt.Sprintf("nn.Hidden: %d tokens, %d positions", n, len(in.Positions)))
	}
	for i, p := range in.Positions {
		if p < 0 || p >= m.Config.MaxPositions && m.Config.Positions != "none" {
			panic(fmt.Sprintf("nn.Hidden: position %d at row %d: the model has %d", p, i, m.Config.MaxPositions))
		}
	}
	return in
}

// Logits applies the head to rows of h (N, d): the result is (len(rows), V), or
// (N, V) if rows is nil.
func (m *Model) Logits(t *grad.Tape, h *grad.Var, rows []int) *grad.Var {
	t.At("lm_head")
	if rows != nil {
		h = t.Rows(h, rows)
	}
	return t.Linear(h, m.head, nil)
}
