package nn

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// ErrFull says that a sequence has no position left in the model.
var ErrFull = errors.New("the model has no more positions")

// Decoder computes a causal model token by token, for many sequences at once,
// with a cache. Its hidden states and logits are bit for bit those of Hidden
// and Logits. It belongs to one goroutine.
type Decoder struct {
	m      *Model
	layers []packedLayer
	head   *tensor.Packed
	free   []*page
	buf    buffers
	pool   sync.Pool // *[]float32, attention scores
}

// packedLayer holds a layer's projections in the kernels' layout, those with a
// common input side by side.
type packedLayer struct {
	qkv, o, gateUp, down packedLinear
}

type packedLinear struct {
	w   *tensor.Packed
	b   []float32 // nil: none
	out int
}

// NewDecoder packs the weights of a model, which must not be bidirectional.
func NewDecoder(m *Model) *Decoder {
	d := &Decoder{m: m}
	d.Update()
	return d
}

// Update packs the weights again after they have been changed. The caches of
// running sequences stay as they were computed.
func (d *Decoder) Update() {
	c := d.m.Config
	d.layers = d.layers[:0]
	for _, l := range d.m.layers {
		up := []linear{l.gate, l.up}
		if c.MLP != "swiglu" {
			up = up[1:]
		}
		d.layers = append(d.layers, packedLayer{
			qkv: pack(c.HiddenSize, l.q, l.k, l.v), o: pack(c.Heads*c.HeadDim, l.o),
			gateUp: pack(c.HiddenSize, up...), down: pack(c.Intermediate, l.down),
		})
	}
	d.head = pack(c.HiddenSize, linear{w: d.m.head}).w
}

// pack joins projections of one input (in) and packs their transpose.
func pack(in int, ls ...linear) packedLinear {
	var p packedLinear
	var rows []float32
	for _, l := range ls {
		rows = append(rows, l.w.Val.Data...)
		if l.b != nil {
			p.b = append(p.b, l.b.Val.Data...)
		}
	}
	p.out = len(rows) / in
	p.w = tensor.Pack(tensor.M(rows, p.out, in).T())
	return p
}

// Prefill starts a sequence from a prompt of at least one token, and returns
// the logits (V) after its last one.
func (d *Decoder) Prefill(tokens []int) (*Seq, []float32, error) {
	s := &Seq{d: d, hidden: make([]float32, d.m.Config.HiddenSize)}
	logits, err := d.Extend([]*Seq{s}, [][]int{tokens})
	if err != nil {
		d.Drop(s)
		return nil, nil, err
	}
	return s, slices.Clone(logits[0]), nil
}

// Step appends one token to each sequence. The logits, (V) for each, are valid
// until the decoder's next step.
func (d *Decoder) Step(seqs []*Seq, tokens []int) (logits [][]float32, err error) {
	if len(seqs) != len(tokens) {
		return nil, fmt.Errorf("nn.Decoder.Step: %d sequences, %d tokens", len(seqs), len(tokens))
	}
	more := make([][]int, len(seqs))
	for i := range tokens {
		more[i] = tokens[i : i+1]
	}
	return d.Extend(seqs, more)
}

// StepEmbeds appends one embedding (d), a latent thought, to each sequence.
// Learned positions are added to it. What comes back is as in Step; the new
// hidden states are in Seq.Hidden.
func (d *Decoder) StepEmbeds(seqs []*Seq, embeds [][]float32) (logits [][]float32, err error) {
	if len(seqs) != len(embeds) {
		return nil, fmt.Errorf("nn.Decoder.StepEmbeds: %d sequences, %d embeddings", len(seqs), len(embeds))
	}
	work := make([]job, len(seqs))
	for i, s := range seqs {
		if len(embeds[i]) != d.m.Config.HiddenSize {
			return nil, fmt.Errorf("nn.Decoder.StepEmbeds: embedding %d has %d elements, the model's have %d", i, len(embeds[i]), d.m.Config.HiddenSize)
		}
		work[i] = job{seq: s, embed: embeds[i], count: 1}
	}
	return d.extend(work)
}

