package journal

import (
	"context"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"

	"orrery/internal/server"
	"orrery/record"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

// entry watches one request.
type entry struct {
	j      *Journal
	asked  server.Asked
	run    record.Run
	begun  bool
	labels labels

	mu     sync.Mutex // the streams' goroutines write into traces
	traces []*trace
	votes  votes
}

// trace is one that has not ended yet.
type trace struct {
	t               record.Trace
	retryOf         *int
	put             bool
	texts, thoughts strings.Builder
	tracker         *confidence.Tracker // nil: confidence is not measured, or not kept
	alternatives    bool
}

// settings is a run's Config: what was asked for, and what the defaults made of it.
type settings struct {
	Params   reason.Params      `json:"params"`
	Used     *reason.RunStarted `json:"used"` // null: it never began
	Route    string             `json:"route,omitempty"`
	Stream   bool               `json:"stream,omitempty"`
	Messages []llm.Message      `json:"messages,omitempty"` // where text is kept
	Prompt   string             `json:"prompt,omitempty"`
	Stop     []string           `json:"stop,omitempty"`
}

// lastOf is what a user asked last.
func lastOf(q reason.Question) string {
	for _, m := range slices.Backward(q.Messages) {
		if m.Role == "user" {
			return m.Content
		}
	}
	return q.Prompt
}

// begin writes the run's beginning down, once: used is known from its first event on.
func (e *entry) begin(used *reason.RunStarted) {
	if e.begun {
		return
	}
	e.begun = true
	s := settings{Params: e.asked.Params, Used: used, Route: e.asked.Route, Stream: e.asked.Stream}
	if e.j.keeps(record.KeepText) {
		s.Messages, s.Prompt, s.Stop = e.asked.Question.Messages, e.asked.Question.Prompt, e.asked.Question.Stop
	}
	e.run.Config = encode(s)
	e.j.queue.Begin(e.run)
}

// encode is v as JSON. What is recorded consists of finite numbers and texts; a fault
// of ours must not cost a request.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return b
}

// Tap implements [server.Watch].
func (e *entry) Tap(g llm.Generator) llm.Generator {
	return llm.Around(&tap{g, e}, g)
}

// tap sees the tokens of a run's traces.
type tap struct {
	llm.Generator
	e *entry
}

// Generate is called once a trace, right after its TraceStarted.
func (p *tap) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	p.e.mu.Lock()
	var t *trace
	if n := len(p.e.traces); n > 0 {
		t = p.e.traces[n-1]
		p.e.measure(t, r)
	}
	p.e.mu.Unlock()
	events := p.Generator.Generate(ctx, r)
	if t == nil {
		return events
	}
	return func(yield func(llm.Event) bool) {
		for ev := range events {
			if ev.Kind == llm.KindToken || ev.Kind == llm.KindThought {
				p.e.mu.Lock()
				t.see(&ev)
				p.e.mu.Unlock()
			}
			if !yield(ev) {
				return
			}
		}
	}
}

// measure prepares what is kept of a trace's tokens.
func (e *entry) measure(t *trace, r llm.Request) {
	if r.TopLogprobs == 0 {
		return
	}
	if e.j.keeps(record.KeepConfidence) {
		t.tracker = confidence.New(confidence.Config{Window: 1, K: r.TopLogprobs, Floor: e.asked.Params.Floor})
		t.t.Confidences = []float64{}
	}
	t.alternatives = e.j.keeps(record.KeepAlternatives)
}

// see takes a token, or a thought, which has no confidence.
func (t *trace) see(ev *llm.Event) {
	if t.put {
		return
	}
	if t.tracker != nil {
		c := math.NaN()
		if ev.Kind == llm.KindToken {
			if v, ok := t.tracker.Confidence(ev.Token.Top); ok {
				c = v
			}
		}
		t.t.Confidences = append(t.t.Confidences, c)
	}
	if t.alternatives {
		tok := llm.Token{Logprob: math.NaN()}
		if ev.Kind == llm.KindToken {
			tok = ev.Token
		}
		t.t.Logprobs = append(t.t.Logprobs, tok.Logprob)
		t.t.Top = append(t.t.Top, slices.Clone(tok.Top))
		t.t.TopTexts = append(t.t.TopTexts, slices.Clone(tok.TopText))
	}
}

