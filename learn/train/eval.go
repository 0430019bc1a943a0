package train

import (
	"context"
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
			answered, right, err := mark(v, part[i], ids)
			if err != nil {
				return s, err
			}
			s.Answered += one(answered)
			s.Accuracy += one(right)
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
		_, logp := tape.CrossEntropy(b.logits(tape, m), b.targets, nil)
		for _, x := range logp {
			sum -= float64(x)
		}
		count += len(logp)
	}
	return sum / float64(max(1, count)), nil
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
