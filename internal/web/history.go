package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/record"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

const (
	pageLength  = 50 // runs of one answer
	mostReplays = 2  // at once: each reads and decides a million tokens
)

const noStore = "nothing is recorded here: start orrery serve without --store none"

// Records gives the page the store of what was run; nil: there is none.
func (p *Page) Records(s *record.Store) { p.store.Store(s) }

// records is the store, or says that there is none.
func (p *Page) records(w http.ResponseWriter) *record.Store {
	s := p.store.Load()
	if s == nil {
		fail(w, http.StatusNotFound, noStore)
	}
	return s
}

// pastRun is a recorded run in a list.
type pastRun struct {
	ID       string       `json:"id"`
	Kind     string       `json:"kind"`
	Name     string       `json:"name"`
	Method   string       `json:"method,omitempty"`
	Model    string       `json:"model,omitempty"`
	State    record.State `json:"state"`
	Started  time.Time    `json:"started"`
	Seconds  float64      `json:"seconds"`
	Client   string       `json:"client,omitempty"`
	Request  string       `json:"request,omitempty"` // its id while it is kept live
	Question *string      `json:"question"`
	Answer   *string      `json:"answer"`
	Tokens   int          `json:"tokens"`
	Saved    *float64     `json:"saved"`
	Traces   int          `json:"traces"`
	Error    string       `json:"error,omitempty"`
	Report   bool         `json:"report"` // it has one
	Folder   bool         `json:"folder"`

	Metrics json.RawMessage `json:"metrics,omitempty"`
}

func (p *Page) pastRun(r *record.Run) pastRun {
	out := pastRun{ID: r.ID, Kind: r.Kind, Name: r.Name, Method: r.Method, Model: r.Model, State: r.State, Started: r.Started,
		Seconds: r.Seconds(time.Now()), Client: r.Client, Question: asked(r.Question), Answer: label(r.Answer), Tokens: r.Tokens, Saved: r.Saved,
		Traces: r.Traces, Error: clip(r.Error, labelLength), Report: r.Report != "", Folder: r.Dir != ""}
	if json.Valid(r.Metrics) { // else frames of it could not be written
		out.Metrics = r.Metrics
	}
	out.Question = label(out.Question)
	if r.Request != "" && p.find(r.Request) != nil { // whoever may see the run may see that
		out.Request = r.Request
	}
	return out
}

// asked is a question without what the page's form puts behind it.
func asked(q *string) *string {
	if q == nil {
		return nil
	}
	text := strings.TrimSuffix(*q, boxSuffix)
	return &text
}

// history answers GET /api/history: requests, the newest first.
func (p *Page) history(w http.ResponseWriter, r *http.Request) { p.list(w, r, journal.Kinds) }

// list answers with recorded runs of some kinds.
func (p *Page) list(w http.ResponseWriter, r *http.Request, kinds []string) {
	s := p.records(w)
	if s == nil {
		return
	}
	q := r.URL.Query()
	f := record.Filter{Kinds: kinds, Method: q.Get("method"), State: record.State(q.Get("state")), Find: q.Get("find"), Before: q.Get("before"), Limit: pageLength + 1}
	if k := q.Get("kind"); slices.Contains(kinds, k) {
		f.Kinds = []string{k}
	}
	if v := viewerOf(r.Context()); !v.all {
		f.Client = v.client
	}
	runs, err := s.List(r.Context(), f)
	if err != nil {
		failRecord(w, err)
		return
	}
	more := len(runs) > pageLength
	runs = runs[:min(len(runs), pageLength)]
	out := make([]pastRun, len(runs))
	for i := range runs {
		out[i] = p.pastRun(&runs[i])
	}
	reply(w, http.StatusOK, map[string]any{"runs": out, "more": more, "store": s.Name()})
}

// failRecord answers with an error of the store's.
func failRecord(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e *record.Error
	switch {
	case errors.Is(err, record.ErrNotFound):
		status = http.StatusNotFound
	case errors.As(err, &e) && e.Temporary():
		status = http.StatusServiceUnavailable
	}
	fail(w, status, err.Error())
}

// settings are what a journal writes down of how a request was asked.
type settings struct {
	Params reason.Params      `json:"params"`
	Used   *reason.RunStarted `json:"used"`
}

