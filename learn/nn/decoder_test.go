package nn

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// full is the reference: hidden states and logits of every position, without a
// cache.
func full(m *Model, tokens []int) (hidden, logits []float32) {
	tape := &grad.Tape{NoGrad: true}
	h := m.Hidden(tape, Input{Tokens: tokens})
	return h.Val.Data, m.Logits(tape, h, nil).Val.Data
}

// track is a sequence and what it was made of.
type track struct {
	seq    *Seq
	tokens []int
}

func (tr *track) check(t *testing.T, what string, logits []float32) {
	t.Helper()
	c := tr.seq.d.m.Config
	hidden, all := full(tr.seq.d.m, tr.tokens)
	sameBits(t, what+": logits", logits, all[len(all)-c.VocabSize:])
	sameBits(t, what+": hidden state", tr.seq.Hidden(), hidden[len(hidden)-c.HiddenSize:])
	if tr.seq.Len() != len(tr.tokens) {
		t.Fatalf("%s: length %d, want %d", what, tr.seq.Len(), len(tr.tokens))
	}
}

func causalShapes() map[string]Config {
	s := shapes()
	delete(s, "bidirectional")
	return s
}

// TestDecoderEqualsModel walks a decoder through random prefills, steps of
// random subsets, extensions, forks and drops, and after each compares the
// logits and hidden state with a full recomputation, to the last bit. Dropped
// pages are filled with NaN, so that nothing stale can be read unseen.
func TestDecoderEqualsModel(t *testing.T) {
	for name, c := range causalShapes() {
		t.Run(name, func(t *testing.T) {
			m := lively(t, c, 11)
			d := NewDecoder(m)
			r := rand.New(rand.NewPCG(6, 6))
			var live []*track
			start := func(n int) {
				tr := &track{tokens: randomTokens(r, n, 13)}
				seq, logits, err := d.Prefill(tr.tokens)
				if err != nil {
					t.Fatal(err)
				}
				tr.seq = seq
				tr.check(t, "prefill", logits)
				live = append(live, tr)
			}
			for _, n := range []int{1, 2, pageLen - 1, pageLen, pageLen + 1, 2*pageLen + 5} {
				start(n)
			}
			for round := range 12 {
				r.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
				some := live[:1+r.IntN(len(live))]
				seqs, more := make([]*Seq, len(some)), make([][]int, len(some))
				for i, tr := range some {
					n := 1
					if round%3 == 2 {
						n += r.IntN(4)
					}
					seqs[i], more[i] = tr.seq, randomTokens(r, n, 13)
					tr.tokens = append(slices.Clip(tr.tokens), more[i]...)
				}
				logits, err := d.Extend(seqs, more)
				if err != nil {
					t.Fatal(err)
				}
				for i, tr := range some {
					tr.check(t, "step", logits[i])
				}
				if round%2 == 0 {
					from := live[r.IntN(len(live))]
					live = append(live, &track{d.Fork(from.seq), slices.Clone(from.tokens)})
				} else {
					d.Drop(live[0].seq)
					d.Drop(live[0].seq)
					live = live[1:]
					for _, p := range d.free {
						for i := range p.data {
							p.data[i] = float32(math.NaN())
						}
					}
				}
			}
		})
	}
}

// TestForkSharesAndParts: forks share all full pages, go their own ways without
// disturbing each other, and pages come back when the last holder drops them.
func TestForkSharesAndParts(t *testing.T) {
	m := lively(t, causalShapes()["llama"], 3)
	d := NewDecoder(m)
	prompt := randomTokens(rand.New(rand.NewPCG(1, 1)), pageLen+10, 13)
	parent, _, err := d.Prefill(prompt)
	if err != nil {
		t.Fatal(err)
	}
	tracks := []*track{{parent, slices.Clone(prompt)}}
	for range 3 {
		tracks = append(tracks, &track{d.Fork(parent), slices.Clone(prompt)})
	}
	if parent.pages[0] != tracks[1].seq.pages[0] || parent.pages[1] == tracks[1].seq.pages[1] || parent.pages[0].refs != 4 {
		t.Error("the full page is not shared, or the partly filled one is")
	}
	for step := range 60 {
		var seqs []*Seq
		var tokens []int
		for i, tr := range tracks {
			id := (step*7 + i*5) % 13
			seqs, tokens = append(seqs, tr.seq), append(tokens, id)
			tr.tokens = append(tr.tokens, id)
		}
		logits, err := d.Step(seqs, tokens)
		if err != nil {
			t.Fatal(err)
		}
		if step%20 == 19 {
			for i, tr := range tracks {
				tr.check(t, "fork", logits[i])
			}
		}
	}
	for _, tr := range tracks {
		d.Drop(tr.seq)
	}
	// One shared page, and for each of four sequences its second page: 130
	// positions need a third.
	if len(d.free) != 1+2*4 {
		t.Errorf("%d pages came back, want 9", len(d.free))
	}
}

