package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"orrery/think/llm"
	"orrery/think/reason"
)

// traceView shows a run while it goes: on a terminal one live line a trace,
// elsewhere a line when a trace ends. Its methods belong to one goroutine, as
// the events of a run do.
type traceView struct {
	w       io.Writer
	live    *live // nil: plain lines
	stream  bool  // one trace: show its text as it comes
	lines   map[int]*traceLine
	running []int   // ids of lines, in launch order
	low     float64 // the least and the greatest group seen: the sparklines' range
	high    float64
}

// traceLine is a running trace.
type traceLine struct {
	phase  string
	tokens int
	sparks []float64 // group confidences
}

func (a *app) newTraceView(stream bool) *traceView {
	v := &traceView{w: a.err, lines: map[int]*traceLine{}, stream: stream}
	switch {
	case a.quiet:
		v.w = io.Discard
	case !stream:
		v.live = newLive(a.err)
	}
	return v
}

func (v *traceView) event(e reason.Event) {
	switch e := e.(type) {
	case reason.TraceStarted:
		v.lines[e.Trace] = &traceLine{phase: string(e.Phase)}
		v.running = append(v.running, e.Trace)
	case reason.Thought:
		if v.stream {
			v.print(thoughtLine(e.Thought))
		}
	case reason.TraceProgress:
		v.grow(e)
	case reason.Calibrated:
		v.print(fmt.Sprintf("threshold %.3f: from %s, keeping %g %%, groups of %s", e.S, count(e.N, "trace"), e.Eta, count(e.Window, "token")))
	case reason.TraceStopped:
		why := strings.ReplaceAll(string(e.Reason), "_", " ")
		if e.Group != nil && e.S != nil {
			v.spark(v.lines[e.Trace], *e.Group)
			why = fmt.Sprintf("%s: %.3f < %.3f", why, *e.Group, *e.S)
		}
		v.end(e.Trace, e.TokenIndex, "✂ "+why)
	case reason.TraceFinished:
		end := "✗ no answer"
		if e.Answer != nil {
			end = "✓ " + shorten(*e.Answer, 40)
		}
		if e.Error != "" {
			end = "✗ " + shorten(e.Error, 200)
		}
		v.end(e.Trace, e.Tokens, end)
	}
	if v.live != nil {
		v.live.update(v.texts)
	}
}

// least is the probability from which on a reading of a thought is shown.
const least = 0.01

// thoughtLine says what a hidden thought holds.
func thoughtLine(h llm.Thought) string {
	line := fmt.Sprintf("thought %d", h.Number)
	for i, r := range h.Holds {
		if i > 0 && r.P < least {
			break
		}
		line += fmt.Sprintf("  %s %.2f", oneLine(r.Text), r.P)
	}
	if h.Answers {
		line += "  ← the answer is read off here"
	}
	return line
}

func (v *traceView) grow(e reason.TraceProgress) {
	if v.stream {
		io.WriteString(v.w, visible(e.Reasoning+e.Text))
	}
	l := v.lines[e.Trace]
	l.tokens = e.Tokens
	v.spark(l, e.Groups...)
}

// spark adds group confidences to a line.
func (v *traceView) spark(l *traceLine, groups ...float64) {
	for _, g := range groups {
		if v.low == 0 && v.high == 0 {
			v.low, v.high = g, g
		}
		v.low, v.high = min(v.low, g), max(v.high, g)
	}
	l.sparks = append(l.sparks, groups...)
}

func (v *traceView) end(id, tokens int, state string) {
	l := v.lines[id]
	l.tokens = tokens
	delete(v.lines, id)
	v.running = slices.DeleteFunc(v.running, func(r int) bool { return r == id })
	if v.stream {
		fmt.Fprintln(v.w)
		return
	}
	v.print(v.text(id, l, state))
}

// print writes a line that stays.
func (v *traceView) print(line string) {
	if v.live != nil {
		v.live.draw(line, v.texts())
		return
	}
	fmt.Fprintln(v.w, line)
}

func (v *traceView) texts() []string {
	var out []string
	for _, id := range v.running {
		out = append(out, v.text(id, v.lines[id], "…"))
	}
	return out
}

func (v *traceView) text(id int, l *traceLine, state string) string {
	return fmt.Sprintf("%3d %-6s %5d tokens  %-16s  %s", id, l.phase, l.tokens, sparkline(l.sparks, v.low, v.high, 16), state)
}

// close takes the changing lines away.
func (v *traceView) close() {
	if v.live != nil {
		v.live.draw("", nil)
	}
}

// sparkline draws the values, averaged into at most width columns, from low to
// high.
func sparkline(values []float64, low, high float64, width int) string {
	glyphs := []rune("▁▂▃▄▅▆▇█")
	n := min(width, len(values))
	var b strings.Builder
	for i := range n {
		part := values[len(values)*i/n : len(values)*(i+1)/n]
		sum := 0.0
		for _, x := range part {
			sum += x
		}
		at := len(glyphs) / 2
		if high > low {
			at = int((sum/float64(len(part)) - low) / (high - low) * float64(len(glyphs)))
		}
		b.WriteRune(glyphs[max(0, min(at, len(glyphs)-1))])
	}
	return b.String()
}
