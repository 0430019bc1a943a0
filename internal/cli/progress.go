package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal that can redraw lines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// progress shows how far long work is: a bar on a terminal, a plain line at
// most every few seconds elsewhere, nothing with --quiet.
type progress struct {
	w     io.Writer
	label string
	total int64
	bars  *mpb.Progress
	bar   *mpb.Bar
	note  string

	every time.Duration
	start time.Time
	last  time.Time
}

func (a *app) progress(label string, total int) *progress {
	p := &progress{w: a.err, label: label, total: int64(total), every: 5 * time.Second, start: time.Now()}
	switch {
	case a.quiet:
		p.w = io.Discard
	case isTerminal(a.err):
		p.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithRefreshRate(120*time.Millisecond))
		p.bar = p.bars.AddBar(p.total,
			mpb.PrependDecorators(decor.Name(label+" "), decor.CountersNoUnit("%d/%d ")),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string { return p.note + " " }),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done")),
		)
	}
	return p
}

// at moves to step n of the total; note is a short live reading.
func (p *progress) at(n int, note string) {
	if p.bar != nil {
		p.note = note
		p.bar.SetCurrent(int64(n))
		return
	}
	now := time.Now()
	if now.Sub(p.last) < p.every && int64(n) != p.total {
		return
	}
	p.last = now
	eta := ""
	if n > 0 && int64(n) < p.total {
		left := time.Duration(float64(now.Sub(p.start)) / float64(n) * float64(p.total-int64(n)))
		eta = fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	fmt.Fprintf(p.w, "%s: %d/%d %s%s\n", p.label, n, p.total, note, eta)
}

// done ends the display, whether or not the total was reached.
func (p *progress) done() {
	if p.bars != nil {
		p.bar.Abort(false)
		p.bars.Wait()
	}
}
