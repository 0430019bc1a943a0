package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows how far long work is: a bar on a terminal, a plain line at
// most every few seconds elsewhere, nothing with --quiet.
type progress struct {
	w     io.Writer
	live  *live // nil: plain lines
	label string
	total int
	every time.Duration
	line  string // the last reading

	base  int       // steps that were done when the clock was started
	start time.Time // zero: at the first step
	last  time.Time
}

func (a *app) progress(label string, total int) *progress {
	p := &progress{w: a.err, label: label, total: total, every: 5 * time.Second}
	if a.quiet {
		p.w = io.Discard
	} else {
		p.live = newLive(a.err)
	}
	return p
}

// skip says that the first n steps had been done earlier, so that they don't
// count as speed.
func (p *progress) skip(n int) { p.base, p.start = n, time.Now() }

// at moves to step n of the total; note is a short live reading.
func (p *progress) at(n int, note string) {
	if p.start.IsZero() { // a resumed run begins in the middle
		p.skip(n)
	}
	p.line = fmt.Sprintf("%d/%d %s%s", n, p.total, note, p.left(n))
	if p.live != nil {
		p.live.update(func() []string { return []string{p.label + " " + bar(n, p.total, 20) + " " + p.line} })
		return
	}
	now := time.Now()
	if now.Sub(p.last) < p.every && n != p.total {
		return
	}
	p.last = now
	fmt.Fprintf(p.w, "%s: %s\n", p.label, p.line)
}

// left is the time left at the speed so far, as text.
func (p *progress) left(n int) string {
	if n <= p.base || n >= p.total {
		return ""
	}
	d := time.Duration(float64(time.Since(p.start)) / float64(n-p.base) * float64(p.total-n))
	return fmt.Sprintf(", %s left", d.Round(time.Second))
}

// done leaves the last reading on the terminal, whether or not it is the total.
func (p *progress) done() {
	if p.live != nil && p.line != "" {
		p.live.draw(p.label+": "+p.line, nil)
	}
}

// bar draws n of total in so many cells.
func bar(n, total, cells int) string {
	full := 0
	if total > 0 {
		full = max(0, min(cells, cells*n/total))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}
