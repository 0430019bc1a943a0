package reason

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"orrery/think/answer"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/vote"
)

// ReplayParams says how recorded traces are decided again. The zero value is
// the paper's setting for η = 10.
type ReplayParams struct {
	Window      Window   `json:"window"`       // W or auto; 0 is 2048
	Tail        int      `json:"tail"`         // T; 0 is as the window
	K           int      `json:"k"`            // 0 is 20
	Eta         float64  `json:"eta"`          // percent kept, by s and by the offline filters; 0 is 10
	Warmup      int      `json:"warmup"`       // N_init; 0 is 16
	Tau         float64  `json:"tau"`          // 0 is 0.95
	Budget      int      `json:"budget"`       // B, warm-ups included; 0 is all traces of the file
	TokenBudget int      `json:"token_budget"` // 0 is no limit
	MinVotes    int      `json:"min_votes"`    // 0 is 2
	NoConsensus bool     `json:"no_consensus"`
	Floor       float64  `json:"floor"`     // 0 is -100
	Threshold   *float64 `json:"threshold"` // s given instead of a warm-up; nil is none
	Raw         bool     `json:"raw"`       // compare answers as stripped strings
}

// Resolved is p with every zero that stands for a number replaced by it.
func (p ReplayParams) Resolved() ReplayParams {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if p.Window == 0 {
		p.Window = confidence.DefaultWindow
	}
	if p.Window != Auto {
		def(&p.Tail, int(p.Window))
	}
	def(&p.K, confidence.DefaultK)
	def(&p.MinVotes, DefaultMinVotes)
	if p.Threshold == nil {
		def(&p.Warmup, DefaultWarmup)
	}
	if p.Eta == 0 {
		p.Eta = 10
	}
	if p.Tau == 0 {
		p.Tau = DefaultTau
	}
	if p.Floor == 0 {
		p.Floor = confidence.DefaultFloor
	}
	return p
}

// Validate reports a parameter that is out of range or contradicts another, as
// one sentence. A replay is run many times over one file with one parameter
// changed, so parameters that the changed one leaves without effect are no
// contradiction here: a warm-up larger than the budget is the whole budget, as
// it is the whole of a short file; τ and min_votes do nothing without
// consensus; and η serves the offline filters whether or not s is given.
func (p ReplayParams) Validate() error {
	q := Params{Window: p.Window, Tail: p.Tail, K: p.K, Eta: p.Eta, Warmup: p.Warmup, Tau: p.Tau, Budget: p.Budget,
		TokenBudget: p.TokenBudget, MinVotes: p.MinVotes, Floor: p.Floor, Threshold: p.Threshold}
	if err := first(q.outOfRange()); err != nil {
		return err
	}
	return Params{Window: p.Window, Warmup: p.Warmup, Threshold: p.Threshold}.contradiction()
}

func (p ReplayParams) policy() vote.Policy {
	v := vote.Policy{Rule: vote.Online, Budget: p.Budget, TokenBudget: p.TokenBudget, Warmup: p.Warmup, Eta: p.Eta,
		Threshold: p.Threshold, Consensus: !p.NoConsensus, Tau: p.Tau, MinVotes: p.MinVotes,
		Confidence: confidence.Config{Window: int(p.Window), Tail: p.Tail, K: p.K, Floor: p.Floor}, Key: answer.KeyOf}
	if p.Window == Auto {
		v.Confidence.Window, v.AutoWindow = 0, true
	}
	if p.Raw {
		v.Key = answer.Raw
	}
	return v
}

// replay is one pass over the traces of a file.
type replay struct {
	p        ReplayParams
	policy   vote.Policy
	m        *vote.Machine
	ids      []json.RawMessage
	thoughts [][]llm.Thought
	all      []vote.Trace
	trackers []*confidence.Tracker // only while the window is open
	launched []int                 // record → position in the file
}

// Replay reads recorded traces and decides what DeepConf would have done with
// them, one at a time in file order: what a live run at concurrency 1 does if
// its generator gives these traces. It holds one trace's tokens at a time.
// Errors name the line and the field.
func Replay(ctx context.Context, r io.Reader, params ReplayParams) (*Report, error) {
	if err := params.Validate(); err != nil {
		return nil, err
	}
	p := params.Resolved()
	x := &replay{p: p, policy: p.policy()}
	x.m = vote.New(x.policy)
	for t, err := range ReadTraces(r) {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("replay: stopped after %d traces: %w", len(x.ids), err)
		}
		x.take(t)
	}
	x.m.Exhaust()
	x.m.Settle()
	return x.report(), nil
}

