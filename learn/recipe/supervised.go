package recipe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/learn/train"
	"orrery/task"
)

// Supervised trains a causal transformer on worked solutions of generated
// problems.
type Supervised struct {
	Model nn.Config    `json:"model"` // vocab_size, bos and eos are the vocabulary's
	Train train.Config `json:"train"`
	Mix   []train.Mix  `json:"mix"`

	// ExtraQueries is how many further queries a ProsQA example asks about its
	// graph.
	ExtraQueries int `json:"extra_queries"`

	// Backward writes ProsQA's solutions from the answer up to the person.
	Backward bool `json:"backward"`

	// GraphRamp is the step from which on ProsQA's graphs have their full size;
	// they begin small and grow linearly. 0: full from the beginning.
	GraphRamp int `json:"graph_ramp"`
}

// phrases are texts of more than a word that stand in every sentence of a
// ProsQA question. As tokens of their own they shorten it by a third, and bring
// the two kinds that a sentence relates next to each other.
var phrases = []string{" is a", ". Every"}

// Vocabulary is the tokenizer of the models made here: bytes, the words of the
// built-in model's tasks and of further ones, and some phrases.
func Vocabulary(tasks ...string) (*token.Vocab, error) {
	var words []string
	for _, name := range append([]string{"arithmetic", "countdown", "prosqa"}, tasks...) {
		t, err := task.Lookup(name)
		if err != nil {
			return nil, err
		}
		words = append(words, t.Words()...)
	}
	slices.Sort(words)
	return token.New(append(token.Pieces(slices.Compact(words)), phrases...))
}

// Run implements Settings.
func (s *Supervised) Run(ctx context.Context, name string, o Options) error {
	r, err := s.prepare(name, o)
	if err != nil {
		return err
	}
	return r.Train(ctx, o.Progress)
}

// prepare sets up the training.
func (s *Supervised) prepare(name string, o Options) (*train.Run, error) {
	var tasks []string
	for _, m := range s.Mix {
		tasks = append(tasks, m.Task)
	}
	v, err := Vocabulary(tasks...)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	if s.ExtraQueries < 0 || s.GraphRamp < 0 {
		return nil, fmt.Errorf("recipe %s: extra_queries is %d and graph_ramp %d, want at least 0", name, s.ExtraQueries, s.GraphRamp)
	}
	if o.Dir == "" {
		return nil, errors.New("recipe " + name + ": no run folder is given")
	}
	s.Model.VocabSize, s.Model.BOS, s.Model.EOS = v.Size(), v.BOS(), v.EOS()
	problems, err := train.NewProblems(v, s.Mix, s.Train.Seed, s.Train.Eval.Problems)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	write := func(p task.Problem) task.Problem { return p }
	if s.Backward {
		write = backward
		for _, held := range problems.HeldOut() {
			for i, p := range held {
				if p.Task == "prosqa" {
					held[i] = backward(p)
				}
			}
		}
	}
	problems.Expand = map[string]func(*rand.Rand, task.Problem) train.Example{
		"prosqa": func(rng *rand.Rand, p task.Problem) train.Example {
			return branched(v, rng, p, s.ExtraQueries, write)
		},
	}
	problems.Generate = map[string]func(*rand.Rand, int, task.Level) task.Problem{
		"prosqa": func(rng *rand.Rand, step int, level task.Level) task.Problem {
			return growing(rng, step, s.GraphRamp, level)
		},
	}
	return &train.Run{
		Dir: o.Dir, Resume: o.Resume, Recipe: Choice{name, s},
		Config: s.Train, Model: s.Model, Vocab: v, Source: problems,
	}, nil
}
