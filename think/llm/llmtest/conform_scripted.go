package llmtest

import (
	"context"
	"io"
	"math"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"orrery/think/llm"
)

// ConformScripted holds a generator to scripts: mk makes one that says what
// pick says, with up to 20 alternatives a token. raw asks with raw prompts.
func ConformScripted(t *testing.T, mk func(t *testing.T, pick func(seed uint64) Script) llm.Generator, raw bool) {
	const k = 5
	plain := Say(k, "Mars", " has", " two", " mo", "ons", ":", " Phobos", " and", " Deimos", ".\n")
	long := Random(3, Shape{Tokens: 200, K: k})
	split := Say(k, "π is ", "\xe4", "\xbd\xa0", " not \xf0\x9f", "\xaa\x90", "!")
	for _, c := range []struct {
		name   string
		script Script
		stop   []string
		limit  int
		finish llm.Finish
		hit    string
		text   string
		tokens int // entries; −1: servers differ
	}{
		{"to its end", plain, nil, 100, llm.FinishEOS, "", plain.Text(0), 10},
		{"long", long, nil, 1000, llm.FinishEOS, "", long.Text(0), 200},
		{"limit", long, nil, 50, llm.FinishLength, "", Script{Tokens: long.Tokens[:50]}.Text(0), 50},
		{"exact limit", plain, nil, 10, llm.FinishEOS, "", plain.Text(0), 10},
		{"stop across tokens", plain, []string{"moons:"}, 100, llm.FinishStop, "moons:", "Mars has two ", -1},
		{"stop that ends first", plain, []string{"two moons: Phobos", "oons", "ns"}, 100, llm.FinishStop, "oons", "Mars has two m", -1},
		{"stop at the very end", plain, []string{".\n"}, 100, llm.FinishStop, ".\n", "Mars has two moons: Phobos and Deimos", -1},
		{"half a stop at the end", plain, []string{".\n\n"}, 100, llm.FinishEOS, "", plain.Text(0), 10},
		{"stop that does not come", plain, []string{"Jupiter"}, 100, llm.FinishEOS, "", plain.Text(0), 10},
		{"split characters", split, nil, 100, llm.FinishEOS, "", split.Text(0), -1},
		{"stop of many bytes", split, []string{"🪐"}, 100, llm.FinishStop, "🪐", "π is 你 not ", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("run", func(t *testing.T) {
				g := mk(t, func(uint64) Script { return c.script })
				if closer, ok := g.(io.Closer); ok {
					defer closer.Close()
				}
				r := llm.Request{MaxTokens: c.limit, Temperature: 1, Seed: 1, Stop: c.stop, TopLogprobs: k, Label: c.name}
				if raw {
					r.Prompt = "Mars?"
				} else {
					r.Messages = []llm.Message{{Role: "user", Content: "Mars?"}}
				}
				tr := Collect(t, g, context.Background(), r)
				if tr.End.Finish != c.finish || tr.End.Matched != c.hit || tr.Text[llm.Answer] != c.text {
					t.Fatalf("text %q, End %+v; want %q, %s %q", tr.Text[llm.Answer], tr.End, c.text, c.finish, c.hit)
				}
				if c.tokens < 0 {
					return
				}
				if len(tr.Tokens) != c.tokens {
					t.Fatalf("%d entries for %d tokens", len(tr.Tokens), c.tokens)
				}
				for i := range tr.Tokens {
					equalLists(t, i, c.script.Tokens[i], tr.Tokens[i], k)
				}
			})
			goleak.VerifyNone(t, before)
		})
	}
}

// equalLists compares a token with its script as DeepConf will see it: sorted,
// and cut to the k best.
func equalLists(t testing.TB, i int, want Token, got llm.Token, k int) {
	t.Helper()
	if got.Logprob != want.Logprob {
		t.Errorf("token %d has log-probability %v; the script says %v", i, got.Logprob, want.Logprob)
	}
	var w []float64
	for _, alt := range want.Top {
		w = append(w, alt.Logprob)
	}
	g := slices.DeleteFunc(slices.Clone(got.Top), math.IsNaN)
	slices.Sort(w)
	slices.Sort(g)
	slices.Reverse(w)
	slices.Reverse(g)
	if w, g = w[:min(k, len(w))], g[:min(k, len(g))]; !slices.Equal(w, g) {
		t.Errorf("token %d has the alternatives %v; the script says %v", i, g, w)
	}
}
