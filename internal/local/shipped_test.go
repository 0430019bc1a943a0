package local

import (
	"math/rand/v2"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"

	"orrery/task"
)

// TestShippedModelSearches: the weights in the repository answer graph questions of 3
// and 4 hops that they are not told the hops of. 95 % is what docs/latent.md promises of 500
// (it was 98.0 %); 100 with one seed are the same 100 on every machine.
func TestShippedModelSearches(t *testing.T) {
	g, err := Latent(Options{})
	if err != nil {
		t.Fatal(err)
	}
	rng, right := rand.New(rand.NewPCG(11, 4)), 0
	const n = 100
	for range n {
		p := task.SymbolTask{}.Generate(rng, task.Standard)
		got := llmtest.Collect(t, g, t.Context(), greedy(p.Question, nil))
		words := strings.Fields(got.Text[llm.Answer])
		if len(words) > 0 && words[len(words)-1] == p.Answer {
			right++
		}
	}
	if right < 95 {
		t.Errorf("%d of %d graphs are right", right, n)
	}
}
