package train

import (
	"context"
	"fmt"

	"orrery/learn/grad"
)

// Objective is what a run minimises and where a step's data comes from: the
// loop, its checkpoints and its metrics know neither. There are CrossEntropy
// and *GRPO.
type Objective interface {
	// Validate reports the first setting without meaning, by its JSON name.
	Validate() error

	// fits says what the rest of the run lacks for this objective.
	fits(r *Run) error

	// begin prepares the steps after the trainer's current one.
	begin(ctx context.Context, t *trainer) (stepper, error)
}

// stepper does steps. A step is a function of the weights, the optimiser, the
// run's seed and the step's number alone.
type stepper interface {
	// step does step n, 1-based, through trainer.update, and returns its line of
	// metrics and its tokens. An error that wraps ctx.Err() comes before any
	// update and leaves all as it was.
	step(ctx context.Context, n int) (line Metric, tokens int, err error)

	// stop ends what begin has started, and waits for it.
	stop()
}

// CrossEntropy is supervised training: the mean of −log p of the targets of the
// Source's examples, a batch of Config.BatchTokens tokens a step.
type CrossEntropy struct{}

// Validate implements Objective.
func (CrossEntropy) Validate() error { return nil }

func (CrossEntropy) fits(*Run) error { return nil }

func (CrossEntropy) begin(ctx context.Context, t *trainer) (stepper, error) {
	draw := func(i int) (*batch, error) {
		return drawBatch(t.Source, t.Config.Seed, i, t.Config.BatchTokens, t.Model.VocabSize, t.Model.MaxPositions)
	}
	ahead, cancel := context.WithCancel(ctx)
	return &supervised{t: t, cancel: cancel, coming: batches(ahead, t.st.Step, t.Config.Steps, draw)}, nil
}

// supervised does the steps of CrossEntropy, with batches drawn ahead.
type supervised struct {
	t      *trainer
	cancel context.CancelFunc
	coming <-chan drawn
}

func (s *supervised) stop() {
	s.cancel()
	for range s.coming { // wait: the Source is the caller's again afterwards
	}
}

func (s *supervised) step(ctx context.Context, n int) (Metric, int, error) {
	d, ok := <-s.coming
	if !ok { // only when ctx ended meanwhile
		return Metric{}, 0, fmt.Errorf("drawing batch %d: %w", n-1, ctx.Err())
	}
	if d.err != nil {
		return Metric{}, 0, d.err
	}
	tape := s.t.tape
	loss := s.loss(d.batch)
	value := float64(loss.Val.Data[0])
	if err := tape.Backward(loss); err != nil {
		return Metric{}, 0, err
	}
	norm, err := s.t.update(n, value, func() error { return tape.Backward(s.loss(d.batch)) })
	tape.Reset()
	return Metric{Loss: value, GradNorm: norm}, d.tokens, err
}

// loss runs the model forwards over a batch.
func (s *supervised) loss(b *batch) *grad.Var {
	m, tape := s.t.model, s.t.tape
	loss, _ := tape.CrossEntropy(b.logits(tape, m), b.targets, b.weights)
	return loss
}
