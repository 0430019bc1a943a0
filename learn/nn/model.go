package nn

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Model is a transformer's weights. Its methods only read them, so that many
// goroutines may run forward passes on tapes of their own; training must be
// alone.
type Model struct {
	Config Config // with the defaults filled in; not to be changed

	embed, positions *grad.Var // (V, d), (MaxPositions, d) or nil
	layers           []layer
	norm             norm
	head             *grad.Var // (V, d); embed if tied
	params           []*grad.Var
	cos, sin         *tensor.Tensor // (MaxPositions, HeadDim/2), nil without rotary positions
}

type linear struct{ w, b *grad.Var } // (out, in), (out) or nil

type norm struct{ w, b *grad.Var } // (d), b nil for RMS, both for none

type layer struct {
	place          string // "model.layers.3"
	norm1, norm2   norm
	q, k, v, o     linear
	gate, up, down linear // gate has weights with SwiGLU alone
}

// New makes a model with random weights: normal with standard deviation 0.02,
// divided by √(2·Layers) in the projections that add to the residual stream
// (o_proj, down_proj), so that its variance does not grow with depth; biases 0,
// norms 1. Each tensor's numbers depend on the seed and its name only.
func New(c Config, seed uint64) (*Model, error) {
	m, err := build(c)
	if err != nil {
		return nil, err
	}
	residual := 0.02 / math.Sqrt(float64(2*m.Config.Layers))
	for _, p := range m.params {
		if len(p.Shape()) == 2 {
			fillNormal(p, seed, 0.02)
		}
	}
	for _, l := range m.layers {
		fillNormal(l.o.w, seed, residual)
		fillNormal(l.down.w, seed, residual)
	}
	return m, nil
}

func fillNormal(p *grad.Var, seed uint64, std float64) {
	h := fnv.New64a()
	h.Write([]byte(p.Name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	for i := range p.Val.Data {
		p.Val.Data[i] = float32(r.NormFloat64() * std)
	}
}

// build makes a model whose matrices and biases are 0 and whose norms are 1.
func build(c Config) (*Model, error) {
	c, err := c.Resolved()
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c}
	d, wide := c.HiddenSize, c.Heads*c.HeadDim
	m.embed = m.param("model.embed_tokens.weight", c.VocabSize, d)
	if c.Positions == "learned" {
		m.positions = m.param("model.embed_positions.weight", c.MaxPositions, d)
	}
	for i := range c.Layers {
		l := layer{place: fmt.Sprintf("model.layers.%d", i)}
		l.norm1 = m.newNorm(l.place + ".input_layernorm")
		l.q = m.newLinear(l.place+".self_attn.q_proj", wide, d)
		l.k = m.newLinear(l.place+".self_attn.k_proj", c.KVHeads*c.HeadDim, d)
		l.v = m.newLinear(l.place+".self_attn.v_proj", c.KVHeads*c.HeadDim, d)
		l.o = m.newLinear(l.place+".self_attn.o_proj", d, wide)
		l.norm2 = m.newNorm(l.place + ".post_attention_layernorm")
		if c.MLP == "swiglu" {
			l.gate = m.newLinear(l.place+".mlp.gate_proj", c.Intermediate, d)
		}
		l.up = m.newLinear(l.place+".mlp.up_proj", c.Intermediate, d)
		l.down = m.newLinear(l.place+".mlp.down_proj", d, c.Intermediate)
		m.layers = append(m.layers, l)
	}
	m.norm = m.newNorm("model.norm")
	m.head = m.embed
	if !c.Tied {
		m.head = m.param("lm_head.weight", c.VocabSize, d)
	}
	if c.Positions == "rotary" {
		m.cos, m.sin = rotaryTable(c.MaxPositions, c.HeadDim, c.RopeTheta)
	}
	return m, nil
}

func (m *Model) param(name string, shape ...int) *grad.Var {
	p := grad.NewParam(name, tensor.New(shape...))
	m.params = append(m.params, p)
	return p
}

func (m *Model) newLinear(name string, out, in int) linear {
	l := linear{w: m.param(name+".weight", out, in)}
	if m.Config.Bias {
		l.b = m.param(name+".bias", out)
	}
	return l
}

func (m *Model) newNorm(name string) norm {
	if m.Config.Norm == "none" {
		return norm{}
	}
	n := norm{w: m.param(name+".weight", m.Config.HiddenSize)}
	for i := range n.w.Val.Data {
		n.w.Val.Data[i] = 1
	}
	if m.Config.Norm == "layer" {
		n.b = m.param(name+".bias", m.Config.HiddenSize)
	}
	return n
}

// rotaryTable holds the angles p·θ^(−2i/hd) of position p and pair i as cosines
// and sines, (positions, hd/2) (arXiv 2104.09864, section 3.2.2).
func rotaryTable(positions, hd int, theta float64) (cos, sin *tensor.Tensor) {
	cos, sin = tensor.New(positions, hd/2), tensor.New(positions, hd/2)
	for i := range hd / 2 {
		freq := math.Pow(theta, -2*float64(i)/float64(hd))
		for p := range positions {
			s, c := math.Sincos(float64(p) * freq)
			cos.Data[p*hd/2+i], sin.Data[p*hd/2+i] = float32(c), float32(s)
		}
	}
	return cos, sin
}

// Params lists the parameters in a fixed order, by their Hugging Face names. A
// tied head is not listed twice.
func (m *Model) Params() []*grad.Var { return m.params }

// Size is the number of weights.
func (m *Model) Size() int {
	n := 0
	for _, p := range m.params {
		n += p.Val.Len()
	}
	return n
}
