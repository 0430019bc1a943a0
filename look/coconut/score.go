package coconut

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"orrery/learn/latent"
	"orrery/task"
)

// Tally is how a model did on problems.
type Tally struct {
	Right   []bool // of each problem
	Tokens  []int
	Classes map[task.PathClass]int // of ProsQA's problems; nil of other tasks
}

// Accuracy is the share of right answers, NaN of none.
func (t Tally) Accuracy() float64 { return float64(t.Hits()) / float64(len(t.Right)) }

// Hits is the number of right answers.
func (t Tally) Hits() (n int) {
	for _, r := range t.Right {
		if r {
			n++
		}
	}
	return n
}

// MeanTokens is the mean cost of a reply, in the published table's way.
func (t Tally) MeanTokens() float64 {
	sum := 0
	for _, n := range t.Tokens {
		sum += n
	}
	return float64(sum) / float64(len(t.Tokens))
}

// tally marks replies.
func tally(ps []task.Problem, replies []latent.Reply) (Tally, error) {
	out := Tally{Right: make([]bool, len(ps)), Tokens: make([]int, len(ps))}
	for i, r := range replies {
		t, err := task.Lookup(ps[i].Task)
		if err != nil {
			return out, err
		}
		answer, ok := latent.AnswerOf(r.Text)
		out.Right[i] = ok && t.Verify(ps[i], answer)
		out.Tokens[i] = r.Tokens
		if g, graph := ps[i].Data.(*task.Graph); graph && strings.HasPrefix(ps[i].Task, "prosqa") {
			if out.Classes == nil {
				out.Classes = map[task.PathClass]int{}
			}
			out.Classes[g.Judge(writtenSteps(r.Text), out.Right[i])]++
		}
	}
	return out, nil
}

// writtenSteps are the lines before the answer's.
func writtenSteps(text string) (steps []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, strings.TrimSpace(latent.Mark)) {
			break
		}
		steps = append(steps, strings.TrimSpace(line))
	}
	return steps
}

// Control is another thing that is fed in the place of thoughts.
type Control string

const (
	ZeroLatent Control = "zero latents"           // K = 0
	Noise      Control = "noise"                  // a random direction, as long as the thought
	BatchMean  Control = "batch mean"             // of the same thought of a hundred problems
	Other      Control = "another one's thoughts" // of the next problem of the batch
)

// Controls lists them.
var Controls = []Control{ZeroLatent, Noise, BatchMean, Other}

// Score is one model on problems.
type Score struct {
	Model    *Model
	Main     Tally             // with as many thoughts as the model was trained for
	Sweep    []Tally           // with 0, 1, … K thoughts or pauses; of models that fill
	Controls map[Control]Tally // of models that think
}

// Measure asks a model everything. progress, if not nil, is called after each
// pass over the problems.
func (m *Model) Measure(ctx context.Context, ps []task.Problem, seed uint64, progress func(what string)) (*Score, error) {
	s := &Score{Model: m}
	ask := func(what string, k int, feed func([][][]float32) [][][]float32) (Tally, error) {
		replies, err := m.answer(ctx, ps, k, feed)
		if err != nil {
			return Tally{}, err
		}
		if progress != nil {
			progress(what)
		}
		return tally(ps, replies)
	}
	if m.Info.Fill == latent.Nothing {
		var err error
		s.Main, err = ask("answers", 0, nil)
		return s, err
	}
	for k := range m.Info.Thoughts + 1 {
		t, err := ask(fmt.Sprintf("%d thoughts", k), k, nil)
		if err != nil {
			return nil, err
		}
		s.Sweep = append(s.Sweep, t)
	}
	s.Main = s.Sweep[m.Info.Thoughts]
	if m.Info.Fill != latent.Thoughts {
		return s, nil
	}
	s.Controls = map[Control]Tally{ZeroLatent: s.Sweep[0]}
	for _, c := range Controls[1:] {
		t, err := ask(string(c), m.Info.Thoughts, func(own [][][]float32) [][][]float32 { return feed(c, own, seed) })
		if err != nil {
			return nil, err
		}
		s.Controls[c] = t
	}
	return s, nil
}

// feed makes what a control feeds of questions' own thoughts (questions, as many as
// each had, d). Means are over all that had so many. Another one's are those of the next
// question with as many, the own ones where there is no other.
func feed(c Control, own [][][]float32, seed uint64) [][][]float32 {
	out := make([][][]float32, len(own))
	switch c {
	case Noise:
		rng := rand.New(rand.NewPCG(seed, 0x6e6f697365)) // "noise"
		for i, thoughts := range own {
			for _, h := range thoughts {
				out[i] = append(out[i], direction(rng, h))
			}
		}
	case BatchMean:
		means := means(own)
		for i, thoughts := range own {
			out[i] = means[:len(thoughts)]
		}
	case Other:
		for i, thoughts := range own {
			for j := 1; out[i] == nil; j++ {
				if o := own[(i+j)%len(own)]; len(o) == len(thoughts) {
					out[i] = o
				}
			}
		}
	}
	return out
}

// direction is a random vector of h's length.
func direction(rng *rand.Rand, h []float32) []float32 {
	x, length, wanted := make([]float64, len(h)), 0.0, 0.0
	for i := range x {
		x[i] = rng.NormFloat64()
		length += x[i] * x[i]
		wanted += float64(h[i]) * float64(h[i])
	}
	out := make([]float32, len(h))
	for i := range out {
		out[i] = float32(x[i] * math.Sqrt(wanted/length))
	}
	return out
}

// means are those of thought 1, 2, … over all questions that had so many.
func means(own [][][]float32) (out [][]float32) {
	for k := 0; ; k++ {
		n, sum := 0, []float64(nil)
		for _, thoughts := range own {
			if k >= len(thoughts) {
				continue
			}
			if n++; sum == nil {
				sum = make([]float64, len(thoughts[k]))
			}
			for i, x := range thoughts[k] {
				sum[i] += float64(x)
			}
		}
		if n == 0 {
			return out
		}
		mean := make([]float32, len(sum))
		for i, x := range sum {
			mean[i] = float32(x / float64(n))
		}
		out = append(out, mean)
	}
}

// Rule is a shortcut rule's accuracy, ties counting half.
type Rule struct {
	Name     string
	Accuracy float64
}

// Shortcuts are the rules' accuracies on ProsQA's graphs, in words or symbols; none
// for other tasks.
func Shortcuts(ps []task.Problem) (out []Rule) {
	for _, s := range task.Shortcuts() {
		r := Rule{Name: s.Name}
		for _, p := range ps {
			g, ok := p.Data.(*task.Graph)
			if !ok {
				return nil
			}
			r.Accuracy += s.Correct(g)
		}
		r.Accuracy /= float64(len(ps))
		out = append(out, r)
	}
	return out
}
