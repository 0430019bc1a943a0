package recipe

import (
	"context"

	"orrery/learn/train"
)

func init() {
	Register(Recipe{
		Name:  "grpo",
		About: "reinforcement learning with verifiable rewards on arithmetic and countdown",
		Tunes: true,
		New:   func() Settings { return grpo() },
	})
}

// Reinforced trains a model by GRPO on problems whose answers are marked.
type Reinforced struct {
	Train train.Config `json:"train"` // batch_tokens bounds what goes through the model at once
	GRPO  train.GRPO   `json:"grpo"`
	Mix   []train.Mix  `json:"mix"`
}

// grpo is on-policy GRPO with the settings of practice at this size: a group of
// 8, one update a step, a small KL weight, and a learning rate a hundred times
// below fine-tuning's.
func grpo() *Reinforced {
	return &Reinforced{
		Train: train.Config{
			Seed: 12, Steps: 200, BatchTokens: 2000, Clip: 1, CheckpointEvery: 20,
			Optimizer: train.Optimizer{Kind: "adamw", LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			Schedule:  train.Schedule{Warmup: 5, Final: 1},
			Eval:      train.Evaluation{Every: 50, Problems: 128, Temperature: 1, MaxTokens: 200},
			Storage:   "both",
		},
		GRPO: train.GRPO{
			Problems: 16, Group: 8, MaxTokens: 200, Temperature: 1,
			Normalise: true, StdEps: 1e-6, Average: "sequence",
			ClipLow: 0.2, ClipHigh: 0.2, Beta: 0.001, Epochs: 1, Minibatches: 1, Sampler: "master",
		},
		Mix: []train.Mix{
			{Task: "arithmetic", Weight: 1},
			{Task: "countdown", Weight: 1},
		},
	}
}

// Run implements Settings.
func (s *Reinforced) Run(ctx context.Context, name string, o Options) error {
	r, err := tuning(name, o, s, s.Train, s.Mix)
	if err != nil {
		return err
	}
	r.Objective = &s.GRPO
	return r.Train(ctx, o.Progress)
}
