package recipe

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/learn/train"
	"orrery/task"
)

// smallBase is an untrained model of the recipes' vocabulary.
func smallBase(t *testing.T) *train.Base {
	t.Helper()
	v, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	m, err := nn.New(nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 1, Heads: 2, Intermediate: 32, MaxPositions: 512, Tied: true, BOS: v.BOS(), EOS: v.EOS()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &train.Base{Name: "small", Model: m, Vocab: v}
}

// TestTuningRecipes runs two steps of every recipe that tunes a model, repeats
// the run from its config.json, and refuses to do so from another model.
func TestTuningRecipes(t *testing.T) {
	tunes := 0
	for _, name := range Names() {
		r, _ := Lookup(name)
		if !r.Tunes {
			want := map[bool]string{true: "another vocabulary", false: "leave that out"}[r.May]
			if err := r.Start(t.Context(), Options{Dir: t.TempDir(), Base: smallBase(t)}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with a model to start from: %v", name, err)
			}
			continue
		}
		tunes++
		if err := r.Start(t.Context(), Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "none is given") {
			t.Errorf("%s without a model: %v", name, err)
		}
		small := `{"train": {"steps": 2, "batch_tokens": 300, "eval": {"every": 0, "problems": 2, "max_tokens": 5}}`
		if name == "grpo" {
			small += `, "grpo": {"problems": 2, "group": 2, "max_tokens": 5}`
		}
		r, err := r.With([]byte(small + "}"))
		if err != nil {
			t.Fatal(err)
		}
		dirs := []string{t.TempDir(), t.TempDir()}
		if err := r.Start(t.Context(), Options{Dir: dirs[0], Base: smallBase(t)}); err != nil {
			t.Fatal(err)
		}
		again, err := Open(filepath.Join(dirs[0], "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		other := smallBase(t)
		other.Model.Params()[0].Val.Data[0]++
		if err := again.Start(t.Context(), Options{Dir: dirs[1], Base: other}); err == nil || !strings.Contains(err.Error(), "fingerprint") {
			t.Errorf("%s repeated from another model: %v", name, err)
		}
		if err := again.Start(t.Context(), Options{Dir: dirs[1], Base: smallBase(t)}); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"final/model.safetensors", "final-fp32/model.safetensors"} {
			a, err := os.ReadFile(filepath.Join(dirs[0], file))
			b, err2 := os.ReadFile(filepath.Join(dirs[1], file))
			if err != nil || err2 != nil || string(a) != string(b) {
				t.Errorf("%s: %s differs in the repetition (%v, %v)", name, file, err, err2)
			}
		}
	}
	if tunes != 2 {
		t.Errorf("%d recipes tune a model, want sft and grpo", tunes)
	}
}

// TestTuningFits: problems and solutions of the mixes fit the built-in model's
// positions and what a response may take.
func TestTuningFits(t *testing.T) {
	v, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	positions := builtin().Model.MaxPositions
	for _, c := range []struct {
		mix  []train.Mix
		most int
	}{{finetune().Mix, finetune().Train.Eval.MaxTokens}, {grpo().Mix, grpo().GRPO.MaxTokens}} {
		rng := rand.New(rand.NewPCG(1, 1))
		for _, m := range c.mix {
			k, err := task.Lookup(m.Task)
			if err != nil {
				t.Fatal(err)
			}
			level := task.Standard
			if m.Hard {
				level = task.Hard
			}
			for range 300 {
				p := k.Generate(rng, level)
				n := len(train.Solution(v, p))
				if all := len(train.Prompt(v, p)) + n; all > positions || n > c.most {
					t.Fatalf("a problem of %s takes %d positions of %d, its solution %d tokens of %d", m.Task, all, positions, n, c.most)
				}
			}
		}
	}
	if b, err := json.Marshal(grpo()); err != nil || strings.Contains(string(b), "Reward") {
		t.Errorf("settings are %s, %v", b, err)
	}
}
