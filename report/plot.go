package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Plot is an x-y chart drawn as inline SVG.
type Plot struct {
	Title   string
	Caption string // says what is seen and its limits
	X, Y    Axis
	Series  []Series
	// Diagonal draws y = x, the line of perfect calibration, on linear axes.
	Diagonal bool
}

// Axis describes one axis. Min and Max that are equal are taken from the data.
type Axis struct {
	Label    string
	Min, Max float64
	Log      bool // base 10; values ≤ 0 are left out
	Percent  bool // values are fractions, labels are per cent
}

// Series is one set of points. Low and High, if given, are drawn as a band
// behind a line or as bars at points. NaN leaves a gap.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64
	Labels    []string // shown on hover
	Draw      Draw
}

// Draw is how a series is drawn.
type Draw int

const (
	Line Draw = iota
	Points
	LinePoints
	Bars // from the axis' lower end; X is the bar's centre
)

const (
	plotW, plotH              = 720, 360
	padLeft, padRight         = 66, 18
	padTop, padBottom         = 34, 48
	innerW, innerH    float64 = plotW - padLeft - padRight, plotH - padTop - padBottom
)

// scale maps data to pixels along one axis.
type scale struct {
	axis     Axis
	lo, hi   float64 // in transformed coordinates
	from, to float64 // pixels
}

func (s scale) transform(v float64) float64 {
	if s.axis.Log {
		return math.Log10(v)
	}
	return v
}

func (s scale) px(v float64) float64 {
	return s.from + (s.transform(v)-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

func (s scale) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.axis.Log || v > 0)
}

func newScale(a Axis, from, to float64, values ...[]float64) scale {
	s := scale{axis: a, from: from, to: to}
	lo, hi := math.Inf(1), math.Inf(-1)
	if a.Min != a.Max {
		lo, hi = s.transform(a.Min), s.transform(a.Max)
	} else {
		for _, vs := range values {
			for _, v := range vs {
				if s.shows(v) {
					lo, hi = min(lo, s.transform(v)), max(hi, s.transform(v))
				}
			}
		}
		if lo > hi {
			lo, hi = 0, 1
		}
		if lo == hi {
			lo, hi = lo-0.5, hi+0.5
		}
		margin := (hi - lo) * 0.05
		if lo != 0 || a.Log {
			lo -= margin
		}
		hi += margin
	}
	s.lo, s.hi = lo, hi
	return s
}

// ticks are round values inside the scale, about n of them.
func (s scale) ticks(n int) []float64 {
	var out []float64
	if s.axis.Log && s.hi-s.lo >= 0.7 { // 1, 2 and 5 of each decade, or decades alone if there are many
		mantissas := []float64{1, 2, 5}
		if s.hi-s.lo > 2.5 {
			mantissas = mantissas[:1]
		}
		every := max(1, math.Ceil((s.hi-s.lo)/float64(n)))
		for e := math.Floor(s.lo); e <= s.hi; e += every {
			for _, m := range mantissas {
				if v := m * math.Pow(10, e); math.Log10(v) >= s.lo && math.Log10(v) <= s.hi {
					out = append(out, v)
				}
			}
		}
		return out
	}
	lo, hi := s.lo, s.hi
	if s.axis.Log {
		lo, hi = math.Pow(10, lo), math.Pow(10, hi)
	}
	raw := (hi - lo) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step*m >= raw {
			step *= m
			break
		}
	}
	for v := math.Ceil(lo/step) * step; v <= hi+step*1e-9; v += step {
		if math.Abs(v) < step*1e-9 {
			v = 0
		}
		out = append(out, v)
	}
	return out
}

