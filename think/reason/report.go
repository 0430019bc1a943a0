package reason

import (
	"bytes"
	"encoding/json"

	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/vote"
)

// Report is what `orrery replay --json` prints. What is undefined is null.
type Report struct {
	Version int             `json:"version"` // 1
	Params  ReplayedParams  `json:"params"`
	Traces  []ReplayedTrace `json:"traces"` // every trace of the file, in its order
	Offline ReplayedOffline `json:"offline"`
	Online  ReplayedOnline  `json:"online"`
}

// ReplayedParams are the parameters with defaults filled in; null is no limit.
type ReplayedParams struct {
	Window      int      `json:"window"` // as used, also where it was auto
	AutoWindow  bool     `json:"auto_window"`
	Tail        int      `json:"tail"`
	K           int      `json:"k"`
	Eta         float64  `json:"eta"`
	Warmup      *int     `json:"warmup"` // null: a threshold was given
	Threshold   *float64 `json:"threshold"`
	Tau         float64  `json:"tau"`
	Budget      *int     `json:"budget"`
	TokenBudget *int     `json:"token_budget"`
	MinVotes    int      `json:"min_votes"`
	Consensus   bool     `json:"consensus"`
	Floor       float64  `json:"floor"`
	Answers     string   `json:"answers"` // "math" or "raw"
}

func newReplayedParams(p ReplayParams, window int) ReplayedParams {
	limit := func(n int) *int {
		if n == 0 {
			return nil
		}
		return &n
	}
	r := ReplayedParams{Window: window, AutoWindow: p.Window == Auto, Tail: p.Tail, K: p.K, Eta: p.Eta,
		Warmup: limit(p.Warmup), Threshold: p.Threshold, Tau: p.Tau, Budget: limit(p.Budget), TokenBudget: limit(p.TokenBudget),
		MinVotes: p.MinVotes, Consensus: !p.NoConsensus, Floor: p.Floor, Answers: "math"}
	if r.Tail == 0 {
		r.Tail = window
	}
	if p.Raw {
		r.Answers = "raw"
	}
	return r
}

// ReplayedTrace measures a whole trace.
type ReplayedTrace struct {
	ID           json.RawMessage `json:"id"`
	Answer       *string         `json:"answer"` // without blanks around it
	Tokens       int             `json:"tokens"`
	ScoredTokens int             `json:"scored_tokens"`
	Mean         *float64        `json:"mean"`
	Lowest       *float64        `json:"lowest_group"`
	Bottom10     *float64        `json:"bottom10"`
	Tail         *float64        `json:"tail"`
	Thoughts     []llm.Thought   `json:"thoughts,omitempty"` // of a latent model, as they were recorded
}

// ReplayedOffline is the votes over all traces of the file, each complete.
type ReplayedOffline struct {
	Majority Elected             `json:"majority"`
	Weighted byMeasure[Elected]  `json:"weighted"`
	Filtered byMeasure[Filtered] `json:"filtered"`
}

// Elected is a vote: the answer, the weight of each, and who voted.
type Elected struct {
	Answer *string            `json:"answer"`
	V      map[string]float64 `json:"V"`
	Voters []json.RawMessage  `json:"voters"`
}

// Filtered is the vote of the traces at or above a threshold.
type Filtered struct {
	Threshold *float64           `json:"threshold"`
	Kept      []json.RawMessage  `json:"kept"`
	Answer    *string            `json:"answer"`
	V         map[string]float64 `json:"V"`
}

// ReplayedOnline is the run as it would have gone.
type ReplayedOnline struct {
	S               *float64           `json:"s"`
	Traces          []ReplayedDecision `json:"traces"`       // launched, in order
	NotLaunched     []json.RawMessage  `json:"not_launched"` // of the budget: a run knows of no others
	Beta            []*float64         `json:"beta"`         // when the warm-up ended, then after each completion
	StoppedBy       string             `json:"stopped_by"`   // "consensus", "token_budget", "budget" or "exhausted"
	TokensUsed      int                `json:"tokens_used"`
	TokensIfAllFull int                `json:"tokens_if_all_full"` // of the budget's traces
	TokensSaved     int                `json:"tokens_saved"`
	Answer          *string            `json:"answer"`
	Fallback        *vote.Fallback     `json:"fallback"` // null: regular voters decided
	V               map[string]float64 `json:"V"`
	Counts          map[string]int     `json:"counts"`
}

// ReplayedDecision is what was decided about one trace, with the numbers.
type ReplayedDecision struct {
	ID         json.RawMessage `json:"id"`
	Phase      vote.Phase      `json:"phase"`
	StopReason string          `json:"stop_reason"` // "completed", "low_confidence" or "token_budget"
	StopToken  *int            `json:"stop_token"`  // 1-based; null: it completed
	TokensUsed int             `json:"tokens_used"`
	Lowest     *float64        `json:"lowest_group"` // of the tokens used
	Votes      bool            `json:"votes"`
	Excluded   *vote.Exclusion `json:"excluded"`
	Weight     *float64        `json:"weight"` // null: it does not vote
	// Margin is the least |group - s| over the tokens used. Below 1e-9 another
	// implementation may round to another decision.
	Margin *float64 `json:"margin"`
}

// byMeasure is an object with a field a measure, in the order of AllMeasures.
type byMeasure[T any] []named[T]

type named[T any] struct {
	measure confidence.Measure
	value   T
}

// Get returns the value of a measure.
func (b byMeasure[T]) Get(m confidence.Measure) (value T, ok bool) {
	for _, n := range b {
		if n.measure == m {
			return n.value, true
		}
	}
	return value, false
}

func (b byMeasure[T]) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, n := range b {
		if i > 0 {
			out.WriteByte(',')
		}
		value, err := json.Marshal(n.value)
		if err != nil {
			return nil, err
		}
		out.WriteString(`"` + string(n.measure) + `":`)
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
