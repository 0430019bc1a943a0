package upstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"orrery/think/llm"
)

// wantK is the number of alternatives that DeepConf's paper uses.
const wantK = 20

// Level says how well a method can work on a server.
type Level string

const (
	Exact       Level = "exact"
	Approximate Level = "approximate"
	Impossible  Level = "not possible"
)

// Fitness is a Level and, unless exact, the reason.
type Fitness struct {
	Level Level  `json:"level"`
	Why   string `json:"why,omitempty"`
}

func (f Fitness) String() string {
	if f.Why == "" {
		return string(f.Level)
	}
	return string(f.Level) + ": " + f.Why
}

// Report is what a server can do for us, as measured. What could not be
// measured is null or "unknown".
type Report struct {
	Version   int      `json:"version"` // 1
	Reachable bool     `json:"reachable"`
	Error     string   `json:"error,omitempty"` // why not reachable, or the first probe's failure
	URL       string   `json:"url"`             // without user and query
	Backend   string   `json:"backend"`
	Model     string   `json:"model"`
	Models    []string `json:"models"` // at most 100
	Routes    []string `json:"routes"` // those that gave tokens

	ChatK int `json:"chat_k"` // the largest k served exactly in a chat, of at most 20; 0: none
	RawK  int `json:"raw_k"`  // the same for a raw prompt
	// EntriesPerToken is the mean length of the top lists in the probe.
	EntriesPerToken *float64  `json:"entries_per_token"`
	TokensPerEvent  *float64  `json:"tokens_per_event"`
	Fields          []string  `json:"fields"` // of text, reasoning, logprobs, top_logprobs, usage: those that came
	Basis           llm.Basis `json:"basis"`
	Stops           string    `json:"stop_reporting"`
	Prefill         string    `json:"prefill"`
	RawPrompt       string    `json:"raw_prompt"` // the route; "" if none works
	MaxParallel     int       `json:"max_parallel"`
	// CancelSeconds is how long after a cancel the server stopped working on
	// the trace; null where it does not show that.
	CancelSeconds *float64 `json:"cancel_seconds"`

	DeepConf     Fitness       `json:"deepconf"`
	ThreadWeaver Fitness       `json:"threadweaver"`
	Warnings     []llm.Warning `json:"warnings"`
}

// Check measures what the server at cfg.URL can do. The report is there with
// an error as well, as far as it got.
func Check(ctx context.Context, cfg Config) (*Report, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Check(ctx)
}

// probePrompt has many good first words, so that the first token's list is
// wide at any temperature.
const probePrompt = "Name an animal, any animal. Then say why you chose it."

// Check measures what the server can do, with a few requests of 4 tokens and
// one that it cancels. What it learns about capabilities stays with c: Info
// and the warnings of later traces know it.
func (c *Client) Check(ctx context.Context) (*Report, error) {
	r := &Report{
		Version: 1, URL: c.addr.root, Backend: c.dialectName(), Model: c.cfg.Model, Basis: llm.BasisUnknown,
		Models: []string{}, Routes: []string{}, Fields: []string{}, Warnings: []llm.Warning{},
	}
	never := Fitness{Impossible, "the server cannot be used"}
	r.DeepConf, r.ThreadWeaver = never, never
	t, f := c.resolve(ctx)
	if f != nil {
		r.Error = f.err.Error()
		return r, f.err
	}
	r.Reachable, r.Backend, r.Model, r.MaxParallel = true, t.dialect.name, t.model, t.parallel
	if models, f := c.list(ctx); f == nil {
		for _, m := range models[:min(len(models), 100)] {
			r.Models = append(r.Models, m.ID)
		}
	}
	r.Stops, r.Prefill = t.dialect.stops, or(t.dialect.prefill, "no")

	chat := llm.Request{Messages: []llm.Message{{Role: "user", Content: probePrompt}}}
	raw := llm.Request{Prompt: probePrompt}
	warm, k, err := c.largestK(ctx, chat)
	r.ChatK = k
	if err == nil {
		r.sum(warm, "/v1/chat/completions")
	}
	var rawErr error
	if t.dialect.raw != "" {
		var p *probed
		p, r.RawK, rawErr = c.largestK(ctx, raw)
		if rawErr == nil {
			r.RawPrompt = p.route
			r.sum(p, p.route)
			if warm == nil || r.ChatK == 0 {
				warm, chat = p, raw
			}
		}
	}
	if err != nil && (rawErr != nil || t.dialect.raw == "") {
		r.Error = err.Error()
		return r, err
	}
	t.maxK.Store(int64(max(r.ChatK, r.RawK)))
	if r.ChatK > 0 || r.RawK > 0 {
		chat.TopLogprobs = warm.k
		if hot := c.probe(ctx, chat, 1.0); hot.err == nil {
			r.Basis = basis(warm.first, hot.first)
		}
	}
	switch r.Basis {
	case llm.BasisBefore:
		t.after.Store(1)
	case llm.BasisAfter:
		t.after.Store(2)
		r.Warnings = append(r.Warnings, llm.WarnBasisAfterTemperature)
	}
	if k := max(r.ChatK, r.RawK); k > 0 && k < wantK {
		r.Warnings = append(r.Warnings, llm.WarnKReduced)
	}
	if r.MaxParallel == 1 {
		r.Warnings = append(r.Warnings, llm.WarnSerialised)
	}
	c.timeCancel(ctx, t, r)
	r.DeepConf, r.ThreadWeaver = t.dialect.suits(r)
	return r, ctx.Err()
}

