package llmtest

import (
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"orrery/think/llm"
)

// Subject is a generator under test, and what it claims.
type Subject struct {
	// New makes a fresh generator. What it registers with t.Cleanup ends with
	// the subtest; if the generator is an io.Closer it is closed before that.
	New func(t *testing.T) llm.Generator
	// Prompt is what it is asked; "": a short question. It should be good for
	// a reply of at least 8 tokens.
	Prompt string
	Raw    bool // ask with Request.Prompt instead of Messages
	K      int  // alternatives that each token has when asked for as many; 0: none
	Seeded bool // equal requests give equal streams, bit for bit
	Tokens int  // the limit to use; 0: 24
	// Short says that a reply may be a single token, as that of a model which
	// thinks in hidden states may: stop strings are then not tried one by one.
	Short bool
}

func (s Subject) request() llm.Request {
	r := llm.Request{MaxTokens: s.Tokens, Temperature: 0.8, Seed: 7, Label: "conformance", TopLogprobs: s.K}
	if r.MaxTokens == 0 {
		r.MaxTokens = 24
	}
	prompt := s.Prompt
	if prompt == "" {
		prompt = "How many moons has Mars, and how are they called?"
	}
	if s.Raw {
		r.Prompt = prompt
	} else {
		r.Messages = []llm.Message{{Role: "user", Content: prompt}}
	}
	return r
}

// Trace is a stream collected.
type Trace struct {
	Text     [2]string // by channel
	Thoughts []llm.Thought
	Tokens   []llm.Token
	Usage    llm.Usage
	End      llm.End
	Events   int
}

// Collect ranges over a stream to its end and checks what holds for every
// event of every generator: complete characters, log-probabilities that are
// such, and one End, at the end.
func Collect(t testing.TB, g llm.Generator, ctx context.Context, r llm.Request) Trace {
	t.Helper()
	return collect(t, g, ctx, r, nil)
}

func collect(t testing.TB, g llm.Generator, ctx context.Context, r llm.Request, each func(llm.Event)) Trace {
	t.Helper()
	var out Trace
	ended := false
	var text [2]strings.Builder
	for e := range g.Generate(ctx, r) {
		out.Events++
		if ended {
			t.Errorf("an event of kind %d came after End", e.Kind)
		}
		switch e.Kind {
		case llm.KindText:
			if len(e.Text) == 0 || !utf8.Valid(e.Text) {
				t.Errorf("text %q is empty or has a part of a character", e.Text)
			}
			text[e.Channel].Write(e.Text)
		case llm.KindToken:
			if p := e.Token.Logprob; p > 1e-4 { // float32 log-softmax rounds log 1 up to about 1e-6
				t.Errorf("the log-probability %v of a token is above 0", p)
			}
			if n := len(e.Token.TopText); n != 0 && n != len(e.Token.Top) {
				t.Errorf("%d alternatives have %d texts", len(e.Token.Top), n)
			}
			out.Tokens = append(out.Tokens, llm.Token{
				Logprob: e.Token.Logprob, Top: slices.Clone(e.Token.Top), TopText: slices.Clone(e.Token.TopText),
			})
		case llm.KindThought:
			out.Thoughts = append(out.Thoughts, checkThought(t, g, e.Thought, out))
		case llm.KindUsage:
			out.Usage = e.Usage
		case llm.KindEnd:
			ended = true
			out.End = e.End
			checkEnd(t, r, e.End)
		default:
			t.Errorf("an event has the unknown kind %d", e.Kind)
		}
		if each != nil {
			each(e)
		}
	}
	if !ended {
		t.Error("the stream has no End")
	}
	for i := range text {
		out.Text[i] = text[i].String()
	}
	return out
}

