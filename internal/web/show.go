package web

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

// show is a request as the page shows it, running or ended. It is the server.Watch of
// that request.
type show struct {
	p      *Page
	id     string
	client string // whose request it is; set under the page's lock, and never again

	mu       sync.Mutex
	head     head
	headRev  int
	traces   []*trace
	votes    []voted
	warnings []reason.Warning
	kept     int // bytes counted by Page.keep, those of made apart
	made     []*made
	winner   *made // whose tokens are kept when it has ended
	stop     func()
	accepted chan struct{} // closed when the run begins
	running  bool
}

// State of a request.
const (
	stateWaiting = "waiting" // for its place
	stateRunning = "running"
	stateDone    = "done"
	stateStopped = "stopped" // by whoever asked, or with the server
	stateFailed  = "failed"
)

// head is what is said of a request as a whole, in JSON.
type head struct {
	ID         string             `json:"id"`
	Time       time.Time          `json:"time"`
	Model      string             `json:"model"`
	Method     string             `json:"method"`
	Question   string             `json:"question"`
	Params     reason.Params      `json:"params"`
	Mine       bool               `json:"mine"` // asked from a page, and so to be stopped from one
	State      string             `json:"state"`
	Reason     string             `json:"reason,omitempty"`
	Error      string             `json:"error,omitempty"`
	Ended      *time.Time         `json:"ended,omitempty"`
	Started    *reason.RunStarted `json:"started,omitempty"`
	Calibrated *reason.Calibrated `json:"calibrated,omitempty"`
	Result     *result            `json:"result,omitempty"`
	Cut        bool               `json:"cut,omitempty"` // not all of it could be kept
}

// result is reason.Result without its traces, which have their own place.
type result struct {
	*reason.Result
	Traces    struct{}      `json:"traces,omitzero"`
	Text      string        `json:"text"`
	Reasoning string        `json:"reasoning,omitempty"` // of a single trace
	Tokens    bool          `json:"tokens_kept"`         // the winner's, with alternatives
	Count     reason.Tokens `json:"tokens"`
}

// trace is one strip.
type trace struct {
	rev       int
	head      traceHead
	tokens    int
	groups    []float32 // by scored token; only ever appended to
	gen       int       // how often the groups were measured afresh, with another window
	text      []byte
	reasoning []byte
	thoughts  []llm.Thought
	cut       bool
}

// traceHead is what is said of a trace, in JSON.
type traceHead struct {
	Phase      vote.Phase      `json:"phase"`
	Seed       uint64          `json:"seed"`
	MaxTokens  int             `json:"max_tokens"`
	RetryOf    *int            `json:"retry_of,omitempty"`
	State      string          `json:"state"` // "running", "stopped" or "finished"
	Reason     vote.StopReason `json:"reason,omitempty"`
	Group      *float64        `json:"group,omitempty"` // that fell below S
	S          *float64        `json:"s,omitempty"`
	Answer     *string         `json:"answer,omitempty"`
	Class      *string         `json:"class,omitempty"`
	Votes      *bool           `json:"votes,omitempty"`
	Excluded   vote.Exclusion  `json:"excluded,omitempty"`
	Error      string          `json:"error,omitempty"`
	Lowest     *float64        `json:"lowest,omitempty"`
	Mean       *float64        `json:"mean,omitempty"`
	Bottom10   *float64        `json:"bottom10,omitempty"`
	Tail       *float64        `json:"tail,omitempty"`
	Weight     *float64        `json:"weight,omitempty"`
	Seconds    float64         `json:"seconds,omitempty"`
	FirstToken float64         `json:"first_token_seconds,omitempty"`
	AfterStop  int             `json:"after_stop,omitempty"`
	Thoughts   int             `json:"thoughts,omitempty"`
	Cut        bool            `json:"cut,omitempty"` // of a replay: how it would have gone on is not known
}

