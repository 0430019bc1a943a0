package recipe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

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

	// Search writes ProsQA's solutions as the walks that find the answer,
	// instead of a shortest path.
	Search bool `json:"search"`

	// Recital is how many steps at the beginning only say the sentences of
	// ProsQA's questions again in other orders. Their graphs begin small and grow.
	Recital int `json:"recital"`

	// GraphRamp is the step from which on ProsQA's graphs have their full size;
	// they begin small and grow linearly. 0: full from the beginning.
	GraphRamp int `json:"graph_ramp"`
}

// phrases are texts of more than a word that ProsQA's sentences are made of:
// ". Every", and the subject with its "is a", at the beginning of a line and
// after a blank. So the kind that a sentence leads to stands right behind one
// token that says from where, in the question and in the solution, and a look-up
// is a plain induction: find the same token, copy what follows it.
func phrases() []string {
	list := []string{". Every"}
	for _, s := range (task.ProsQA{}).Subjects() {
		list = append(list, " "+s, s)
	}
	return list
}

// Vocabulary is the tokenizer of the models made here: bytes, the words of all
// tasks, and some phrases.
func Vocabulary() (*token.Vocab, error) {
	return token.New(append(token.Pieces(task.Vocabulary()), phrases()...))
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
	v, err := Vocabulary()
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	if s.ExtraQueries < 0 || s.GraphRamp < 0 || s.Recital < 0 {
		return nil, fmt.Errorf("recipe %s: extra_queries is %d, recital %d and graph_ramp %d, want at least 0", name, s.ExtraQueries, s.Recital, s.GraphRamp)
	}
	if o.Dir == "" {
		return nil, errors.New("recipe " + name + ": no run folder is given")
	}
	s.Model.VocabSize, s.Model.BOS, s.Model.EOS = v.Size(), v.BOS(), v.EOS()
	problems, err := train.NewProblems(v, s.Mix, s.Train.Seed, s.Train.Eval.Problems)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	write := writer(shortest)
	if s.Search {
		write = search
		rewrite(problems.HeldOut(), s.Train.Seed)
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
		Config: s.Train, Model: s.Model, Vocab: v, Source: opening{problems, v, s.Recital},
	}, nil
}

// rewrite writes the held-out solutions of ProsQA as searches.
func rewrite(held [][]task.Problem, seed uint64) {
	for _, problems := range held {
		for i, p := range problems {
			if g, ok := p.Data.(*task.Graph); ok {
				problems[i].Steps = search(rand.New(rand.NewPCG(seed, uint64(i))), g, g.Root, g.Target)
			}
		}
	}
}

// opening is a source of problems that begins with recitals.
type opening struct {
	*train.Problems
	vocab *token.Vocab
	until int
}

// Draw implements train.Source. A recital shows no query and no solution.
func (o opening) Draw(rng *rand.Rand, step int) train.Example {
	if step < o.until {
		return recited(o.vocab, rng, growing(rng, step, o.until, task.Standard))
	}
	return o.Problems.Draw(rng, step)
}
