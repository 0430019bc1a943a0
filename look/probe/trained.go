package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/task"
)

// Trained is a model of package nn that reads the symbol format. Its thoughts are
// hidden states after the final norm. It belongs to one goroutine.
type Trained struct {
	name  string
	m     *nn.Model
	dec   *nn.Decoder
	embed []float32 // (V, d)
}

// Open reads a model's folder.
func Open(dir string) (*Trained, error) {
	m, err := nn.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: give the folder that holds config.json and model.safetensors, such as a run's final", err)
	}
	if err != nil {
		return nil, err
	}
	t, err := NewTrained("trained", m)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", dir, err)
	}
	return t, nil
}

// NewTrained wraps a model, which must have two causal layers and the symbols'
// vocabulary.
func NewTrained(name string, m *nn.Model) (*Trained, error) {
	switch c := m.Config; {
	case c.VocabSize != vocab:
		return nil, fmt.Errorf("the model has %d tokens, the symbol format %d: probe a model that was trained on graphs in symbols", c.VocabSize, vocab)
	case c.Layers != 2:
		return nil, fmt.Errorf("the model has %d layers; these probes look into models of two: train it with 2", c.Layers)
	case c.Bidirectional:
		return nil, errors.New("the model is bidirectional, and so has no thoughts in order: probe a causal one")
	}
	t := &Trained{name: name, m: m, dec: nn.NewDecoder(m)}
	for _, p := range m.Params() {
		if p.Name == "model.embed_tokens.weight" {
			t.embed = p.Val.Data
		}
	}
	if t.embed == nil {
		return nil, errors.New("the model has no tensor model.embed_tokens.weight")
	}
	return t, nil
}

// Name implements Subject.
func (t *Trained) Name() string { return t.name }

// Width implements Subject.
func (t *Trained) Width() int { return t.m.Config.HiddenSize }

// Embedding implements Subject.
func (t *Trained) Embedding(token int) []float64 {
	d := t.Width()
	return wide(t.embed[token*d : (token+1)*d])
}

// Read implements Subject.
func (t *Trained) Read(prompt []int) (Mind, error) {
	seq, logits, err := t.dec.Prefill(prompt)
	if err != nil {
		return nil, fmt.Errorf("read a prompt of %d tokens: %w", len(prompt), err)
	}
	return &trainedMind{t: t, seq: seq, logits: wide(logits)}, nil
}

type trainedMind struct {
	t      *Trained
	seq    *nn.Seq
	logits []float64
}

// Thought implements Mind.
func (m *trainedMind) Thought() []float64 { return wide(m.seq.Hidden()) }

// Logits implements Mind.
func (m *trainedMind) Logits() []float64 { return m.logits }

// Feed implements Mind.
func (m *trainedMind) Feed(thought []float64) error {
	logits, err := m.t.dec.StepEmbeds([]*nn.Seq{m.seq}, [][]float32{narrow(thought)})
	if err != nil {
		return fmt.Errorf("feed a thought: %w", err)
	}
	m.logits = wide(logits[0])
	return nil
}

// Fork implements Mind.
func (m *trainedMind) Fork() Mind {
	return &trainedMind{t: m.t, seq: m.t.dec.Fork(m.seq), logits: m.logits}
}

// Answer implements Mind.
func (m *trainedMind) Answer() ([]float64, error) {
	asked := m.t.dec.Fork(m.seq)
	defer m.t.dec.Drop(asked)
	logits, err := m.t.dec.Extend([]*nn.Seq{asked}, [][]int{{task.SymbolAnswer}})
	if err != nil {
		return nil, fmt.Errorf("ask for the answer: %w", err)
	}
	return wide(logits[0]), nil
}

// Look implements Subject: one pass over the whole sequence, whose thoughts are
// given.
func (t *Trained) Look(prompt []int, thoughts [][]float64) (*Attention, error) {
	c := t.m.Config
	n := len(prompt) + len(thoughts)
	if n > c.MaxPositions {
		return nil, fmt.Errorf("look at %d tokens and %d thoughts: %w: it has %d", len(prompt), len(thoughts), nn.ErrFull, c.MaxPositions)
	}
	in := nn.Input{Tokens: slices.Clone(prompt), Taps: &nn.Taps{Vars: map[string]*grad.Var{}, Probs: map[string][]*tensor.Tensor{}}}
	if len(thoughts) > 0 {
		var rows []float32
		for _, v := range thoughts {
			in.Tokens = append(in.Tokens, nn.Thought)
			rows = append(rows, narrow(v)...)
		}
		in.Embeds = grad.Const(tensor.Of(rows, len(thoughts), c.HiddenSize))
	}
	tape := grad.NewTape()
	tape.NoGrad = true
	t.m.Hidden(tape, in)
	probs := [2][]float32{in.Taps.Probs["layers.0"][0].Data, in.Taps.Probs["layers.1"][0].Data}
	q, k := in.Taps.Vars["layers.1.q"].Val.Data, in.Taps.Vars["layers.1.k"].Val.Data
	hd := c.HeadDim
	return &Attention{
		Heads: [2]int{c.Heads, c.Heads},
		Weight: func(layer, head, from, to int) float64 {
			return float64(probs[layer][(head*n+from)*n+to])
		},
		Logit: func(head, from, to int) float64 {
			kv := head / (c.Heads / c.KVHeads)
			sum := 0.0
			for i := range hd {
				sum += float64(q[from*c.Heads*hd+head*hd+i]) * float64(k[to*c.KVHeads*hd+kv*hd+i])
			}
			return sum / math.Sqrt(float64(hd))
		},
	}, nil
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
