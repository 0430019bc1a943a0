package train

import (
	"testing"
	"time"

	"orrery/learn/nn"
)

// BenchmarkGRPO does steps at the built-in model's shape: 16 problems of easy
// arithmetic, 8 responses each, all of 40 tokens. It reports response tokens a
// second of sampling, and prompt and response tokens a second of scoring (one
// forward pass, the reference's) and of training (forwards, backwards, update).
func BenchmarkGRPO(b *testing.B) {
	r := newRL(b, b.TempDir())
	c := nn.Config{
		VocabSize: vocab.Size(), HiddenSize: 128, Layers: 6, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 384, MaxPositions: 512,
		RopeTheta: 1000, Tied: true, BOS: vocab.BOS(), EOS: vocab.EOS(),
	}
	m, err := nn.New(c, 1)
	if err != nil {
		b.Fatal(err)
	}
	r.Base = &Base{Name: "bench", Model: m, Vocab: vocab}
	if r.Source, err = NewProblems(vocab, []Mix{{Task: "arithmetic", Weight: 1}}, 1, 0); err != nil {
		b.Fatal(err)
	}
	r.Config.BatchTokens, r.Config.Eval.Problems = 4000, 0
	g := r.Objective.(*GRPO)
	g.Problems, g.Group, g.MaxTokens = 16, 8, 40
	l, _ := testLearner(b, r)
	l.t.clock = time.Now
	var sample, score, train float64
	responses, inputs := 0, 0
	b.ResetTimer()
	for i := range b.N {
		line, n, err := l.step(b.Context(), i+1)
		if err != nil {
			b.Fatal(err)
		}
		sample, score, train = sample+line.RL.SampleSeconds, score+line.RL.ScoreSeconds, train+line.RL.TrainSeconds
		responses, inputs = responses+line.RL.ResponseTokens, inputs+n
	}
	b.ReportMetric(float64(responses)/sample, "sampled-tokens/s")
	b.ReportMetric(float64(inputs)/score, "scored-tokens/s")
	b.ReportMetric(float64(inputs)/train, "trained-tokens/s")
	b.ReportMetric(sample/(sample+score+train), "sampling-share")
}
