package train

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"orrery/learn/token"
	"orrery/task"
)

// Mix is one task's part in the training problems.
type Mix struct {
	Task   string  `json:"task"`
	Weight float64 `json:"weight"` // share of the examples, relative to the others'

	// The share of easy problems goes linearly from EasyStart at step 0 to
	// EasyEnd at step EasyUntil and stays there; the rest are standard ones.
	EasyStart float64 `json:"easy_start"`
	EasyEnd   float64 `json:"easy_end"`
	EasyUntil int     `json:"easy_until"`

	// Easy makes every problem an easy one, held-out problems included.
	Easy bool `json:"easy"`

	// Hard makes every problem a hard one, held-out problems included.
	Hard bool `json:"hard,omitempty"`
}

// easy is the share of easy problems at a step.
func (m Mix) easy(step int) float64 {
	switch {
	case m.Easy:
		return 1
	case step >= m.EasyUntil:
		return m.EasyEnd
	}
	return m.EasyStart + (m.EasyEnd-m.EasyStart)*float64(step)/float64(m.EasyUntil)
}

// Problems is a Source of a mixture of tasks. Problems whose question is among
// the held-out ones are drawn again, so that no evaluated question is ever
// trained on.
type Problems struct {
	// Generate draws a training problem at a step, by task; a task that is not
	// in it uses its own generator.
	Generate map[string]func(rng *rand.Rand, step int, level task.Level) task.Problem

	// Expand makes the example of a problem, by task; a task that is not in it
	// uses Supervised without weight on the question.
	Expand map[string]func(rng *rand.Rand, p task.Problem) Example

	vocab *token.Vocab
	mix   []Mix
	tasks []task.Task
	total float64
	held  [][]task.Problem // per task
	asked map[string]bool  // questions of held
}

// NewProblems draws held problems a task from the seed's held-out stream and
// sets up the mixture.
func NewProblems(v *token.Vocab, mix []Mix, seed uint64, held int) (*Problems, error) {
	if len(mix) == 0 {
		return nil, errors.New("training problems: the mix is empty, name at least one task")
	}
	s := &Problems{vocab: v, mix: mix, asked: map[string]bool{}}
	for i, m := range mix {
		t, err := task.Lookup(m.Task)
		if err != nil {
			return nil, fmt.Errorf("training problems, mix %d: %w", i, err)
		}
		share := func(x float64) bool { return x >= 0 && x <= 1 }
		if !(m.Weight > 0) || !share(m.EasyStart) || !share(m.EasyEnd) || m.EasyUntil < 0 {
			return nil, fmt.Errorf("training problems, mix %d (%s): want a weight above 0, shares from 0 to 1 and easy_until at least 0, got %+v", i, m.Task, m)
		}
		if m.Easy && m.Hard {
			return nil, fmt.Errorf("training problems, mix %d (%s): easy and hard are both set, choose one", i, m.Task)
		}
		if slices.ContainsFunc(mix[:i], func(o Mix) bool { return o.Task == m.Task }) {
			return nil, fmt.Errorf("training problems, mix %d: %s is named twice, give it one weight", i, m.Task)
		}
		s.tasks = append(s.tasks, t)
		s.total += m.Weight
		level := task.Standard
		switch {
		case m.Easy:
			level = task.Easy
		case m.Hard:
			level = task.Hard
		}
		var list []task.Problem
		for n := range held {
			p := t.Generate(stream(seed, heldStream+uint64(n)), level)
			list = append(list, p)
			s.asked[p.Question] = true
		}
		s.held = append(s.held, list)
	}
	return s, nil
}

// HeldOut lists the problems for evaluation, by task in the mix's order.
func (s *Problems) HeldOut() [][]task.Problem { return s.held }

// Draw implements Source.
func (s *Problems) Draw(rng *rand.Rand, step int) Example {
	p := s.Pose(rng, step)
	if f := s.Expand[p.Task]; f != nil {
		return f(rng, p)
	}
	return Supervised(s.vocab, p, 0)
}

// Pose implements Poser.
func (s *Problems) Pose(rng *rand.Rand, step int) task.Problem {
	u, at := rng.Float64()*s.total, 0
	for ; at < len(s.mix)-1; at++ {
		if u -= s.mix[at].Weight; u < 0 {
			break
		}
	}
	m, level := s.mix[at], task.Standard
	switch easy := rng.Float64() < m.easy(step); {
	case m.Hard:
		level = task.Hard
	case easy:
		level = task.Easy
	}
	draw := func() task.Problem { return s.tasks[at].Generate(rng, level) }
	if f := s.Generate[m.Task]; f != nil {
		draw = func() task.Problem { return f(rng, step, level) }
	}
	p := draw()
	for s.asked[p.Question] {
		p = draw()
	}
	return p
}
