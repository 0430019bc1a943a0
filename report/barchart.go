package report

// BarChart draws a value per category and series: side by side, or stacked. A
// missing value (NaN) has a hatched stub in its place, never a bar of no height.
type BarChart struct {
	Title      string
	Caption    string
	X          string // names the categories
	Y          Axis   // bars stand on 0, or on the lower end of a logarithmic axis
	Categories []string
	Series     []Group
	Stacked    bool
	Marks      []Mark // horizontal ones
}

// Group is one series of a bar chart, a value a category.
type Group struct {
	Name      string
	Values    []float64
	Low, High []float64 // optional whiskers
}

func (c BarChart) value(g Group, i int) (v float64, ok bool) {
	if i >= len(g.Values) {
		return 0, false
	}
	s := scale{axis: Axis{Log: c.Y.Log && !c.Stacked}}
	return g.Values[i], s.shows(g.Values[i])
}

// values are all that the vertical axis must reach, the foot of the bars included.
func (c BarChart) values() [][]float64 {
	var out [][]float64
	if !c.Y.Log || c.Stacked {
		out = append(out, []float64{0})
	}
	up, down := make([]float64, len(c.Categories)), make([]float64, len(c.Categories))
	for _, g := range c.Series {
		out = append(out, g.Values, g.Low, g.High)
		for i := range c.Categories {
			if v, ok := c.value(g, i); ok && c.Stacked {
				up[i], down[i] = up[i]+max(0, v), down[i]+min(0, v)
			}
		}
	}
	if c.Stacked {
		out = append(out, up, down)
	}
	return out
}

func (c BarChart) writeHTML(w *writer) {
	if c.Stacked {
		c.Y.Log = false
	}
	var notes annotations
	for _, m := range c.Marks {
		if m.Horizontal {
			notes.marks = append(notes.marks, m)
		}
	}
	n := len(c.Categories)
	f, x, y, ticks, labels := layout(w, Axis{Min: 0, Max: float64(max(1, n))}, c.Y, &notes, nil, c.values())
	cell := f.width() / float64(max(1, n))
	turned, drop := turn(c.Categories, cell)
	width, _ := w.size()
	if c.X != "" {
		drop += 18
	}
	height := f.bottom + drop + 4
	w.openChart(c.Title, width, height)
	f.yAxis(w, y, ticks, labels)
	columnNames(w, f, c.Categories, cell, turned)
	if c.X != "" {
		w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (f.left+f.right)/2, f.bottom+drop-4, esc(c.X))
	}
	f.clip(w)
	c.bars(w, f, y, cell)
	w.WriteString("</g>")
	notes.before(w, f, x, y)
	var legend []key
	for k, g := range c.Series {
		legend = append(legend, key{colour(k), "■", g.Name})
	}
	w.closeChart(legend, c.Caption)
}

func (c BarChart) bars(w *writer, f frame, y scale, cell float64) {
	foot := f.bottom
	if !c.Y.Log {
		foot = min(f.bottom, max(f.top, y.px(0)))
	}
	side := max(1, len(c.Series))
	if c.Stacked {
		side = 1
	}
	wide := cell * 0.84 / float64(side)
	hatch := ""
	for i, name := range c.Categories {
		up, down := 0.0, 0.0
		for k, g := range c.Series {
			left := f.left + cell*(float64(i)+0.08)
			if !c.Stacked {
				left += wide * float64(k)
			}
			v, ok := c.value(g, i)
			hover := name + ", " + g.Name + ": "
			if !ok {
				if hatch == "" {
					hatch = w.hatch()
				}
				w.printf(`<rect x="%.2f" y="%.1f" width="%.2f" height="12" fill="url(#%s)"><title>%s</title></rect>`, left, foot-12, wide, hatch, esc(hover+"not measured"))
				continue
			}
			from, to := foot, y.px(v)
			if c.Stacked {
				base := &up
				if v < 0 {
					base = &down
				}
				from = y.px(*base)
				*base += v
				to = y.px(*base)
			}
			w.printf(`<rect x="%.2f" y="%.1f" width="%.2f" height="%.1f" fill="%s"><title>%s</title></rect>`,
				left, min(from, to), wide, max(0.5, max(from, to)-min(from, to)), colour(k), esc(hover+c.Y.label(v)))
			if i < len(g.Low) && i < len(g.High) && y.shows(g.Low[i]) && y.shows(g.High[i]) {
				w.printf(`<line class="whisker" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left+wide/2, left+wide/2, y.px(g.Low[i]), y.px(g.High[i]))
			}
		}
	}
}
