package grok

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"orrery/learn/tensor"
	"orrery/look/group"
)

// Trainer is a training in memory: the loop of a run folder and of a sweep's
// trial alike. Its methods belong to one goroutine; several trainers may run
// side by side, best with tensor.SetThreads(1).
type Trainer struct {
	Settings Settings
	Group    *group.Group
	Split    Split
	Net      *Net
	Epoch    int // finished passes

	updates   int
	opt       *optimizer
	objective *Objective
	ridge     *ridge // nil: the output matrix is trained
	eval      *evaluator
}

// NewTrainer draws weights and split by the seed.
func NewTrainer(s Settings) (*Trainer, error) {
	g, err := s.check()
	if err != nil {
		return nil, err
	}
	m := g.Order()
	t := &Trainer{Settings: s, Group: g, Split: NewSplit(m, s.trainCount(m), s.Seed), Net: NewNet(m, s.Width, s.Activation)}
	t.Net.Init(s.Seed, s.fanIn(m), s.VInit)
	if s.Scale != 0 {
		tensor.Scale(t.Net.W, t.Net.W, float32(s.Scale))
		tensor.Scale(t.Net.C, t.Net.C, float32(s.Scale))
	}
	t.opt = newOptimizer(s.Optimizer, t.Net)
	if s.Output == ridgeOutput {
		t.ridge = newRidge(g, t.Net, t.Split.Train, s.Optimizer.Decay)
		t.opt.hiddenOnly = true
		if err := t.ridge.solve(t.Net); err != nil {
			return nil, err
		}
	}
	if s.Batch == 0 || s.Batch >= len(t.Split.Train) {
		t.objective = NewObjective(g, s.Width, s.Activation, t.Split.Train)
	} else {
		t.objective = newObjective(g, s.Width, nil, false)
	}
	t.eval = newEvaluator(g, s.Width, t.Split)
	return t, nil
}

// Step does one pass over the training pairs and returns the loss, the mean
// over its updates, each taken before the update.
func (t *Trainer) Step() (float64, error) {
	size, pairs := t.Settings.Batch, t.Split.Train
	if size == 0 || size >= len(pairs) {
		loss, err := t.update()
		if err == nil {
			t.Epoch++
		}
		return loss, err
	}
	// The order of a pass depends on the seed and its number alone, so that a
	// resumed run goes the same way.
	order := slices.Clone(pairs)
	rng := rand.New(rand.NewPCG(t.Settings.Seed, batchStream+uint64(t.Epoch)<<32))
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	mean := 0.0
	for lo := 0; lo < len(order); lo += size {
		part := order[lo:min(lo+size, len(order))]
		slices.Sort(part)
		t.objective.train = newSamples(t.Group, part)
		loss, err := t.update()
		if err != nil {
			return 0, err
		}
		mean += loss * float64(len(part)) / float64(len(order))
	}
	t.Epoch++
	return mean, nil
}

// update does one step of the optimiser.
func (t *Trainer) update() (float64, error) {
	o := t.objective
	loss := o.Gradient(t.Net)
	half := len(o.W()) / 2
	for _, x := range []struct {
		what string
		ok   bool
	}{
		{"the loss", !math.IsNaN(loss) && !math.IsInf(loss, 0)},
		{"the gradient of a (W_a)", finite(o.W()[:half])},
		{"the gradient of b (W_b)", finite(o.W()[half:])},
		{"the gradient of c (W_c, V)", finite(o.C())},
	} {
		if !x.ok {
			return 0, &NaNError{Epoch: t.Epoch + 1, What: x.what, Good: -1}
		}
	}
	t.updates++
	t.opt.step(t.updates, o.W(), o.C())
	if t.ridge != nil {
		return loss, t.ridge.solve(t.Net)
	}
	return loss, nil
}

// Score scores the network on both sides of the split.
func (t *Trainer) Score() (train, test Score) { return t.eval.score(t.Net) }

// updatesAfter is how many updates so many passes make.
func (t *Trainer) updatesAfter(epochs int) int {
	n, size := len(t.Split.Train), t.Settings.Batch
	if size == 0 || size >= n {
		return epochs
	}
	return epochs * ((n + size - 1) / size)
}

// Experiment says what a network was trained on.
type Experiment struct {
	Settings Settings
	Group    *group.Group
	Split    Split
}

// Experiment describes the training.
func (t *Trainer) Experiment() Experiment { return Experiment{t.Settings, t.Group, t.Split} }

// describe is for a person: "Z23 (order 23), 476 of 529 pairs, width 512".
func (e Experiment) describe() string {
	m := e.Group.Order()
	return fmt.Sprintf("%s (order %d), %d of %d pairs, width %d", e.Group.Name(), m, len(e.Split.Train), m*m, e.Settings.Width)
}