// pastRequest answers GET /api/history/{id}: a recorded request as the stream would
// have told it.
func (p *Page) pastRequest(w http.ResponseWriter, r *http.Request) {
	run := p.seen(w, r)
	if run == nil {
		return
	}
	s := p.store.Load()
	own, err := journal.ReplayParams(run)
	if err != nil {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	traces, err := s.Traces(r.Context(), run.ID, record.KeepConfidence)
	if err != nil {
		failRecord(w, err)
		return
	}
	f, err := pastShown(run, traces)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]any{"run": p.pastRun(run), "keep": run.Keep, "own": own, "resolved": own.Resolved(), "shown": f})
}

// pastShown is a recorded request as a frame.
func pastShown(run *record.Run, traces []record.Trace) (shown, error) {
	var set settings
	var res reason.Result
	h := head{ID: run.ID, Time: run.Started, Model: run.Model, Method: run.Method, State: pastState(run.State), Error: run.Error}
	if json.Unmarshal(run.Config, &set) == nil {
		h.Params, h.Started = set.Params, set.Used
	}
	if q := asked(run.Question); q != nil {
		h.Question = clip(*q, textShown)
	}
	if !run.Ended.IsZero() {
		h.Ended = &run.Ended
	}
	window := 0
	if h.Started != nil && h.Started.Window > 0 {
		window = int(h.Started.Window)
	}
	if len(run.Result) > 0 && json.Unmarshal(run.Result, &res) == nil {
		window = max(window, res.Window)
		if res.Window > 0 {
			window = res.Window
		}
		count := res.Tokens
		res.Traces = nil
		h.Result = &result{Result: &res, Text: clip(res.Text, textShown), Count: count, Tokens: run.Keep != "" && strings.Contains(run.Keep, record.KeepAlternatives.String())}
		if res.S != nil && h.Started != nil && h.Started.Warmup > 0 {
			h.Calibrated = &reason.Calibrated{S: *res.S, Window: window, N: calibrators(traces)}
			if h.Started.Eta != nil {
				h.Calibrated.Eta = *h.Started.Eta
			}
		}
	}
	f := shown{Head: &h, Used: run.Tokens, Saved: run.Saved, Warnings: res.Warnings}
	for i := range traces {
		f.Traces = append(f.Traces, pastTrace(&traces[i], window, res.S))
	}
	list, known, err := journal.Votes(run)
	f.NoVotes = !known
	for _, v := range list {
		f.Votes = append(f.Votes, newVoted(v.Vote, v.Others))
	}
	return f, err
}

func pastState(s record.State) string {
	if s == record.Lost {
		return "lost"
	}
	return string(s)
}

// calibrators counts the warm-ups that a threshold was made from.
func calibrators(traces []record.Trace) (n int) {
	for i := range traces {
		if t := &traces[i]; t.Phase == string(vote.Warmup) && vote.StopReason(t.StopReason).Completed() && t.Lowest != nil {
			n++
		}
	}
	return n
}

// pastTrace is a recorded trace in a frame.
func pastTrace(t *record.Trace, window int, s *float64) shownTrace {
	var d reason.TraceResult
	json.Unmarshal(t.Detail, &d) // of what it lacks nothing is shown
	h := traceHead{Phase: vote.Phase(t.Phase), Seed: t.Seed, RetryOf: d.RetryOf, State: "finished", Reason: vote.StopReason(t.StopReason),
		Answer: label(t.Answer), Votes: t.Votes, Excluded: vote.Exclusion(t.Excluded), Error: d.Error, Lowest: t.Lowest, Mean: t.Mean, Bottom10: t.Bottom10,
		Tail: t.Tail, Weight: t.Weight, Seconds: t.Seconds, FirstToken: d.FirstToken, AfterStop: d.AfterStop, Thoughts: len(d.Thoughts)}
	if !h.Reason.Completed() && h.Reason != vote.UpstreamError {
		h.State, h.Group, h.S = "stopped", d.Group, s
		h.Answer = nil // as live: what a stopped trace had written is no answer
	}
	out := shownTrace{N: t.Number, Head: &h, Tokens: t.Tokens}
	if t.Confidences != nil {
		out.Groups = packed(narrow(journal.Groups(t, window)))
	}
	return out
}

