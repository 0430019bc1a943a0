package report

import (
	"fmt"
	"slices"
)

// Histogram draws counts per bin. Series stand on each other, so that the outline
// is their sum; on a logarithmic Y, where sums can't be read, each has its own line.
type Histogram struct {
	Title    string
	Caption  string
	X, Y     Axis
	Edges    []float64 // of the bins, rising: one more than counts
	Overlaid bool      // series stand in front of each other, each from 0, as shares of different wholes must; false: on top of each other, except where Y is logarithmic
	Series   []Counts
	Marks    []Mark // such as the energies that theory allows
}

// Counts are one series of a histogram: up to four can be told apart.
type Counts struct {
	Name   string
	Counts []float64 // NaN and negative ones are not drawn
}

func (h Histogram) bins() int {
	n := 0
	for _, s := range h.Series {
		n = max(n, len(s.Counts))
	}
	return max(0, min(n, len(h.Edges)-1))
}

func (h Histogram) count(s Counts, bin int) float64 {
	if bin < len(s.Counts) && s.Counts[bin] > 0 && s.Counts[bin] <= largest {
		return s.Counts[bin]
	}
	return 0
}

func (h Histogram) writeHTML(w *writer) {
	n := h.bins()
	sums, each := make([]float64, n), make([]float64, 0, n)
	for _, s := range h.Series {
		for i := range n {
			sums[i] += h.count(s, i)
			each = append(each, h.count(s, i))
		}
	}
	ys := [][]float64{sums, {0}}
	switch {
	case h.Y.Log:
		ys = [][]float64{each, {0.5}} // a count of 1 stands above the axis
	case h.Overlaid:
		ys[0] = each
	}
	notes := annotations{marks: h.Marks}
	f, x, y, ticks, labels := layout(w, h.X, h.Y, &notes, [][]float64{h.Edges[:min(n+1, len(h.Edges))]}, ys)
	width, height := w.size()
	w.openChart(h.Title, width, height)
	f.yAxis(w, y, ticks, labels)
	f.xAxis(w, x, x.ticks(int(f.width()/80)))
	f.clip(w)
	var legend []key
	floor := make([]float64, n)
	for k, s := range h.Series {
		legend = append(legend, key{colour(k), "■", s.Name})
		for i := range n {
			c := h.count(s, i)
			if c == 0 || !x.shows(h.Edges[i]) || !x.shows(h.Edges[i+1]) {
				continue
			}
			left, right := x.px(h.Edges[i]), x.px(h.Edges[i+1])
			low, high := f.bottom, y.px(floor[i]+c)
			look := `fill-opacity=".85"`
			if h.Y.Log || h.Overlaid {
				look = fmt.Sprintf(`fill-opacity=".2" stroke-width="1.5" stroke="%s"`, colour(k))
			} else {
				low = y.px(floor[i])
				floor[i] += c
			}
			w.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" %s><title>%s %s to %s: %s</title></rect>`,
				left, high, max(0.5, right-left-0.5), max(0, low-high), colour(k), look,
				esc(s.Name), esc(h.X.label(h.Edges[i])), esc(h.X.label(h.Edges[i+1])), esc(h.Y.label(c)))
		}
	}
	w.WriteString("</g>")
	if slices.IndexFunc(each, func(c float64) bool { return c > 0 }) < 0 {
		f.nothing(w)
	}
	notes.before(w, f, x, y)
	w.closeChart(legend, h.Caption)
}