// TestLongPrompt crosses the chunk that bounds a pass.
func TestLongPrompt(t *testing.T) {
	c := Config{VocabSize: 13, HiddenSize: 8, Layers: 2, Heads: 2, KVHeads: 1, Intermediate: 8}
	m := lively(t, c, 3)
	d := NewDecoder(m)
	r := rand.New(rand.NewPCG(1, 8))
	a, b := randomTokens(r, chunk+70, 13), randomTokens(r, 3, 13)
	sa, _, err := d.Prefill(a[:1])
	if err != nil {
		t.Fatal(err)
	}
	sb, _, err := d.Prefill(b[:1])
	if err != nil {
		t.Fatal(err)
	}
	logits, err := d.Extend([]*Seq{sa, sb}, [][]int{a[1:], b[1:]})
	if err != nil {
		t.Fatal(err)
	}
	(&track{sa, a}).check(t, "long", logits[0])
	(&track{sb, b}).check(t, "short", logits[1])
	if most := chunk * c.HiddenSize * 5 / 4; cap(d.buf.x) > most {
		t.Errorf("the buffer of a pass has %d elements, want at most %d", cap(d.buf.x), most)
	}
}

// TestLatentThoughts feeds hidden states back as input: through the cache, and
// by recomputing everything on one tape.
func TestLatentThoughts(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 8)
		d := NewDecoder(m)
		prompt := randomTokens(rand.New(rand.NewPCG(1, 4)), 6, 13)
		seq, _, err := d.Prefill(prompt)
		if err != nil {
			t.Fatal(err)
		}
		tape := &grad.Tape{NoGrad: true}
		in := Input{Tokens: prompt}
		h := m.Hidden(tape, in)
		for range 3 {
			logits, err := d.StepEmbeds([]*Seq{seq}, [][]float32{slices.Clone(seq.Hidden())})
			if err != nil {
				t.Fatal(err)
			}
			n := len(in.Tokens)
			thought := tape.Rows(h, []int{n - 1})
			if in.Embeds != nil {
				thought = tape.Rows(grad.Const(tensor.Of(slices.Concat(in.Embeds.Val.Data, thought.Val.Data), n-len(prompt)+1, c.HiddenSize)), indices(n-len(prompt)+1))
			}
			in = Input{Tokens: append(slices.Clone(in.Tokens), -1), Embeds: thought}
			h = m.Hidden(tape, in)
			sameBits(t, name+": hidden state after a thought", seq.Hidden(), h.Val.Data[n*c.HiddenSize:])
			sameBits(t, name+": logits after a thought", logits[0], m.Logits(tape, h, []int{n}).Val.Data)
		}
	}
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// TestThoughtGradients: the gradient flows through two passes on one tape, from
// the loss after a thought to the weights as the first pass used them.
func TestThoughtGradients(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 12)
		prompt := []int{3, 1, 4, 1, 5}
		run := func(tape *grad.Tape, detach bool) (*grad.Var, []float32) {
			thought := tape.Rows(m.Hidden(tape, Input{Tokens: prompt}), []int{4})
			if detach {
				thought = tape.StopGrad(thought)
			}
			hid := m.Hidden(tape, Input{Tokens: []int{3, 1, 4, 1, 5, -1, 9}, Embeds: thought})
			return tape.CrossEntropy(m.Logits(tape, hid, []int{5, 6}), []int{2, 6}, nil)
		}
		value := func() float64 {
			_, logp := run(&grad.Tape{NoGrad: true}, false)
			return -(float64(logp[0]) + float64(logp[1])) / 2
		}
		gradients := func(detach bool) [][]float32 {
			tape := grad.NewTape()
			loss, _ := run(tape, detach)
			if err := tape.Backward(loss); err != nil {
				t.Fatal(err)
			}
			var out [][]float32
			for _, p := range m.Params() {
				out = append(out, slices.Clone(p.Grad.Data))
				p.ZeroGrad()
			}
			return out
		}
		whole, cut := gradients(false), gradients(true)
		r := rand.New(rand.NewPCG(1, 1))
		differ := 0
		for j, p := range m.Params() {
			largest := float64(max(slices.Max(whole[j]), -slices.Min(whole[j])))
			if !slices.Equal(whole[j], cut[j]) {
				differ++
			}
			for range 3 {
				i := r.IntN(p.Val.Len())
				want := slope(p, i, value)
				// The loss is the mean of two rows, not nine: the noise is
				// twice that of TestModelGradients.
				if got := float64(whole[j][i]); math.Abs(got-want) > 6e-5+1e-3*largest {
					t.Errorf("%s: %s element %d: gradient %g, finite difference %g (largest %g)", name, p.Name, i, got, want, largest)
				}
			}
		}
		if differ < len(m.Params())/2 {
			t.Errorf("%s: cutting the thought off changed the gradient of only %d parameters", name, differ)
		}
	}
}