func narrow(g []float64) []float32 {
	out := make([]float32, len(g))
	for i, v := range g {
		out[i] = float32(v)
	}
	return out
}

// pastTraceText answers GET /api/history/{id}/traces/{n}.
func (p *Page) pastTraceText(w http.ResponseWriter, r *http.Request) {
	run := p.seen(w, r)
	if run == nil {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		fail(w, http.StatusBadRequest, "a trace is named by its number")
		return
	}
	t, err := p.store.Load().Trace(r.Context(), run.ID, n, record.KeepText)
	if err != nil {
		failRecord(w, err)
		return
	}
	var d reason.TraceResult
	json.Unmarshal(t.Detail, &d)
	reply(w, http.StatusOK, textFrame{Text: t.Text, Reasoning: t.Reasoning, Thoughts: d.Thoughts})
}

// pastTokens answers GET /api/history/{id}/tokens: the winning text by token.
func (p *Page) pastTokens(w http.ResponseWriter, r *http.Request) {
	run := p.seen(w, r)
	if run == nil {
		return
	}
	var res reason.Result
	if json.Unmarshal(run.Result, &res) != nil || res.Winner == nil {
		fail(w, http.StatusNotFound, "this request has no winning trace")
		return
	}
	t, err := p.store.Load().Trace(r.Context(), run.ID, *res.Winner, record.KeepText|record.KeepAlternatives)
	if err != nil {
		failRecord(w, err)
		return
	}
	m := &made{keep: func(int) bool { return true }, limit: t.Tokens}
	for i := range t.Top {
		tok := llm.Token{Top: t.Top[i]}
		if i < len(t.Logprobs) && i < len(t.TopTexts) {
			tok.Logprob, tok.TopText = t.Logprobs[i], t.TopTexts[i]
		}
		m.add(tok)
	}
	reply(w, http.StatusOK, map[string]any{"pieces": pieces(t.Text, m.all())})
}