// probed is what one probe request brought.
type probed struct {
	route    string
	k        int
	reduced  bool // the k-th alternative may be missing
	err      error
	first    []float64 // the first token's alternatives
	lists    int       // tokens with alternatives
	listed   int
	entries  int
	events   int
	has      map[string]bool
	warnings []llm.Warning
}

// probe asks for 4 tokens.
func (c *Client) probe(ctx context.Context, r llm.Request, temperature float64) *probed {
	r.MaxTokens, r.Temperature, r.Seed, r.Label = 4, temperature, 1, "probe"
	p := &probed{k: r.TopLogprobs, has: map[string]bool{}}
	s := &stream{c: c, ctx: ctx, req: &r}
	s.yield = func(e llm.Event) bool {
		switch e.Kind {
		case llm.KindText:
			if e.Channel == llm.Reasoning {
				p.has["reasoning"] = true
			} else {
				p.has["text"] = true
			}
		case llm.KindToken:
			p.has["logprobs"] = true
			if len(e.Token.Top) > 0 {
				p.has["top_logprobs"] = true
				p.lists++
				p.listed += len(e.Token.Top)
			}
			if p.entries == 0 {
				p.first = slices.Clone(e.Token.Top)
			}
			p.entries++
		case llm.KindUsage:
			p.has["usage"] = true
		case llm.KindEnd:
			p.err, p.warnings = e.End.Err, e.End.Warnings
			if e.End.Finish == llm.FinishCancelled {
				p.err = context.Cause(ctx)
			}
		}
		return true
	}
	s.run()
	p.events, p.route, p.reduced = s.events, s.route, s.reduced
	return p
}

// largestK finds how many alternatives the server serves exactly: 20, or the
// most of a few smaller numbers, or none. An error means that the route does
// not work even without log-probabilities.
func (c *Client) largestK(ctx context.Context, r llm.Request) (p *probed, k int, err error) {
	for _, k := range []int{wantK, 10, 5, 1} {
		r.TopLogprobs = k
		p = c.probe(ctx, r, 0.5)
		var e *llm.Error
		switch {
		case p.err == nil && p.reduced:
			return p, k - 1, nil
		case p.err == nil:
			return p, k, nil
		case !errors.As(p.err, &e):
			return p, 0, p.err
		}
		switch e.Kind {
		case llm.TopLogprobsTooLarge, llm.BadRequest:
			continue
		case llm.NoTopLogprobs, llm.LogprobsUnsupported:
			r.TopLogprobs = 0
			p = c.probe(ctx, r, 0.5)
			return p, 0, p.err
		}
		return p, 0, p.err
	}
	r.TopLogprobs = 0
	p = c.probe(ctx, r, 0.5)
	return p, 0, p.err
}

// sum adds a probe to the report.
func (r *Report) sum(p *probed, route string) {
	r.Routes = append(r.Routes, route)
	for _, f := range []string{"text", "reasoning", "logprobs", "top_logprobs", "usage"} {
		if p.has[f] && !slices.Contains(r.Fields, f) {
			r.Fields = append(r.Fields, f)
		}
	}
	if r.EntriesPerToken == nil && p.lists > 0 {
		v := float64(p.listed) / float64(p.lists)
		r.EntriesPerToken = &v
	}
	if r.TokensPerEvent == nil && p.events > 0 && p.entries > 0 {
		v := float64(p.entries) / float64(p.events)
		r.TokensPerEvent = &v
	}
	for _, w := range p.warnings {
		if !slices.Contains(r.Warnings, w) && w != llm.WarnSerialised && w != llm.WarnKReduced {
			r.Warnings = append(r.Warnings, w)
		}
	}
}

