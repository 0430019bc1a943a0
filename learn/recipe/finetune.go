package recipe

import (
	"context"
	"errors"
	"fmt"

	"orrery/learn/train"
)

func init() {
	Register(Recipe{
		Name:  "sft",
		About: "fine-tunes a model on worked solutions it was not trained for: hard arithmetic and hard countdown (about six minutes on two cores)",
		Tunes: true,
		New:   func() Settings { return finetune() },
	})
}

// Finetune goes on training a model on worked solutions, as they are generated.
type Finetune struct {
	Train train.Config `json:"train"` // init_scale has no meaning here
	Mix   []train.Mix  `json:"mix"`
}

// finetune teaches six to eight operations a problem to a model that has seen at
// most five, and four numbers to one that has seen three. The learning rate is a
// thirtieth of what the built-in model was made with, which is usual between
// fine-tuning and pre-training.
func finetune() *Finetune {
	return &Finetune{
		Train: train.Config{
			Seed: 11, Steps: 600, BatchTokens: 4000, Clip: 1, CheckpointEvery: 100,
			Optimizer: train.Optimizer{Kind: "adamw", LR: 1e-4, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8},
			Schedule:  train.Schedule{Warmup: 20, Final: 0.1},
			Eval:      train.Evaluation{Every: 100, Problems: 64, Temperature: 1, MaxTokens: 200},
			Storage:   "both",
		},
		Mix: []train.Mix{
			{Task: "arithmetic", Weight: 1, Hard: true},
			{Task: "countdown", Weight: 1, Hard: true},
		},
	}
}

// Run implements Settings.
func (s *Finetune) Run(ctx context.Context, name string, o Options) error {
	r, err := tuning(name, o, s, s.Train, s.Mix)
	if err != nil {
		return err
	}
	return r.Train(ctx, o.Progress)
}

// tuning sets up a run from a model, on problems of a mix.
func tuning(name string, o Options, s Settings, c train.Config, mix []train.Mix) (*train.Run, error) {
	if o.Dir == "" {
		return nil, errors.New("recipe " + name + ": no run folder is given")
	}
	if err := o.Base.Check(); err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	if err := wantWords(o.Base); err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	problems, err := train.NewProblems(o.Base.Vocab, mix, c.Seed, c.Eval.Problems)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	return &train.Run{
		Dir: o.Dir, Resume: o.Resume, Recipe: Choice{name, s},
		Config: c, Base: o.Base, Source: problems,
	}, nil
}

// wantWords refuses a base without a vocabulary.
func wantWords(b *train.Base) error {
	if b.Vocab == nil {
		return fmt.Errorf("the model %s answers graph questions in symbols and knows no words: give a model with a tokenizer.json", b.Name)
	}
	return nil
}