// checkThought holds a thought to the contract: of a latent model, in order, before
// any token, with the likeliest readings first. It returns a copy.
func checkThought(t testing.TB, g llm.Generator, h llm.Thought, before Trace) llm.Thought {
	t.Helper()
	if g.Info().Latent == nil {
		t.Error("a generator that is not latent sent a thought")
	}
	if h.Number != len(before.Thoughts)+1 || len(before.Tokens) > 0 {
		t.Errorf("thought %d came after %d thoughts and %d tokens", h.Number, len(before.Thoughts), len(before.Tokens))
	}
	last, sum := 1.0, 0.0
	for _, r := range h.Holds {
		if !(r.P >= 0 && r.P <= last) || r.Text == "" {
			t.Errorf("thought %d holds %v: not probabilities of words in descending order", h.Number, h.Holds)
		}
		last, sum = r.P, sum+r.P
	}
	if len(h.Holds) == 0 || sum > 1+1e-4 { // float32 softmax
		t.Errorf("thought %d holds %v, of a total probability of %v", h.Number, h.Holds, sum)
	}
	return h.Clone()
}

func checkEnd(t testing.TB, r llm.Request, e llm.End) {
	t.Helper()
	var typed *llm.Error
	switch e.Finish {
	case llm.FinishEOS, llm.FinishLength, llm.FinishCancelled:
		if e.Matched != "" || e.Err != nil {
			t.Errorf("End %+v has a match or an error, which do not belong to its finish", e)
		}
	case llm.FinishStop:
		if !slices.Contains(r.Stop, e.Matched) || e.Err != nil {
			t.Errorf("End %+v: the match is none of the stop strings %q", e, r.Stop)
		}
	case llm.FinishError:
		if !errors.As(e.Err, &typed) {
			t.Errorf("End %+v: the error is no *llm.Error", e)
		} else if typed.Label != r.Label {
			t.Errorf("the error %v does not name its trace %q", typed, r.Label)
		}
	default:
		t.Errorf("the finish %q is unknown", e.Finish)
	}
}

// Conform holds any generator to the contract of [llm.Generator].
func Conform(t *testing.T, s Subject) {
	run := func(name string, test func(t *testing.T, g llm.Generator)) {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("run", func(t *testing.T) {
				g := s.New(t)
				if c, ok := g.(io.Closer); ok {
					defer c.Close()
				}
				test(t, g)
			})
			goleak.VerifyNone(t, before)
		})
	}
	ctx := context.Background()
	run("whole", func(t *testing.T, g llm.Generator) { s.whole(t, g) })
	run("max tokens", func(t *testing.T, g llm.Generator) {
		for _, n := range []int{1, 3} {
			r := s.request()
			r.MaxTokens = n
			tr := Collect(t, g, ctx, r)
			if len(tr.Tokens)+len(tr.Thoughts) > n || tr.End.Counted != llm.CountEstimate && tr.End.Tokens > n {
				t.Errorf("%d tokens were asked for, %d came (%d entries)", n, tr.End.Tokens, len(tr.Tokens))
			}
		}
	})
	run("stop strings", func(t *testing.T, g llm.Generator) { s.stopStrings(t, g) })
	run("seeds", func(t *testing.T, g llm.Generator) {
		if !s.Seeded {
			t.Skip("it does not claim to be reproducible")
		}
		a, b := Collect(t, g, ctx, s.request()), Collect(t, g, ctx, s.request())
		equalTraces(t, a, b)
	})
	run("concurrent", func(t *testing.T, g llm.Generator) {
		alone := Collect(t, g, ctx, s.request())
		traces := make([]Trace, 8)
		var wg sync.WaitGroup
		for i := range traces {
			wg.Go(func() { traces[i] = Collect(t, g, ctx, s.request()) })
		}
		wg.Wait()
		for _, tr := range traces {
			if tr.End.Finish == llm.FinishError {
				t.Errorf("of 8 at once, one ends with %v", tr.End.Err)
			}
			if s.Seeded {
				equalTraces(t, alone, tr)
			}
		}
	})
	run("cancel", func(t *testing.T, g llm.Generator) { s.cancel(t, g) })
	run("break", func(t *testing.T, g llm.Generator) {
		for range 3 {
			for range g.Generate(ctx, s.request()) {
				break
			}
		}
		if tr := Collect(t, g, ctx, s.request()); tr.End.Finish == llm.FinishError {
			t.Errorf("after three streams that were left early, the next ends with %v", tr.End.Err)
		}
	})
	run("bad requests", func(t *testing.T, g llm.Generator) {
		both, neither, endless := s.request(), s.request(), s.request()
		both.Messages, both.Prompt = []llm.Message{{Role: "user", Content: "a"}}, "a"
		neither.Messages, neither.Prompt = nil, ""
		endless.MaxTokens = 0
		for _, r := range []llm.Request{both, neither, endless} {
			tr := Collect(t, g, ctx, r)
			var e *llm.Error
			if !errors.As(tr.End.Err, &e) || e.Kind != llm.BadRequest {
				t.Errorf("a bad request ends with %+v; want an error of kind %s", tr.End, llm.BadRequest)
			}
		}
	})
	run("thoughts", func(t *testing.T, g llm.Generator) { s.thoughts(t, g) })
	run("info", func(t *testing.T, g llm.Generator) {
		Collect(t, g, ctx, s.request())
		info := g.Info()
		if info.Model == "" || info.Backend == "" {
			t.Errorf("Info %+v lacks a name", info)
		}
		if info.TopLogprobs != 0 && info.TopLogprobs < s.K {
			t.Errorf("Info claims at most %d alternatives, the test %d", info.TopLogprobs, s.K)
		}
	})
}

