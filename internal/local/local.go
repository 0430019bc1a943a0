package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"
	"time"

	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/token"
	"orrery/think/llm"
)

// Options set up a Generator. The zero value is a valid configuration.
type Options struct {
	Name        string // what the model is called; empty: "builtin"
	MaxParallel int    // traces decoded together; 0: 64
	Prompts     int    // prompts whose caches are kept; 0: 8
}

// Generator serves one model. It is safe for concurrent use and needs no
// closing: it owns no goroutine while nothing is asked of it.
type Generator struct {
	e        *engine
	info     llm.Info
	language language
	sum      func() string
}

// New makes a Generator over a model and its vocabulary.
func New(m *nn.Model, v *token.Vocab, o Options) (*Generator, error) {
	if err := sameSize(m, v.Size(), o.Name); err != nil {
		return nil, err
	}
	return newGenerator(m, func() []string { return vocabulary(v) }, newPlain(v, m.Config.MaxPositions), nil, o), nil
}

func sameSize(m *nn.Model, size int, name string) error {
	if m.Config.VocabSize != size {
		return fmt.Errorf("local model %s: the model has %d tokens, its vocabulary %d: they are not of one checkpoint", name, m.Config.VocabSize, size)
	}
	return nil
}

// vocabulary is what a model's fingerprint knows of a vocabulary.
func vocabulary(v *token.Vocab) []string {
	out := make([]string, v.Size())
	for id := range out {
		out[id] = string(v.Bytes(id))
	}
	return out
}

// newGenerator makes a Generator that speaks a language; tokens, of the
// vocabulary, are part of its fingerprint.
func newGenerator(m *nn.Model, tokens func() []string, l language, about *llm.Latent, o Options) *Generator {
	if o.Name == "" {
		o.Name = "builtin"
	}
	if o.MaxParallel == 0 {
		o.MaxParallel = 64
	}
	if o.Prompts == 0 {
		o.Prompts = 8
	}
	return &Generator{
		language: l,
		sum:      sync.OnceValue(func() string { return digest(m, tokens()) }),
		e: &engine{
			dec: nn.NewDecoder(m), limit: m.Config.MaxPositions, slots: o.MaxParallel,
			prompts: promptCache{keep: o.Prompts},
		},
		info: llm.Info{Model: o.Name, Backend: "builtin", MaxParallel: o.MaxParallel, TopLogprobs: m.Config.VocabSize, Basis: llm.BasisBefore, Latent: about},
	}
}

// Info implements llm.Generator.
func (g *Generator) Info() llm.Info { return g.info }

// Fingerprint names the model by what it is, whatever it is called: equal for
// equal shapes, weights and vocabularies. The first call reads all weights.
func (g *Generator) Fingerprint() string { return g.sum() }

func digest(m *nn.Model, tokens []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n", m.Config)
	for _, text := range tokens {
		fmt.Fprintf(h, "%q ", text)
	}
	var buf []byte
	for _, p := range m.Params() {
		fmt.Fprintf(h, "\n%s %v ", p.Name, p.Val.Shape)
		buf = buf[:0]
		for _, x := range p.Val.Data {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Render implements llm.Renderer: the text of the last user message and a
// newline, which is how the recipes write a question.
func (g *Generator) Render(_ context.Context, messages []llm.Message) (string, error) {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == "user" {
			return messages[i].Content + "\n", nil
		}
	}
	return "", &llm.Error{Kind: llm.BadRequest, Backend: "builtin", Param: "messages", Words: "no message has the role user", Remedy: "add one"}
}

// Generate implements llm.Generator.
func (g *Generator) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s := &stream{ctx: ctx, yield: yield, stops: llm.NewStops(r.Stop...), end: llm.End{Counted: llm.CountEntries}}
		j, err := g.job(ctx, r)
		if err != nil {
			s.fail(err)
			return
		}
		s.names, s.spaced, s.prompt = j.names, j.spaced, len(j.prompt)+len(j.after)
		if l := g.info.Latent; l != nil && r.Thoughts != nil && *r.Thoughts > l.Trained {
			s.end.Warnings = append(s.end.Warnings, llm.WarnThoughtsUntrained)
		}
		queued := time.Now()
		g.e.submit(j)
		select {
		case <-j.admitted:
		case <-ctx.Done():
			s.finish(llm.FinishCancelled)
			return
		}
		started := time.Now()
		s.end.QueueSeconds = started.Sub(queued).Seconds()
		for {
			select {
			case it, open := <-j.out:
				if !open {
					s.finish(llm.FinishCancelled)
					return
				}
				if s.end.Tokens == 0 {
					s.end.FirstTokenSeconds = time.Since(started).Seconds()
				}
				if it.err != nil {
					s.fail(&llm.Error{Kind: llm.StreamError, Backend: "builtin", Label: r.Label, Tokens: s.end.Tokens, Err: it.err,
						Remedy: "report the question and the seed: the built-in model should not fail"})
					return
				}
				if !s.item(it) {
					return
				}
			case <-ctx.Done():
				// What has arrived is still delivered; the model is not waited for.
				for len(j.out) > 0 {
					it, open := <-j.out
					if !open || it.err != nil {
						break
					}
					if !s.item(it) {
						return
					}
				}
				s.finish(llm.FinishCancelled)
				return
			}
		}
	}
}

