package probe

import (
	"math"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/task"
)

// small is an untrained model of GPT-2's block on the symbols' vocabulary.
func small(t testing.TB, edit func(*nn.Config)) *nn.Model {
	t.Helper()
	c := nn.Config{VocabSize: task.SymbolCount, HiddenSize: 16, Layers: 2, Heads: 4, MaxPositions: 256,
		Positions: "learned", Norm: "layer", MLP: "gelu", Bias: true, Tied: true}
	if edit != nil {
		edit(&c)
	}
	m, err := nn.New(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTrainedLooksAtWhatItThinks: the open pass sees the same model as the mind:
// its second layer's weights are the softmax of its logits, each head's add up to 1,
// and reading on from a fed thought is what a mind with a token in its place does not do.
func TestTrainedLooksAtWhatItThinks(t *testing.T) {
	for name, edit := range map[string]func(*nn.Config){"GPT-2": nil, "grouped heads": func(c *nn.Config) { c.KVHeads = 2 }} {
		s, err := NewTrained("small", small(t, edit))
		if err != nil {
			t.Fatal(err)
		}
		prompt := questions(t, 61, 1, task.Easy, true)[0].Prompt()
		mind, err := s.Read(prompt)
		if err != nil {
			t.Fatal(err)
		}
		var thoughts [][]float64
		for range 3 {
			v := mind.Thought()
			thoughts = append(thoughts, v)
			if err := mind.Feed(v); err != nil {
				t.Fatal(err)
			}
		}
		a, err := s.Look(prompt, thoughts)
		if err != nil {
			t.Fatal(err)
		}
		for from := len(prompt) - 1; from < len(prompt)+3; from++ {
			for h := range a.Heads[1] {
				sum := 0.0
				for to := range from + 1 {
					sum += math.Exp(a.Logit(h, from, to))
				}
				total := 0.0
				for to := range from + 1 {
					w := a.Weight(1, h, from, to)
					total += w
					// float32 products of 4 to 16 terms near 1
					if want := math.Exp(a.Logit(h, from, to)) / sum; math.Abs(w-want) > 1e-6 {
						t.Fatalf("%s: head %d from %d to %d: weight %v, its logits say %v", name, h, from, to, w, want)
					}
				}
				if math.Abs(total-1) > 1e-5 {
					t.Fatalf("%s: weights of head %d add up to %v", name, h, total)
				}
			}
		}
		before := mind.Logits()
		if _, err := mind.Answer(); err != nil {
			t.Fatal(err)
		}
		for i, l := range mind.Logits() {
			if l != before[i] {
				t.Fatalf("%s: asking for the answer has changed the mind", name)
			}
		}
	}
}

func TestTrainedRefuses(t *testing.T) {
	for want, edit := range map[string]func(*nn.Config){
		"41 tokens":     func(c *nn.Config) { c.VocabSize = 41 },
		"3 layers":      func(c *nn.Config) { c.Layers = 3 },
		"bidirectional": func(c *nn.Config) { c.Bidirectional = true },
	} {
		if _, err := NewTrained("x", small(t, edit)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
	short, err := NewTrained("x", small(t, func(c *nn.Config) { c.MaxPositions = 8 }))
	if err != nil {
		t.Fatal(err)
	}
	prompt := questions(t, 61, 1, task.Easy, true)[0].Prompt()
	if _, err := short.Read(prompt); err == nil {
		t.Error("a prompt longer than the model is read")
	}
	if _, err := short.Look(prompt, nil); err == nil {
		t.Error("a prompt longer than the model is looked at")
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
}
