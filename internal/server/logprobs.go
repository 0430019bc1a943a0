package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"orrery/think/llm"
	"orrery/think/reason"
)

// maxTopLogprobs is OpenAI's limit on the alternatives of a token in a reply.
const maxTopLogprobs = 20

// logprobs reads what a request says about log-probabilities in its reply.
func logprobs(b *body, rt route, m reason.Method) (wanted bool, top int, err *apiError) {
	raw := string(b.Logprobs)
	switch {
	case raw == "" || raw == "null" || raw == "false" && rt == chat:
		if b.TopLogprobs != nil && *b.TopLogprobs != 0 {
			return false, 0, invalid("top_logprobs", "top_logprobs needs logprobs to be true")
		}
		return false, 0, nil
	case rt == chat && raw != "true":
		return false, 0, invalid("logprobs", fmt.Sprintf("field logprobs is %.40s where true or false is expected; top_logprobs says how many", raw))
	case rt == chat && b.TopLogprobs != nil:
		top = *b.TopLogprobs
	case rt == completions:
		n, bad := strconv.Atoi(raw)
		if bad != nil {
			return false, 0, invalid("logprobs", fmt.Sprintf("field logprobs is %.40s where a whole number is expected", raw))
		}
		top = n
	}
	if top < 0 || top > maxTopLogprobs {
		return false, 0, invalid("top_logprobs", fmt.Sprintf("%d alternatives a token are asked for; 0 to %d are served", top, maxTopLogprobs))
	}
	if !reason.OneTrace(m) {
		return false, 0, invalid("logprobs", fmt.Sprintf("log-probabilities are given for one trace, and method %s runs many; use method %s, or read each trace's confidence in the reply's orrery object",
			m.Name(), plainMethod))
	}
	return true, top, nil
}

// tap is a generator that passes everything on and notes what no event of a
// run carries: the prompt's tokens, the error of a trace and, if they are
// wanted, log-probabilities.
type tap struct {
	inner llm.Generator
	keep  bool

	mu     sync.Mutex
	spent  int // tokens of all streams, their prompts included
	prompt int
	err    error
	tokens []tokenLogprobs // not handed on yet
	offset int             // of the next token in a completion's text, in bytes
}

// tokenLogprobs is an [llm.Token] that outlives its event.
type tokenLogprobs struct {
	logprob float64
	top     []float64
	text    []string
}

func newTap(g llm.Generator, keep bool) *tap { return &tap{inner: g, keep: keep} }

// generator is the tap with all that the generator behind it can do.
func (t *tap) generator() llm.Generator {
	return llm.Around(t, t.inner)
}

// Info implements [llm.Generator].
func (t *tap) Info() llm.Info { return t.inner.Info() }

// Generate implements [llm.Generator].
func (t *tap) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	events := t.inner.Generate(ctx, r)
	return func(yield func(llm.Event) bool) {
		var c cost
		defer func() { t.spend(&c) }()
		for ev := range events {
			c.see(&ev)
			t.see(&ev)
			if !yield(ev) {
				return
			}
		}
	}
}

// cost is what one stream has cost so far, also one that is left before its end.
type cost struct{ prompt, entries, made int }

func (c *cost) see(ev *llm.Event) {
	switch ev.Kind {
	case llm.KindToken, llm.KindThought:
		c.entries++
	case llm.KindUsage:
		c.prompt, c.made = max(c.prompt, ev.Usage.Prompt), max(c.made, ev.Usage.Completion)
	case llm.KindEnd:
		c.made = max(c.made, ev.End.Tokens)
	}
}

func (t *tap) spend(c *cost) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spent += c.prompt + max(c.made, c.entries)
}

// used is how many tokens the generator has read and made so far.
func (t *tap) used() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spent
}