// TestSamplerEqualsTrainer: the log-probability that a sampler takes from the
// decoder is the trainer's, to the last bit.
func TestSamplerEqualsTrainer(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 1)
		d := NewDecoder(m)
		tokens := randomTokens(rand.New(rand.NewPCG(5, 5)), 90, 13)
		seq, logits, err := d.Prefill(tokens[:20])
		if err != nil {
			t.Fatal(err)
		}
		var sampled []float32
		for _, id := range tokens[20:] {
			sampled = append(sampled, logits[id]-tensor.LogSumExp(logits))
			rows, err := d.Step([]*Seq{seq}, []int{id})
			if err != nil {
				t.Fatal(err)
			}
			logits = rows[0]
		}
		tape := grad.NewTape()
		other := randomTokens(rand.New(rand.NewPCG(6, 6)), 31, 13)
		h := m.Hidden(tape, Input{Tokens: append(other, tokens...), Lens: []int{31, 90}})
		rows := indices(121)[31+19 : 31+89]
		_, logp := tape.CrossEntropy(m.Logits(tape, h, rows), tokens[20:], nil)
		sameBits(t, name, sampled, logp)
	}
}

func TestDecoderErrors(t *testing.T) {
	c := causalShapes()["llama"]
	c.MaxPositions = 4
	m := lively(t, c, 3)
	d := NewDecoder(m)
	if _, _, err := d.Prefill(nil); err == nil {
		t.Error("an empty prompt was taken")
	}
	if _, _, err := d.Prefill([]int{13}); err == nil {
		t.Error("a token outside the vocabulary was taken")
	}
	if _, _, err := d.Prefill([]int{1, 2, 3, 4, 5}); !errors.Is(err, ErrFull) {
		t.Errorf("a prompt longer than the model: %v", err)
	}
	s, _, err := d.Prefill([]int{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Step([]*Seq{s, s}, []int{1, 1}); err == nil {
		t.Error("one sequence twice in a step was taken")
	}
	if _, err := d.Step([]*Seq{s}, nil); err == nil {
		t.Error("a step without tokens was taken")
	}
	if _, err := d.StepEmbeds([]*Seq{s}, [][]float32{{1}}); err == nil {
		t.Error("an embedding of the wrong size was taken")
	}
	if _, err := d.Step([]*Seq{s}, []int{1}); err != nil || s.Len() != 4 {
		t.Errorf("after refused steps the sequence is %d long, %v", s.Len(), err)
	}
	if _, err := d.Step([]*Seq{s}, []int{1}); !errors.Is(err, ErrFull) {
		t.Errorf("a step past the last position: %v", err)
	}
	d.Drop(s)
	if _, err := d.Step([]*Seq{s}, []int{1}); err == nil {
		t.Error("a dropped sequence was taken")
	}
	if _, _, err := NewDecoder(lively(t, shapes()["bidirectional"], 1)).Prefill([]int{1}); err == nil {
		t.Error("a bidirectional model was decoded")
	}
}

// TestUpdate: after the weights change, the decoder follows when told to.
func TestUpdate(t *testing.T) {
	m := lively(t, causalShapes()["tied"], 3)
	d := NewDecoder(m)
	for _, p := range m.Params() {
		tensor.Scale(p.Val.Data, p.Val.Data, 0.9)
	}
	d.Update()
	tokens := []int{1, 2, 3}
	s, logits, err := d.Prefill(tokens)
	if err != nil {
		t.Fatal(err)
	}
	(&track{s, tokens}).check(t, "after Update", logits)
}
