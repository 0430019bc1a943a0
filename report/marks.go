package report

import (
	"cmp"
	"math"
	"slices"
)

// Mark is a reference line with a name, such as the value that theory predicts.
type Mark struct {
	Name       string
	At         float64
	Horizontal bool // at a value of Y instead of X
}

// Region is a named, shaded range of X, such as a stage of training. An end that
// is not finite lies at the end of the axis.
type Region struct {
	Name     string
	From, To float64
}

// labelRow is the height of a row of names above a plot, and labelRows how many
// there are at most: names beyond them are shown on hover alone.
const (
	labelRow  = 15.0
	labelRows = 5
)

// tag is a name above a plot that starts at x.
type tag struct {
	x    float64
	name string
	row  int // from the plot upwards; -1: no room
}

// arrange moves the tags inside [left, right], gives each a row in which it touches
// no other, and returns the number of rows. Of two that would touch, the left one
// is above, so that the line of the right one ends below it.
func arrange(tags []tag, left, right float64) (rows int) {
	order := make([]int, 0, len(tags))
	for i := range tags {
		t := &tags[i]
		t.name = cut(t.name, right-left)
		t.x = max(left, min(t.x, right-textWidth(t.name)))
		if t.row = -1; t.name != "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tags[b].x, tags[a].x) })
	for at, i := range order {
		t, row := &tags[i], 0
		for _, j := range order[:at] {
			if tags[j].x < t.x+textWidth(t.name)+8 {
				row = max(row, tags[j].row+1)
			}
		}
		if row < labelRows {
			t.row, rows = row, max(rows, row+1)
		}
	}
	return rows
}

// annotations are the marks and regions of one plot.
type annotations struct {
	marks   []Mark
	regions []Region
	tags    []tag // of the regions, then of the vertical marks
}

// place lays the names out over the frame's width and returns the height they take.
func (a *annotations) place(x scale, left, right float64) float64 {
	a.tags = nil
	for _, r := range a.regions {
		from, _ := r.clamp(x)
		a.tags = append(a.tags, tag{x: from + 2, name: r.Name})
	}
	for _, m := range a.marks {
		t := tag{}
		if a.visible(m, x) {
			t = tag{x: x.px(m.At) + 3, name: m.Name}
		}
		a.tags = append(a.tags, t)
	}
	return float64(arrange(a.tags, left, right)) * labelRow
}

func (a *annotations) visible(m Mark, x scale) bool {
	if m.Horizontal || !x.shows(m.At) {
		return false
	}
	px := x.px(m.At)
	return px >= min(x.from, x.to)-1 && px <= max(x.from, x.to)+1
}

func (r Region) clamp(x scale) (from, to float64) {
	from, to = x.from, x.to
	if x.shows(r.From) {
		from = min(max(x.px(r.From), x.from), x.to)
	}
	if x.shows(r.To) {
		to = min(max(x.px(r.To), x.from), x.to)
	}
	return from, max(from, to)
}

// behind draws the shades, before the data. Neighbours differ in strength.
func (a *annotations) behind(w *writer, f frame, x scale) {
	for i, r := range a.regions {
		from, to := r.clamp(x)
		w.printf(`<rect class="region r%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`,
			i%2, from, f.top, to-from, f.height(), esc(r.Name))
		w.tag(f, a.tags[i])
	}
}

// before draws the lines, over the data.
func (a *annotations) before(w *writer, f frame, x, y scale) {
	last := math.Inf(-1)
	for i, m := range a.marks {
		switch {
		case m.Horizontal && y.shows(m.At) && y.px(m.At) >= f.top-1 && y.px(m.At) <= f.bottom+1:
			py := y.px(m.At)
			w.printf(`<line class="ref" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"><title>%s</title></line>`, f.left, f.right, py, py, esc(m.hover(y.axis)))
			at := py - 4
			if at < f.top+10 || math.Abs(at-last) < 12 {
				at = py + 13
			}
			last = at
			w.printf(`<text class="halo" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, f.right-4, at, esc(cut(m.Name, f.width()-8)))
		case a.visible(m, x):
			t := a.tags[len(a.regions)+i]
			top := f.top - labelRow*float64(t.row+1) + 4
			w.printf(`<line class="ref" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"><title>%s</title></line>`,
				x.px(m.At), x.px(m.At), top, f.bottom, esc(m.hover(x.axis)))
			w.tag(f, t)
		}
	}
}

func (m Mark) hover(a Axis) string { return m.Name + " " + a.label(m.At) }

func (w *writer) tag(f frame, t tag) {
	if t.row >= 0 {
		w.printf(`<text class="halo" x="%.1f" y="%.1f">%s</text>`, t.x, f.top-labelRow*float64(t.row)-4, esc(t.name))
	}
}
