package report

import "fmt"

// Plot is an x-y chart drawn as inline SVG.
type Plot struct {
	Title   string
	Caption string // says what is seen and its limits
	X, Y    Axis
	Series  []Series
	Marks   []Mark
	Regions []Region
	// Diagonal draws y = x, the line of perfect calibration, on linear axes.
	Diagonal bool
}

// Series is one set of points. Low and High, if given, are drawn as a band
// behind a line or as bars at points. NaN leaves a gap.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64
	Labels    []string // shown on hover
	Draw      Draw
	// Faint draws the series thin and grey and leaves it out of the legend: one of many.
	Faint bool
}

// Draw is how a series is drawn.
type Draw int

const (
	Line Draw = iota
	Points
	LinePoints
	Bars // from the axis' lower end; X is the bar's centre
)

// layout finds the scales and the frame of a chart whose values are given.
// Space is made for the names of marks and for the labels of Y.
func layout(w *writer, xa, ya Axis, a *annotations, xs, ys [][]float64) (f frame, x, y scale, ticks []float64, labels []string) {
	width, height := w.size()
	for _, m := range a.marks { // a prediction outside the data is the one to see
		if m.Horizontal {
			ys = append(ys, []float64{m.At})
		} else {
			xs = append(xs, []float64{m.At})
		}
	}
	y = newScale(ya, 0, 1, ys...)
	ticks = y.ticks(6)
	labels = y.tickLabels(ticks)
	f = frame{left: 24, right: width - 18, top: 12, bottom: height - 44}
	for _, l := range labels {
		f.left = max(f.left, textWidth(l)+14)
	}
	if ya.Label != "" {
		f.top += 12
	}
	x = newScale(xa, f.left, f.right, xs...)
	f.top += a.place(x, f.left, f.right)
	y.from, y.to = f.bottom, f.top
	return f, x, y, ticks, labels
}

func (p Plot) writeHTML(w *writer) {
	xs, ys := make([][]float64, 0, len(p.Series)), make([][]float64, 0, 3*len(p.Series))
	for _, s := range p.Series {
		xs = append(xs, s.X)
		ys = append(ys, s.Y, s.Low, s.High)
	}
	notes := annotations{marks: p.Marks, regions: p.Regions}
	f, x, y, ticks, labels := layout(w, p.X, p.Y, &notes, xs, ys)
	width, height := w.size()
	w.openChart(p.Title, width, height)
	notes.behind(w, f, x)
	f.yAxis(w, y, ticks, labels)
	f.xAxis(w, x, x.ticks(int(f.width()/80)))
	f.clip(w)
	if p.Diagonal && !p.X.Log && !p.Y.Log {
		lo, hi := max(x.lo, y.lo), min(x.hi, y.hi)
		w.printf(`<line class="ref" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x.px(lo), y.px(lo), x.px(hi), y.px(hi))
	}
	bars, shown := 0, 0
	for _, s := range p.Series {
		if s.Draw == Bars {
			bars++
		}
	}
	var legend []key
	nth := 0 // of the series drawn as bars
	for _, s := range p.Series {
		stroke := colour(shown)
		if s.Faint {
			stroke = "var(--soft)"
		} else {
			legend = append(legend, key{stroke, s.glyph(), s.Name})
			shown++
		}
		s.write(w, f, x, y, stroke, dash(shown-1), nth, bars)
		if s.Draw == Bars {
			nth++
		}
	}
	w.WriteString("</g>")
	if !p.any(x, y) {
		f.nothing(w)
	}
	notes.before(w, f, x, y)
	w.closeChart(legend, p.Caption)
}

// any reports whether a point can be drawn.
func (p Plot) any(x, y scale) bool {
	for _, s := range p.Series {
		for i := range min(len(s.X), len(s.Y)) {
			if x.shows(s.X[i]) && y.shows(s.Y[i]) {
				return true
			}
		}
	}
	return false
}

func (s Series) glyph() string {
	if s.Draw == Points {
		return "●"
	}
	return "■"
}

// dash tells apart the lines whose colours come round again, and the second four
// on paper without colour.
func dash(i int) string {
	return []string{"", ` stroke-dasharray="8 3"`, ` stroke-dasharray="2 3"`}[max(0, i)/4%3]
}

func (s Series) write(w *writer, f frame, x, y scale, stroke, dash string, nth, bars int) {
	n := min(len(s.X), len(s.Y))
	visible := func(i int) bool { return x.shows(s.X[i]) && y.shows(s.Y[i]) }
	if len(s.Low) == n && len(s.High) == n && (s.Draw == Line || s.Draw == LinePoints) {
		s.band(w, x, y, stroke, n)
	}
	if s.Draw == Line || s.Draw == LinePoints {
		look := `stroke-width="2"` + dash
		if s.Faint {
			look = `stroke-width="1" stroke-opacity=".35"`
		}
		open := false
		w.printf(`<path fill="none" %s stroke="%s" d="`, look, stroke)
		for i := range n {
			if !visible(i) {
				open = false
				continue
			}
			op := "L"
			if !open {
				op = "M"
			}
			w.printf("%s%.1f %.1f", op, x.px(s.X[i]), y.px(s.Y[i]))
			open = true
		}
		w.printf(`"><title>%s</title></path>`, esc(s.Name))
	}
	for i := range n {
		alone := !(i > 0 && visible(i-1)) && !(i+1 < n && visible(i+1)) // a line through it would not be seen
		if visible(i) && (s.Draw != Line || alone) {
			s.mark(w, f, x, y, stroke, i, nth, bars)
		}
	}
}

// band shades between Low and High, one polygon for each stretch without a gap.
func (s Series) band(w *writer, x, y scale, fill string, n int) {
	in := func(i int) bool { return x.shows(s.X[i]) && y.shows(s.Low[i]) && y.shows(s.High[i]) }
	for i := 0; i < n; i++ {
		if !in(i) {
			continue
		}
		end := i
		for end < n && in(end) {
			end++
		}
		w.WriteString(`<polygon points="`)
		for j := i; j < end; j++ {
			w.printf("%.1f,%.1f ", x.px(s.X[j]), y.px(s.High[j]))
		}
		for j := end - 1; j >= i; j-- {
			w.printf("%.1f,%.1f ", x.px(s.X[j]), y.px(s.Low[j]))
		}
		w.printf(`" fill="%s" fill-opacity=".15"/>`, fill)
		i = end
	}
}

func (s Series) mark(w *writer, f frame, x, y scale, colour string, i, nth, bars int) {
	px, py := x.px(s.X[i]), y.px(s.Y[i])
	hover := fmt.Sprintf("%s (%s, %s)", s.Name, x.axis.label(s.X[i]), y.axis.label(s.Y[i]))
	if i < len(s.Labels) {
		hover = s.Labels[i] + " " + hover
	}
	if s.Draw == Bars {
		// Bars of several series stand side by side around their centre.
		wide := f.width() / float64(max(1, len(s.X))) * 0.8
		left := px - wide/2 + wide*float64(nth)/float64(bars)
		w.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity=".8"><title>%s</title></rect>`,
			left, py, wide/float64(bars), max(0, y.from-py), colour, esc(hover))
		return
	}
	if i < len(s.Low) && i < len(s.High) && s.Draw == Points && y.shows(s.Low[i]) && y.shows(s.High[i]) {
		w.printf(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5"/>`,
			px, px, y.px(s.Low[i]), y.px(s.High[i]), colour)
	}
	radius := 4.0
	if len(s.X) > 60 {
		radius = 2.5
	}
	w.printf(`<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"><title>%s</title></circle>`, px, py, radius, colour, esc(hover))
}
