package browsertest

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

var words = strings.Fields(`so we have to find the least number that fits both of them and then divide by what is left over
which gives a sum that is even hence the product must be a multiple of four wait let me check this again if x equals seven
then the remainder is three and so on until no term is left therefore`)

// thinker is a model whose traces are sure of themselves or lose their way, and give
// one of a few answers. Tokens is a trace's mean length.
func thinker(tokens int, delay time.Duration) *llmtest.Scripted {
	return &llmtest.Scripted{Model: "thinker-8b", Delay: delay, Pick: func(r llm.Request) llmtest.Script {
		rng := rand.New(rand.NewPCG(r.Seed, 7))
		quality := 0.6 + 0.9*rng.Float64()
		n := max(8, int(float64(tokens)*(0.6+0.8*rng.Float64())))
		answer := "204"
		if quality < 0.95 || rng.IntN(12) == 0 {
			answer = []string{"204", "112", "68", "97"}[rng.IntN(4)]
		}
		var s llmtest.Script
		lost := n/3 + rng.IntN(max(1, n/2))
		for i := range n {
			sure := quality + 0.25*math.Sin(float64(i)/float64(max(8, tokens/9))+6*quality)
			if quality < 1 && i > lost && i < lost+tokens/3 {
				sure *= 0.55
			}
			s.Tokens = append(s.Tokens, token(" "+words[(i*7+int(r.Seed))%len(words)], max(0.05, sure+0.15*rng.NormFloat64()), rng))
		}
		for _, part := range []string{" The", " answer", " is", " \\boxed{", answer, "}", "."} {
			s.Tokens = append(s.Tokens, token(part, 1.6, rng))
		}
		return s
	}}
}

// held is a model whose traces stop after so many pieces of text until they are freed, so
// that a request still runs however long the page takes.
type held struct {
	llm.Generator
	after int
	freed chan struct{}
}

func hold(g llm.Generator, after int) *held { return &held{g, after, make(chan struct{})} }

func (g *held) free() { close(g.freed) }

func (g *held) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		texts := 0
		for e := range g.Generator.Generate(ctx, r) {
			if e.Kind == llm.KindText {
				texts++
			}
			if texts > g.after {
				select {
				case <-g.freed:
				case <-ctx.Done():
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// token has 8 alternatives, the flatter the less sure it is.
func token(text string, sure float64, rng *rand.Rand) llmtest.Token {
	const k = 8
	t := llmtest.Token{Text: text}
	var z float64
	w := make([]float64, k)
	for j := range w {
		w[j] = math.Exp(-sure * 2.2 * float64(j))
		z += w[j]
	}
	at := 0
	if sure < 0.7 {
		at = rng.IntN(3)
	}
	for j := range w {
		alt := llmtest.Alt{Text: text, Logprob: math.Log(w[j] / z)}
		if j != at {
			alt.Text = fmt.Sprintf(" %s", words[(j*11+len(text))%len(words)])
		} else {
			t.Logprob = alt.Logprob
		}
		t.Top = append(t.Top, alt)
	}
	return t
}
