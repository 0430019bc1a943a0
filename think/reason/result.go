package reason

import (
	"fmt"
	"time"

	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/vote"
)

// Result is what a run found out. It marshals into the object of
// `orrery ask --json`; fields after warnings are additions to that contract.
// Numbers that are undefined are null.
type Result struct {
	Version  int           `json:"version"` // 1
	Answer   *string       `json:"answer"`  // surface form of the winning class; the text itself where nothing could be extracted
	Text     string        `json:"text"`    // answer text of the trace that Answer is taken from
	Method   string        `json:"method"`
	Votes    []Class       `json:"votes"`  // best first
	Traces   []TraceResult `json:"traces"` // in launch order
	Tokens   Tokens        `json:"tokens"`
	Seconds  float64       `json:"seconds"` // wall time
	Model    string        `json:"model"`
	Warnings []Warning     `json:"warnings"`

	Vote         string        `json:"vote"`       // "weighted", "majority", "top_confidence" or "none"
	Fallback     vote.Fallback `json:"fallback"`   // "" if regular voters decided
	Calibrated   bool          `json:"calibrated"` // s exists, or the method needs none
	S            *float64      `json:"s"`
	Beta         *float64      `json:"beta"`
	StoppedBy    string        `json:"stopped_by"` // "consensus", "token_budget", "budget", "deadline", "client_cancelled" or "upstream_error"
	Winner       *int          `json:"winner"`     // the trace that Text is taken from
	Launched     int           `json:"launched"`
	NotLaunched  int           `json:"not_launched"`  // of the budget
	Window       int           `json:"window"`        // as used; 0: no confidence was measured
	QueueSeconds float64       `json:"queue_seconds"` // waited for places at the backend, all traces together
}

// Class is the traces that gave one answer.
type Class struct {
	Answer string  `json:"answer"` // of its highest-weight trace
	Weight float64 `json:"weight"` // V
	Traces []int   `json:"traces"` // in launch order
	Count  int     `json:"count"`
}

// Tokens counts what was generated. Used is the sum over ByReason, over ByPhase,
// and over the traces; AfterStop is not part of it.
type Tokens struct {
	Used int `json:"used"`
	// AfterStop came after a trace had been stopped, before the server noticed.
	AfterStop int `json:"after_stop"`
	// SavedEstimate is Σ over stopped traces of max(0, m-used), plus m for each
	// trace of the budget that was not launched, m being the mean length of the
	// completed ones; null if none completed.
	SavedEstimate *float64                `json:"saved_estimate"`
	ByPhase       map[vote.Phase]int      `json:"by_phase"`
	ByReason      map[vote.StopReason]int `json:"by_reason"`
}

// TraceResult is the record of one trace. Decisions stand with the numbers
// they were made on.
type TraceResult struct {
	ID         int             `json:"id"` // launch order, from 0
	Answer     *string         `json:"answer"`
	StopReason vote.StopReason `json:"stop_reason"`
	Excluded   *vote.Exclusion `json:"excluded"` // null: it votes
	Tokens     int             `json:"tokens"`   // up to the decision
	Mean       *float64        `json:"mean"`
	Lowest     *float64        `json:"lowest_group"`
	Bottom10   *float64        `json:"bottom10"`
	Tail       *float64        `json:"tail"`

	Phase       vote.Phase `json:"phase"`
	RetryOf     *int       `json:"retry_of"`
	Seed        uint64     `json:"seed"`
	Votes       bool       `json:"votes"`
	Weight      *float64   `json:"weight"`      // null: it does not vote
	TokenIndex  *int       `json:"token_index"` // null: it was not stopped by us
	Group       *float64   `json:"group"`       // the group that fell below s
	AfterStop   int        `json:"after_stop"`
	UsageTokens int        `json:"usage_tokens"` // the server's own count; 0: it gave none
	Seconds     float64    `json:"seconds"`      // from launch to the end of its stream
	FirstToken  float64    `json:"first_token_seconds"`
	Queue       float64    `json:"queue_seconds"`
	Counted     llm.Count  `json:"counted"` // what Tokens rests on: "usage", "entries" or "estimate"
	Retries     int        `json:"retries"` // before the first token, by the generator
	Matched     string     `json:"matched,omitempty"`

	Thoughts []llm.Thought `json:"thoughts,omitempty"` // of a latent model: what each held
	Error    string        `json:"error,omitempty"`

	Text      string `json:"-"` // answer channel, up to the decision
	Reasoning string `json:"-"` // reasoning channel, up to the decision
}

