package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/learn/train"
	"orrery/task"
)

func TestLookup(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || !slices.Contains(names, "builtin") || !slices.Contains(names, "tiny") {
		t.Errorf("recipes are %v", names)
	}
	for _, n := range names {
		r, err := Lookup(n)
		if err != nil || r.Name != n || r.About == "" {
			t.Errorf("Lookup(%q) = %+v, %v", n, r, err)
		}
	}
	if _, err := Lookup("bultin"); err == nil || !strings.Contains(err.Error(), strings.Join(names, ", ")) {
		t.Errorf("an unknown name gives %v, want the known names", err)
	}
	if _, err := Open("bultin"); err == nil || !strings.Contains(err.Error(), ".json") {
		t.Errorf("opening an unknown name gives %v", err)
	}
}

// TestEveryRecipeIsSound sets up every recipe without training it.
func TestEveryRecipeIsSound(t *testing.T) {
	for _, n := range Names() {
		r, _ := Lookup(n)
		s, err := r.Settings()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := r.With(b); err != nil {
			t.Errorf("%s doesn't read its own settings: %v", n, err)
		} else if s2, _ := again.Settings(); s2 != nil {
			if c, _ := json.Marshal(s2); string(c) != string(b) {
				t.Errorf("%s: settings went from %s to %s", n, b, c)
			}
		}
		sup, ok := s.(*Supervised)
		if !ok {
			continue
		}
		run, err := sup.prepare(n, Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Config.Validate(); err != nil {
			t.Errorf("%s: %v", n, err)
		}
		m, err := nn.New(run.Model, 1)
		if err != nil {
			t.Fatal(err)
		}
		if 2*m.Size() > 16<<20 {
			t.Errorf("%s has %d weights, more than 16 MiB in bfloat16", n, m.Size())
		}
		// Prompt and solution of standard problems must fit the positions.
		rng := rand.New(rand.NewPCG(1, 2))
		for _, mix := range sup.Mix {
			k, _ := task.Lookup(mix.Task)
			for range 200 {
				e := train.Supervised(run.Vocab, k.Generate(rng, task.Standard), 0)
				if len(e.Tokens) > run.Model.MaxPositions {
					t.Fatalf("%s: a problem of %s takes %d positions of %d", n, mix.Task, len(e.Tokens), run.Model.MaxPositions)
				}
			}
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(dir, "recipe.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, good := range []string{
		`{"recipe": "tiny", "settings": {"train": {"steps": 5, "optimizer": {"lr": 0.01}}}}`,
		`{"version": 1, "config": {"recipe": "tiny", "settings": {"train": {"steps": 5, "optimizer": {"lr": 0.01}}}}, "built_with": {"go": "x"}}`,
	} {
		r, err := Open(file(good))
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Settings()
		if err != nil {
			t.Fatal(err)
		}
		want := tiny()
		want.Train.Steps, want.Train.Optimizer.LR = 5, 0.01
		a, _ := json.Marshal(s)
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s gives %s, want %s", good, a, b)
		}
	}
	for bad, want := range map[string]string{
		``:                                 "empty",
		`{"settings": {}}`:                 "names no recipe",
		`{"recipe": "nope"}`:               "known are",
		`{"recipe": "tiny", "setings": 1}`: "setings",
		`{"recipe": "tiny", "settings": {"train": {"step": 5}}}`:                "step",
		`{"recipe": "tiny", "settings": {"train": {"optimizer": {"lr": "x"}}}}`: "lr",
	} {
		if _, err := Open(file(bad)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("the file %s gives %v, want an error with %q", bad, err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none.json")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "builtin") {
		t.Errorf("a missing file gives %v", err)
	}
}

// TestBranchedIsSumOfPlain takes branched examples apart and holds every branch
// to the plain example of its question; the first is the problem itself. All
// answers must be right.
func TestBranchedIsSumOfPlain(t *testing.T) {
	v, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	branches := 0
	for i := range 60 {
		p := growing(rng, i, 30, task.Standard) // half of them smaller than standard
		write := func(p task.Problem) task.Problem { return p }
		if i%2 == 1 {
			write = backward
		}
		e := branched(v, rng, p, 4, write)
		g := p.Data.(*task.Graph)
		for n := 1; n <= slices.Max(e.Branch); n++ {
			var plain train.Example
			for i, id := range e.Tokens {
				if b := e.Branch[i]; b != 0 && b != n {
					continue
				}
				plain.Tokens, plain.Targets = append(plain.Tokens, id), append(plain.Targets, e.Targets[i])
			}
			if len(plain.Tokens) == slices.Index(e.Branch, 1) {
				continue // a query that could not be drawn
			}
			branches++
			text := v.Decode(plain.Tokens[1:])
			question, solution, _ := strings.Cut(text, "\n")
			q := task.Problem{Task: "prosqa", Question: question, Answer: p.Answer, Steps: write(p).Steps}
			if n > 1 {
				lines := strings.Split(solution, "\n")
				q.Steps = lines[:len(lines)-1]
				q.Answer = strings.TrimSuffix(strings.TrimPrefix(lines[len(lines)-1], `\boxed{`), "}")
				checkSolution(t, g, question, write(q)) // backwards twice is forwards
			} else if question != p.Question {
				t.Fatalf("the first branch asks %q, want %q", question, p.Question)
			}
			want := train.Supervised(v, q, 0)
			if !slices.Equal(plain.Tokens, want.Tokens) || !slices.Equal(plain.Targets, want.Targets) {
				t.Fatalf("branch %d reads\n%q %v\nwant\n%q %v", n, text, plain.Targets, v.Decode(want.Tokens[1:]), want.Targets)
			}
		}
	}
	if branches < 200 {
		t.Errorf("60 problems with 4 further queries gave %d branches, want at least 200", branches)
	}
}

// checkSolution follows a worked solution through the graph.
func checkSolution(t *testing.T, g *task.Graph, question string, q task.Problem) {
	t.Helper()
	words := strings.Fields(strings.TrimSuffix(question[strings.LastIndex(question, " Is ")+4:], "?"))
	node := func(name string) int { return slices.Index(g.IdxToSymbol, name) }
	root, a, b := node(words[0]), node(words[2]), node(words[4])
	dist := g.Distances(root)
	if (dist[a] >= 0) == (dist[b] >= 0) {
		t.Fatalf("%q: exactly one of the two must be reachable", question)
	}
	at := root
	for _, s := range q.Steps {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSuffix(s, "."), "Every "))
		from, to := node(f[0]), node(f[3])
		if from != at || !slices.Contains(g.Edges, [2]int{from, to}) || (from == root) == strings.HasPrefix(s, "Every ") {
			t.Fatalf("%q: the step %q is not one", question, s)
		}
		at = to
	}
	if g.IdxToSymbol[at] != q.Answer || (at != a && at != b) || len(q.Steps) != dist[at] {
		t.Fatalf("%q: the solution %q ends wrongly or is no shortest path", question, q.Steps)
	}
}

// TestTiny trains the tiny recipe for some steps, interrupts and resumes it,
// and trains a run's own config.json again.
func TestTiny(t *testing.T) {
	r, err := Lookup("tiny")
	if err == nil {
		r, err = r.With([]byte(`{"train": {"steps": 6, "batch_tokens": 200, "eval": {"every": 0, "problems": 2}}}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err = r.Start(ctx, Options{Dir: dir, Progress: func(p train.Progress) {
		if p.Step == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), Options{Dir: dir, Resume: true}); err != nil {
		t.Fatal(err)
	}
	again, err := Open(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	second := t.TempDir()
	if err := again.Start(t.Context(), Options{Dir: second}); err != nil {
		t.Fatal(err)
	}
	var files [2][]byte
	for i, d := range []string{dir, second} {
		if files[i], err = os.ReadFile(filepath.Join(d, "final", "model.safetensors")); err != nil {
			t.Fatal(err)
		}
	}
	if string(files[0]) != string(files[1]) {
		t.Error("training a run's config.json gave another model")
	}
	if err := r.Start(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "run folder") {
		t.Errorf("training without a folder: %v", err)
	}
}
