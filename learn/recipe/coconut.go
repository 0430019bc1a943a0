package recipe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/train"
	"orrery/task"
)

// Coconut trains a causal transformer to think in hidden states (arXiv
// 2412.06769), or one of the method's baselines and controls, from random weights
// or from a model that was trained on the same task, such as a CoT model.
type Coconut struct {
	Method latent.Method `json:"method"`
	latent.Curriculum

	// ResetOptimizer says when Adam begins anew: "stage", as the paper says;
	// "epoch", as its code does; or "never".
	ResetOptimizer string `json:"reset_optimizer"`

	Task       string `json:"task"`
	Vocabulary string `json:"vocabulary"` // "words" or "phrases", see package latent

	// Items is the size of the training set, which is drawn from the seed; 0: every
	// example is a new problem.
	Items int `json:"items"`

	// ExtraQueries is how many further queries a ProsQA example asks about its
	// graph, each in a branch of its own behind the sentences.
	ExtraQueries int `json:"extra_queries"`

	Model nn.Config    `json:"model"` // vocab_size, bos and eos are the vocabulary's
	Train train.Config `json:"train"` // reset_at and eval.best_from follow from the curriculum
}

// Run implements Settings.
func (s *Coconut) Run(ctx context.Context, name string, o Options) error {
	r, err := s.prepare(name, o)
	if err != nil {
		return err
	}
	return r.Train(ctx, o.Progress)
}

// prepare sets up the training.
func (s *Coconut) prepare(name string, o Options) (*train.Run, error) {
	fail := func(err error) (*train.Run, error) { return nil, fmt.Errorf("recipe %s: %w", name, err) }
	if _, err := latent.ParseMethod(string(s.Method)); err != nil {
		return fail(err)
	}
	if err := s.Curriculum.Validate(); err != nil {
		return fail(err)
	}
	if s.Items < 0 || s.ExtraQueries < 0 {
		return fail(fmt.Errorf("items is %d and extra_queries %d, want at least 0", s.Items, s.ExtraQueries))
	}
	t, err := task.Lookup(s.Task)
	if err != nil {
		return fail(err)
	}
	v, err := latent.Vocabulary(t, s.Vocabulary)
	if err != nil {
		return fail(err)
	}
	if o.Dir == "" {
		return fail(errors.New("no run folder is given"))
	}
	if s.Train.ResetAt, err = s.resets(); err != nil {
		return fail(err)
	}
	s.Train.Eval.BestFrom = s.lastStage()
	s.Model.VocabSize, s.Model.BOS, s.Model.EOS = v.Size(), v.BOS(), v.EOS()
	problems, err := train.NewProblems(v, []train.Mix{{Task: s.Task, Weight: 1}}, s.Train.Seed, s.Train.Eval.Problems)
	if err != nil {
		return fail(err)
	}
	if o.Base != nil {
		if err := wantWords(o.Base); err != nil {
			return fail(err)
		}
	}
	if o.Base != nil && !slices.Equal(o.Base.Vocab.Words(), v.Words()) {
		return fail(fmt.Errorf("the model %s has another vocabulary than task %s has with vocabulary %q: start from one that was trained on the same", o.Base.Name, s.Task, s.Vocabulary))
	}
	source := &staged{Problems: problems, Coconut: s, layout: latent.Layout{Vocab: v, Method: s.Method}}
	c := s.Model
	if o.Base != nil {
		c = o.Base.Model.Config
	}
	if err := source.fit(c); err != nil {
		return fail(err)
	}
	info := latent.NewInfo(s.Method, s.Thoughts(), s.Task)
	return &train.Run{
		Dir: o.Dir, Resume: o.Resume, Recipe: Choice{name, s}, Base: o.Base,
		Config: s.Train, Model: s.Model, Vocab: v, Source: source,
		Files: map[string][]byte{latent.FileName: info.Bytes()},
	}, nil
}

// resets are the steps after which the optimiser begins anew.
func (s *Coconut) resets() (at []int, err error) {
	switch s.ResetOptimizer {
	case "never":
	case "epoch":
		for n := s.EpochSteps; n < s.Train.Steps; n += s.EpochSteps {
			at = append(at, n)
		}
	case "stage":
		for k := s.FirstStage + 1; s.Method.Staged() && k <= s.Stages+1 && s.Begin(k) < s.Train.Steps; k++ {
			at = append(at, s.Begin(k))
		}
	default:
		err = fmt.Errorf(`reset_optimizer is %q, want "stage", "epoch" or "never"`, s.ResetOptimizer)
	}
	return at, err
}

// lastStage is the step from which on checkpoints compare: the beginning of the
// last stage that the run reaches, for methods without stages too.
func (s *Coconut) lastStage() int { return s.Begin(s.Stage(max(0, s.Train.Steps-1))) }

// staged is the Source of a Coconut.
type staged struct {
	*train.Problems
	*Coconut
	layout latent.Layout
}

// itemStream keeps the training set's problems apart from everything that
// package train draws.
const itemStream = 0x6974656d << 32 // "item"

