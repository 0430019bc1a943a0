package circuit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"orrery/learn/checkpoint"
	"orrery/learn/grad"
	"orrery/learn/recipe"
	"orrery/look/grok"
)

// learner is a training in memory; it implements grok.Learner.
type learner struct {
	settings Settings
	table    *table
	split    grok.Split
	net      net
	opt      *adam
	filter   *filter
	shares   *shares
	tape     *grad.Tape
	epoch, t int // passes and updates that are done
}

func newLearner(s Settings) (*learner, error) {
	t, err := s.check()
	if err != nil {
		return nil, err
	}
	l := &learner{settings: s, table: t, split: grok.SplitPairs(t.pairs(), s.trainCount(t), s.Seed), tape: grad.NewTape()}
	if l.net, err = newNet(s, t); err != nil {
		return nil, err
	}
	if l.shares, err = newShares(t); err != nil {
		return nil, err
	}
	l.opt, l.filter = newAdam(s.Optimizer, s.Warmup, l.net.params()), newFilter(s.Filter, l.net.params())
	return l, nil
}

// Run implements recipe.Settings.
func (s *Settings) Run(ctx context.Context, name string, o recipe.Options) error {
	if o.Dir == "" {
		return errors.New("recipe " + name + ": no run folder is given")
	}
	l, err := newLearner(*s)
	if err != nil {
		return err
	}
	plan := grok.Plan{Epochs: s.Epochs, Every: s.Every, HeldOut: len(l.split.Test) > 0}
	return grok.RunIn(ctx, l, plan, recipe.Choice{Recipe: name, Settings: s}, o)
}

const batchStream = 0x62617463 // "batc", plus the epoch

// Step implements grok.Learner. The order of a pass depends on the seed and its
// number alone.
func (l *learner) Step() (float64, error) {
	order := l.split.Train
	updates := l.settings.updates(len(order))
	size := len(order)
	if updates > 1 {
		order = slices.Clone(order)
		rng := rand.New(rand.NewPCG(l.settings.Seed, batchStream+uint64(l.epoch)<<32))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		size = l.settings.Batch
	}
	mean := 0.0
	for lo := 0; lo < len(order); lo += size {
		part := order[lo:min(lo+size, len(order))]
		loss, err := l.update(part)
		if err != nil {
			return 0, err
		}
		mean += loss * float64(len(part)) / float64(len(order))
	}
	l.epoch++
	return mean, nil
}

func (l *learner) update(pairs []int) (float64, error) {
	l.tape.Reset()
	loss := l.net.loss(l.tape, l.net.outputs(l.tape, pairs), pairs)
	value := float64(loss.Val.Data[0])
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, &grok.NaNError{Epoch: l.epoch + 1, What: "the loss", Good: -1}
	}
	if err := l.tape.Backward(loss); err != nil {
		return 0, err
	}
	l.t++
	l.filter.apply(l.t)
	l.opt.step(l.t)
	return value, nil
}

// scoreRows bounds how many pairs go through the network at once.
const scoreRows = 1024

// Score implements grok.Learner.
func (l *learner) Score() (train, test grok.Score) {
	return l.score(l.split.Train), l.score(l.split.Test)
}

func (l *learner) score(pairs []int) grok.Score {
	tape := &grad.Tape{NoGrad: true}
	sum, right := 0.0, 0
	for lo := 0; lo < len(pairs); lo += scoreRows {
		part := pairs[lo:min(lo+scoreRows, len(pairs))]
		tape.Reset()
		out := l.net.outputs(tape, part)
		sum += float64(l.net.loss(tape, out, part).Val.Data[0]) * float64(len(part))
		cols := out.Val.Dim(1)
		for i, p := range part {
			row := out.Val.Data[i*cols : i*cols+cols]
			best := 0
			for k, v := range row {
				if v > row[best] {
					best = k
				}
			}
			if best == l.table.answer[p] {
				right++
			}
		}
	}
	n := float64(len(pairs))
	return grok.Score{Loss: sum / n, Accuracy: float64(right) / n}
}

// Weights implements grok.Learner.
func (l *learner) Weights() []checkpoint.Entry {
	var out []checkpoint.Entry
	for _, p := range l.net.params() {
		out = append(out, checkpoint.Entry{Name: p.Name, Tensor: p.Val})
	}
	return out
}

// State implements grok.Learner.
func (l *learner) State() []checkpoint.Entry { return append(l.opt.entries(), l.filter.entries()...) }

// Restore implements grok.Learner.
func (l *learner) Restore(f *checkpoint.File, epoch int) error {
	l.epoch, l.t = epoch, epoch*l.settings.updates(len(l.split.Train))
	return read(f, append(l.Weights(), l.State()...))
}

// read fills the entries' tensors from a file.
func read(f *checkpoint.File, entries []checkpoint.Entry) error {
	for _, e := range entries {
		t, err := f.Tensor(e.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(t.Shape, e.Tensor.Shape) {
			return fmt.Errorf("tensor %s has shape %v, the settings make it %v", e.Name, t.Shape, e.Tensor.Shape)
		}
		copy(e.Tensor.Data, t.Data)
	}
	return nil
}

// Metadata implements grok.Learner.
func (l *learner) Metadata() map[string]string {
	return map[string]string{"net": l.settings.Net, "table": l.table.name, "format": "orrery circuit"}
}
