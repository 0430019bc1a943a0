package train

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// Example is one sequence: L input rows and what each should predict.
type Example struct {
	Tokens  []int     // (L) inputs, or nn.Thought: what the row before it ended in
	Targets []int     // (L) what row i should say next; −1: nothing
	Weights []float32 // (L) or nil: 1 for each target

	// Branch (L) describes continuations that share a prefix: 0 is the trunk,
	// 1, 2 … the branches, ascending. Each stands right after the trunk, sees it
	// and itself, and knows nothing of the others: an example with branches is the sum
	// of one for each, for a fraction of the work. Nil for a plain sequence.
	Branch []int
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
	case e.Branch != nil && len(e.Branch) != n:
		return fmt.Errorf("%d tokens have %d branches", n, len(e.Branch))
	case e.Branch != nil && (e.Branch[0] != 0 || !slices.IsSorted(e.Branch)):
		return fmt.Errorf("its branches are not the trunk, 0, and then ascending")
	case e.Tokens[0] == nn.Thought:
		return fmt.Errorf("it begins with a thought, which has no row before it")
	}
	trunk, at := 0, 0
	for i, id := range e.Tokens {
		switch {
		case e.Branch == nil || e.Branch[i] == 0:
			trunk = i + 1
		case e.Branch[i] != e.Branch[i-1]:
			at = trunk
		}
		at++
		switch {
		case id < nn.Thought || id >= vocab:
			return fmt.Errorf("token %d is %d, the vocabulary ends at %d", i, id, vocab-1)
		case e.Targets[i] < -1 || e.Targets[i] >= vocab:
			return fmt.Errorf("target %d is %d, the vocabulary ends at %d", i, e.Targets[i], vocab-1)
		case at > positions:
			return fmt.Errorf("token %d is at position %d, the model has %d positions", i, at-1, positions)
		}
	}
	return nil
}

// threads are the example's trunk and branches, as nn.Model.Think runs them;
// base is how many threads come before them in the batch.
func (e Example) threads(base int) []nn.Thread {
	var list []nn.Thread
	for lo := 0; lo < len(e.Tokens); {
		hi := lo + 1
		for hi < len(e.Tokens) && (e.Branch == nil || e.Branch[hi] == e.Branch[lo]) {
			hi++
		}
		th := nn.Thread{Tokens: e.Tokens[lo:hi], From: -1}
		if lo > 0 {
			th.From = base
		}
		for i := lo; i < hi; i++ {
			if e.Targets[i] >= 0 {
				th.Want = append(th.Want, i-lo)
			}
		}
		list, lo = append(list, th), hi
	}
	return list
}
