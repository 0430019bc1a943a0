package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"orrery/learn/grad"
	"orrery/learn/nn"
)

// Streams of random numbers: each use has its own PCG stream under the run's
// seed, so that held-out problems never come from the stream that makes
// training batches, and batch i needs no memory of batch i−1.
const (
	trainStream = 1 << 56 // + batch number
	heldStream  = 2 << 56 // + number of the problem
	traceStream = 3 << 56 // + step·2²⁴ + task·2¹⁶ + number of the problem
	rollStream  = 4 << 56 // + step·2²⁴ + problem·2¹² + member of its group
)

func stream(seed, id uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, id)) }

// batch is ragged: N = ΣL rows without padding.
type batch struct {
	input   nn.Input    // unless there are threads
	threads []nn.Thread // where an example branches or thinks
	rows    []int       // rows of the input that have a target
	targets []int       // (len(rows))
	weights []float32   // (len(rows)), nil: all 1
	tokens  int         // N
}

// logits are what the model says at the rows that have a target: (len(rows), V).
func (b *batch) logits(t *grad.Tape, m *nn.Model) *grad.Var {
	if b.threads != nil {
		return m.Logits(t, m.Think(t, b.threads, nn.ThinkOptions{}), nil)
	}
	return m.Logits(t, m.Hidden(t, b.input), b.rows)
}

// drawBatch makes batch i, a pure function of seed and i: examples are drawn
// until their tokens reach the budget.
func drawBatch(src Source, seed uint64, i, budget, vocab, positions int) (*batch, error) {
	rng := stream(seed, trainStream+uint64(i))
	var list []Example
	for n := 0; n < budget; {
		e := src.Draw(rng, i)
		if err := e.check(vocab, positions); err != nil {
			return nil, fmt.Errorf("example %d of batch %d: %w", len(list), i, err)
		}
		list = append(list, e)
		n += len(e.Tokens)
	}
	return pack(list), nil
}

// pack joins examples into one batch.
func pack(list []Example) *batch {
	b := &batch{}
	weighted, threaded := false, false
	for _, e := range list {
		weighted = weighted || e.Weights != nil
		threaded = threaded || e.Branch != nil || slices.Contains(e.Tokens, nn.Thought)
	}
	for _, e := range list {
		for i := range e.Tokens {
			if e.Targets[i] < 0 {
				continue
			}
			b.rows = append(b.rows, b.tokens+i)
			b.targets = append(b.targets, e.Targets[i])
			if weighted {
				w := float32(1)
				if e.Weights != nil {
					w = e.Weights[i]
				}
				b.weights = append(b.weights, w)
			}
		}
		b.tokens += len(e.Tokens)
		if threaded {
			b.threads = append(b.threads, e.threads(len(b.threads))...)
			continue
		}
		b.input.Tokens = append(b.input.Tokens, e.Tokens...)
		b.input.Lens = append(b.input.Lens, len(e.Tokens))
	}
	return b
}

// drawn is a batch or the error that took its place.
type drawn struct {
	*batch
	err error
}

// batches makes the batches of steps [from, to) one ahead of their use, until
// ctx ends. The channel closes after the last.
func batches(ctx context.Context, from, to int, draw func(i int) (*batch, error)) <-chan drawn {
	out := make(chan drawn, 1)
	go func() {
		defer close(out)
		for i := from; i < to; i++ {
			b, err := draw(i)
			select {
			case out <- drawn{b, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}