// voted is a state of the vote, and how many tokens had been spent by then.
type voted struct {
	Used    int      `json:"used"`
	Leader  *string  `json:"leader"`
	Beta    *float64 `json:"beta"`
	Filter  bool     `json:"filtered"` // by s
	Classes []class  `json:"classes"`
	Others  float64  `json:"others,omitempty"` // weight of the classes beyond mostClasses
}

type class struct {
	Answer string  `json:"answer"`
	Weight float64 `json:"weight"`
	Count  int     `json:"count"`
}

const (
	mostClasses = journal.MostClasses
	textShown   = 1 << 20 // bytes of the winning text in a frame; all of it is the trace's
	labelLength = 400     // bytes of an answer or a question where it is a label
)

// Tap implements [server.Watch].
func (s *show) Tap(g llm.Generator) llm.Generator { return newTap(g, s) }

// Event implements [server.Watch].
func (s *show) Event(e reason.Event) {
	s.mu.Lock()
	touched := s.event(e)
	s.mu.Unlock()
	if touched >= 0 {
		s.touch(traceTopic(s.id, touched))
	} else {
		s.touch()
	}
}

// touch says that the request has changed, and so the lists that it is in.
func (s *show) touch(more ...string) {
	s.p.hub.touch(append(more, "asks", "asks@"+s.client, "ask/"+s.id)...)
}

// event takes an event in and says which trace it is about, or -1.
func (s *show) event(e reason.Event) int {
	switch e := e.(type) {
	case reason.RunStarted:
		s.head.Started = &e
		s.headRev++
	case reason.Calibrated:
		s.head.Calibrated = &e
		s.headRev++
		if s.head.Started != nil && s.head.Started.Window == reason.Auto {
			s.remeasure(e.Window)
		}
	case reason.Warning:
		s.warnings = append(s.warnings, e)
	case reason.Vote:
		s.votes = append(s.votes, newVoted(e, 0))
	case reason.TraceStarted:
		s.traces = append(s.traces, &trace{head: traceHead{Phase: e.Phase, Seed: e.Seed, MaxTokens: e.MaxTokens, RetryOf: e.RetryOf, State: stateRunning}})
		return e.Trace
	case reason.TraceProgress:
		t := s.traces[e.Trace]
		t.tokens = e.Tokens
		s.grow(t, e)
		return e.Trace
	case reason.Thought:
		t := s.traces[e.Trace]
		t.thoughts = append(t.thoughts, e.Thought)
		t.head.Thoughts, t.rev = len(t.thoughts), t.rev+1
		return e.Trace
	case reason.TraceStopped:
		t := s.traces[e.Trace]
		h := &t.head
		h.State, h.Reason, h.Group, h.S, t.tokens = "stopped", e.Reason, e.Group, e.S, e.TokenIndex
		if e.Group != nil {
			t.groups = append(t.groups, float32(*e.Group))
		}
		t.rev++
		return e.Trace
	case reason.TraceFinished:
		t := s.traces[e.Trace]
		h := &t.head
		h.State, h.Reason, h.Answer, h.Class, h.Lowest, h.Votes, h.Excluded, h.Error = "finished", e.Reason, label(e.Answer), label(e.Class), e.Lowest, e.Votes, e.Excluded, e.Error
		t.tokens = e.Tokens
		t.rev++
		return e.Trace
	}
	return -1
}

// grow appends what has come of a trace, as far as it can be kept.
func (s *show) grow(t *trace, e reason.TraceProgress) {
	n := 4*len(e.Groups) + len(e.Text) + len(e.Reasoning)
	if t.cut || !s.p.keep(n) {
		t.cut, s.head.Cut = true, true
		s.headRev++
		return
	}
	s.kept += n
	for _, g := range e.Groups {
		t.groups = append(t.groups, float32(g))
	}
	t.text = append(t.text, e.Text...)
	t.reasoning = append(t.reasoning, e.Reasoning...)
}

