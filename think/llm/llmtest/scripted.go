package llmtest

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"orrery/think/llm"
)

// Scripted is a Generator that plays scripts, for tests of what stands above
// one. It keeps the whole contract: stop strings, token limits, cancelling,
// and one End. Set its fields before its first use.
type Scripted struct {
	// Pick chooses the script. It must depend on the request alone if traces
	// are to be reproducible, and is called from many goroutines.
	Pick func(r llm.Request) Script

	Model    string        // "": "scripted"
	K        int           // the most alternatives it gives; 0: 20
	Parallel int           // traces at once, the rest queue; 0: no limit
	Delay    time.Duration // before each token; passes on a testing/synctest clock
	Basis    llm.Basis     // "": before temperature
	Latent   *llm.Latent   // what it says of itself; scripts may then have thoughts

	mu       sync.Mutex
	requests []llm.Request
	ends     []llm.End
	active   int
	peak     int
	places   chan struct{}
	once     sync.Once
}

var _ llm.Generator = (*Scripted)(nil)

// Info implements [llm.Generator].
func (g *Scripted) Info() llm.Info {
	info := llm.Info{Model: g.Model, Backend: "scripted", MaxParallel: g.Parallel, TopLogprobs: g.K, Basis: g.Basis, Latent: g.Latent}
	if info.Model == "" {
		info.Model = "scripted"
	}
	if info.TopLogprobs == 0 {
		info.TopLogprobs = 20
	}
	if info.Basis == "" {
		info.Basis = llm.BasisBefore
	}
	return info
}

// Requests are the requests so far, in the order in which they came.
func (g *Scripted) Requests() []llm.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.requests)
}

// Ends are the ends delivered so far.
func (g *Scripted) Ends() []llm.End {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ends)
}

// Peak is the most traces that ran at once.
func (g *Scripted) Peak() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peak
}

// Generate implements [llm.Generator].
func (g *Scripted) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		g.once.Do(func() {
			if g.Parallel > 0 {
				g.places = make(chan struct{}, g.Parallel)
			}
		})
		g.mu.Lock()
		g.requests = append(g.requests, r)
		g.mu.Unlock()
		p := &scriptedRun{g: g, r: &r, yield: yield}
		for i := range p.stops {
			p.stops[i] = llm.NewStops(r.Stop...)
		}
		p.run(ctx)
	}
}

// scriptedRun is one trace in progress.
type scriptedRun struct {
	g     *Scripted
	r     *llm.Request
	yield func(llm.Event) bool
	gone  bool // the consumer has left
	stops [2]*llm.Stops
	sent  int
	end   llm.End
}

func (p *scriptedRun) send(e llm.Event) bool {
	p.gone = p.gone || !p.yield(e)
	return !p.gone
}

func (p *scriptedRun) run(ctx context.Context) {
	p.play(ctx)
	for channel := range p.stops {
		if text := p.stops[channel].Close(); len(text) > 0 && !p.gone {
			p.send(llm.Event{Kind: llm.KindText, Channel: llm.Channel(channel), Text: text})
		}
	}
	if p.gone {
		return
	}
	p.end.Tokens, p.end.Counted = p.sent, llm.CountUsage
	p.g.mu.Lock()
	p.g.ends = append(p.g.ends, p.end)
	p.g.mu.Unlock()
	p.send(llm.Event{Kind: llm.KindEnd, End: p.end})
}

func (p *scriptedRun) fail(kind llm.ErrorKind, words string) {
	p.end.Finish = llm.FinishError
	p.end.Err = &llm.Error{Kind: kind, Backend: "scripted", Words: words, Label: p.r.Label, Tokens: p.sent}
}

// play delivers the script and sets the end.
func (p *scriptedRun) play(ctx context.Context) {
	switch info := p.g.Info(); {
	case (len(p.r.Messages) > 0) == (p.r.Prompt != ""):
		p.fail(llm.BadRequest, "a request has either messages or a raw prompt")
		return
	case p.r.MaxTokens <= 0:
		p.fail(llm.BadRequest, "a request needs a limit on its tokens")
		return
	case p.r.TopLogprobs > info.TopLogprobs:
		p.fail(llm.TopLogprobsTooLarge, "too many alternatives")
		return
	case p.r.Thoughts != nil && *p.r.Thoughts > 0 && (info.Latent == nil || info.Latent.Thoughts == 0):
		p.fail(llm.BadRequest, "the model has no thoughts")
		return
	}
	if p.g.places != nil {
		asked := time.Now()
		select {
		case p.g.places <- struct{}{}:
			defer func() { <-p.g.places }()
		case <-ctx.Done():
			p.end.Finish = llm.FinishCancelled
			return
		}
		p.end.QueueSeconds = time.Since(asked).Seconds()
	}
	p.g.mu.Lock()
	p.g.active++
	p.g.peak = max(p.g.peak, p.g.active)
	p.g.mu.Unlock()
	defer func() {
		p.g.mu.Lock()
		p.g.active--
		p.g.mu.Unlock()
	}()
	s := p.g.Pick(*p.r)
	began := time.Now()
	for _, h := range p.thoughts(s) {
		if p.sent == p.r.MaxTokens {
			p.end.Finish = llm.FinishLength
			return
		}
		p.sent++
		if !p.send(llm.Event{Kind: llm.KindThought, Thought: h}) {
			return
		}
	}
	for i, t := range s.Tokens {
		if p.sent == p.r.MaxTokens {
			p.end.Finish = llm.FinishLength
			return
		}
		if p.g.Delay > 0 {
			wait := time.NewTimer(p.g.Delay)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
		}
		if ctx.Err() != nil {
			p.end.Finish = llm.FinishCancelled
			return
		}
		if i == 0 {
			p.end.FirstTokenSeconds = time.Since(began).Seconds()
		}
		p.sent++
		if !p.token(&t) {
			return
		}
	}
	switch {
	case ctx.Err() != nil:
		p.end.Finish = llm.FinishCancelled
	case s.Err != nil:
		p.end.Finish, p.end.Err = llm.FinishError, s.Err
	case s.Finish == "":
		p.end.Finish = llm.FinishEOS
	default:
		p.end.Finish = s.Finish
	}
}

// thoughts are those of a script that a request asks for.
func (p *scriptedRun) thoughts(s Script) []llm.Thought {
	if n := p.r.Thoughts; n != nil {
		return s.Thoughts[:min(*n, len(s.Thoughts))]
	}
	return s.Thoughts
}

// token delivers one token: its entry, then its text. It reports whether to go
// on.
func (p *scriptedRun) token(t *Token) bool {
	if p.r.TopLogprobs > 0 && !t.NoEntry {
		out := llm.Token{Logprob: t.Logprob}
		top := t.Top
		if !t.Verbatim {
			top = top[:min(len(top), p.r.TopLogprobs)]
		}
		for _, alt := range top {
			out.Top, out.TopText = append(out.Top, alt.Logprob), append(out.TopText, alt.Text)
		}
		if !p.send(llm.Event{Kind: llm.KindToken, Token: out}) {
			return false
		}
	}
	if t.NoText {
		return true
	}
	text, hit := p.stops[t.Channel].Push([]byte(t.Text))
	if len(text) > 0 && !p.send(llm.Event{Kind: llm.KindText, Channel: t.Channel, Text: text}) {
		return false
	}
	if hit != "" {
		p.end.Finish, p.end.Matched = llm.FinishStop, hit
		return false
	}
	return true
}
