package recipe

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/learn/train"
	"orrery/task"
)

// prepared is the CI recipe with changes, set up in a folder of its own.
func prepared(t *testing.T, change func(*Coconut)) (*Coconut, *train.Run) {
	t.Helper()
	s := coconutCI()
	if change != nil {
		change(s)
	}
	r, err := s.prepare("coconut-ci", Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// Branches of an example are the sequences that they stand for: each continues
// the trunk to the bit, and supervises what its method writes at that stage.
func TestJoinedIsWhatItJoins(t *testing.T) {
	for _, m := range latent.Methods {
		s, r := prepared(t, func(s *Coconut) { s.Method, s.ExtraQueries, s.Mix = m, 3, 0.2 })
		src := r.Source.(*staged)
		branches := 0
		for step := 0; step < r.Config.Steps; step += 37 {
			e := src.Draw(rand.New(rand.NewPCG(1, uint64(step))), step)
			again := src.Draw(rand.New(rand.NewPCG(1, uint64(step))), step)
			if !reflect.DeepEqual(e, again) {
				t.Fatalf("%s: equal generators and steps give different examples", m)
			}
			trunk := slices.Index(e.Branch, 1)
			if e.Branch == nil {
				trunk = len(e.Tokens) // a graph without another query
			}
			for n := 1; n <= 1+s.ExtraQueries; n++ {
				tokens, targets := slices.Clone(e.Tokens[:trunk]), slices.Clone(e.Targets[:trunk])
				for i, b := range e.Branch {
					if b == n {
						tokens, targets = append(tokens, e.Tokens[i]), append(targets, e.Targets[i])
					}
				}
				if len(tokens) == trunk && n > 1 {
					continue
				}
				branches++
				checkJoined(t, src.layout, tokens, targets, s.Thoughts())
			}
		}
		if branches < 20 {
			t.Errorf("%s: only %d branches were seen", m, branches)
		}
	}
}

// checkJoined holds one sequence to the layout: prompt, fill, and from there on
// every next token a target.
func checkJoined(t *testing.T, l latent.Layout, tokens, targets []int, most int) {
	t.Helper()
	written := slices.IndexFunc(targets, func(id int) bool { return id >= 0 })
	for i, id := range targets {
		switch {
		case (id >= 0) != (i >= written):
			t.Fatalf("target %d is %d, supervision begins at %d", i, id, written)
		case i >= written && i+1 < len(tokens) && id != tokens[i+1]:
			t.Fatalf("target %d is not the next token", i)
		}
	}
	if targets[len(targets)-1] != token.EOS {
		t.Fatal("the last target is not EOS")
	}
	fill := 0
	for _, id := range tokens {
		if id == nn.Thought || id == token.Pause {
			fill++
		}
	}
	if fill > most {
		t.Fatalf("%d thoughts, want at most %d", fill, most)
	}
	last := tokens[written]
	if framed := l.Method.Fill() != latent.Nothing; framed != (last == token.Eot) || framed != slices.Contains(tokens, token.Bot) {
		t.Fatalf("%s: the first written token is read off from %q", l.Method, l.Vocab.Name(last))
	}
}

func TestCoconutResets(t *testing.T) {
	set := func(m latent.Method, reset string, from int) []int {
		s, _ := prepared(t, func(s *Coconut) {
			s.Method, s.ResetOptimizer, s.Train.Steps = m, reset, 50
			s.Curriculum = latent.Curriculum{Stages: 2, EpochSteps: 5, EpochsPerStage: 3, FirstStage: from, ThoughtsPerStep: 1}
		})
		return s.Train.ResetAt
	}
	for _, c := range []struct {
		m     latent.Method
		reset string
		from  int
		want  []int
	}{
		{latent.Coconut, "stage", 0, []int{15, 30, 45}}, {latent.Coconut, "stage", 1, []int{15, 30}}, {latent.CoT, "stage", 0, nil}, {latent.ICoT, "never", 0, nil},
		{latent.CoT, "epoch", 0, []int{5, 10, 15, 20, 25, 30, 35, 40, 45}},
	} {
		if got := set(c.m, c.reset, c.from); !slices.Equal(got, c.want) {
			t.Errorf("%s, %q: resets at %v, want %v", c.m, c.reset, got, c.want)
		}
	}
	// Checkpoints compare within the last stage that is reached: before it another thing was asked.
	for steps, from := range map[int]int{50: 45, 45: 30, 31: 30, 30: 15, 10: 0} {
		s, _ := prepared(t, func(s *Coconut) {
			s.Train.Steps = steps
			s.Curriculum = latent.Curriculum{Stages: 2, EpochSteps: 5, EpochsPerStage: 3, ThoughtsPerStep: 1}
		})
		if s.Train.Eval.BestFrom != from {
			t.Errorf("%d steps: the best checkpoint is looked for from step %d, want %d", steps, s.Train.Eval.BestFrom, from)
		}
	}
	s := coconutCI()
	for _, bad := range []func(){
		func() { s.ResetOptimizer = "sometimes" }, func() { s.Method = "cocoa" }, func() { s.Task = "tarot" },
		func() { s.Vocabulary = "letters" }, func() { s.Stages = 0 }, func() { s.Items = -1 },
	} {
		*s = *coconutCI()
		bad()
		if _, err := s.prepare("x", Options{Dir: t.TempDir()}); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}

// A training set of n items shows no more than n problems, and the same ones
// whatever the step.
func TestItems(t *testing.T) {
	_, r := prepared(t, func(s *Coconut) { s.Items, s.Method = 7, latent.CoT })
	seen := map[string]bool{}
	for i := range 200 {
		e := r.Source.Draw(rand.New(rand.NewPCG(3, uint64(i))), i)
		seen[r.Vocab.Decode(e.Tokens)] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d different examples of 7 items", len(seen))
	}
}

// A run leaves a folder that says how its model thinks, is the same whenever it
// is done, and answers held-out problems with the stage's thoughts.
func TestCoconutRuns(t *testing.T) {
	var models []string
	for range 2 {
		_, r := prepared(t, func(s *Coconut) {
			s.Train.Steps, s.Train.BatchTokens, s.Train.Eval = 8, 200, train.Evaluation{Every: 4, Problems: 3, MaxTokens: 12}
			s.EpochSteps, s.EpochsPerStage = 2, 1
		})
		if err := r.Train(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		final := filepath.Join(r.Dir, "final")
		info, err := latent.Read(os.DirFS(final))
		if err != nil || info.Method != latent.Coconut || info.Thoughts != 3 || info.Task != "prosqa-tiny" {
			t.Fatalf("latent.json says %+v, %v", info, err)
		}
		b, err := os.ReadFile(filepath.Join(final, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, string(b))
		lines, err := os.ReadFile(filepath.Join(r.Dir, "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(lines) {
			var m train.Metric
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			// At most 12 written tokens, and one thought in stage 1, three at the end.
			if s := m.Tasks["prosqa-tiny"]; m.Kind == "eval" && (s.Tokens > 12+3 || s.Tokens < 1+1 || s.Loss <= 0) {
				t.Errorf("an evaluation says %+v", s)
			}
		}
	}
	if models[0] != models[1] {
		t.Error("the same run gives two models")
	}
	if _, err := latent.Read(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), latent.FileName) {
		t.Error(err)
	}
}

// A model that is too short for the thoughts of the last stage is refused before the first step.
func TestCoconutTooShort(t *testing.T) {
	_, r := prepared(t, nil)
	first, last := 0, 0
	src := r.Source.(*staged)
	rng := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		p := src.Pose(rng, 0)
		first, last = max(first, len(src.sequence(p, 0, rng).IDs)), max(last, len(src.layout.Sequence(p, latent.Cut{Steps: latent.All, Fill: 40}).IDs))
	}
	if first+10 > last {
		t.Fatalf("40 thoughts take %d positions in place of %d: the test shows nothing", last, first)
	}
	short := func(s *Coconut) { s.Stages, s.EpochsPerStage, s.EpochSteps, s.Model.MaxPositions = 40, 1, 5, first+5 }
	s := coconutCI()
	short(s)
	_, err := s.prepare("coconut-ci", Options{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "positions, thoughts included") || !strings.Contains(err.Error(), "at step 399") {
		t.Errorf("40 thoughts in %d positions: %v", s.Model.MaxPositions, err)
	}
	prepared(t, func(s *Coconut) { short(s); s.Method = latent.NoCoT }) // needs no more than at first
}

// Sequences of every task and both vocabularies fit the positions at every stage.
func TestCoconutFits(t *testing.T) {
	for _, n := range Names() {
		r, _ := Lookup(n)
		s, ok := r.New().(*Coconut)
		if !ok {
			continue
		}
		run, err := s.prepare(n, Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		k, _ := task.Lookup(s.Task)
		for range 200 {
			p := k.Generate(rng, task.Standard)
			if len(p.Steps) > s.Stages {
				t.Fatalf("%s: a problem has %d steps, the last stage %d", n, len(p.Steps), s.Stages)
			}
			q := latent.Layout{Vocab: run.Vocab, Method: latent.Coconut}.Sequence(p, latent.Cut{Fill: s.Thoughts()})
			if len(q.IDs) > s.Model.MaxPositions {
				t.Fatalf("%s: a sequence of %d tokens, the model has %d positions", n, len(q.IDs), s.Model.MaxPositions)
			}
		}
	}
}
