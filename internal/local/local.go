package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
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
	e     *engine
	info  llm.Info
	texts []string // of each token
	sum   func() string
}

// New makes a Generator over a model and its vocabulary.
func New(m *nn.Model, v *token.Vocab, o Options) (*Generator, error) {
	if m.Config.VocabSize != v.Size() {
		return nil, fmt.Errorf("local model %s: the model has %d tokens, its vocabulary %d: they are not of one checkpoint", o.Name, m.Config.VocabSize, v.Size())
	}
	if o.Name == "" {
		o.Name = "builtin"
	}
	if o.MaxParallel == 0 {
		o.MaxParallel = 64
	}
	if o.Prompts == 0 {
		o.Prompts = 8
	}
	texts := make([]string, v.Size())
	for id := range texts {
		texts[id] = string(v.Bytes(id))
	}
	return &Generator{
		texts: texts,
		sum:   sync.OnceValue(func() string { return digest(m, v) }),
		e: &engine{
			dec: nn.NewDecoder(m), vocab: v, limit: m.Config.MaxPositions, slots: o.MaxParallel,
			prompts: promptCache{keep: o.Prompts},
		},
		info: llm.Info{Model: o.Name, Backend: "builtin", MaxParallel: o.MaxParallel, TopLogprobs: v.Size(), Basis: llm.BasisBefore},
	}, nil
}

// Info implements llm.Generator.
func (g *Generator) Info() llm.Info { return g.info }

// Fingerprint names the model by what it is, whatever it is called: equal for
// equal shapes, weights and vocabularies. The first call reads all weights.
func (g *Generator) Fingerprint() string { return g.sum() }

func digest(m *nn.Model, v *token.Vocab) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n", m.Config)
	for id := range v.Size() {
		fmt.Fprintf(h, "%q ", v.Bytes(id))
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
		s := &stream{ctx: ctx, yield: yield, names: g.texts, stops: llm.NewStops(r.Stop...), end: llm.End{Counted: llm.CountEntries}}
		j, err := g.job(ctx, r)
		if err != nil {
			s.fail(err)
			return
		}
		s.prompt = len(j.prompt)
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
	// A token is at least one byte, so that an enormous text is refused before
	// it is cut into tokens: the longest token bounds how much can fit.
	prompt := []int{g.e.vocab.BOS()}
	if len(text) <= g.e.limit*longestToken {
		prompt = append(prompt, g.e.vocab.Encode(text)...)
	}
	if len(prompt) == 1 && text != "" || len(prompt) >= g.e.limit {
		return nil, &llm.Error{Kind: llm.ContextOverflow, Backend: "builtin", Label: r.Label, Param: "messages",
			Words:  fmt.Sprintf("the question takes at least %d tokens and the model reads %d", max(len(prompt), len(text)/longestToken), g.e.limit),
			Remedy: "shorten it"}
	}
	most := min(r.MaxTokens, g.e.limit-len(prompt))
	return &job{
		ctx: ctx, prompt: prompt, max: most, top: r.TopLogprobs,
		sampler:  sample.New(set, r.Seed),
		admitted: make(chan struct{}), out: make(chan item, most+1), // one more for an error
	}, nil
}

// longestToken bounds the bytes of one token, in order to refuse absurd
// prompts early.
const longestToken = 64

// stream turns items into events in the normal form.
type stream struct {
	ctx    context.Context
	yield  func(llm.Event) bool
	names  []string // of each token
	stops  *llm.Stops
	prompt int // tokens; 0: the request was refused
	end    llm.End
	top    []float64
	texts  []string
}

// item delivers one token; false: the stream has ended or nobody listens.
func (s *stream) item(it item) bool {
	s.end.Tokens++
	s.top, s.texts = s.top[:0], s.texts[:0]
	for _, c := range it.top {
		s.top = append(s.top, float64(c.Logprob))
		s.texts = append(s.texts, s.names[c.Token])
	}
	ev := llm.Event{Kind: llm.KindToken, Token: llm.Token{Logprob: float64(it.token.Logprob), Top: s.top, TopText: s.texts}}
	if !s.yield(ev) {
		return false
	}
	if !it.eos {
		text, matched := s.stops.Push([]byte(s.names[it.token.Token]))
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
