package reason

import (
	"context"
	"strings"
	"time"

	"orrery/think/llm"
	"orrery/think/vote"
)

// stream is what the engine keeps of one trace beside the machine's record.
type stream struct {
	rec     *vote.Record
	seed    uint64
	cancel  context.CancelFunc
	started time.Time

	said, thought           []byte // the two channels up to the decision
	thoughts                []llm.Thought
	shownSaid, shownThought int // of them, reported by progress
	shownTokens             int
	shown                   time.Time

	groups []float64 // confidences since the last report
	scored int       // tokens that they and the earlier ones are of

	entries  int // Token events
	usage    int // the server's own count so far
	end      llm.End
	err      error
	finished time.Time
}

func (s *stream) add(c llm.Channel, text []byte) {
	if c == llm.Reasoning {
		s.thought = append(s.thought, text...)
	} else {
		s.said = append(s.said, text...)
	}
}

func (s *stream) text() string      { return string(s.said) }
func (s *stream) reasoning() string { return string(s.thought) }

// oversized bounds memory against a server that sends text without end. The
// longest tokens in use are runs of 128 blanks; a megabyte is slack for servers
// that count differently.
func (s *stream) oversized() bool {
	return len(s.said)+len(s.thought) > 1<<20+128*s.rec.Cap
}

// counted says what the number of tokens rests on.
func (s *stream) counted(k int) llm.Count {
	switch {
	case k == 0 && (s.usage > 0 || s.end.Counted == llm.CountUsage):
		return llm.CountUsage
	case k > 0 || s.entries > 0:
		return llm.CountEntries
	}
	return llm.CountEstimate
}

// count is the number of tokens of a trace whose log-probabilities were not
// asked for, by the best that is known.
func (s *stream) count() int {
	if n := max(s.end.Tokens, s.usage, s.entries); n > 0 {
		return n
	}
	return (len(s.said) + len(s.thought) + 2) / 3 // the estimate that llm.CountEstimate names
}

// stopped says that we ended the trace: by a decision about it, or because the
// run ended, be it that every other trace would fail as one has.
func (s *stream) stopped() bool { return !s.rec.Reason.Completed() && s.err == nil }

// whole is the trace's answer text without hidden reasoning.
func (s *stream) whole() string {
	text := s.text()
	if i := strings.LastIndex(text, "</think>"); i >= 0 {
		text = text[i+len("</think>"):]
	}
	return strings.TrimSpace(text)
}

// progress reports a running trace if it is time to, or at once.
func (e *engine) progress(s *stream, now bool) {
	if s.rec.Reason == vote.Running && (now || time.Since(s.shown) >= ProgressInterval) {
		e.flush(s)
	}
}

// measure notes the group that the last token has made, if it was scored.
func (s *stream) measure() {
	if g, n := s.rec.SoFar(); n > s.scored {
		s.groups, s.scored = append(s.groups, g), n
	}
}

// flush reports what has come since the last report, if anything.
func (e *engine) flush(s *stream) {
	if s.rec.Tokens == s.shownTokens && len(s.said) == s.shownSaid && len(s.thought) == s.shownThought {
		return
	}
	ev := TraceProgress{Trace: s.rec.ID, Tokens: s.rec.Tokens,
		Text: string(s.said[s.shownSaid:]), Reasoning: string(s.thought[s.shownThought:])}
	ev.Groups, s.groups = s.groups, nil
	if c, ok := s.rec.LastConfidence(); ok {
		ev.Confidence = &c
	}
	if g, ok := s.rec.Progress(); ok {
		ev.Group = &g
	}
	s.shown, s.shownTokens, s.shownSaid, s.shownThought = time.Now(), s.rec.Tokens, len(s.said), len(s.thought)
	e.emit(ev)
}

// report says how a trace ended.
func (e *engine) report(s *stream) {
	now := *s.rec // the machine measures warm-ups again when it has chosen the window
	r := &now
	if s.stopped() {
		ev := TraceStopped{Trace: r.ID, Reason: r.Reason, TokenIndex: r.Tokens}
		if r.Reason == vote.LowConfidence {
			ev.Group = &r.Group
		}
		if threshold, ok := e.m.Threshold(); ok {
			ev.S = &threshold
		}
		e.emit(ev)
		return
	}
	ev := TraceFinished{Trace: r.ID, Reason: r.Reason, Tokens: r.Tokens, Excluded: r.Excluded}
	if !r.Key.IsZero() {
		class := r.Key.String()
		ev.Answer, ev.Class = &r.Answer, &class
	}
	if r.Measures.Scored > 0 {
		ev.Lowest = &r.Measures.Lowest
	}
	if r.Decided {
		ev.Votes = &r.Votes
	}
	if s.err != nil {
		ev.Error = s.err.Error()
	}
	e.emit(ev)
}

// vote is the state of the vote as an event.
func (e *engine) vote() Vote {
	o := e.m.Outcome()
	ev := Vote{Used: e.m.Used(), Calibrated: e.m.Calibrated(), Classes: classes(o.Tally)}
	if o.Winner >= 0 {
		ev.Leader = &o.Answer
	}
	if beta, ok := o.Beta(); ok {
		ev.Beta = &beta
	}
	return ev
}