// Event implements [server.Watch].
func (e *entry) Event(ev reason.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch ev := ev.(type) {
	case reason.RunStarted:
		if ev.Model != "" {
			e.run.Name, e.run.Model = ev.Model, ev.Model
		}
		e.begin(&ev)
	case reason.TraceStarted:
		e.traces = append(e.traces, &trace{retryOf: ev.RetryOf, t: record.Trace{Run: e.run.ID, Number: ev.Trace, Phase: string(ev.Phase), Seed: ev.Seed}})
	case reason.Vote:
		if !e.j.keeps(record.KeepText) {
			ev = e.labels.vote(ev)
		}
		e.votes.add(ev)
	case reason.TraceProgress:
		if e.j.keeps(record.KeepText) {
			t := e.traces[ev.Trace]
			t.texts.WriteString(ev.Text)
			t.thoughts.WriteString(ev.Reasoning)
		}
	case reason.TraceStopped:
		e.put(ev.Trace, reason.TraceResult{StopReason: ev.Reason, Tokens: ev.TokenIndex, TokenIndex: &ev.TokenIndex, Group: ev.Group})
	case reason.TraceFinished:
		r := reason.TraceResult{StopReason: ev.Reason, Tokens: ev.Tokens, Answer: ev.Answer, Lowest: ev.Lowest, Error: ev.Error}
		if ev.Excluded != vote.Included {
			r.Excluded = &ev.Excluded
		}
		e.put(ev.Trace, r)
		if ev.Votes != nil {
			e.traces[ev.Trace].t.Votes = ev.Votes
		}
	}
}

// put hands a trace that has ended over to the queue. What is decided of it later,
// ended adds.
func (e *entry) put(number int, r reason.TraceResult) {
	t := e.traces[number]
	if t.put {
		return
	}
	t.put = true
	r.ID, r.Phase, r.Seed, r.RetryOf = number, vote.Phase(t.t.Phase), t.t.Seed, t.retryOf
	e.fill(&t.t, &r)
	t.t.Text, t.t.Reasoning = t.texts.String(), t.thoughts.String()
	// The stream may be a token ahead of the decision.
	cut := func(n int) int { return min(n, r.Tokens) }
	if t.t.Confidences != nil {
		t.t.Confidences = t.t.Confidences[:cut(len(t.t.Confidences))]
	}
	if n := cut(len(t.t.Logprobs)); t.t.Logprobs != nil {
		t.t.Logprobs, t.t.Top, t.t.TopTexts = t.t.Logprobs[:n], t.t.Top[:n], t.t.TopTexts[:n]
	}
	e.j.queue.Put(t.t)
	// The queue has the big parts now.
	t.t.Confidences, t.t.Logprobs, t.t.Top, t.t.TopTexts = nil, nil, nil, nil
	t.texts, t.thoughts = strings.Builder{}, strings.Builder{}
}

// fill sets the plain fields of a trace.
func (e *entry) fill(t *record.Trace, r *reason.TraceResult) {
	shown := *r
	if !e.j.keeps(record.KeepText) {
		shown = e.labels.trace(shown)
	}
	t.StopReason, t.Tokens, t.Answer, t.Weight, t.Seconds = string(r.StopReason), r.Tokens, shown.Answer, r.Weight, r.Seconds
	t.Mean, t.Lowest, t.Bottom10, t.Tail = r.Mean, r.Lowest, r.Bottom10, r.Tail
	if t.Excluded = ""; r.Excluded != nil {
		t.Excluded = string(*r.Excluded)
	}
	t.Detail = encode(shown)
}

// Ended implements [server.Watch].
func (e *entry) Ended(end server.Ended) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin(nil)
	e.run.Ended, e.run.Error = end.Time, end.Error
	switch {
	case end.Reason == server.ClientCancelled:
		e.run.State = record.Stopped
	case end.Error != "" || end.Result == nil:
		e.run.State = record.Failed
	default:
		e.run.State = record.Done
	}
	e.run.Traces, e.run.Votes = len(e.traces), encode(&e.votes)
	decided := make([]record.Trace, 0, len(e.traces))
	if r := end.Result; r != nil {
		shown := r
		if !e.j.keeps(record.KeepText) {
			shown = e.labels.result(r)
		} else {
			e.run.Answer = r.Answer
		}
		e.run.Tokens, e.run.Saved, e.run.Result = r.Tokens.Used, r.Tokens.SavedEstimate, encode(shown)
		for i := range r.Traces {
			t := e.traces[i].t
			e.fill(&t, &r.Traces[i])
			t.Votes = &r.Traces[i].Votes
			decided = append(decided, t)
		}
	} else {
		for _, t := range e.traces {
			e.run.Tokens += t.t.Tokens
		}
	}
	if e.run.Error != "" && !e.j.keeps(record.KeepText) {
		e.run.Error = "it failed (" + string(end.Reason) + "); the message is not kept, because text is not"
	}
	e.j.queue.End(e.run, decided)
}
