package token

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"orrery/task"
)

// words is the vocabulary of a latent model for ProsQA, and two words more.
func words(t testing.TB) *Vocab {
	t.Helper()
	v, err := NewWords(append(task.ProsQA{}.Words(), "###", "é"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// linewise is space by its definition: each line but an empty last one gets a blank.
func linewise(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if i < len(lines)-1 || l != "" {
			lines[i] = " " + l
		}
	}
	return strings.Join(lines, "\n")
}

// All strings up to length 7 of a blank, a newline and a letter come back, and
// no two are spaced alike.
func TestSpaceExhaustively(t *testing.T) {
	seen := map[string]string{}
	var grow func(s string)
	grow = func(s string) {
		u := space(s)
		if u != linewise(s) || unspace(u) != s {
			t.Fatalf("%q is spaced %q, want %q, and comes back as %q", s, u, linewise(s), unspace(u))
		}
		if other, dup := seen[u]; dup {
			t.Fatalf("%q and %q are both spaced %q", s, other, u)
		}
		seen[u] = s
		if len(s) < 7 {
			for _, c := range " \nx" {
				grow(s + string(c))
			}
		}
	}
	grow("")
}

// ProsQA's 62 word types of specs coconut.md are one id each, in questions and in
// solutions: as many tokens as words and marks, no bytes but marks and newlines.
func TestWordsOfProsQA(t *testing.T) {
	v := words(t)
	if n := len(task.ProsQA{}.Words()); n != 60 {
		t.Errorf("ProsQA has %d words, want 60: with the two marks, 62 types", n)
	}
	form := regexp.MustCompile(`\w+|[.?\n]|###`)
	rng := rand.New(rand.NewPCG(1, 0))
	types := map[int]bool{}
	for range 200 {
		p := task.ProsQALaptop.Generate(rng)
		text := p.Question + "\n" + strings.Join(p.Steps, "\n") + "\n### " + p.Answer
		ids := v.Encode(text)
		if want := len(form.FindAllString(text, -1)); len(ids) != want {
			t.Fatalf("%d tokens, want %d, for\n%s", len(ids), want, text)
		}
		for _, id := range ids {
			types[id] = true
		}
	}
	if len(types) != 62+2 {
		t.Errorf("%d types, want 62, the newline and ###", len(types))
	}
	for _, id := range []int{Pad, EOS, Bot, Eot, Thought, Pause} {
		if name := v.Name(id); types[id] || len(v.Encode(name)) < 2 || v.Decode(v.Encode("a "+name)) != "a "+name {
			t.Errorf("the text %q makes the special token", name)
		}
	}
}

func TestNewWordsRefuses(t *testing.T) {
	for word, want := range map[string]string{"is a": "holds a blank", "": "fewer than two", "7": "digit", "x\n": "newline"} {
		if _, err := NewWords([]string{word}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", word, err, want)
		}
	}
	// A file whose words don't all begin with a blank isn't such a vocabulary.
	data, err := must(NewWords([]string{"ab"})).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, swap := range [][2]string{{"Ġab", "cab"}, {`\n(?=`, `\n+(?=`}} {
		bad := strings.ReplaceAll(string(data), strings.ReplaceAll(swap[0], `\`, `\\`), strings.ReplaceAll(swap[1], `\`, `\\`))
		if bad == string(data) {
			t.Fatalf("nothing to replace: %q", swap)
		}
		if _, err := Parse("x", []byte(bad)); err == nil {
			t.Errorf("%q for %q is read", swap[1], swap[0])
		}
	}
}
