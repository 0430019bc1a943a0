package train

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/token"
	"orrery/task"
)

// HeldOut is a Source that can also be examined.
type HeldOut interface {
	Source
	// HeldOut lists problems, by task, that Draw never makes examples of.
	HeldOut() [][]task.Problem
}

// examined is how many traces run side by side in an evaluation: enough to
// fill the kernels' rows, few enough for small machines' memory.
const examined = 64

// examine samples one trace for every problem, marks it, and measures the loss
// on the worked solution. Traces depend on seed alone.
func examine(ctx context.Context, m *nn.Model, v *token.Vocab, problems []task.Problem, e Evaluation, seed func(i int) uint64) (Score, error) {
	s := Score{Problems: len(problems)}
	d := nn.NewDecoder(m)
	for lo := 0; lo < len(problems); lo += examined {
		part := problems[lo:min(lo+examined, len(problems))]
		var prompts [][]int
		var seeds []uint64
		for i, p := range part {
			prompts = append(prompts, Prompt(v, p))
			seeds = append(seeds, seed(lo+i))
		}
		traces, err := Traces(ctx, d, prompts, sample.Settings{Temperature: e.Temperature}, seeds, e.MaxTokens, v.EOS())
		if err != nil {
			return s, err
		}
		for i, ids := range traces {
			s.Tokens += float64(len(ids))
			answer, ok := boxed(v.Decode(slices.DeleteFunc(ids, func(id int) bool { return id == v.EOS() })))
			if !ok {
				continue
			}
			s.Answered++
			t, err := task.Lookup(part[i].Task)
			if err != nil {
				return s, err
			}
			if t.Verify(part[i], answer) {
				s.Accuracy++
			}
		}
	}
	n := float64(max(1, len(problems)))
	s.Accuracy, s.Answered, s.Tokens = s.Accuracy/n, s.Answered/n, s.Tokens/n
	var err error
	s.Loss, err = heldLoss(ctx, m, v, problems)
	return s, err
}

// heldLoss is the mean loss a token of the worked solutions.
func heldLoss(ctx context.Context, m *nn.Model, v *token.Vocab, problems []task.Problem) (float64, error) {
	tape := grad.NewTape()
	tape.NoGrad = true
	sum, count := 0.0, 0
	const together = 16 // sequences a pass: bounds the memory of activations
	for lo := 0; lo < len(problems); lo += together {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		var list []Example
		for _, p := range problems[lo:min(lo+together, len(problems))] {
			list = append(list, Supervised(v, p, 0))
		}
		b := pack(list)
		tape.Reset()
		_, logp := tape.CrossEntropy(m.Logits(tape, m.Hidden(tape, b.input), b.rows), b.targets, nil)
		for _, x := range logp {
			sum -= float64(x)
		}
		count += len(logp)
	}
	return sum / float64(max(1, count)), nil
}

// Traces samples one continuation for every prompt, all side by side, until
// EOS (which is kept) or max tokens. Each trace has its own seed and depends
// on nothing else in the batch. The prompts are not empty.
func Traces(ctx context.Context, d *nn.Decoder, prompts [][]int, set sample.Settings, seeds []uint64, max, eos int) ([][]int, error) {
	out := make([][]int, len(prompts))
	var seqs []*nn.Seq
	var next []int // the token to feed to seqs[i]
	var who []int  // its trace
	samplers := make([]*sample.Sampler, len(prompts))
	defer func() {
		for _, s := range seqs {
			d.Drop(s)
		}
	}()
	take := func(i int, logits []float32) (int, error) {
		c, err := samplers[i].Next(logits)
		if err != nil {
			return 0, fmt.Errorf("trace %d, token %d: %w", i, len(out[i]), err)
		}
		out[i] = append(out[i], c.Token)
		return c.Token, nil
	}
	for i, p := range prompts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		samplers[i] = sample.New(set, seeds[i])
		s, logits, err := d.Prefill(p)
		if err != nil {
			return nil, fmt.Errorf("trace %d: %w", i, err)
		}
		seqs, who = append(seqs, s), append(who, i)
		id, err := take(i, logits)
		if err != nil {
			return nil, err
		}
		next = append(next, id)
	}
	for {
		keep := 0
		for j := range seqs {
			if next[j] == eos || len(out[who[j]]) >= max {
				d.Drop(seqs[j])
				continue
			}
			seqs[keep], next[keep], who[keep] = seqs[j], next[j], who[j]
			keep++
		}
		seqs, next, who = seqs[:keep], next[:keep], who[:keep]
		if keep == 0 {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logits, err := d.Step(seqs, next)
		if err != nil {
			return nil, err
		}
		for j, i := range who {
			if next[j], err = take(i, logits[j]); err != nil {
				return nil, err
			}
		}
	}
}

// boxed takes the answer out of a trace of a model of ours, which was taught to
// end in a line "\boxed{ANSWER}"; whatever else it writes has no answer.
func boxed(text string) (string, bool) {
	last := text[strings.LastIndexByte(text, '\n')+1:]
	answer, ok := strings.CutPrefix(last, `\boxed{`)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(answer, "}")
}