func (s Subject) whole(t *testing.T, g llm.Generator) {
	r := s.request()
	tr := Collect(t, g, context.Background(), r)
	if tr.End.Finish == llm.FinishError {
		t.Fatalf("a plain request ends with %v", tr.End.Err)
	}
	if tr.Text[0]+tr.Text[1] == "" {
		t.Error("there is no text")
	}
	if tr.End.Tokens <= 0 || tr.End.Counted == "" {
		t.Errorf("End counts %d tokens by %q", tr.End.Tokens, tr.End.Counted)
	}
	listed := 0
	for i, tok := range tr.Tokens {
		if len(tok.Top) == 0 {
			continue // a token may lack its list (see the dialects), but not all
		}
		listed++
		if len(tok.Top) < s.K {
			t.Errorf("token %d has %d alternatives of the %d asked for", i, len(tok.Top), s.K)
		}
		sum := 0.0
		for _, p := range tok.Top {
			if !math.IsNaN(p) {
				sum += math.Exp(p)
			}
		}
		// A sampled token may be listed beside its own rank: then its
		// probability counts twice.
		if limit := 1 + math.Exp(tok.Logprob) + 1e-3; sum > limit {
			t.Errorf("token %d's alternatives have a total probability of %v", i, sum)
		}
	}
	if s.K > 0 && listed == 0 {
		t.Error("no token has alternatives")
	}
}

// stopStrings takes stop strings out of a first reply, so that they are known
// to come, if the generator is reproducible.
func (s Subject) stopStrings(t *testing.T, g llm.Generator) {
	ctx := context.Background()
	first := Collect(t, g, ctx, s.request())
	text := first.Text[llm.Answer]
	if runes := []rune(text); s.Seeded && !s.Short && len(runes) > 4 {
		mid := len(runes) / 2
		for _, stops := range [][]string{
			{string(runes[mid])}, {string(runes[mid-1 : mid+2])}, {string(runes[1:]), "\x00never"}, {string(runes[mid : mid+2]), string(runes[mid+1])},
		} {
			r := s.request()
			r.Stop = stops
			tr := Collect(t, g, ctx, r)
			before, hit := firstStop(text, stops)
			if tr.End.Finish != llm.FinishStop || tr.End.Matched != hit || tr.Text[llm.Answer] != before {
				t.Errorf("stop strings %q in %q: %q, %+v; want %q and a stop at %q", stops, text, tr.Text[llm.Answer], tr.End, before, hit)
			}
		}
	}
	r := s.request()
	r.Stop = []string{"e", "a", "o", " "}
	tr := Collect(t, g, ctx, r)
	if strings.ContainsAny(tr.Text[0]+tr.Text[1], "eao ") {
		t.Errorf("text %q has a stop string of %q in it", tr.Text, r.Stop)
	}
}

