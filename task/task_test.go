package task

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var levels = []Level{Easy, Standard, Hard}

// source returns a generator whose stream depends on nothing but the seed.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestRegistered(t *testing.T) {
	for _, name := range []string{"arithmetic", "chains", "countdown", "prontoqa", "prosqa", "prosqa-balanced", "prosqa-dense", "prosqa-laptop", "prosqa-tiny"} {
		k, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if k.Name() != name || k.About() == "" || k.Instruction() == "" {
			t.Errorf("%s: name %q, about %q, instruction %q", name, k.Name(), k.About(), k.Instruction())
		}
	}
	if _, err := Lookup("sums"); err == nil || !strings.Contains(err.Error(), "arithmetic, chains, countdown, prontoqa, prosqa") {
		t.Errorf("unknown task: error %v doesn't list the known ones", err)
	}
}

// Equal generator states give equal bytes; other states give other problems.
func TestSameSeedSameBytes(t *testing.T) {
	for _, name := range Names() {
		k, _ := Lookup(name)
		for _, level := range levels {
			draw := func(seed uint64) string {
				rng := source(seed)
				var all []Problem
				for range 30 {
					all = append(all, k.Generate(rng, level))
				}
				b, err := json.Marshal(all)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			if first, again := draw(1), draw(1); first != again {
				t.Errorf("%s %v: one seed, two results", name, level)
			}
			if draw(1) == draw(2) {
				t.Errorf("%s %v: two seeds, one result", name, level)
			}
		}
	}
}

// Words is exactly the set of words that problems are made of: none is missing
// over all levels, and none is idle at Standard. The rarest word, one of 12 kinds of things or
// 16 names in a half of the arithmetic problems, has a chance of more than 1 in 50 per
// problem, so that 3,000 miss it with probability below 1e-26; drawing ends sooner where
// nothing is left to be seen.
func TestWordsAreThoseUsed(t *testing.T) {
	v := Vocabulary()
	for _, name := range Names() {
		k, _ := Lookup(name)
		words := k.Words()
		if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
			t.Errorf("%s: words unsorted or repeated: %v", name, words)
		}
		used := map[string]bool{}
		rng := source(3)
		for i := 0; i < 3000 && (i < 300 || len(used) < len(words)); i++ {
			p := k.Generate(rng, levels[i%3])
			for _, w := range wordsIn(append(p.Steps, p.Question, p.Answer)...) {
				used[w] = true
			}
		}
		for w := range used {
			if !slices.Contains(words, w) {
				t.Errorf("%s uses %q, which Words lacks", name, w)
			}
		}
		for _, w := range words {
			if !used[w] {
				t.Errorf("%s: Words has %q, which no problem uses", name, w)
			}
		}
		for _, w := range words {
			if !slices.Contains(v, w) {
				t.Errorf("%s: Vocabulary lacks %q", name, w)
			}
		}
	}
	if !slices.IsSorted(v) || len(slices.Compact(slices.Clone(v))) != len(v) {
		t.Errorf("vocabulary unsorted or repeated: %v", v)
	}
}

// Every problem is marked right with its own answer, wrong with none, and obeys
// the interface's promises on form.
func TestProblemForm(t *testing.T) {
	for _, name := range Names() {
		k, _ := Lookup(name)
		for _, level := range levels {
			rng := source(4)
			for range 120 {
				p := k.Generate(rng, level)
				if p.Task != name || p.Level != level {
					t.Fatalf("%s %v: labelled %s %v", name, level, p.Task, p.Level)
				}
				if len(p.Steps) == 0 || strings.Contains(p.Question+strings.Join(p.Steps, ""), "\n") {
					t.Fatalf("%s: no steps, or a newline inside: %+v", name, p)
				}
				if !k.Verify(p, p.Answer) || !k.Verify(p, " "+p.Answer+" ") {
					t.Fatalf("%s: own answer %q rejected for %q", name, p.Answer, p.Question)
				}
				for _, wrong := range []string{"", " ", "?", "yes", "1 2", "\x00", "\\boxed{", p.Question, p.Answer + "7" + p.Answer} {
					if k.Verify(p, wrong) {
						t.Fatalf("%s: %q accepted where %q is right", name, wrong, p.Answer)
					}
				}
			}
		}
	}
}

// A JSON round trip turns Data into a map; marking must survive it.
func TestVerifySurvivesJSON(t *testing.T) {
	for _, name := range Names() {
		k, _ := Lookup(name)
		p := k.Generate(source(5), Standard)
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Problem
		if err := json.Unmarshal(b, &q); err != nil {
			t.Fatal(err)
		}
		if !k.Verify(q, p.Answer) || k.Verify(q, "17 + ") {
			t.Errorf("%s: marks differently after a round trip of %s", name, b)
		}
	}
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]int{
		"":                  0,
		"12 + 7 = 19":       7,
		"12 + 7 = 19\n":     8,
		"Anna has 5 plums.": 5,
		`\boxed{19}`:        6,
	} {
		if got := tokens(text); got != want {
			t.Errorf("tokens(%q) = %d, want %d", text, got, want)
		}
	}
}