func (t *tap) see(ev *llm.Event) {
	switch {
	case ev.Kind == llm.KindUsage, ev.Kind == llm.KindEnd, ev.Kind == llm.KindToken && t.keep:
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch ev.Kind {
	case llm.KindUsage:
		t.prompt = max(t.prompt, ev.Usage.Prompt)
	case llm.KindEnd:
		if ev.End.Err != nil {
			t.err = ev.End.Err
		}
	case llm.KindToken:
		t.tokens = append(t.tokens, tokenLogprobs{ev.Token.Logprob, slices.Clone(ev.Token.Top), slices.Clone(ev.Token.TopText)})
	}
}

// promptTokens is the length of the prompt, which all traces share; 0: the
// generator has not said.
func (t *tap) promptTokens() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.prompt
}

// failure is the last trace's error.
func (t *tap) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return errors.New("the trace failed without saying why; this is a fault in the generator")
	}
	return t.err
}

// chatLogprobs is OpenAI's shape for chats.
type chatLogprobs struct {
	Content []chatToken `json:"content"`
	Refusal *string     `json:"refusal"` // always null
}

type chatToken struct {
	alternative
	Top []alternative `json:"top_logprobs"`
}

type alternative struct {
	Token   string   `json:"token"`
	Logprob *float64 `json:"logprob"` // null: the server gave none
	Bytes   []int    `json:"bytes"`
}

// completionLogprobs is OpenAI's shape for completions.
type completionLogprobs struct {
	Tokens   []string              `json:"tokens"`
	Logprobs []*float64            `json:"token_logprobs"`
	Top      []map[string]*float64 `json:"top_logprobs"`
	Offsets  []int                 `json:"text_offset"`
}

// logprobs takes what has come since the last call, in the shape that the
// reply wants; nil: nothing has, or it is not wanted. text is what came along,
// which tells alternatives of equal log-probability apart.
func (t *tap) logprobs(a *asked, text string) any {
	if !t.keep {
		return nil
	}
	t.mu.Lock()
	tokens := t.tokens
	t.tokens = nil
	t.mu.Unlock()
	if len(tokens) == 0 {
		return nil
	}
	var c chatLogprobs
	rest := text
	for i := range tokens {
		name := llm.Token{Logprob: tokens[i].logprob, Top: tokens[i].top, TopText: tokens[i].text}.Name(rest)
		if name == "" && len(tokens) == 1 {
			name = text // one token, one piece of text
		}
		rest = strings.TrimPrefix(rest, name)
		c.Content = append(c.Content, chatToken{newAlternative(name, tokens[i].logprob), tokens[i].best(a.top)})
	}
	if a.route == chat {
		return c
	}
	var l completionLogprobs
	for _, token := range c.Content {
		l.Tokens, l.Logprobs, l.Offsets = append(l.Tokens, token.Token), append(l.Logprobs, token.Logprob), append(l.Offsets, t.offset)
		t.offset += len(token.Token)
		top := map[string]*float64{}
		for _, alt := range token.Top {
			top[alt.Token] = alt.Logprob
		}
		l.Top = append(l.Top, top)
	}
	return l
}

// best are the k most likely alternatives, the best first.
func (t *tokenLogprobs) best(k int) []alternative {
	out := []alternative{}
	for i, lp := range t.top {
		if i < len(t.text) && lp == lp {
			out = append(out, newAlternative(t.text[i], lp))
		}
	}
	slices.SortStableFunc(out, func(x, y alternative) int { return -cmp.Compare(*x.Logprob, *y.Logprob) })
	return out[:min(k, len(out))]
}

// leastLogprob stands for minus infinity, which JSON has no number for. It is
// what vLLM sends.
const leastLogprob = -9999

func newAlternative(text string, logprob float64) alternative {
	a := alternative{Token: text}
	for _, b := range []byte(text) {
		a.Bytes = append(a.Bytes, int(b))
	}
	if !math.IsNaN(logprob) {
		logprob = max(leastLogprob, min(logprob, 0))
		a.Logprob = &logprob
	}
	return a
}
