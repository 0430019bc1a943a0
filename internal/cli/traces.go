package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"orrery/think/reason"
)

// traceView shows a run while it goes: on a terminal one live line a trace,
// elsewhere a line when a trace ends. Model output is shown without control
// characters.
type traceView struct {
	out  io.Writer // lines that stay
	bars *mpb.Progress

	mu     sync.Mutex // the display redraws from a goroutine of its own
	lines  map[int]*traceLine
	high   float64 // the greatest confidence seen: the sparkline's top
	stream bool    // one trace: show its text as it comes
}

// traceLine is a running trace on a terminal.
type traceLine struct {
	bar    *mpb.Bar
	phase  string
	tokens int
	sparks []float64
}

func (a *app) newTraceView(stream bool) *traceView {
	v := &traceView{out: a.err, lines: map[int]*traceLine{}, stream: stream}
	if a.quiet || a.json && !isTerminal(a.err) {
		v.out = io.Discard
	} else if isTerminal(a.err) && !stream {
		v.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithRefreshRate(80*time.Millisecond))
		v.out = v.bars
	}
	return v
}

func (v *traceView) event(e reason.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := e.(type) {
	case reason.TraceStarted:
		v.start(e)
	case reason.TraceProgress:
		v.grow(e)
	case reason.Calibrated:
		fmt.Fprintf(v.out, "threshold %.3f: from %d traces, keeping %g %%, groups of %d tokens\n", e.S, e.N, e.Eta, e.Window)
	case reason.TraceStopped:
		why := strings.ReplaceAll(string(e.Reason), "_", " ")
		if e.Group != nil && e.S != nil {
			why = fmt.Sprintf("%s: %.3f < %.3f", why, *e.Group, *e.S)
		}
		v.end(e.Trace, e.TokenIndex, "✂ "+why)
	case reason.TraceFinished:
		end := "✗ no answer"
		if e.Answer != nil {
			end = "✓ " + shorten(*e.Answer, 40)
		}
		if e.Error != "" {
			end = "✗ " + shorten(e.Error, 120)
		}
		v.end(e.Trace, e.Tokens, end)
	}
}

func (v *traceView) start(e reason.TraceStarted) {
	l := &traceLine{phase: string(e.Phase)}
	v.lines[e.Trace] = l
	if v.bars != nil {
		id := e.Trace
		l.bar = v.bars.New(1, mpb.NopStyle(), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
				v.mu.Lock()
				defer v.mu.Unlock()
				return v.text(id, l, "…")
			})))
	}
}

func (v *traceView) grow(e reason.TraceProgress) {
	if v.stream {
		fmt.Fprint(v.out, visible(e.Reasoning+e.Text))
	}
	l := v.lines[e.Trace]
	if l == nil {
		return
	}
	l.tokens = e.Tokens
	if e.Confidence != nil {
		l.sparks = append(l.sparks, *e.Confidence)
		v.high = max(v.high, *e.Confidence)
	}
}

func (v *traceView) end(id, tokens int, state string) {
	l := v.lines[id]
	if l == nil {
		return
	}
	l.tokens = tokens
	delete(v.lines, id)
	if v.stream {
		fmt.Fprintln(v.out)
		return
	}
	fmt.Fprintln(v.out, v.text(id, l, state))
	if l.bar != nil {
		l.bar.SetCurrent(1)
	}
}

func (v *traceView) text(id int, l *traceLine, state string) string {
	return fmt.Sprintf("%3d %-6s %5d tokens  %-16s  %s", id, l.phase, l.tokens, sparkline(l.sparks, v.high, 16), state)
}

func (v *traceView) close() {
	v.mu.Lock()
	for id, l := range v.lines {
		v.end(id, l.tokens, "cancelled")
	}
	v.mu.Unlock()
	if v.bars != nil {
		v.bars.Wait()
	}
}

// sparkline draws the values, averaged into at most width columns, from 0 to
// high.
func sparkline(values []float64, high float64, width int) string {
	const levels = "▁▂▃▄▅▆▇█"
	glyphs := []rune(levels)
	n := min(width, len(values))
	var b strings.Builder
	for i := range n {
		part := values[len(values)*i/n : len(values)*(i+1)/n]
		sum := 0.0
		for _, x := range part {
			sum += x
		}
		at := 0
		if high > 0 {
			at = int(sum / float64(len(part)) / high * float64(len(glyphs)))
		}
		b.WriteRune(glyphs[max(0, min(at, len(glyphs)-1))])
	}
	return b.String()
}

// visible drops control characters other than newline and tab, so that a model
// can't drive the terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0) {
			return r
		}
		return -1
	}, s)
}