// thoughts asks for some. A latent model has as many as were asked for, counts
// them, and answers anew; every other one refuses.
func (s Subject) thoughts(t *testing.T, g llm.Generator) {
	ctx := context.Background()
	for _, n := range []int{0, 1, 3} {
		r := s.request()
		r.Thoughts = &n
		tr := Collect(t, g, ctx, r)
		if l := g.Info().Latent; l == nil || l.Thoughts == 0 {
			var e *llm.Error
			if n > 0 && (!errors.As(tr.End.Err, &e) || e.Kind != llm.BadRequest) {
				t.Errorf("a request for %d thoughts ends with %+v; want an error of kind %s", n, tr.End, llm.BadRequest)
			}
			continue
		}
		if len(tr.Thoughts) != 0 && len(tr.Thoughts) != n || tr.End.Tokens != len(tr.Thoughts)+len(tr.Tokens) || tr.Usage.Completion != tr.End.Tokens {
			t.Errorf("a request for %d thoughts had %d and %d tokens, and counts %d (usage %d)", n, len(tr.Thoughts), len(tr.Tokens), tr.End.Tokens, tr.Usage.Completion)
		}
	}
}

// firstStop is the definition: the match that ends first, the longer of two.
func firstStop(text string, stops []string) (before, hit string) {
	for end := range len(text) + 1 {
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > len(hit) {
				hit = s
			}
		}
		if hit != "" {
			return text[:end-len(hit)], hit
		}
	}
	return text, ""
}

// prompt is how soon an End has to come after a cancel: far more than any
// generator needs on a busy machine, far less than a server's timeouts.
const promptly = 5 * time.Second

func (s Subject) cancel(t *testing.T, g llm.Generator) {
	gone, stop := context.WithCancel(context.Background())
	stop()
	if tr := Collect(t, g, gone, s.request()); tr.End.Finish != llm.FinishCancelled {
		t.Errorf("with a context that was over before, End is %+v", tr.End)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := s.request()
	r.MaxTokens *= 8
	var at time.Time
	tr := collect(t, g, ctx, r, func(e llm.Event) {
		if at.IsZero() && e.Kind != llm.KindEnd {
			at = time.Now()
			cancel()
		}
	})
	if tr.End.Finish != llm.FinishCancelled {
		t.Errorf("after a cancel at the first event, End is %+v", tr.End)
	}
	if late := time.Since(at); late > promptly {
		t.Errorf("End came %v after the cancel", late)
	}
	deadline, stop := context.WithTimeout(context.Background(), time.Nanosecond)
	defer stop()
	<-deadline.Done()
	if tr := Collect(t, g, deadline, s.request()); tr.End.Finish != llm.FinishCancelled {
		t.Errorf("after the caller's deadline, End is %+v", tr.End)
	}
}

// equalTraces compares what a seed determines, bit for bit.
func equalTraces(t testing.TB, a, b Trace) {
	t.Helper()
	if !reflect.DeepEqual(a.Thoughts, b.Thoughts) {
		t.Errorf("equal requests gave the thoughts %v and %v", a.Thoughts, b.Thoughts)
	}
	if a.Text != b.Text || a.End.Finish != b.End.Finish || a.End.Tokens != b.End.Tokens || len(a.Tokens) != len(b.Tokens) {
		t.Errorf("equal requests gave %q, %v (%d tokens) and %q, %v (%d tokens)", a.Text, a.End.Finish, len(a.Tokens), b.Text, b.End.Finish, len(b.Tokens))
		return
	}
	for i := range a.Tokens {
		if !sameBits(a.Tokens[i].Logprob, b.Tokens[i].Logprob) || !slices.EqualFunc(a.Tokens[i].Top, b.Tokens[i].Top, sameBits) {
			t.Errorf("equal requests gave token %d as %+v and %+v", i, a.Tokens[i], b.Tokens[i])
			return
		}
	}
}

func sameBits(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
