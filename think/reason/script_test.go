package reason

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"orrery/think/llm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is what the fake generator says for one trace.
type script struct {
	c      []float64 // token confidences: each token has one alternative of log-probability -c; NaN: none
	text   string    // sent after the last token
	early  string    // sent before the first token
	think  string    // reasoning channel, before the first token
	finish llm.Finish
	err    error
	after  int           // tokens that still arrive after a cancel
	pace   time.Duration // between tokens
	chunk  int           // tokens that arrive together; 0 is 1
	plain  bool          // no Token events at all
	usage  int           // reported before the end, if not 0
	wild   bool          // ignores MaxTokens
}

// boxed is a script of n tokens of confidence c.
func boxed(answer string, c float64, n int) script {
	return script{c: slices.Repeat([]float64{c}, n), text: `so \boxed{` + answer + `}`}
}

// scripted is a Generator that follows scripts by trace index. Traces beyond
// the scripts repeat the last one.
type scripted struct {
	scripts []script
	info    llm.Info
	gate    func(trace, token int) // called before each token

	mu       sync.Mutex
	requests []llm.Request
	open     int
	peak     int
}

func (g *scripted) Info() llm.Info { return g.info }

func (g *scripted) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		var trace int
		fmt.Sscanf(r.Label, "trace %d", &trace)
		g.mu.Lock()
		g.requests = append(g.requests, r)
		g.open++
		g.peak = max(g.peak, g.open)
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			g.open--
			g.mu.Unlock()
		}()
		g.scripts[min(trace, len(g.scripts)-1)].play(ctx, r, g, trace, yield)
	}
}

func (s script) play(ctx context.Context, r llm.Request, g *scripted, trace int, yield func(llm.Event) bool) {
	text := func(c llm.Channel, t string) bool {
		return t == "" || yield(llm.Event{Kind: llm.KindText, Channel: c, Text: []byte(t)})
	}
	end := func(e llm.End) { yield(llm.Event{Kind: llm.KindEnd, End: e}) }
	if !text(llm.Reasoning, s.think) || !text(llm.Answer, s.early) {
		return
	}
	sent := 0
	top := []float64{0}
	for i, c := range s.c {
		if !s.wild && i == r.MaxTokens {
			end(llm.End{Finish: llm.FinishLength, Tokens: sent})
			return
		}
		if i%max(1, s.chunk) == 0 {
			if g.gate != nil {
				g.gate(trace, i)
			}
			if s.pace > 0 {
				select {
				case <-time.After(s.pace):
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				if s.after == 0 {
					end(llm.End{Finish: llm.FinishCancelled, Tokens: sent})
					return
				}
				s.after--
			}
		}
		if s.plain {
			continue
		}
		top[0] = -c
		ev := llm.Event{Kind: llm.KindToken, Token: llm.Token{Logprob: -c, Top: top}}
		if r.TopLogprobs == 0 || c != c {
			ev.Token.Top = nil
		}
		sent++
		ok := yield(ev)
		top[0] = -1e6 // whoever kept the slice reads nonsense
		if !ok {
			return
		}
	}
	if ctx.Err() != nil {
		end(llm.End{Finish: llm.FinishCancelled, Tokens: sent})
		return
	}
	if !text(llm.Answer, s.text) {
		return
	}
	if s.usage > 0 && !yield(llm.Event{Kind: llm.KindUsage, Usage: llm.Usage{Completion: s.usage}}) {
		return
	}
	e := llm.End{Finish: s.finish, Err: s.err, Tokens: max(sent, s.usage)}
	if s.err != nil {
		e.Finish = llm.FinishError
	} else if e.Finish == "" {
		e.Finish = llm.FinishEOS
	}
	end(e)
}

// log keeps events, and their order as text.
type log struct{ events []Event }

func (l *log) emit(e Event) { l.events = append(l.events, e) }

func (l *log) types() string {
	var t []string
	for _, e := range l.events {
		t = append(t, e.Type())
	}
	return strings.Join(t, " ")
}

// mustRun runs a method and checks what holds for every run.
func mustRun(t *testing.T, ctx context.Context, name string, g llm.Generator, p Params) (*Result, *log) {
	t.Helper()
	m, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{}
	r, err := m.Run(ctx, g, Ask("?"), p, l.emit)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	checkRun(t, l, r)
	return r, l
}

// randomScripts draws traces of the kind that DeepConf tells apart.
func randomScripts(rng *rand.Rand, n int) []script {
	var out []script
	for range n {
		s := boxed([]string{"1", "2", "3"}[rng.IntN(3)], 0, 1+rng.IntN(60))
		level := 2 + 6*rng.Float64()
		for i := range s.c {
			s.c[i] = level + 2*rng.NormFloat64()
			s.c[i] = max(0, s.c[i])
		}
		if rng.IntN(8) == 0 {
			s.text = "no idea"
		}
		out = append(out, s)
	}
	return out
}
