package report

import (
	"math"
	"strconv"
	"strings"
)

// Axis describes one axis, or what the colours of a HeatMap mean. Min and Max
// that are equal are taken from the data.
type Axis struct {
	Label    string
	Min, Max float64
	Log      bool // base 10; values ≤ 0 are left out
	Percent  bool // values are fractions, labels are per cent
}

// scale maps data to pixels along one axis.
type scale struct {
	axis     Axis
	lo, hi   float64 // in transformed coordinates
	from, to float64 // pixels
}

// largest is the largest value that is drawn: differences of larger ones overflow.
const largest = 1e300

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
	return math.Abs(v) <= largest && (!s.axis.Log || v > 0)
}

// newScale fits the axis to its values, with a margin of a twentieth.
func newScale(a Axis, from, to float64, values ...[]float64) scale {
	s := tight(a, values...)
	s.from, s.to = from, to
	if a.Min == a.Max {
		margin := (s.hi - s.lo) * 0.05
		if s.lo != 0 || a.Log {
			s.lo -= margin
		}
		s.hi += margin
	}
	return s
}

// tight fits the axis to its values, without margin, and never to nothing: a
// range that rounding would swallow is widened.
func tight(a Axis, values ...[]float64) scale {
	s := scale{axis: a, to: 1}
	lo, hi := math.Inf(1), math.Inf(-1)
	if a.Min != a.Max && s.shows(a.Min) && s.shows(a.Max) {
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
	}
	if size := max(math.Abs(lo), math.Abs(hi)); math.Abs(hi-lo) <= size*1e-9 {
		half := 0.5
		if !a.Log && size > 0 {
			half = size / 4
		}
		lo, hi = lo-half, hi+half
	}
	s.lo, s.hi = lo, hi
	return s
}

// ticks are round values inside the scale, about n of them.
func (s scale) ticks(n int) []float64 {
	var out []float64
	lo, hi := min(s.lo, s.hi), max(s.lo, s.hi)
	if s.axis.Log && hi-lo >= 0.7 { // 1, 2 and 5 of each decade, or decades alone if there are many
		mantissas := []float64{1, 2, 5}
		if hi-lo > 2.5 {
			mantissas = mantissas[:1]
		}
		every := max(1, math.Ceil((hi-lo)/float64(n)))
		for e := math.Floor(lo/every) * every; e <= hi; e += every {
			for _, m := range mantissas {
				if v := m * math.Pow(10, e); math.Log10(v) >= lo-1e-9 && math.Log10(v) <= hi+1e-9 {
					out = append(out, v)
				}
			}
		}
		return out
	}
	if s.axis.Log {
		lo, hi = math.Pow(10, lo), math.Pow(10, hi)
	}
	step := roundStep((hi - lo) / float64(n))
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		out = append(out, i*step+0) // +0: never -0
	}
	return out
}

// roundStep is the least 1, 2 or 5 times a power of ten that is not below raw.
func roundStep(raw float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if step*m >= raw*(1-1e-9) {
			return step * m
		}
	}
	return step * 10
}

// tickLabels are the labels of ticks, with as many digits as tell neighbours apart.
func (s scale) tickLabels(ticks []float64) []string {
	digits := 4
	if len(ticks) > 1 && !s.axis.Log {
		size := max(math.Abs(ticks[0]), math.Abs(ticks[len(ticks)-1]))
		digits = max(digits, int(math.Ceil(math.Log10(size/(ticks[1]-ticks[0]))))+1)
	}
	out := make([]string, len(ticks))
	for i, v := range ticks {
		out[i] = s.axis.format(v, digits)
	}
	return out
}

// label is a value with four digits, for hover texts and cells.
func (a Axis) label(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "not measured"
	}
	return a.format(v, 4)
}

func (a Axis) format(v float64, digits int) string {
	if a.Percent {
		return trim(v*100, digits) + " %"
	}
	switch size := math.Abs(v); {
	case size >= 1e13:
	case size >= 1e9:
		return trim(v/1e9, digits) + "G"
	case size >= 1e6:
		return trim(v/1e6, digits) + "M"
	case size >= 1e4:
		return trim(v/1e3, digits) + "k"
	}
	return trim(v, digits)
}

// trim writes 1e-5 rather than 1e-05.
func trim(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'g', digits, 64)
	s = strings.Replace(s, "e-0", "e-", 1)
	return strings.Replace(strings.Replace(s, "e+0", "e", 1), "e+", "e", 1)
}

// yAxis draws the grid lines and labels of a vertical axis, with its name at the top.
func (f frame) yAxis(w *writer, y scale, ticks []float64, labels []string) {
	for i, v := range ticks {
		w.printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			f.left, f.right, y.px(v), y.px(v), f.left-6, y.px(v)+4, esc(labels[i]))
	}
	if y.axis.Label != "" {
		w.printf(`<text x="6" y="14">%s</text>`, esc(y.axis.Label))
	}
}

// xAxis draws the grid lines and labels of a horizontal axis; labels that would
// touch the one before are left out.
func (f frame) xAxis(w *writer, x scale, ticks []float64) {
	end := math.Inf(-1)
	for i, label := range x.tickLabels(ticks) {
		px, half := x.px(ticks[i]), textWidth(label)/2
		w.printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, px, px, f.top, f.bottom)
		if px-half > end+6 {
			w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, px, f.bottom+16, esc(label))
			end = px + half
		}
	}
	w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (f.left+f.right)/2, f.bottom+34, esc(x.axis.Label))
}
