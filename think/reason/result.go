package reason

import "orrery/think/vote"

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
	Retries     int        `json:"retries"` // before the first token, by the generator
	Matched     string     `json:"matched,omitempty"`
	Error       string     `json:"error,omitempty"`

	Text      string `json:"-"` // answer channel, up to the decision
	Reasoning string `json:"-"` // reasoning channel, up to the decision
}