// Extend appends any number of tokens, at least one, to each sequence. The
// logits after the last of each, (V), are valid until the decoder's next step.
// After an error no sequence has changed.
func (d *Decoder) Extend(seqs []*Seq, tokens [][]int) (logits [][]float32, err error) {
	if len(seqs) != len(tokens) {
		return nil, fmt.Errorf("nn.Decoder.Extend: %d sequences, tokens for %d", len(seqs), len(tokens))
	}
	work := make([]job, len(seqs))
	for i, s := range seqs {
		for j, id := range tokens[i] {
			if id < 0 || id >= d.m.Config.VocabSize {
				return nil, fmt.Errorf("nn.Decoder: token %d of sequence %d is %d, outside a vocabulary of %d", j, i, id, d.m.Config.VocabSize)
			}
		}
		work[i] = job{seq: s, tokens: tokens[i], count: len(tokens[i])}
	}
	return d.extend(work)
}

// job is what one call adds to one sequence: tokens, or one embedding.
type job struct {
	seq    *Seq
	tokens []int
	embed  []float32
	count  int
}

// chunk bounds the rows that go through the layers at once, and with them the
// memory of a long prompt.
const chunk = 512

func (d *Decoder) extend(work []job) ([][]float32, error) {
	c := d.m.Config
	if c.Bidirectional {
		return nil, errors.New("nn.Decoder: the model is bidirectional, so a new token changes all earlier positions; use Model.Hidden")
	}
	seen := make(map[*Seq]bool, len(work))
	for i, w := range work {
		switch {
		case w.seq.d != d:
			return nil, fmt.Errorf("nn.Decoder: sequence %d was dropped, or belongs to another decoder", i)
		case seen[w.seq]:
			return nil, fmt.Errorf("nn.Decoder: sequence %d is in the same step twice; fork it", i)
		case w.count == 0:
			return nil, fmt.Errorf("nn.Decoder: nothing to append to sequence %d; give it at least one token", i)
		case w.seq.n+w.count > c.MaxPositions && c.Positions != "none":
			return nil, fmt.Errorf("nn.Decoder: sequence %d would be %d long: %w (max_position_embeddings %d)", i, w.seq.n+w.count, ErrFull, c.MaxPositions)
		}
		seen[w.seq] = true
	}
	for _, w := range work {
		w.seq.grow(w.count)
	}
	// Sequences take turns in filling chunks; a sequence's last part leaves its
	// hidden state in the sequence.
	var parts []job
	rows := 0
	for _, w := range work {
		for at := 0; at < w.count; {
			n := min(w.count-at, chunk-rows)
			part := job{seq: w.seq, embed: w.embed, count: n}
			if w.tokens != nil {
				part.tokens = w.tokens[at : at+n]
			}
			parts, rows, at = append(parts, part), rows+n, at+n
			if rows == chunk {
				d.forward(parts, rows)
				parts, rows = parts[:0], 0
			}
		}
	}
	if rows > 0 {
		d.forward(parts, rows)
	}
	return d.logits(work), nil
}

// logits applies the head to the sequences' hidden states.
func (d *Decoder) logits(work []job) [][]float32 {
	c := d.m.Config
	last, out := grown(&d.buf.last, len(work)*c.HiddenSize), grown(&d.buf.logits, len(work)*c.VocabSize)
	for i, w := range work {
		copy(last[i*c.HiddenSize:], w.seq.hidden)
	}
	tensor.GemmPacked(tensor.M(out, len(work), c.VocabSize), tensor.M(last, len(work), c.HiddenSize), d.head, false)
	rows := make([][]float32, len(work))
	for i := range rows {
		rows[i] = out[i*c.VocabSize : (i+1)*c.VocabSize]
	}
	return rows
}

// row is row i of a matrix of that many columns.
func row(x []float32, i, cols int) []float32 { return x[i*cols : (i+1)*cols] }

// grown makes a buffer n long, its content unknown.
func grown(b *[]float32, n int) []float32 {
	if cap(*b) < n {
		*b = make([]float32, n+n/4)
	}
	*b = (*b)[:n]
	return *b
}

// normRow is one row of a norm.
func (m *Model) normRow(n norm, dst, x []float32) {
	switch m.Config.Norm {
	case "none":
		copy(dst, x)
		return
	case "layer":
		tensor.LayerNormRow(dst, x, n.w.Val.Data, data(n.b), float32(m.Config.NormEps))
		return
	}
	tensor.RMSNormRow(dst, x, n.w.Val.Data, float32(m.Config.NormEps))
}

func data(v *grad.Var) []float32 {
	if v == nil {
		return nil
	}
	return v.Val.Data
}
