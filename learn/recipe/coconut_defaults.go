package recipe

import (
	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/train"
)

func init() {
	for _, r := range []struct {
		name, about string
		settings    func() *Coconut
	}{
		{"coconut", "continuous thoughts, or one of their controls, on ProsQA graphs of 16 slots", coconut},
		{"coconut-prosqa", "the same on graphs and a curriculum of the published size (hours)", coconutProsQA},
		{"coconut-prontoqa", "the same on ProntoQA's rules", coconutProntoQA},
		{"coconut-chains", "the same on chains of arithmetic, a stand-in for GSM8k, with two thoughts a step", coconutChains},
		{"coconut-small", "the same on graphs of 10 slots, as scripts/latent/coconut.sh compares methods", coconutSmall},
		{"coconut-ci", "the same in a minute, to see that everything works", coconutCI},
	} {
		Register(Recipe{Name: r.name, About: r.about, May: true, New: func() Settings { return r.settings() }})
	}
}

// coconutSmall is what the table of docs/latent.md was made with: first a CoT
// model from nothing (method "cot", 1,600 steps), then every method from that
// (first_stage 1, 600 steps).
//
//   - init "lookup" is needed: without it CoT stayed at 46.5 % of 200 held-out
//     problems after 2.4 million tokens, with it 80.5 %.
//   - Three layers of 48 dimensions were at 66.5 % after 2.25 million. Further queries about each
//     graph did not help (69.5 % after as many).
func coconutSmall() *Coconut {
	return &Coconut{
		Method:         latent.Coconut,
		Curriculum:     latent.Curriculum{Stages: 3, EpochSteps: 50, EpochsPerStage: 3, ThoughtsPerStep: 1},
		ResetOptimizer: "stage",
		Task:           "prosqa-tiny",
		Vocabulary:     latent.Phrases,
		Model:          coconutNet(64, 4, 4, 192, 128),
		Train: train.Config{
			Seed: 1, Steps: 1600, BatchTokens: 2500, InitScale: 2, Init: "lookup", Clip: 1,
			Optimizer: train.Optimizer{Kind: "adamw", LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.01},
			Schedule:  train.Schedule{Warmup: 50, Final: 0.1},
			Eval:      train.Evaluation{Every: 75, Problems: 200, MaxTokens: 40},
			Storage:   "fp32", Finish: "best",
		},
	}
}

// coconutNet is a net of a width, layers, heads of 16, an MLP and positions.
func coconutNet(d, layers, heads, mlp, positions int) nn.Config {
	return nn.Config{
		HiddenSize: d, Layers: layers, Heads: heads, KVHeads: heads, HeadDim: 16, Intermediate: mlp, MaxPositions: positions,
		Positions: "rotary", RopeTheta: 10000, Norm: "rms", NormEps: 1e-5, MLP: "swiglu", Tied: true,
	}
}

// coconut is one size up: 16 slots, two to four hops.
func coconut() *Coconut {
	s := coconutSmall()
	s.Task, s.Stages, s.EpochSteps, s.EpochsPerStage = "prosqa-laptop", 4, 100, 10
	s.Model = coconutNet(64, 4, 4, 192, 192)
	s.Train.Steps, s.Train.BatchTokens, s.Train.Optimizer.LR = 6000, 4000, 1e-3
	s.Train.Eval = train.Evaluation{Every: 500, Problems: 200, MaxTokens: 60}
	return s
}

// coconutProsQA has the published graphs, words, training set and curriculum: 6
// stages of 5 epochs of 17,886 items, of 50 epochs. The net is smaller and begins
// from nothing.
func coconutProsQA() *Coconut {
	s := coconut()
	s.Task, s.Vocabulary, s.Items = "prosqa", latent.Words, 17886
	s.Stages, s.EpochSteps, s.EpochsPerStage = 6, 140, 5 // 128 items a step
	s.Model = coconutNet(128, 4, 8, 384, 512)
	s.Train.Steps, s.Train.BatchTokens, s.Train.CheckpointEvery = 50*140, 128*245, 20
	s.Train.Eval = train.Evaluation{Every: 140, Problems: 300, MaxTokens: 100}
	return s
}

// coconutProntoQA has the published curriculum on 9,000 items.
func coconutProntoQA() *Coconut {
	s := coconutProsQA()
	s.Task, s.Items, s.EpochSteps = "prontoqa", 9000, 70
	s.Train.Steps, s.Train.Eval.Every, s.Train.Eval.MaxTokens = 50*70, 70, 160
	return s
}

// coconutChains has two thoughts a step, as GSM8k has, and as many stages as there are
// steps.
func coconutChains() *Coconut {
	s := coconut()
	s.Task, s.Vocabulary, s.Stages, s.ThoughtsPerStep = "chains", latent.Words, 5, 2
	return s
}

// coconutCI is small enough for tests and for a first look.
func coconutCI() *Coconut {
	s := coconutSmall()
	s.Model = coconutNet(48, 2, 2, 128, 128)
	s.EpochSteps, s.EpochsPerStage, s.Items = 40, 2, 2000
	s.Train.Steps, s.Train.BatchTokens = 400, 2000
	s.Train.Eval = train.Evaluation{Every: 80, Problems: 64, MaxTokens: 40}
	return s
}