// job checks a request and turns it into tokens and a sampler.
func (g *Generator) job(ctx context.Context, r llm.Request) (*job, error) {
	bad := func(param, remedy, format string, a ...any) error {
		return &llm.Error{Kind: llm.BadRequest, Backend: "builtin", Param: param, Label: r.Label, Words: fmt.Sprintf(format, a...), Remedy: remedy}
	}
	text := r.Prompt
	if (len(r.Messages) > 0) == (text != "") {
		return nil, bad("prompt", "set exactly one of them", "messages and prompt are both set or both empty")
	}
	if len(r.Messages) > 0 {
		var err error
		if text, err = g.Render(ctx, r.Messages); err != nil {
			return nil, err
		}
	}
	set := sample.Settings{Temperature: r.Temperature, TopK: r.TopK, TopP: r.TopP}
	if err := set.Validate(); err != nil {
		return nil, bad("temperature", "see the message", "%v", err)
	}
	if r.MaxTokens <= 0 {
		return nil, bad("max_tokens", "ask for at least 1", "max_tokens is %d", r.MaxTokens)
	}
	if r.Thoughts != nil && *r.Thoughts < 0 {
		return nil, bad("thoughts", "ask for 0 or more", "the number of thoughts is %d", *r.Thoughts)
	}
	sc, err := g.language.script(text, r.Thoughts)
	if e, ok := errors.AsType[unreadable](err); ok {
		return nil, bad(map[bool]string{true: "thoughts", false: "messages"}[e == noThoughts], e.remedy, "%s", e.words)
	}
	room := g.e.limit - len(sc.prompt) - len(sc.after) - sc.thoughts
	if e, long := errors.AsType[tooLong](err); long || room < 1 {
		return nil, &llm.Error{Kind: llm.ContextOverflow, Backend: "builtin", Label: r.Label, Param: "messages",
			Words:  fmt.Sprintf("the question takes at least %d tokens and the model reads %d", max(e.tokens, g.e.limit-room), g.e.limit),
			Remedy: "shorten it, or ask for fewer thoughts if there are any"}
	}
	if sc.most > 0 {
		room = min(room, sc.most)
	}
	most := min(r.MaxTokens, room+sc.thoughts)
	if sc.thoughts >= most { // they are tokens too: there is no place for a word
		sc.thoughts, sc.after = most, nil
	}
	return &job{
		ctx: ctx, script: sc, max: most, top: r.TopLogprobs,
		sampler:  sample.New(set, r.Seed),
		admitted: make(chan struct{}), out: make(chan item, most+1), // one more for an error
	}, nil
}

// stream turns items into events in the normal form.
type stream struct {
	ctx    context.Context
	yield  func(llm.Event) bool
	names  []string // of each token
	spaced bool     // see script
	inside bool     // of a line: text has come since its beginning
	stops  *llm.Stops
	prompt int // tokens; 0: the request was refused
	end    llm.End
	top    []float64
	texts  []string
}

// item delivers one token; false: the stream has ended or nobody listens.
func (s *stream) item(it item) bool {
	s.end.Tokens++
	if it.thought != nil {
		if !s.yield(llm.Event{Kind: llm.KindThought, Thought: *it.thought}) {
			return false
		}
		if it.last {
			s.finish(llm.FinishLength)
		}
		return !it.last
	}
	s.top, s.texts = s.top[:0], s.texts[:0]
	for _, c := range it.top {
		s.top = append(s.top, float64(c.Logprob))
		s.texts = append(s.texts, s.names[c.Token])
	}
	ev := llm.Event{Kind: llm.KindToken, Token: llm.Token{Logprob: float64(it.token.Logprob), Top: s.top, TopText: s.texts}}
	if !s.yield(ev) {
		return false
	}
	if !it.unsaid {
		name := s.names[it.token.Token]
		if s.spaced && !s.inside {
			name = strings.TrimPrefix(name, " ")
		}
		s.inside = !strings.HasSuffix(name, "\n")
		text, matched := s.stops.Push([]byte(name))
		if !s.text(text) {
			return false
		}
		if matched != "" {
			s.end.Matched = matched
			s.finish(llm.FinishStop)
			return false
		}
	}
	switch {
	case it.eos:
		s.finish(llm.FinishEOS)
	case it.last:
		s.finish(llm.FinishLength)
	}
	return !it.last
}

func (s *stream) text(b []byte) bool {
	return len(b) == 0 || s.yield(llm.Event{Kind: llm.KindText, Text: b})
}

func (s *stream) finish(f llm.Finish) {
	if !s.text(s.stops.Close()) {
		return
	}
	if s.prompt > 0 && !s.yield(llm.Event{Kind: llm.KindUsage, Usage: llm.Usage{Prompt: s.prompt, Completion: s.end.Tokens}}) {
		return
	}
	if s.ctx.Err() != nil && f != llm.FinishError { // the end had come, but after the cancel
		f, s.end.Matched = llm.FinishCancelled, ""
	}
	s.end.Finish = f
	s.yield(llm.Event{Kind: llm.KindEnd, End: s.end})
}

func (s *stream) fail(err error) {
	s.end.Err = err
	s.finish(llm.FinishError)
}