// outcome is the run's answer, by extracted answers or else by whole texts.
func (e *engine) outcome() vote.Outcome {
	o := e.m.Outcome()
	if o.Kind == vote.ByNone {
		o = e.m.FreeForm(func(i int) string { return e.traces[i].whole() })
	}
	return o
}

// result sums the run up.
func (e *engine) result() *Result {
	o := e.outcome()
	if e.failed > 0 {
		e.warn("upstream_error", fmt.Sprintf("%d traces failed, first: %v", e.failed, e.failure))
	}
	r := &Result{Version: 1, Method: e.method, Model: e.info.Model, Votes: classes(o.Tally), Traces: []TraceResult{},
		Seconds: time.Since(e.start).Seconds(), Warnings: e.warnings, Vote: string(o.Kind), Fallback: o.Fallback,
		Calibrated: e.m.Calibrated(), StoppedBy: e.m.StoppedBy(), Launched: len(e.traces), NotLaunched: e.m.NotLaunched()}
	if o.Winner >= 0 {
		r.Answer, r.Winner, r.Text = &o.Answer, &o.Winner, e.traces[o.Winner].text()
	}
	if s, ok := e.m.Threshold(); ok {
		r.S = &s
	}
	if beta, ok := o.Beta(); ok {
		r.Beta = &beta
	}
	if e.k > 0 {
		r.Window = e.m.Config().Window
	}
	for _, s := range e.traces {
		r.Traces = append(r.Traces, e.trace(s))
		r.QueueSeconds += s.end.QueueSeconds
	}
	r.Tokens = Count(r.Traces, r.NotLaunched)
	return r
}

// trace is the record of one stream.
func (e *engine) trace(s *stream) TraceResult {
	rec := s.rec
	t := TraceResult{ID: rec.ID, StopReason: rec.Reason, Tokens: rec.Tokens, Phase: rec.Phase, RetryOf: retryOf(rec),
		Seed: s.seed, Votes: rec.Votes, AfterStop: rec.AfterStop, UsageTokens: s.usage, Counted: s.counted(e.k),
		Seconds: s.finished.Sub(s.started).Seconds(), FirstToken: s.end.FirstTokenSeconds, Queue: s.end.QueueSeconds,
		Retries: s.end.Retries, Matched: s.end.Matched, Thoughts: s.thoughts, Text: s.text(), Reasoning: s.reasoning()}
	if !rec.Key.IsZero() {
		t.Answer = &rec.Answer
	}
	if !rec.Votes {
		t.Excluded = &rec.Excluded
	}
	t.Mean, t.Lowest, t.Bottom10, t.Tail = measures(rec.Measures)
	if w, ok := e.m.Weight(rec); ok {
		t.Weight = &w
	}
	if s.stopped() {
		t.TokenIndex = &rec.Tokens
	}
	if rec.Reason == vote.LowConfidence {
		t.Group = &rec.Group
	}
	if s.err != nil {
		t.Error = s.err.Error()
	}
	return t
}

// Count adds the tokens of traces up that have ended; of each it reads Tokens,
// AfterStop, Phase, StopReason and TokenIndex. A run that goes on has no traces yet
// that will not be launched.
func Count(traces []TraceResult, notLaunched int) Tokens {
	t := Tokens{ByPhase: map[vote.Phase]int{}, ByReason: map[vote.StopReason]int{}}
	completed, full := 0, 0
	for _, tr := range traces {
		t.Used += tr.Tokens
		t.AfterStop += tr.AfterStop
		t.ByPhase[tr.Phase] += tr.Tokens
		t.ByReason[tr.StopReason] += tr.Tokens
		if tr.StopReason.Completed() {
			completed++
			full += tr.Tokens
		}
	}
	if completed > 0 {
		m := float64(full) / float64(completed)
		saved := m * float64(notLaunched)
		for _, tr := range traces {
			if tr.TokenIndex != nil {
				saved += max(0, m-float64(tr.Tokens))
			}
		}
		t.SavedEstimate = &saved
	}
	return t
}

func classes(t vote.Tally) []Class {
	c := []Class{}
	for _, k := range t.Classes {
		c = append(c, Class{Answer: k.Answer, Weight: k.V, Traces: k.Traces, Count: len(k.Traces)})
	}
	return c
}

func measures(m confidence.Measures) (mean, lowest, bottom10, tail *float64) {
	if m.Scored == 0 {
		return nil, nil, nil, nil
	}
	return &m.Mean, &m.Lowest, &m.Bottom10, &m.Tail
}

func retryOf(r *vote.Record) *int {
	if r.RetryOf < 0 {
		return nil
	}
	return &r.RetryOf
}

func positive(v float64) *float64 {
	if v > 0 {
		return &v
	}
	return nil
}
