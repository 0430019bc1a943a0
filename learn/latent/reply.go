package latent

import (
	"context"
	"errors"
	"fmt"

	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// Thinker answers problems greedily.
type Thinker struct {
	Layout
	Decoder   *nn.Decoder
	MaxTokens int // written ones, EOS included
}

// Reply is one answer.
type Reply struct {
	Thoughts [][]float32 // what was fed back (K of d), nil for methods without
	First    []float32   // logits (V) of the first written token
	Written  []int       // EOS included if it came
	Text     string      // of Written
	Tokens   int         // Generated
}

// Answer answers problems side by side with k thoughts or pauses each: prompt,
// thoughts, <eot>, then the likeliest token again and again until EOS or
// MaxTokens. Methods that do not fill ignore k.
//
// given, if not nil, holds for each problem the vectors (k of d) that are fed in
// the place of its own hidden states.
func (t Thinker) Answer(ctx context.Context, ps []task.Problem, k int, given [][][]float32) ([]Reply, error) {
	if k < 0 || given != nil && len(given) != len(ps) {
		return nil, fmt.Errorf("answering with thoughts: %d thoughts, and vectors for %d of %d problems", k, len(given), len(ps))
	}
	var seqs []*nn.Seq
	defer func() {
		for _, s := range seqs {
			t.Decoder.Drop(s)
		}
	}()
	thinks := t.Method.Fill() == Thoughts
	start := make([][]int, len(ps)) // what the first written token is read off from
	for i, p := range ps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		prompt, at := t.Prompt(p), 0
		if at = len(prompt); !thinks {
			at--
		}
		start[i] = append(prompt[at:], t.Filled(k)...)
		if thinks {
			start[i] = start[i][k:] // the thoughts themselves are no tokens
		}
		s, _, err := t.Decoder.Prefill(prompt[:at:at])
		if err != nil {
			return nil, fmt.Errorf("reading the question of problem %d: %w", i, err)
		}
		seqs = append(seqs, s)
	}
	out := make([]Reply, len(ps))
	for n := 0; thinks && n < k; n++ {
		if err := t.think(seqs, n, given, out); err != nil {
			return nil, fmt.Errorf("thought %d: %w", n+1, err)
		}
	}
	err := t.write(ctx, seqs, start, out)
	for i := range out {
		out[i].Text = t.Vocab.Decode(out[i].Written)
		out[i].Tokens = t.Generated(len(out[i].Written), k)
	}
	return out, err
}

// think appends one thought to each sequence.
func (t Thinker) think(seqs []*nn.Seq, n int, given [][][]float32, out []Reply) error {
	fed := make([][]float32, len(seqs))
	for i, s := range seqs {
		fed[i] = append([]float32(nil), s.Hidden()...)
		if given != nil {
			fed[i] = given[i][n]
		}
		out[i].Thoughts = append(out[i].Thoughts, fed[i])
	}
	_, err := t.Decoder.StepEmbeds(seqs, fed)
	return err
}

// write appends what is before the first written token and goes on until every
// sequence has ended.
func (t Thinker) write(ctx context.Context, seqs []*nn.Seq, start [][]int, out []Reply) error {
	logits, err := t.Decoder.Extend(seqs, start)
	live := make([]int, len(seqs)) // which reply each row of logits belongs to
	for i := range live {
		live[i] = i
	}
	for first := true; err == nil && len(live) > 0; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		var next []int
		var going []*nn.Seq
		keep := live[:0]
		for row, i := range live {
			r := &out[i]
			if first {
				r.First = append([]float32(nil), logits[row]...)
			}
			id := argmax(logits[row])
			r.Written = append(r.Written, id)
			if id != token.EOS && len(r.Written) < t.MaxTokens {
				keep, next, going = append(keep, i), append(next, id), append(going, seqs[i])
			}
		}
		if live = keep; len(live) > 0 {
			logits, err = t.Decoder.Step(going, next)
		}
	}
	if errors.Is(err, nn.ErrFull) {
		err = fmt.Errorf("%w: ask for fewer thoughts or tokens", err)
	}
	return err
}

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}
