package recipe

import (
	"orrery/learn/nn"
	"orrery/learn/train"
)

func init() {
	Register(Recipe{
		Name:  "builtin",
		About: "the built-in reasoner: arithmetic, ProsQA and countdown, solved step by step (about an hour on two cores)",
		New:   func() Settings { return builtin() },
	})
	Register(Recipe{
		Name:  "tiny",
		About: "a few seconds of the same on easy arithmetic, to see that everything works",
		New:   func() Settings { return tiny() },
	})
}

// builtin is the model in the repository; internal/local/builtin/README.md has
// its results. What runs before it showed, and the settings follow:
//
//   - ProsQA's solutions as shortest paths, upwards from the answer, left the
//     model at chance (48.7 ± 3 % of 1,000 problems) after 19.5 million tokens: it
//     never looked a sentence up. So solutions are searches, in which every step
//     is one look-up, and a look-up is one token in the question and in the
//     solution (phrases).
//   - That alone didn't make it look up either: after 1,600 steps of 4,000 tokens
//     it wrote kinds of the question in any order. nn.Model.InitLookup, recitals
//     before anything else, and ProsQA alone until then did, within a million
//     tokens. At a learning rate of 3e-3 the circuit that the weights begin with is
//     lost before it is used; 1e-3 keeps it.
//   - With nn.New's standard deviation of 0.02, attention is flat at this width
//     and stays so: on the smallest graphs the loss was 1.27 after 228 thousand
//     tokens and still 1.25 after 457 thousand; with three times that deviation
//     it was 0.46 after 228 thousand.
func builtin() *Supervised {
	return &Supervised{
		Model: nn.Config{
			HiddenSize: 128, Layers: 6, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 384, MaxPositions: 512,
			Positions: "rotary", RopeTheta: 10000, Norm: "rms", NormEps: 1e-5, MLP: "swiglu", Tied: true,
		},
		Train: train.Config{
			Seed: 1, Steps: 2600, BatchTokens: 4000, InitScale: 2, InitLookup: true, Clip: 1, CheckpointEvery: 100,
			Optimizer: train.Optimizer{Kind: "adamw", LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.05},
			Schedule:  train.Schedule{Warmup: 50, Final: 0.02},
			Eval:      train.Evaluation{Every: 500, Problems: 64, Temperature: 1, MaxTokens: 200},
		},
		Mix: []train.Mix{
			{Task: "arithmetic", Weight: 6, From: 400, EasyStart: 0.5, EasyUntil: 1000},
			{Task: "prosqa", Weight: 3},
			{Task: "countdown", Weight: 1, From: 400, EasyStart: 0.5, EasyUntil: 1000},
		},
		ExtraQueries: 3,
		Search:       true,
		Recital:      150,
		GraphRamp:    600,
	}
}

// tiny is small enough for tests and for a first look.
func tiny() *Supervised {
	s := builtin()
	s.Model.HiddenSize, s.Model.Layers, s.Model.Heads, s.Model.KVHeads, s.Model.HeadDim, s.Model.Intermediate = 48, 2, 3, 1, 16, 128
	s.Train.Steps, s.Train.BatchTokens, s.Train.CheckpointEvery = 200, 1000, 50
	s.Train.InitScale, s.Train.InitLookup = 4, false
	s.Train.Optimizer.LR, s.Train.Schedule.Warmup = 3e-3, 20
	s.Train.Eval = train.Evaluation{Every: 100, Problems: 16, Temperature: 1, MaxTokens: 60}
	s.Mix = []train.Mix{{Task: "arithmetic", Weight: 1, Easy: true}}
	s.ExtraQueries, s.Recital, s.GraphRamp, s.Search = 0, 0, 0, false
	return s
}
