package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"orrery/record"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

// ReplayParams are the settings that a request was run with, as a replay takes them.
func ReplayParams(run *record.Run) (reason.ReplayParams, error) {
	var p reason.ReplayParams
	if !isRequest(run) {
		return p, fmt.Errorf("replay run %s: it is of kind %s, which has no traces: give one of kind serve or ask", run.ID, run.Kind)
	}
	var s settings
	if err := json.Unmarshal(run.Config, &s); err != nil {
		return p, fmt.Errorf("replay run %s: its settings: %w", run.ID, err)
	}
	p = reason.ReplayParams{Tail: s.Params.Tail, Tau: s.Params.Tau, MinVotes: s.Params.MinVotes, Floor: s.Params.Floor,
		NoConsensus: s.Params.Consensus != nil && !*s.Params.Consensus}
	if u := s.Used; u != nil {
		p.Window, p.K, p.Warmup, p.Threshold, p.Budget, p.TokenBudget = u.Window, u.K, u.Warmup, u.Threshold, u.Budget, u.TokenBudget
		if u.Eta != nil {
			p.Eta = *u.Eta
		}
	}
	return p, nil
}

// Replay decides a request's traces again, by its own settings as change leaves them;
// nil changes nothing. Of a run that decided one trace at a time the decisions are
// those of the run, to the bit; traces that the run had cut short are as short here.
//
// It is an error to change k or the floor where only confidences were kept: they say
// how confidences are made of alternatives.
func Replay(ctx context.Context, s *record.Store, id string, change func(*reason.ReplayParams)) (*reason.Report, error) {
	run, err := s.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	own, err := ReplayParams(run)
	if err != nil {
		return nil, err
	}
	p := own
	if change != nil {
		change(&p)
	}
	kept, err := record.ParseKeep(run.Keep)
	if err != nil {
		return nil, fmt.Errorf("replay run %s: %w", run.ID, err)
	}
	if kept&record.KeepAlternatives == 0 && (p.K != own.K || p.Floor != own.Floor) {
		return nil, fmt.Errorf("replay run %s: k and floor say how confidence is made of a token's alternatives, which were not kept: leave them as they were, or ask again with --keep text,confidence,alternatives", run.ID)
	}
	in, out := io.Pipe()
	go func() {
		_, err := WriteTraces(ctx, out, s, run.ID)
		out.CloseWithError(err)
	}()
	defer in.Close()
	return reason.Replay(ctx, in, p)
}

// Written says what [WriteTraces] wrote.
type Written struct {
	Traces int  // written
	Failed int  // left out: their generator failed, and a replay would take them for whole
	Unkept bool // there were confidences, but they were not kept: no token is scored
}

// traceLine is one line of replay's format, and what it does not read.
type traceLine struct {
	reason.TraceRecord
	Phase string `json:"phase"`
	Seed  uint64 `json:"seed"`
}

// WriteTraces writes a run's traces, by its whole id, in the format that
// `orrery replay` reads, one at a time. Where alternatives were kept they are what is
// written. Where only confidences were, each token gets one alternative, of
// log-probability -C: its mean over the greatest k is C exactly, whatever k is.
func WriteTraces(ctx context.Context, w io.Writer, s *record.Store, id string) (Written, error) {
	var n Written
	run, err := s.Run(ctx, id)
	if err != nil {
		return n, err
	}
	if !isRequest(run) {
		return n, fmt.Errorf("run %s is of kind %s, which has no traces", run.ID, run.Kind)
	}
	list, err := s.Traces(ctx, run.ID, 0)
	if err != nil {
		return n, err
	}
	kept, err := record.ParseKeep(run.Keep)
	if err != nil {
		return n, err
	}
	n.Unkept = kept&(record.KeepConfidence|record.KeepAlternatives) == 0
	out := bufio.NewWriter(w)
	for i := range list {
		if list[i].StopReason == string(vote.UpstreamError) {
			n.Failed++
			continue
		}
		t, err := s.Trace(ctx, run.ID, list[i].Number, record.KeepConfidence|record.KeepAlternatives)
		if err != nil {
			return n, err
		}
		var d reason.TraceResult
		json.Unmarshal(t.Detail, &d) // what it lacks is not written
		b, err := json.Marshal(traceLine{reason.TraceRecord{ID: strconv.AppendInt(nil, int64(t.Number), 10), Answer: t.Answer, Tokens: Tokens(t),
			StopReason: vote.StopReason(t.StopReason), Thoughts: d.Thoughts}, t.Phase, t.Seed})
		if err != nil {
			return n, fmt.Errorf("trace %d of run %s: %w", t.Number, run.ID, err)
		}
		out.Write(b)
		out.WriteByte('\n')
		n.Traces++
	}
	return n, out.Flush()
}

// Tokens are a stored trace's tokens as a replay reads them; see [WriteTraces].
func Tokens(t *record.Trace) []reason.TokenRecord {
	n := t.Tokens
	if t.Confidences != nil {
		n = len(t.Confidences)
	} else if t.Top != nil {
		n = len(t.Top)
	}
	out := make([]reason.TokenRecord, n)
	flat := make([]float64, len(t.Confidences)) // one allocation for all
	for i := range out {
		out[i].Top = reason.Entries{}
		switch {
		case i < len(t.Top):
			out[i].Top = t.Top[i]
			if i < len(t.Logprobs) && !math.IsNaN(t.Logprobs[i]) && !math.IsInf(t.Logprobs[i], 0) {
				out[i].Logprob = &t.Logprobs[i]
			}
		case i < len(t.Confidences) && !math.IsNaN(t.Confidences[i]):
			flat[i] = -t.Confidences[i]
			out[i].Top = flat[i : i+1]
		}
	}
	return out
}

// Groups has for each scored token of a stored trace the confidence of the group that
// ends there, of all tokens so far until the window is full, as reason.TraceProgress
// does while the trace is thought.
func Groups(t *record.Trace, window int) []float64 {
	tr := confidence.New(confidence.Config{Window: window})
	tr.Grow(len(t.Confidences))
	out := make([]float64, 0, len(t.Confidences))
	for _, c := range t.Confidences {
		if math.IsNaN(c) {
			continue
		}
		tr.Push(c)
		g, _ := tr.Group()
		out = append(out, g)
	}
	return out
}

// TokenTexts is what each token of a stored trace says, as far as its alternatives
// were kept and it is one of them; "" otherwise.
func TokenTexts(t *record.Trace) []string {
	rest := t.Reasoning + t.Text
	out := make([]string, len(t.Top))
	for i := range t.Top {
		tok := llm.Token{Top: t.Top[i], Logprob: math.NaN()}
		if i < len(t.Logprobs) && i < len(t.TopTexts) {
			tok.Logprob, tok.TopText = t.Logprobs[i], t.TopTexts[i]
		}
		out[i] = tok.Name(rest)
		if len(out[i]) <= len(rest) && rest[:len(out[i])] == out[i] {
			rest = rest[len(out[i]):]
		}
	}
	return out
}
