package reason

import (
	"encoding/json"

	"orrery/think/llm"
	"orrery/think/vote"
)

// Event is one thing that happened in a run. In JSON every event is one object
// whose first field is "type". What is undefined is null or absent.
//
// A run is one RunStarted; for each trace one TraceStarted, any number of
// Thought and TraceProgress and exactly one TraceStopped or TraceFinished; Calibrated at
// most once; Vote after every completion; and last one Answer or Failed.
type Event interface {
	// Type is the JSON name, for instance "trace_started".
	Type() string
}

// RunStarted opens a run and states its settings with defaults filled in.
type RunStarted struct {
	Method      string   `json:"method"`
	Model       string   `json:"model"`
	Backend     string   `json:"backend"`
	Budget      int      `json:"budget"`
	TokenBudget int      `json:"token_budget,omitzero"`
	Warmup      int      `json:"warmup"`
	Eta         *float64 `json:"eta,omitempty"`
	Threshold   *float64 `json:"threshold,omitempty"` // given, not measured
	Window      Window   `json:"window"`              // "auto" until calibrated
	K           int      `json:"k"`                   // 0: no log-probabilities asked for
	Concurrency int      `json:"concurrency"`
	Seed        uint64   `json:"seed"`
}

// TraceStarted says that a request is about to be sent.
type TraceStarted struct {
	Trace     int        `json:"trace"`
	Phase     vote.Phase `json:"phase"`
	Seed      uint64     `json:"seed"`
	MaxTokens int        `json:"max_tokens"`
	RetryOf   *int       `json:"retry_of,omitempty"` // the warm-up that failed
}

// TraceProgress reports a running trace, at most every [ProgressInterval] for
// each, and a last time before it ends. The texts are what came since the last
// report: joined, they are the trace's whole text. Method single reports every
// piece of text at once.
type TraceProgress struct {
	Trace      int      `json:"trace"`
	Tokens     int      `json:"tokens"`
	Confidence *float64 `json:"confidence,omitempty"` // C of the last scored token
	Group      *float64 `json:"group,omitempty"`      // the last full group's
	// Groups has, for each token that was scored since the last report, the
	// confidence of the group that ended there: of all tokens so far until the
	// window is full. The group of a token that stops the trace is TraceStopped's.
	Groups    []float64 `json:"groups,omitempty"`
	Text      string    `json:"text,omitempty"`
	Reasoning string    `json:"reasoning,omitempty"`
}

// Thought is a hidden thought of a trace, told when it has been had.
type Thought struct {
	Trace int `json:"trace"`
	llm.Thought
}

// Calibrated says what the warm-up found.
type Calibrated struct {
	S      float64 `json:"s"`
	Eta    float64 `json:"eta"`
	Window int     `json:"window"`
	N      int     `json:"n"` // scored warm-ups that s was made from
}

// TraceStopped says that we ended a trace. Later tokens are only counted.
type TraceStopped struct {
	Trace      int             `json:"trace"`
	Reason     vote.StopReason `json:"reason"`
	TokenIndex int             `json:"token_index"` // tokens up to the one that decided
	Group      *float64        `json:"group"`       // the group that fell below s; null for other reasons
	S          *float64        `json:"s"`
}

// TraceFinished says that a trace came to its own end, or failed.
type TraceFinished struct {
	Trace    int             `json:"trace"`
	Reason   vote.StopReason `json:"reason"`
	Tokens   int             `json:"tokens"`
	Answer   *string         `json:"answer"`
	Class    *string         `json:"class"` // equal for equal answers
	Lowest   *float64        `json:"lowest"`
	Votes    *bool           `json:"votes"` // null for a warm-up: the calibration decides
	Excluded vote.Exclusion  `json:"excluded,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Vote is the state of the vote after a completion: the answer that the run
// would give if it had to stop now.
type Vote struct {
	Used       int      `json:"used"` // tokens of all traces by then, as [Tokens.Used] counts them
	Leader     *string  `json:"leader"`
	Beta       *float64 `json:"beta"`
	Calibrated bool     `json:"calibrated"` // false: unfiltered, because s does not exist yet
	Classes    []Class  `json:"classes"`
}

// Warning is something that the user should know although the run goes on. Code
// is stable; each code comes at most once a run. It is also part of [Result].
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"` // one sentence
}

// Answer is the last event of a run that has a result.
type Answer struct{ *Result }

// Failed is the last event of a run that has none.
type Failed struct {
	Error string `json:"error"`
}

func (RunStarted) Type() string    { return "run_started" }
func (TraceStarted) Type() string  { return "trace_started" }
func (TraceProgress) Type() string { return "trace_progress" }
func (Thought) Type() string       { return "thought" }
func (Calibrated) Type() string    { return "calibrated" }
func (TraceStopped) Type() string  { return "trace_stopped" }
func (TraceFinished) Type() string { return "trace_finished" }
func (Vote) Type() string          { return "vote" }
func (Warning) Type() string       { return "warning" }
func (Answer) Type() string        { return "answer" }
func (Failed) Type() string        { return "error" }

// EncodeEvent is e as a JSON object that begins with its type.
func EncodeEvent(e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(e.Type())
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"type":`), head...)
	if len(body) > len("{}") {
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}
