package server

import (
	"fmt"
	"strings"
	"time"

	"orrery/think/reason"
)

// narrateEvery is the least time between two lines that only say that tokens
// have come. Decisions are told at once.
const narrateEvery = time.Second

// narrator tells a run's events in lines for people. It says what was decided
// and why, with numbers; models' answers in it are cut short and free of
// control characters.
type narrator struct {
	tokens map[int]int // of each trace so far
	shown  time.Time   // when the last line that counts tokens was made
}

// line is one event's line, with its line end; "": nothing worth a line.
func (n *narrator) line(ev reason.Event) string {
	switch ev := ev.(type) {
	case reason.RunStarted:
		n.tokens, n.shown = map[int]int{}, time.Now()
		return fmt.Sprintf("%s: at most %d traces of %s, %d at once, %d to calibrate on\n", ev.Method, ev.Budget, ev.Model, ev.Concurrency, ev.Warmup)
	case reason.TraceProgress:
		n.tokens[ev.Trace] = ev.Tokens
		if time.Since(n.shown) < narrateEvery {
			return ""
		}
		n.shown = time.Now()
		total := 0
		for _, t := range n.tokens {
			total += t
		}
		return fmt.Sprintf("%d tokens in %d traces\n", total, len(n.tokens))
	case reason.Thought:
		line := fmt.Sprintf("trace %d, thought %d:", ev.Trace, ev.Number)
		for i, r := range ev.Holds {
			if i > 0 && r.P < 0.005 {
				break // it would be told as 0.00
			}
			line += fmt.Sprintf(" %s %.2f", oneLine(r.Text), r.P)
		}
		return line + "\n"
	case reason.Calibrated:
		return fmt.Sprintf("calibrated on %d traces: confidence below %.3f over %d tokens stops a trace\n", ev.N, ev.S, ev.Window)
	case reason.TraceStopped:
		why := strings.ReplaceAll(string(ev.Reason), "_", " ")
		if ev.Group != nil {
			why = fmt.Sprintf("%s, %.3f", why, *ev.Group)
		}
		return fmt.Sprintf("trace %d stopped after %d tokens: %s\n", ev.Trace, ev.TokenIndex, why)
	case reason.TraceFinished:
		switch {
		case ev.Error != "":
			return fmt.Sprintf("trace %d failed after %d tokens\n", ev.Trace, ev.Tokens)
		case ev.Answer == nil:
			return fmt.Sprintf("trace %d finished after %d tokens without an answer\n", ev.Trace, ev.Tokens)
		}
		return fmt.Sprintf("trace %d finished after %d tokens: %s\n", ev.Trace, ev.Tokens, oneLine(*ev.Answer))
	case reason.Vote:
		if ev.Leader == nil || ev.Beta == nil {
			return ""
		}
		votes := 0
		for _, c := range ev.Classes {
			votes += c.Count
		}
		return fmt.Sprintf("%s leads with %.0f %% of %d votes\n", oneLine(*ev.Leader), 100**ev.Beta, votes)
	case reason.Warning:
		return "note: " + oneLine(ev.Message) + "\n"
	}
	return ""
}

// oneLine cuts a text to a line that does no harm.
func oneLine(s string) string {
	const most = 200
	n := 0
	s = strings.Map(func(r rune) rune {
		if n++; n > most {
			return -1
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if n > most {
		s += "…"
	}
	return s
}
