package web

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

func joined(ps []piece) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Text)
	}
	return b.String()
}

// keptTokens is what a trace's tokens are after having been kept.
func keptTokens(s llmtest.Script) []token {
	m := &made{keep: func(int) bool { return true }, limit: 1 << 30}
	for _, t := range s.Tokens {
		out := llm.Token{Logprob: t.Logprob}
		for _, a := range t.Top {
			out.Top, out.TopText = append(out.Top, a.Logprob), append(out.TopText, a.Text)
		}
		m.add(out)
	}
	return m.all()
}

// The pieces are the text, whatever the tokens are; of tokens that the server names
// each is a piece.
func TestPieces(t *testing.T) {
	for seed := range uint64(200) {
		s := llmtest.Random(seed, llmtest.Shape{Tokens: 60, K: 8, Fragments: seed%2 == 0, Rare: seed%3 == 0})
		text, tokens := s.Text(llm.Answer), keptTokens(s)
		ps := pieces(text, tokens)
		if got := joined(ps); got != text {
			t.Fatalf("seed %d: the pieces are %q, the text %q", seed, got, text)
		}
		if seed%2 == 1 && seed%3 != 0 && len(ps) != len(s.Tokens) {
			t.Errorf("seed %d: %d pieces of %d tokens", seed, len(ps), len(s.Tokens))
		}
		for _, p := range ps {
			chosen := 0
			for i, a := range p.Best {
				if a.Chosen {
					chosen++
				}
				if i > 0 && i < bestKept && *a.Logprob > *p.Best[i-1].Logprob {
					t.Fatalf("seed %d: alternatives %v are not in order", seed, p.Best)
				}
			}
			if len(p.Best) > 0 && chosen != 1 {
				t.Fatalf("seed %d: %d of %d alternatives of %q are the chosen one", seed, chosen, len(p.Best), p.Text)
			}
		}
	}
	s := llmtest.Say(5, "a", "b", "STOP")
	for text, want := range map[string]int{"ab": 2, "": 0, "xyz": 1, "a b": 3, "abSTOP": 3} {
		if ps := pieces(text, keptTokens(s)); joined(ps) != text || len(ps) != want {
			t.Errorf("%q: %d pieces, want %d", text, len(ps), want)
		}
	}
}

// What is kept of a token is its best alternatives, and the sampled one in any case.
func TestKeptTokens(t *testing.T) {
	tok := llm.Token{Logprob: -9, Top: []float64{-3, -1, math.NaN(), -9, -2, -4, -5, -6}, TopText: []string{"c", "a", "nan", "sampled", "b", "d", "e", "f"}}
	m := &made{keep: func(int) bool { return true }, limit: 9}
	m.add(tok)
	got := m.all()
	var names []string
	for _, a := range got[0].best {
		names = append(names, a.text)
	}
	if strings.Join(names, "") != "abcdesampled" || got[0].logprob != -9 {
		t.Errorf("kept %v at %v", names, got[0].logprob)
	}
	full := &made{keep: func(n int) bool { return false }}
	full.add(tok)
	if full.has() || !full.cut {
		t.Error("a token was kept without room for it")
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("hello world", "hello", " wor", -0.5)
	f.Add("\xe4\xbd\xa0", "\xe4", "\xbd\xa0", -1.0)
	f.Fuzz(func(t *testing.T, text, a, b string, lp float64) {
		tokens := []token{{lp, []alternative{{a, lp}, {b, lp}}}, {lp, []alternative{{b, lp}}}}
		// Bytes that are no text become one mark a piece, of which there may be fewer.
		if got := joined(pieces(text, tokens)); utf8.ValidString(text) && got != text || !utf8.ValidString(got) {
			t.Fatalf("pieces of %q are %q", text, got)
		}
	})
}
