package cli

import (
	"fmt"
	"math"

	"orrery/learn/recipe"
)

// curves shows a training as its curves grow: on a terminal a bar and, below
// it, a line a curve over a logarithmic axis of steps; elsewhere plain lines.
type curves struct {
	*progress
}

func (a *app) curves(label string, steps int) *curves { return &curves{a.progress(label, steps)} }

// curveCells is how many characters wide a curve is.
const curveCells = 60

func (c *curves) at(r recipe.Reading) {
	if c.live == nil {
		c.progress.at(r.Step, r.Note)
		return
	}
	if c.start.IsZero() {
		c.skip(r.Step)
	}
	c.line = fmt.Sprintf("%d/%d %s%s", r.Step, r.Steps, r.Note, c.left(r.Step))
	draw := func() []string {
		lines := []string{c.label + " " + bar(r.Step, r.Steps, 20) + " " + c.line}
		for _, k := range r.Curves {
			lines = append(lines, fmt.Sprintf("%8s %s", k.Name, curveLine(k, r.Steps, curveCells)))
		}
		return append(lines, fmt.Sprintf("%8s %s", "", stepAxis(r.Steps, curveCells)))
	}
	if r.Step == r.Steps {
		c.live.draw("", draw())
		return
	}
	c.live.update(draw)
}

// done leaves the last picture on the terminal.
func (c *curves) done() {
	if c.live != nil {
		c.live.drawn = nil
	}
}

// curveLine draws a curve's values from 0 to 1 in cells whose steps grow by
// equal factors from 1 to most; a cell shows the last value that lies in it,
// or the one before where none does.
func curveLine(c recipe.Curve, most, cells int) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	out := make([]rune, cells)
	for i := range out {
		out[i] = ' '
	}
	last := -1
	for i, x := range c.X {
		at := cellOf(x, most, cells)
		level := int(math.Round(c.Y[i] * float64(len(levels)-1)))
		for j := last + 1; j < at; j++ { // a gap between two evaluations
			if last >= 0 {
				out[j] = out[last]
			}
		}
		out[at] = levels[max(0, min(level, len(levels)-1))]
		last = max(last, at)
	}
	return string(out)
}

// cellOf is the cell of a step.
func cellOf(step float64, most, cells int) int {
	if most <= 1 || step <= 1 {
		return 0
	}
	return max(0, min(cells-1, int(math.Log(step)/math.Log(float64(most))*float64(cells-1)+0.5)))
}

// stepAxis names the powers of ten.
func stepAxis(most, cells int) string {
	out := make([]rune, cells)
	for i := range out {
		out[i] = ' '
	}
	free := 0
	for p := 1; p <= most; p *= 10 {
		name := []rune(thousands(p))
		at := cellOf(float64(p), most, cells)
		if at >= free && at+len(name) <= cells {
			copy(out[at:], name)
			free = at + len(name) + 1
		}
	}
	return string(out)
}