// remeasure gives traces that were measured before the window was known the groups
// that they are judged by.
func (s *show) remeasure(window int) {
	for i, t := range s.traces {
		if i < len(s.made) && len(t.groups) > 0 {
			if g := s.made[i].groups(window, len(t.groups)); g != nil {
				t.groups, t.gen = g, t.gen+1
			}
		}
	}
}

func (s *show) used() (n int) {
	for _, t := range s.traces {
		n += t.tokens
	}
	return n
}

// newVoted is a state of the vote. Others are the weight of classes that e lacks.
func newVoted(e reason.Vote, others float64) voted {
	v := voted{Used: e.Used, Leader: label(e.Leader), Beta: e.Beta, Filter: e.Calibrated, Others: others}
	for i, c := range e.Classes {
		if i < mostClasses {
			v.Classes = append(v.Classes, class{clip(c.Answer, labelLength), c.Weight, c.Count})
		} else {
			v.Others += c.Weight
		}
	}
	return v
}

// Ended implements [server.Watch].
func (s *show) Ended(e server.Ended) {
	s.mu.Lock()
	h := &s.head
	h.Ended, h.Reason, h.Error, s.running = &e.Time, string(e.Reason), e.Error, false
	switch {
	case e.Reason == server.ClientCancelled || e.Reason == server.Drained:
		h.State = stateStopped
	case e.Error != "":
		h.State = stateFailed
	default:
		h.State = stateDone
	}
	if r := e.Result; r != nil {
		s.conclude(r)
	}
	for _, m := range s.made {
		if m != s.winner {
			s.p.keep(-m.drop())
		}
	}
	s.made = nil
	s.headRev++
	n := len(s.traces)
	s.mu.Unlock()
	var texts []string
	for i := range n {
		texts = append(texts, traceTopic(s.id, i))
	}
	s.touch(texts...)
	s.p.evict()
}

// conclude takes the result in: what it says of each trace, and the winning text.
func (s *show) conclude(r *reason.Result) {
	if w := s.head.Started; w != nil && w.Window == reason.Auto && s.head.Calibrated == nil && r.Window > 0 {
		s.remeasure(r.Window)
	}
	for i, tr := range r.Traces {
		if i >= len(s.traces) {
			break
		}
		t := s.traces[i]
		t.tokens, t.rev = tr.Tokens, t.rev+1
		h := &t.head
		h.Mean, h.Lowest, h.Bottom10, h.Tail, h.Weight = tr.Mean, tr.Lowest, tr.Bottom10, tr.Tail, tr.Weight
		h.Seconds, h.FirstToken, h.AfterStop, h.Votes = tr.Seconds, tr.FirstToken, tr.AfterStop, &tr.Votes
		if tr.Excluded != nil {
			h.Excluded = *tr.Excluded
		}
	}
	head := *r
	head.Traces, head.Text = nil, "" // they are in s.traces already, and counted there
	res := &result{Result: &head, Text: clip(r.Text, textShown), Count: r.Tokens}
	from := -1
	if r.Winner != nil {
		from = *r.Winner
	} else if len(r.Traces) == 1 {
		from = 0
	}
	if from >= 0 && from < len(s.made) {
		s.winner = s.made[from]
		s.winner.text = []byte(r.Traces[from].Text)
		s.winner.limit = r.Traces[from].Tokens
		res.Tokens = s.winner.has()
		if len(r.Traces) == 1 {
			res.Text, res.Reasoning = clip(r.Traces[0].Text, textShown), clip(r.Traces[0].Reasoning, textShown)
		}
	}
	s.head.Result = res
}

// release counts all that is kept as no longer kept. The lock is held.
func (s *show) release() {
	s.p.keep(-s.kept)
	s.kept = 0
	if s.winner != nil {
		s.p.keep(-s.winner.drop())
	}
}