// take measures a trace, and plays it if it is launched.
func (x *replay) take(t TraceRecord) {
	id := len(x.ids)
	x.ids, x.thoughts = append(x.ids, t.ID), append(x.thoughts, t.Thoughts)
	v := vote.Trace{ID: id}
	if t.Answer != nil {
		text := strings.TrimSpace(*t.Answer) // so that a raw answer is the name of its class
		if key := x.policy.Key(text); !key.IsZero() {
			v.Answer, v.Key = text, key
		}
	}
	tr := confidence.New(x.policy.Confidence)
	tr.Grow(len(t.Tokens))
	for _, tok := range t.Tokens {
		tr.Add(tok.Top)
	}
	v.Measures = tr.Measures()
	if x.policy.AutoWindow {
		x.trackers = append(x.trackers, tr)
	}
	x.all = append(x.all, v)

	rec, ok := x.m.Next()
	if !ok {
		return
	}
	x.launched = append(x.launched, id)
	for i, tok := range t.Tokens {
		if rec.Cap > 0 && i == rec.Cap {
			x.m.End(rec.ID, vote.Length, "", 0) // how far the answer was is not recorded
			break
		}
		if x.m.Token(rec.ID, tok.Top); rec.Reason != vote.Running {
			break
		}
	}
	if rec.Reason == vote.Running {
		end := vote.EOS
		if t.StopReason == vote.Length || t.StopReason == vote.TokenBudget {
			end = vote.Length
		}
		x.m.End(rec.ID, end, v.Answer, 0)
	} else if rec.Tokens == len(t.Tokens) {
		x.m.SetAnswer(rec.ID, v.Answer) // stopped at its very last token: the text was complete
	}
}

// report writes down what came of it.
func (x *replay) report() *Report {
	window := x.m.Config().Window
	for i, tr := range x.trackers {
		x.all[i].Measures = tr.Rewindow(window, x.policy.Confidence.Tail).Measures()
	}
	r := &Report{Version: 1, Params: newReplayedParams(x.p, window), Traces: []ReplayedTrace{}}
	for i, t := range x.all {
		row := ReplayedTrace{ID: x.ids[i], Tokens: t.Measures.Tokens, ScoredTokens: t.Measures.Scored, Thoughts: x.thoughts[i]}
		if !t.Key.IsZero() {
			row.Answer = &t.Answer
		}
		row.Mean, row.Lowest, row.Bottom10, row.Tail = measures(t.Measures)
		r.Traces = append(r.Traces, row)
	}
	r.Offline = x.offline()
	r.Online = x.online()
	return r
}

func (x *replay) offline() ReplayedOffline {
	o := ReplayedOffline{Majority: x.elected(vote.Majority(x.all))}
	for _, m := range confidence.AllMeasures {
		f := Filtered{Kept: []json.RawMessage{}}
		thr, kept, ok := vote.Filter(x.all, m, x.p.Eta)
		if ok {
			f.Threshold = &thr
		}
		for _, t := range kept {
			f.Kept = append(f.Kept, x.ids[t.ID])
		}
		e := x.elected(vote.Weighted(kept, m))
		f.Answer, f.V = e.Answer, e.V
		o.Weighted = append(o.Weighted, named[Elected]{m, x.elected(vote.Weighted(x.all, m))})
		o.Filtered = append(o.Filtered, named[Filtered]{m, f})
	}
	return o
}

func (x *replay) elected(t vote.Tally) Elected {
	e := Elected{V: weights(t), Voters: []json.RawMessage{}}
	if len(t.Classes) > 0 {
		e.Answer = &t.Classes[0].Answer
	}
	voters := make([]bool, len(x.ids))
	for _, c := range t.Classes {
		for _, i := range c.Traces {
			voters[i] = true
		}
	}
	for i, votes := range voters {
		if votes {
			e.Voters = append(e.Voters, x.ids[i])
		}
	}
	return e
}

func (x *replay) online() ReplayedOnline {
	o := ReplayedOnline{Traces: []ReplayedDecision{}, NotLaunched: []json.RawMessage{}, Beta: []*float64{},
		StoppedBy: x.m.StoppedBy(), TokensUsed: x.m.Used(), Counts: map[string]int{}}
	if s, ok := x.m.Threshold(); ok {
		o.S = &s
	}
	for i, rec := range x.m.Records() {
		o.Traces = append(o.Traces, x.decision(x.ids[x.launched[i]], rec))
	}
	within := len(x.ids)
	if x.p.Budget > 0 {
		within = min(within, x.p.Budget)
	}
	for i := range within {
		o.TokensIfAllFull += x.all[i].Measures.Tokens
		if i >= len(x.launched) {
			o.NotLaunched = append(o.NotLaunched, x.ids[i])
		}
	}
	o.TokensSaved = o.TokensIfAllFull - o.TokensUsed
	for _, b := range x.m.Betas() {
		o.Beta = append(o.Beta, defined(b))
	}
	out := x.m.Outcome()
	if out.Winner >= 0 {
		o.Answer = &out.Answer
	}
	if out.Fallback != vote.NoFallback {
		o.Fallback = &out.Fallback
	}
	o.V = weights(out.Tally)
	for _, c := range out.Classes {
		o.Counts[c.Answer] = len(c.Traces)
	}
	return o
}

func (x *replay) decision(id json.RawMessage, rec *vote.Record) ReplayedDecision {
	d := ReplayedDecision{ID: id, Phase: rec.Phase, StopReason: string(rec.Reason), TokensUsed: rec.Tokens,
		Votes: rec.Votes, Margin: defined(rec.Margin)}
	if rec.Reason.Completed() {
		d.StopReason = "completed"
	} else {
		d.StopToken = &rec.Tokens
	}
	if !rec.Votes {
		d.Excluded = &rec.Excluded
	}
	_, d.Lowest, _, _ = measures(rec.Measures)
	if w, ok := x.m.Weight(rec); ok {
		d.Weight = &w
	}
	return d
}

func weights(t vote.Tally) map[string]float64 {
	v := map[string]float64{}
	for _, c := range t.Classes {
		v[c.Answer] = c.V
	}
	return v
}

func defined(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