// replay answers POST /api/history/{id}/replay: what other settings would have decided
// about the traces that were recorded, as a frame like that of the request itself.
func (p *Page) replay(w http.ResponseWriter, r *http.Request) {
	run := p.seen(w, r)
	if run == nil {
		return
	}
	s := p.store.Load()
	var change replayed
	if !server.Decode(w, r, maxQuestion, &change) {
		return
	}
	select {
	case p.replays <- struct{}{}:
		defer func() { <-p.replays }()
	case <-r.Context().Done():
		return
	}
	var was struct{ Window reason.Window } // that auto came to
	json.Unmarshal(run.Result, &was)
	report, err := journal.Replay(r.Context(), s, run.ID, func(p *reason.ReplayParams) { change.apply(p, was.Window) })
	if err != nil {
		var e *record.Error
		if errors.As(err, &e) {
			failRecord(w, err)
			return
		}
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	traces, err := s.Traces(r.Context(), run.ID, record.KeepConfidence)
	if err != nil {
		failRecord(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"params": report.Params, "online": report.Online, "shown": replayShown(run, traces, report)})
}

// replayed are the settings that the page changes; nil is as the request had it.
type replayed struct {
	Eta       *float64       `json:"eta"`
	Window    *reason.Window `json:"window"`
	Threshold *float64       `json:"threshold"`
	Tau       *float64       `json:"tau"`
	Warmup    *int           `json:"warmup"`
	Budget    *int           `json:"budget"`
	MinVotes  *int           `json:"min_votes"`
	Consensus *bool          `json:"consensus"`
}

// apply changes the settings. A threshold and a warm-up exclude each other: the one
// that is given wins. Without a warm-up the window is the one that the run came to.
func (c *replayed) apply(p *reason.ReplayParams, was reason.Window) {
	if c.Threshold != nil {
		p.Threshold, p.Warmup = c.Threshold, 0
		if p.Window == reason.Auto {
			p.Window = was
		}
	}
	if c.Threshold == nil && (c.Eta != nil || c.Warmup != nil) {
		p.Threshold = nil
	}
	change(&p.Eta, c.Eta)
	change(&p.Window, c.Window)
	if c.Window != nil {
		p.Tail = 0
	}
	change(&p.Tau, c.Tau)
	change(&p.Warmup, c.Warmup)
	change(&p.Budget, c.Budget)
	change(&p.MinVotes, c.MinVotes)
	if c.Consensus != nil {
		p.NoConsensus = !*c.Consensus
	}
}

func change[T any](v *T, to *T) {
	if to != nil {
		*v = *to
	}
}

// replayShown is a replay as a frame of the request.
func replayShown(run *record.Run, traces []record.Trace, rep *reason.Report) shown {
	o := &rep.Online
	saved := float64(o.TokensSaved)
	h := head{ID: run.ID, Model: run.Model, Method: run.Method, State: stateDone}
	h.Started = &reason.RunStarted{Method: run.Method, Budget: len(o.Traces) + len(o.NotLaunched), K: rep.Params.K, Window: reason.Window(rep.Params.Window), Threshold: rep.Params.Threshold}
	if rep.Params.Warmup != nil {
		h.Started.Warmup = *rep.Params.Warmup
	}
	res := reason.Result{Answer: o.Answer, S: o.S, StoppedBy: o.StoppedBy, Launched: len(o.Traces), NotLaunched: len(o.NotLaunched), Window: rep.Params.Window, Votes: classesOf(o)}
	if n := len(o.Beta); n > 0 {
		res.Beta = o.Beta[n-1]
	}
	if o.Fallback != nil {
		res.Fallback = *o.Fallback
	}
	h.Result = &result{Result: &res}
	f := shown{Head: &h, Used: o.TokensUsed, Saved: &saved}
	decided := map[int]*reason.ReplayedDecision{}
	for i := range o.Traces {
		if n, err := strconv.Atoi(string(o.Traces[i].ID)); err == nil {
			decided[n] = &o.Traces[i]
		}
	}
	for i := range traces {
		f.Traces = append(f.Traces, replayTrace(&traces[i], decided[traces[i].Number], rep.Params.Window, o.S))
	}
	return f
}

// replayTrace is a trace as a replay decided about it; d nil: it would not have been
// launched.
func replayTrace(t *record.Trace, d *reason.ReplayedDecision, window int, s *float64) shownTrace {
	h := traceHead{Phase: vote.Phase(t.Phase), Seed: t.Seed, State: "absent"}
	if d == nil {
		return shownTrace{N: t.Number, Head: &h}
	}
	h.Phase, h.State, h.Votes, h.Weight, h.Lowest = d.Phase, "finished", &d.Votes, d.Weight, d.Lowest
	h.Reason = vote.StopReason(t.StopReason)
	if d.Excluded != nil {
		h.Excluded = *d.Excluded
	}
	out := shownTrace{N: t.Number, Head: &h, Tokens: d.TokensUsed}
	groups := narrow(journal.Groups(t, window))
	if d.StopToken != nil {
		h.State, h.Reason, h.S = "stopped", vote.StopReason(d.StopReason), s
		if n := scored(t, *d.StopToken); n < len(groups) {
			groups = groups[:n]
		}
		if n := len(groups); n > 0 && h.Reason == vote.LowConfidence {
			g := float64(groups[n-1])
			h.Group = &g
		}
	} else {
		h.Answer = label(t.Answer)
		// The run had cut it: what it would have gone on to say is not known.
		h.Cut = !h.Reason.Completed()
	}
	if t.Confidences != nil {
		out.Groups = packed(groups)
	}
	return out
}

// scored counts the scored ones among a trace's first n tokens.
func scored(t *record.Trace, n int) (m int) {
	for _, c := range t.Confidences[:min(n, len(t.Confidences))] {
		if c == c {
			m++
		}
	}
	return m
}

// classesOf are a replay's votes, the heaviest first.
func classesOf(o *reason.ReplayedOnline) []reason.Class {
	out := []reason.Class{}
	for answer, v := range o.V {
		out = append(out, reason.Class{Answer: answer, Weight: v, Count: o.Counts[answer]})
	}
	slices.SortFunc(out, func(a, b reason.Class) int {
		switch {
		case o.Answer != nil && (a.Answer == *o.Answer) != (b.Answer == *o.Answer):
			if a.Answer == *o.Answer {
				return -1
			}
			return 1
		case a.Weight != b.Weight:
			if a.Weight > b.Weight {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Answer, b.Answer)
	})
	return out
}

// boxSuffix is what [question.body] puts behind a question.
const boxSuffix = "\n\n" + reason.BoxInstruction
