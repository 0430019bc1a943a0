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

// Style is how held-out problems are put to a model, answered by it and shown
// worked out.
type Style interface {
	// Worked is the example of a problem on which the loss is measured.
	Worked(p task.Problem) Example
	// Answers lets a model answer problems, side by side. Where it draws, it draws
	// for problem i from seeds[i] alone.
	Answers(ctx context.Context, d *nn.Decoder, ps []task.Problem, seeds []uint64) ([]Reply, error)
}

// Reply is what a model answered. Answer counts where Answered is true: the
// text ended in an answer.
type Reply struct {
	Answer   string
	Answered bool
	Tokens   int // what the reply cost, EOS included
}

// Styled is a HeldOut whose problems are not put as Prompt and Solution say.
type Styled interface {
	HeldOut
	Style(e Evaluation, step int) Style
}

// style is the Source's own, or Prompt and Solution with traces that are
// sampled and marked by their boxed answers.
func (t *trainer) style() Style {
	if s, ok := t.Source.(Styled); ok {
		return s.Style(t.Config.Eval, t.st.Step)
	}
	return boxedStyle{t.Vocab, t.Config.Eval}
}

type boxedStyle struct {
	v *token.Vocab
	e Evaluation
}

func (s boxedStyle) Worked(p task.Problem) Example { return Supervised(s.v, p, 0) }

func (s boxedStyle) Answers(ctx context.Context, d *nn.Decoder, ps []task.Problem, seeds []uint64) ([]Reply, error) {
	prompts := make([][]int, len(ps))
	for i, p := range ps {
		prompts[i] = Prompt(s.v, p)
	}
	traces, err := Traces(ctx, d, prompts, sample.Settings{Temperature: s.e.Temperature}, seeds, s.e.MaxTokens, s.v.EOS())
	out := make([]Reply, len(traces))
	for i, ids := range traces {
		out[i].Answer, out[i].Answered = boxed(s.v.Decode(ids))
		out[i].Tokens = len(ids)
	}
	return out, err
}

// examined is how many traces run side by side in an evaluation: enough to
// fill the kernels' rows, few enough for small machines' memory.
const examined = 64

// examine lets the model answer every problem once, marks the answers, and
// measures the loss on the worked solutions. Answers depend on seed alone.
func examine(ctx context.Context, m *nn.Model, by Style, problems []task.Problem, seed func(i int) uint64) (Score, error) {
	s := Score{Problems: len(problems)}
	d := nn.NewDecoder(m)
	for lo := 0; lo < len(problems); lo += examined {
		part := problems[lo:min(lo+examined, len(problems))]
		var seeds []uint64
		for i := range part {
			seeds = append(seeds, seed(lo+i))
		}
		replies, err := by.Answers(ctx, d, part, seeds)
		if err != nil {
			return s, err
		}
		for i, r := range replies {
			t, err := task.Lookup(part[i].Task)
			if err != nil {
				return s, err
			}
			s.Tokens += float64(r.Tokens)
			s.Answered += one(r.Answered)
			s.Accuracy += one(r.Answered && t.Verify(part[i], r.Answer))
		}
	}
	n := float64(max(1, len(problems)))
	s.Accuracy, s.Answered, s.Tokens = s.Accuracy/n, s.Answered/n, s.Tokens/n
	var err error
	s.Loss, err = heldLoss(ctx, m, by, problems)
	return s, err
}

// heldLoss is the mean loss a token of the worked solutions.
func heldLoss(ctx context.Context, m *nn.Model, by Style, problems []task.Problem) (float64, error) {
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
			list = append(list, by.Worked(p))
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