// saved is the estimate of the tokens saved so far, by the result's definition.
func (s *show) saved() *float64 {
	if r := s.head.Result; r != nil {
		return r.Count.SavedEstimate
	}
	ended := make([]reason.TraceResult, 0, len(s.traces))
	for _, t := range s.traces {
		if t.head.State == stateRunning {
			continue
		}
		r := reason.TraceResult{Phase: t.head.Phase, StopReason: t.head.Reason, Tokens: t.tokens}
		if t.head.State == "stopped" {
			r.TokenIndex = &r.Tokens
		}
		ended = append(ended, r)
	}
	return reason.Count(ended, 0).SavedEstimate
}

// shown is a frame of a request.
type shown struct {
	Head     *head            `json:"head,omitempty"`
	Used     int              `json:"used"`
	Saved    *float64         `json:"saved"`
	Traces   []shownTrace     `json:"traces,omitempty"`
	VotesAt  int              `json:"votes_at"`
	NoVotes  bool             `json:"no_votes,omitempty"` // how the vote shifted is not known
	Votes    []voted          `json:"votes,omitempty"`
	Warnings []reason.Warning `json:"warnings,omitempty"`
	Gone     bool             `json:"gone,omitempty"` // it is no longer kept here
}

// shownTrace is what changed of a trace. Groups are little-endian float32, the first
// of them that of the scored token At.
type shownTrace struct {
	N      int        `json:"n"`
	Head   *traceHead `json:"head,omitempty"`
	Tokens int        `json:"tokens"`
	At     int        `json:"at"`
	Groups []byte     `json:"groups,omitempty"`
}

// showMark is how far a request has been told.
type showMark struct {
	head, votes, warnings, used int
	traces                      []traceMark
}

type traceMark struct{ rev, tokens, groups, gen int }

// frame implements [source].
func (s *show) frame(since any) ([]byte, any) {
	was, _ := since.(*showMark)
	f, now, parts, changed := s.collect(was)
	if was != nil && !changed {
		return nil, was
	}
	for i, g := range parts { // outside the lock: groups are only appended to
		f.Traces[i].Groups = packed(g)
	}
	body, err := json.Marshal(f)
	if err != nil {
		panic(err) // numbers are finite and texts are strings
	}
	return body, now
}

func (s *show) collect(was *showMark) (f shown, now *showMark, parts [][]float32, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := showMark{head: -1, warnings: -1}
	if was != nil {
		old = *was
	}
	now = &showMark{head: s.headRev, votes: len(s.votes), warnings: len(s.warnings), used: s.used(), traces: make([]traceMark, len(s.traces))}
	f = shown{Used: now.used, Saved: s.saved(), VotesAt: old.votes, Votes: s.votes[old.votes:]}
	if old.head != s.headRev {
		h := s.head
		f.Head = &h
	}
	if old.warnings != now.warnings {
		f.Warnings = slices.Clone(s.warnings)
	}
	changed = f.Head != nil || f.Warnings != nil || len(f.Votes) > 0 || old.used != now.used
	for i, t := range s.traces {
		m := traceMark{t.rev, t.tokens, len(t.groups), t.gen}
		now.traces[i] = m
		last := traceMark{rev: -1}
		if i < len(old.traces) {
			last = old.traces[i]
		}
		if m == last {
			continue
		}
		changed = true
		st := shownTrace{N: i, Tokens: t.tokens, At: last.groups}
		if last.gen != m.gen {
			st.At = 0
		}
		if last.rev != m.rev {
			h := t.head
			st.Head = &h
		}
		f.Traces, parts = append(f.Traces, st), append(parts, t.groups[st.At:])
	}
	return f, now, parts, changed
}

// packed is groups as little-endian float32.
func packed(g []float32) []byte {
	if len(g) == 0 {
		return nil
	}
	b := make([]byte, 0, 4*len(g))
	for _, v := range g {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// clip shortens a text to n bytes, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func label(s *string) *string {
	if s == nil {
		return nil
	}
	short := clip(*s, labelLength)
	return &short
}