func (s scale) label(v float64) string {
	if s.axis.Percent {
		return trim(v*100) + " %"
	}
	switch a := math.Abs(v); {
	case a >= 1e9:
		return trim(v/1e9) + "G"
	case a >= 1e6:
		return trim(v/1e6) + "M"
	case a >= 1e4:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

func trim(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func (p Plot) writeHTML(b *strings.Builder) {
	xs, ys := make([][]float64, 0, len(p.Series)), make([][]float64, 0, 3*len(p.Series))
	for _, s := range p.Series {
		xs = append(xs, s.X)
		ys = append(ys, s.Y, s.Low, s.High)
	}
	x := newScale(p.X, padLeft, padLeft+innerW, xs...)
	y := newScale(p.Y, padTop+innerH, padTop, ys...)

	fmt.Fprintf(b, `<figure><div class="scroll"><svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		plotW, plotH, plotW, plotH, esc(p.Title))
	fmt.Fprintf(b, `<text class="title" x="%d" y="20">%s</text>`, padLeft, esc(p.Title))
	for _, v := range y.ticks(6) {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			padLeft, padLeft+innerW, y.px(v), y.px(v), padLeft-6, y.px(v)+4, esc(y.label(v)))
	}
	for _, v := range x.ticks(8) {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%.0f"/><text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`,
			x.px(v), x.px(v), padTop, padTop+innerH, x.px(v), padTop+innerH+16, esc(x.label(v)))
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%d" text-anchor="middle">%s</text>`, padLeft+innerW/2, plotH-10, esc(p.X.Label))
	fmt.Fprintf(b, `<text transform="translate(16 %.0f) rotate(-90)" text-anchor="middle">%s</text>`, padTop+innerH/2, esc(p.Y.Label))
	if p.Diagonal && !p.X.Log && !p.Y.Log {
		lo, hi := max(x.lo, y.lo), min(x.hi, y.hi)
		fmt.Fprintf(b, `<line class="ref" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x.px(lo), y.px(lo), x.px(hi), y.px(hi))
	}
	for i, s := range p.Series {
		s.write(b, x, y, fmt.Sprintf("var(--s%d)", i%8), i, len(p.Series))
	}
	b.WriteString("</svg></div>")
	p.legend(b)
	b.WriteString("</figure>\n")
}

func (p Plot) legend(b *strings.Builder) {
	b.WriteString("<figcaption>")
	for i, s := range p.Series {
		if s.Name != "" {
			fmt.Fprintf(b, `<span style="color:var(--s%d)">■</span> %s&ensp;`, i%8, esc(s.Name))
		}
	}
	if p.Caption != "" {
		b.WriteString("<br>" + esc(p.Caption))
	}
	b.WriteString("</figcaption>")
}

func (s Series) write(b *strings.Builder, x, y scale, colour string, index, of int) {
	visible := func(i int) bool { return x.shows(s.X[i]) && y.shows(s.Y[i]) }
	if len(s.Low) == len(s.X) && len(s.High) == len(s.X) && (s.Draw == Line || s.Draw == LinePoints) {
		var fwd, back strings.Builder
		for i := range s.X {
			if visible(i) && y.shows(s.Low[i]) && y.shows(s.High[i]) {
				fmt.Fprintf(&fwd, "%.1f,%.1f ", x.px(s.X[i]), y.px(s.High[i]))
			}
			j := len(s.X) - 1 - i
			if visible(j) && y.shows(s.Low[j]) && y.shows(s.High[j]) {
				fmt.Fprintf(&back, "%.1f,%.1f ", x.px(s.X[j]), y.px(s.Low[j]))
			}
		}
		fmt.Fprintf(b, `<polygon points="%s%s" fill="%s" fill-opacity=".15"/>`, fwd.String(), back.String(), colour)
	}
	if s.Draw == Line || s.Draw == LinePoints {
		open := false
		b.WriteString(`<path fill="none" stroke-width="2" stroke="` + colour + `" d="`)
		for i := range s.X {
			if !visible(i) {
				open = false
				continue
			}
			op := "L"
			if !open {
				op = "M"
			}
			fmt.Fprintf(b, "%s%.1f %.1f", op, x.px(s.X[i]), y.px(s.Y[i]))
			open = true
		}
		b.WriteString(`"/>`)
		if s.Draw == Line {
			return
		}
	}
	for i := range s.X {
		if visible(i) {
			s.mark(b, x, y, colour, i, index, of)
		}
	}
}

func (s Series) mark(b *strings.Builder, x, y scale, colour string, i, index, of int) {
	px, py := x.px(s.X[i]), y.px(s.Y[i])
	hover := fmt.Sprintf("%s (%s, %s)", s.Name, x.label(s.X[i]), y.label(s.Y[i]))
	if i < len(s.Labels) {
		hover = s.Labels[i] + " " + hover
	}
	if s.Draw == Bars {
		// Bars of several series stand side by side around their centre.
		w := innerW / float64(max(1, len(s.X))) * 0.8
		left := px - w/2 + w*float64(index)/float64(of)
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity=".8"><title>%s</title></rect>`,
			left, py, w/float64(of), max(0, y.from-py), colour, esc(hover))
		return
	}
	if i < len(s.Low) && i < len(s.High) && s.Draw == Points && y.shows(s.Low[i]) && y.shows(s.High[i]) {
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5"/>`,
			px, px, y.px(s.Low[i]), y.px(s.High[i]), colour)
	}
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s</title></circle>`, px, py, colour, esc(hover))
}
