package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal that can redraw lines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// redrawEvery is the least time between two drawings, unless a line stays.
const redrawEvery = 80 * time.Millisecond

// live is the end of a terminal: lines that stay, and below them lines that
// are drawn again as they change. It draws when it is told of a change and owns
// no goroutine. Its methods belong to one goroutine.
type live struct {
	w     io.Writer
	size  func() (columns, rows int)
	drawn []int // columns of each line that is on the screen and will change
	last  time.Time
}

// newLive returns nil if w is no terminal.
func newLive(w io.Writer) *live {
	if !isTerminal(w) {
		return nil
	}
	fd := int(w.(*os.File).Fd())
	return &live{w: w, size: func() (int, int) {
		columns, rows, err := term.GetSize(fd)
		if err != nil || columns < 1 || rows < 1 {
			return 80, 24
		}
		return columns, rows
	}}
}

// update draws the changing lines again if it is time to.
func (l *live) update(lines func() []string) {
	if time.Since(l.last) >= redrawEvery {
		l.draw("", lines())
	}
}

// draw prints a line that stays, if it isn't empty, and the changing ones below,
// cut to the terminal's width and height: a line that wraps or scrolls away can't
// be drawn again. Everything goes out in one write, and lines are overwritten
// before what is left of the old ones is erased, so that nothing flickers and
// no terminal takes the erased lines into its history.
func (l *live) draw(stays string, lines []string) {
	columns, rows := l.size()
	var b strings.Builder
	up := 0
	for _, n := range l.drawn { // a line wraps if the terminal became narrower
		up += max(1, (n+columns-1)/columns)
	}
	if up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", up)
	}
	if stays != "" {
		b.WriteString(stays + "\x1b[K\n")
	}
	if most := rows - 1; most < 1 {
		lines = nil
	} else if len(lines) > most {
		rest := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("… and %d more", rest))
	}
	l.drawn = l.drawn[:0]
	for _, line := range lines {
		line = cut(line, columns-1)
		b.WriteString(line + "\x1b[K\n")
		l.drawn = append(l.drawn, utf8.RuneCountInString(line))
	}
	if up > 0 {
		b.WriteString("\x1b[J")
	}
	io.WriteString(l.w, b.String())
	l.last = time.Now()
}

// cut shortens a line to n columns, which is n characters of those in use here.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(0, n)])
}
