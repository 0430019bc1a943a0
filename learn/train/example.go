package train

import (
	"fmt"
	"math/rand/v2"

	"orrery/learn/token"
	"orrery/task"
)

// Example is one sequence: L input rows and what each should predict.
type Example struct {
	Tokens  []int     // (L) inputs
	Targets []int     // (L) what row i should say next; −1: nothing
	Weights []float32 // (L) or nil: 1 for each target

	// Positions (L) and Branch (L) describe continuations that share a prefix:
	// row q sees row k ≤ q of its own branch or of branch 0, the trunk. Both
	// nil for a plain sequence.
	Positions []int
	Branch    []int
}

// Source draws training examples.
type Source interface {
	// Draw makes one example for a step, 0-based, drawing all randomness from
	// rng: equal generator states and steps give equal examples. It is called
	// from one goroutine at a time, not always the same one.
	Draw(rng *rand.Rand, step int) Example
}

// Poser is a Source whose problems can also be put without their solutions.
type Poser interface {
	Source
	// Pose draws a problem for a step, as Draw draws an example.
	Pose(rng *rand.Rand, step int) task.Problem
}

// Prompt is what a model is given of a problem: BOS, question, newline.
func Prompt(v *token.Vocab, p task.Problem) []int {
	return append([]int{v.BOS()}, v.Encode(p.Question+"\n")...)
}

// Solution is what a model should answer to Prompt: the worked solution, EOS.
func Solution(v *token.Vocab, p task.Problem) []int {
	return append(v.Encode(p.Solution()), v.EOS())
}

// Supervised is the plain example of a problem: every token of the solution is
// a target of weight 1. The question's own tokens are targets of weight
// question, none if that is 0.
func Supervised(v *token.Vocab, p task.Problem, question float32) Example {
	prompt, solution := Prompt(v, p), Solution(v, p)
	all := append(prompt, solution...)
	n := len(all) - 1
	e := Example{Tokens: all[:n], Targets: make([]int, n)}
	if question > 0 {
		e.Weights = make([]float32, n)
	}
	for i := range n {
		asked := i+1 < len(prompt)
		e.Targets[i] = all[i+1]
		switch {
		case asked && question == 0:
			e.Targets[i] = -1
		case asked:
			e.Weights[i] = question
		case question > 0:
			e.Weights[i] = 1
		}
	}
	return e
}

// check finds contradictions that would train nonsense or panic in a kernel.
func (e Example) check(vocab, positions int) error {
	n := len(e.Tokens)
	switch {
	case n == 0:
		return fmt.Errorf("it has no tokens")
	case len(e.Targets) != n:
		return fmt.Errorf("%d tokens have %d targets", n, len(e.Targets))
	case e.Weights != nil && len(e.Weights) != n:
		return fmt.Errorf("%d tokens have %d weights", n, len(e.Weights))
	case (e.Positions == nil) != (e.Branch == nil):
		return fmt.Errorf("positions and branches go together")
	case e.Branch != nil && (len(e.Branch) != n || len(e.Positions) != n):
		return fmt.Errorf("%d tokens have %d positions and %d branches", n, len(e.Positions), len(e.Branch))
	}
	for i, id := range e.Tokens {
		at := i
		if e.Positions != nil {
			at = e.Positions[i]
		}
		switch {
		case id < 0 || id >= vocab:
			return fmt.Errorf("token %d is %d, the vocabulary ends at %d", i, id, vocab-1)
		case e.Targets[i] < -1 || e.Targets[i] >= vocab:
			return fmt.Errorf("target %d is %d, the vocabulary ends at %d", i, e.Targets[i], vocab-1)
		case at < 0 || at >= positions:
			return fmt.Errorf("token %d is at position %d, the model has %d positions", i, at, positions)
		}
	}
	return nil
}

// sees reports whether row q attends to row k.
func (e Example) sees(q, k int) bool {
	return k <= q && (e.Branch == nil || e.Branch[k] == 0 || e.Branch[k] == e.Branch[q])
}
