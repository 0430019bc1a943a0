package latent

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Curriculum says how steps turn into thoughts while training goes on.
type Curriculum struct {
	Stages          int     `json:"stages"`            // the last stage that has thoughts more than the one before; ProsQA: 6
	EpochSteps      int     `json:"epoch_steps"`       // optimiser steps of an epoch
	EpochsPerStage  int     `json:"epochs_per_stage"`  // epochs of a stage; the one after the last goes on to the end
	FirstStage      int     `json:"first_stage"`       // the stage of the first step; 1 for a run that starts from a model that writes its steps already
	ThoughtsPerStep int     `json:"thoughts_per_step"` // c
	Mix             float64 `json:"mix"`               // probability that a sample draws its own stage from 0…s
}

// Validate reports the first setting without meaning, by its JSON name.
func (c Curriculum) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"stages", c.Stages}, {"epoch_steps", c.EpochSteps}, {"epochs_per_stage", c.EpochsPerStage}, {"thoughts_per_step", c.ThoughtsPerStep}} {
		if f.value < 1 {
			return fmt.Errorf("curriculum: %s is %d, want at least 1", f.name, f.value)
		}
	}
	if c.FirstStage < 0 || c.FirstStage > c.Stages+1 {
		return fmt.Errorf("curriculum: first_stage is %d, want 0 to stages + 1", c.FirstStage)
	}
	if !(c.Mix >= 0 && c.Mix <= 1) {
		return fmt.Errorf("curriculum: mix is %v, want a probability", c.Mix)
	}
	return nil
}

// Thoughts is K, the number of thoughts of the last stage.
func (c Curriculum) Thoughts() int { return c.Stages * c.ThoughtsPerStep }

// StageSteps is the number of optimiser steps of a stage.
func (c Curriculum) StageSteps() int { return c.EpochSteps * c.EpochsPerStage }

// Begin is the optimiser step, counted from 0, at which a stage begins.
func (c Curriculum) Begin(stage int) int { return max(0, stage-c.FirstStage) * c.StageSteps() }

// Stage is the stage of an optimiser step, counted from 0: FirstStage to Stages,
// and Stages+1, where all steps are gone, from then on.
func (c Curriculum) Stage(step int) int {
	return min(c.FirstStage+step/c.StageSteps(), c.Stages+1)
}

// Cut says what of a worked solution is left out and what stands in its place.
type Cut struct {
	Steps  int // whole steps left out, from the front
	Tokens int // or tokens of the steps; of Steps and Tokens one is 0
	Fill   int // thoughts or pauses
}

// All leaves out every step, however many there are.
const All = math.MaxInt

// Cut draws the cut of a problem with steps steps, which are tokens tokens long
// together, at an optimiser step. Only Mix and iCoT use rng.
func (c Curriculum) Cut(m Method, step, steps, tokens int, rng *rand.Rand) Cut {
	switch m {
	case CoT:
		return Cut{}
	case NoCoT:
		return Cut{Steps: All}
	case Pause, NoCurriculum:
		return Cut{Steps: All, Fill: c.Thoughts()}
	case ICoT:
		return Cut{Tokens: c.vanished(step, steps, tokens, rng)}
	}
	k := c.Stage(step)
	if c.Mix > 0 && rng.Float64() < c.Mix {
		k = min(rng.IntN(steps+1), c.Stages)
	}
	cut := Cut{Steps: k, Fill: k * c.ThoughtsPerStep}
	if k > c.Stages {
		cut = Cut{Steps: All, Fill: c.Thoughts()}
	}
	if m.Fill() == Nothing {
		cut.Fill = 0
	}
	return cut
}

// smoothing is λ of arXiv 2405.14838, section 3: o more tokens are removed with
// a probability in proportion to exp(−λo).
const smoothing = 4

// vanished is the number of tokens that iCoT removes: none in stage 0, the k-th
// step token by token during stage k, and from stage Stages+1 on everything.
func (c Curriculum) vanished(step, steps, tokens int, rng *rand.Rand) int {
	k := c.Stage(step)
	if k > c.Stages {
		return All
	}
	since := max(0, step+(c.FirstStage-1)*c.StageSteps()) // stage 1 began
	n := since * tokens / (c.StageSteps() * max(1, steps))
	for rng.Float64() < math.Exp(-smoothing) {
		n++
	}
	return n
}
