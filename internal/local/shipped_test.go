package local

import (
	"math/rand/v2"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"

	"orrery/task"
)

// TestShippedModelSearches: the weights in the repository answer graph questions that
// they are not told the hops of, 2 and 3 on small graphs, 3 to 6 on those of ProsQA's size. 95 % is
// what is wanted of them (docs/latent.md has 97.6 and more of 500); 100 with one seed are the same 100 on
// every machine.
func TestShippedModelSearches(t *testing.T) {
	g, err := Latent(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []task.Level{task.Easy, task.Standard, task.Hard} {
		rng, right := rand.New(rand.NewPCG(11, 4)), 0
		const n = 100
		for range n {
			p := task.SymbolTask{}.Generate(rng, level)
			got := llmtest.Collect(t, g, t.Context(), greedy(p.Question, nil))
			words := strings.Fields(got.Text[llm.Answer])
			if len(words) > 0 && words[len(words)-1] == p.Answer {
				right++
			}
		}
		if right < 95 {
			t.Errorf("level %v: %d of %d graphs are right", level, right, n)
		}
	}
}