// basis compares the first token's list at temperatures 0.5 and 1. Taken
// before the temperature, both are equal, taken after it, differences within
// the list are twice as large at 0.5. Batching and low precision move
// log-probabilities a little, so that the decision is for the nearer of the
// two: g is the least-squares ratio of the differences from the best, and
// what lies beyond either by more than they lie apart is neither.
func basis(cold, hot []float64) llm.Basis {
	a, b := descending(cold), descending(hot)
	n := min(len(a), len(b))
	num, den := 0.0, 0.0
	for i := 1; i < n; i++ {
		num += (a[i] - a[0]) * (b[i] - b[0])
		den += (b[i] - b[0]) * (b[i] - b[0])
	}
	if den == 0 {
		return llm.BasisUnknown
	}
	switch g := num / den; {
	case g < math.Sqrt2/2 || g > 2*math.Sqrt2:
		return llm.BasisUnknown
	case g < math.Sqrt2:
		return llm.BasisBefore
	}
	return llm.BasisAfter
}

// descending sorts a copy, without the values that stand for log 0.
func descending(x []float64) []float64 {
	y := slices.DeleteFunc(slices.Clone(x), func(v float64) bool { return !(v > -100) })
	slices.Sort(y)
	slices.Reverse(y)
	return y
}

const (
	cancelPoll  = 50 * time.Millisecond
	cancelLimit = 5 * time.Second
	// lateAbort is more than the second that llama.cpp takes between looks at
	// the connection.
	lateAbort = 2 * time.Second
)

// timeCancel cancels a long trace after its first token and watches the
// server stop, if it shows how many it works on.
func (c *Client) timeCancel(ctx context.Context, t *target, r *Report) {
	if t.dialect.busy == nil {
		return
	}
	idle, err := t.dialect.busy(ctx, c, t)
	if err != nil {
		return // not exposed: stays null
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	req := llm.Request{Prompt: probePrompt, MaxTokens: 4096, Temperature: 1, Seed: 2, Label: "probe"}
	if r.RawPrompt == "" {
		req.Prompt, req.Messages = "", []llm.Message{{Role: "user", Content: probePrompt}}
	}
	var at time.Time
	for e := range c.Generate(inner, req) {
		if at.IsZero() && e.Kind != llm.KindEnd {
			cancel()
			at = time.Now()
		}
		if e.Kind == llm.KindEnd && e.End.Finish != llm.FinishCancelled {
			return // it was over before it could be cancelled
		}
	}
	for time.Since(at) < cancelLimit {
		n, err := t.dialect.busy(ctx, c, t)
		if err != nil {
			return
		}
		if n <= idle {
			v := time.Since(at).Seconds()
			r.CancelSeconds = &v
			break
		}
		if !sleep(ctx, cancelPoll) {
			return
		}
	}
	if r.CancelSeconds == nil || *r.CancelSeconds > lateAbort.Seconds() {
		t.late.Store(true)
		r.Warnings = append(r.Warnings, llm.WarnLateAbort)
	}
}

// fitDeepConf judges the alternatives of a chat, which DeepConf uses, and
// their basis.
func fitDeepConf(r *Report) Fitness {
	k := r.ChatK
	switch {
	case k == 0 && r.RawK > 0:
		return Fitness{Approximate, "top log-probabilities of raw prompts only"}
	case k == 0:
		return Fitness{Impossible, "no top log-probabilities"}
	case k < wantK:
		return Fitness{Approximate, fmt.Sprintf("%d exact alternatives a token instead of %d", k, wantK)}
	case r.EntriesPerToken != nil && *r.EntriesPerToken < wantK:
		return Fitness{Approximate, "lists are shorter than asked for"}
	case r.Basis == llm.BasisAfter:
		return Fitness{Approximate, "log-probabilities are taken after the temperature"}
	case r.Basis == llm.BasisUnknown:
		return Fitness{Approximate, "it could not be told whether log-probabilities are taken before the temperature"}
	}
	return Fitness{Level: Exact}
}

// fitThreadWeaver needs a raw prompt. doubt says what else stands in the way.
func fitThreadWeaver(r *Report, doubt string) Fitness {
	switch {
	case r.RawPrompt == "" && slices.Contains(r.Routes, "/v1/chat/completions"):
		return Fitness{Approximate, "no raw prompts: prompted through chat only"}
	case r.RawPrompt == "":
		return Fitness{Impossible, "neither raw prompts nor chats work"}
	case doubt != "":
		return Fitness{Approximate, doubt}
	}
	return Fitness{Level: Exact}
}