// Draw implements train.Source.
func (s *staged) Draw(rng *rand.Rand, step int) train.Example {
	from := rng
	if s.Items > 0 {
		from = rand.New(rand.NewPCG(s.Train.Seed, itemStream+uint64(rng.IntN(s.Items))))
	}
	p := s.Pose(from, step)
	list := []latent.Sequence{s.sequence(p, step, rng)}
	if g, ok := p.Data.(*task.Graph); ok {
		for _, other := range otherQueries(rng, p, g, s.ExtraQueries) {
			list = append(list, s.sequence(other, step, rng))
		}
	}
	return joined(list)
}

func (s *staged) sequence(p task.Problem, step int, rng *rand.Rand) latent.Sequence {
	tokens := 0
	for _, ids := range s.layout.Steps(p) {
		tokens += len(ids)
	}
	return s.layout.Sequence(p, s.Cut(s.Method, step, len(p.Steps), tokens, rng))
}

// fit reports the longest of some problems that the model is too short for, with the thoughts
// of the first and the last step: a run should not end with that when its last stage begins.
func (s *staged) fit(c nn.Config) error {
	if c.MaxPositions == 0 || c.Positions == "none" {
		return nil // a default that is far longer, or no bound
	}
	const tries = 100
	rng := rand.New(rand.NewPCG(s.Train.Seed, itemStream))
	longest, at := 0, 0
	for range tries {
		for _, step := range []int{0, max(0, s.Train.Steps-1)} {
			if n := len(s.sequence(s.Pose(rng, step), step, rng).IDs) - 1; n > longest { // EOS is not read
				longest, at = n, step
			}
		}
	}
	if longest > c.MaxPositions {
		return fmt.Errorf("at step %d a problem of task %s takes %d positions, thoughts included, and the model has %d: raise model.max_position_embeddings, or take fewer stages or a smaller task",
			at, s.Task, longest, c.MaxPositions)
	}
	return nil
}

// Style implements train.Styled: a model that has done step steps is examined at
// the stage of the last of them.
func (s *staged) Style(e train.Evaluation, step int) train.Style {
	return stagedStyle{s, e, max(0, step-1)}
}

type stagedStyle struct {
	*staged
	e    train.Evaluation
	step int
}

// Worked implements train.Style: the sequence of the stage, without a mixture.
func (s stagedStyle) Worked(p task.Problem) train.Example {
	c := *s.Coconut
	c.Mix = 0
	at := staged{Coconut: &c, layout: s.layout}
	return joined([]latent.Sequence{at.sequence(p, s.step, rand.New(rand.NewPCG(0, 0)))})
}

// Answers implements train.Style, with as many thoughts as the stage has.
func (s stagedStyle) Answers(ctx context.Context, d *nn.Decoder, ps []task.Problem, _ []uint64) ([]train.Reply, error) {
	k := s.Thoughts()
	if s.Method == latent.Coconut || s.Method == latent.PauseAsThought {
		k = min(s.Stage(s.step), s.Stages) * s.ThoughtsPerStep
	}
	replies, err := latent.Thinker{Layout: s.layout, Decoder: d, MaxTokens: s.e.MaxTokens}.Answer(ctx, ps, k, nil)
	out := make([]train.Reply, len(replies))
	for i, r := range replies {
		out[i].Answer, out[i].Answered = latent.AnswerOf(r.Text)
		out[i].Tokens = r.Tokens
	}
	return out, err
}

// joined makes one example of sequences: what they begin with alike is the trunk,
// and each has a branch of its own behind it.
func joined(list []latent.Sequence) train.Example {
	trunk := 0
	if len(list) > 1 {
		trunk = list[0].Written - 1
		for _, s := range list[1:] {
			trunk = min(trunk, alike(list[0].IDs, s.IDs), s.Written-1)
		}
	}
	var e train.Example
	add := func(branch, lo, hi int, s latent.Sequence) {
		for i := lo; i < hi; i++ {
			target := -1
			if i+1 >= s.Written {
				target = s.IDs[i+1]
			}
			e.Tokens, e.Targets = append(e.Tokens, s.IDs[i]), append(e.Targets, target)
			if len(list) > 1 {
				e.Branch = append(e.Branch, branch)
			}
		}
	}
	add(0, 0, trunk, list[0])
	for n, s := range list {
		branch := n + 1
		if len(list) == 1 {
			branch = 0
		}
		add(branch, trunk, len(s.IDs)-1, s)
	}
	return e
}

// alike is the length of the common beginning.
func alike(a, b []int) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// otherQueries asks up to n further queries about a problem's graph, all
// different.
func otherQueries(rng *rand.Rand, p task.Problem, g *task.Graph, n int) (out []task.Problem) {
	at := strings.LastIndex(p.Question, " Is ")
	asked := []string{p.Question}
	for range n {
		query, other, ok := otherQuery(rng, g)
		if other.Question = p.Question[:at] + query; !ok || slices.Contains(asked, other.Question) {
			continue
		}
		asked = append(asked, other.Question)
		other.Task, other.Level = p.Task, p.Level
		out = append(out, other)
	}
	return out
}
