package cli

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"orrery/think/reason"
	"orrery/think/vote"
)

// screen is a terminal that knows what live uses: new lines, cursor up, carriage
// return, erase to the end of the line and of the screen, wrapping, scrolling.
type screen struct {
	columns, rows int
	lines         [][]rune // all that was ever on it; the window is the last rows
	x, y          int      // y counts in lines
}

func (s *screen) top() int { return max(0, len(s.lines)-s.rows) }

func (s *screen) at(y int) {
	for len(s.lines) <= y {
		s.lines = append(s.lines, nil)
	}
	s.y = y
}

var escape = regexp.MustCompile(`^\x1b\[(\d*)([AJK])`)

func (s *screen) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		if m := escape.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			switch m[2] {
			case "A":
				n, _ := strconv.Atoi(m[1])
				s.at(max(s.top(), s.y-n)) // a cursor can't leave the window
			case "J":
				s.lines = s.lines[:s.y+1]
				s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
			case "K":
				s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
			}
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\n':
			s.at(s.y + 1)
			s.x = 0
		case '\r':
			s.x = 0
		default:
			if s.x == s.columns {
				s.at(s.y + 1)
				s.x = 0
			}
			line := s.lines[s.y]
			for len(line) <= s.x {
				line = append(line, ' ')
			}
			line[s.x] = r
			s.lines[s.y] = line
			s.x++
		}
	}
	return len(p), nil
}

func (s *screen) text() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func newScreen(columns, rows int) (*screen, *live) {
	s := &screen{columns: columns, rows: rows}
	s.at(0)
	return s, &live{w: s, size: func() (int, int) { return columns, rows }}
}

// TestTracesOnATerminal runs 32 traces, all at once, on terminals of any size.
// Whatever was drawn in between, in the end there is one line a trace, in the
// order of their ends, and what stood there before.
func TestTracesOnATerminal(t *testing.T) {
	for _, size := range [][2]int{{100, 24}, {100, 60}, {200, 5}, {80, 2}, {80, 1}, {30, 24}, {10, 3}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			s, l := newScreen(size[0], size[1])
			fmt.Fprint(s, "before\n")
			v := &traceView{lines: map[int]*traceLine{}, live: l}
			plain := &strings.Builder{}
			same := &traceView{lines: map[int]*traceLine{}, w: plain}
			event := func(e reason.Event) {
				v.live.last = v.live.last.Add(-redrawEvery) // draw every time
				v.event(e)
				same.event(e)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for id := range 32 {
				event(reason.TraceStarted{Trace: id, Phase: vote.Warmup})
			}
			for _, id := range rng.Perm(32) {
				c := rng.Float64()
				event(reason.TraceProgress{Trace: id, Tokens: 5, Groups: []float64{c}})
				answer := "7\x1b[31m\u202e"
				event(reason.TraceFinished{Trace: id, Tokens: 9, Reason: vote.EOS, Answer: &answer})
			}
			v.close()
			var want strings.Builder
			fmt.Fprint(&want, "before\n")
			for line := range strings.Lines(plain.String()) { // as this terminal wraps them
				for r := []rune(strings.TrimSuffix(line, "\n")); ; r = r[size[0]:] {
					want.WriteString(strings.TrimRight(string(r[:min(len(r), size[0])]), " ") + "\n")
					if len(r) <= size[0] {
						break
					}
				}
			}
			if got := s.text(); got != strings.TrimRight(want.String(), "\n") {
				t.Errorf("the terminal shows\n%s\nwant\n%s", got, want.String())
			}
		})
	}
}

// TestLiveFitsTheTerminal: changing lines leave room for the cursor's own line,
// and say how many there was no room for.
func TestLiveFitsTheTerminal(t *testing.T) {
	s, l := newScreen(20, 6)
	var lines []string
	for i := range 9 {
		lines = append(lines, fmt.Sprintf("%d %s", i, strings.Repeat("x", 40)))
	}
	for range 3 {
		l.draw("", lines)
	}
	want := []string{"0 ", "1 ", "2 ", "3 ", "… and 5 more"}
	got := strings.Split(s.text(), "\n")
	if len(got) != len(want) {
		t.Fatalf("the terminal shows\n%s", s.text())
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) || len([]rune(got[i])) > 19 {
			t.Errorf("line %d is %q, want %q… of at most 19 columns", i, got[i], w)
		}
	}
}

// TestProgressCountsOnlyItsOwnSteps: a run that resumes at step 100 of 200 has no
// time to tell at its first step.
func TestProgressCountsOnlyItsOwnSteps(t *testing.T) {
	var b strings.Builder
	p := (&app{err: &b}).progress("train", 200)
	p.at(100, "x")
	if got := b.String(); got != "train: 100/200 x\n" {
		t.Errorf("printed %q", got)
	}
	if left := p.left(101); !strings.HasSuffix(left, " left") {
		t.Errorf("time left at the second step: %q", left)
	}
}

func TestTextIsSafeForATerminal(t *testing.T) {
	evil := "a\x1b[31m\x9b\u009b\u202eb\x00\tc\r\nd\u200b"
	if got, want := visible(evil), "a[31m\ufffdb\tc\nd"; got != want {
		t.Errorf("visible %q, want %q", got, want)
	}
	if got, want := oneLine(evil), "a[31m\ufffdb c d"; got != want {
		t.Errorf("one line %q, want %q", got, want)
	}
	if got, want := shorten("über\nalles", 6), "über a…"; got != want {
		t.Errorf("shortened %q, want %q", got, want)
	}
	if got, want := shellQuote([]string{"--x", "a b", "it's", ""}), `--x 'a b' 'it'\''s' ''`; got != want {
		t.Errorf("quoted %s, want %s", got, want)
	}
}
