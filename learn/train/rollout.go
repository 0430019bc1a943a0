package train

import (
	"context"
	"fmt"
	"slices"

	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
	"orrery/learn/token"
	"orrery/task"
)

// trace is a sampled continuation of a prompt, EOS included if it came.
type trace struct {
	tokens []int
	logp   []float32 // of each token, under the distribution that was sampled from if that is tempered
}

// draws say how groups of traces are sampled.
type draws struct {
	set   sample.Settings
	scale float32  // logits are multiplied by it first; 1 leaves them
	group int      // traces a prompt
	seeds []uint64 // a trace, (prompts·group), a prompt's after each other
	most  []int    // tokens of a trace of each prompt (prompts)
	eos   int
}

// runner is a trace that is being sampled.
type runner struct {
	seq     *nn.Seq
	sampler *sample.Sampler
	scaled  []float32 // tempered logits
	out     *trace
	most    int
	err     error
}

// take draws the runner's next token.
func (r *runner) take(logits []float32, scale float32) {
	if scale != 1 {
		r.scaled = slices.Grow(r.scaled[:0], len(logits))[:len(logits)]
		tensor.Scale(r.scaled, logits, scale)
		logits = r.scaled
	}
	c, err := r.sampler.Next(logits)
	r.out.tokens, r.out.logp, r.err = append(r.out.tokens, c.Token), append(r.out.logp, c.Logprob), err
}

// roll samples a group of traces for every prompt, all side by side. A prompt
// is computed once and its cache shared by its group. Each trace has its own
// seed and depends on nothing else in the batch. The prompts are not empty.
func roll(ctx context.Context, d *nn.Decoder, prompts [][]int, by draws) ([]trace, error) {
	out := make([]trace, len(prompts)*by.group)
	var live []*runner
	defer func() {
		for _, r := range live {
			d.Drop(r.seq)
		}
	}()
	for i, p := range prompts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, logits, err := d.Prefill(p)
		if err != nil {
			return nil, fmt.Errorf("sampling for prompt %d: %w", i, err)
		}
		for k := range by.group {
			r := &runner{seq: s, sampler: sample.New(by.set, by.seeds[i*by.group+k]), out: &out[i*by.group+k], most: by.most[i]}
			if k > 0 {
				r.seq = d.Fork(s)
			}
			live = append(live, r)
			r.take(logits, by.scale)
		}
	}
	var seqs []*nn.Seq
	var next []int
	for {
		seqs, next = seqs[:0], next[:0]
		keep := live[:0]
		for i, r := range live {
			if r.err != nil {
				live = append(keep, live[i:]...) // for the Drops
				return nil, fmt.Errorf("sampling token %d of a trace: %w", len(r.out.tokens), r.err)
			}
			last := r.out.tokens[len(r.out.tokens)-1]
			if last == by.eos || len(r.out.tokens) >= r.most {
				d.Drop(r.seq)
				continue
			}
			keep, seqs, next = append(keep, r), append(seqs, r.seq), append(next, last)
		}
		if live = keep; len(live) == 0 {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logits, err := d.Step(seqs, next)
		if err != nil {
			return nil, err
		}
		tensor.Parallel(len(live), 4, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				live[i].take(logits[i], by.scale)
			}
		})
	}
}

// Traces samples one continuation for every prompt, all side by side, until
// EOS (which is kept) or max tokens. Each trace has its own seed and depends
// on nothing else in the batch. The prompts are not empty.
func Traces(ctx context.Context, d *nn.Decoder, prompts [][]int, set sample.Settings, seeds []uint64, max, eos int) ([][]int, error) {
	list, err := roll(ctx, d, prompts, draws{set: set, scale: 1, group: 1, seeds: seeds, most: slices.Repeat([]int{max}, len(prompts)), eos: eos})
	if err != nil {
		return nil, err
	}
	out := make([][]int, len(list))
	for i, t := range list {
		out[i] = t.tokens
	}
	return out, nil
}

// mark says whether a trace ends in an answer, and whether that is right.
func mark(v *token.Vocab, p task.Problem, tokens []int) (answered, right bool, err error) {
	if n := len(tokens); n > 0 && tokens[n-1] == v.EOS() {
		tokens = tokens[:n-1]
	}
	answer, ok := boxed(v.Decode(tokens))
	if !ok {
		return false, false, nil
	}
	t, err := task.Lookup(p.Task)
	if err != nil {
		return true, false, err
	}
	return true, t.Verify(p, answer), nil
}
