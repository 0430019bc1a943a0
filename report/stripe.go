package report

import "fmt"

// Stripes draws profiles, such as the share of changed weights by row and by
// column of a matrix, as bands of colour that share one scale. Each is as wide as
// the chart, whatever its length.
type Stripes struct {
	Title   string
	Caption string
	Colour  Axis
	Stripes []Stripe
}

// Stripe is one profile. Borders are drawn before these indices: attention heads.
type Stripe struct {
	Name    string
	Values  []float64
	Borders []int
}

func (s Stripes) writeHTML(w *writer) {
	width, _ := w.size()
	const tall, gap = 26.0, 42.0
	f := frame{left: 14, right: width - 14, top: 24}
	height := f.top + float64(len(s.Stripes))*(tall+gap) + legendHeight
	var all [][]float64
	for _, p := range s.Stripes {
		all = append(all, p.Values)
	}
	g := newGradient(s.Colour, false, all...)
	caption := s.Caption
	w.openChart(s.Title, width, height)
	missing, below, coarse := false, false, false
	for i, p := range s.Stripes {
		f.bottom = f.top + tall
		w.printf(`<text x="%.1f" y="%.1f">%s</text>`, f.left, f.top-6, esc(cut(fmt.Sprintf("%s (%d)", p.Name, len(p.Values)), f.width())))
		m := HeatMap{Values: [][]float64{p.Values}}
		lacks, under := m.count(g, 1, max(1, len(p.Values)))
		missing, below = missing || lacks, below || under
		if lacks {
			w.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="url(#%s)"/>`, f.left, f.top, f.width(), tall, w.hatch())
		}
		if n := len(p.Values); n > 0 {
			small, _, by := shrink(m.Values, 1, n)
			coarse = coarse || by > 1
			w.pictures = true
			w.printf(`<image x="%.1f" y="%.1f" width="%.1f" height="%.1f" preserveAspectRatio="none" href="%s"><title>%s</title></image>`,
				f.left, f.top, f.width(), tall, g.picture(small, len(small[0])), esc(p.hover(s.Colour)))
			for _, at := range p.Borders {
				if at > 0 && at < n && len(p.Borders) < int(f.width()/4) {
					x := f.left + f.width()*float64(at)/float64(n)
					w.printf(`<line class="border" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x, x, f.top, f.bottom)
				}
			}
			w.printf(`<text x="%.1f" y="%.1f">0</text><text x="%.1f" y="%.1f" text-anchor="end">%d</text>`, f.left, f.bottom+13, f.right, f.bottom+13, n-1)
		}
		w.printf(`<rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, f.left, f.top, f.width(), tall)
		if i+1 < len(s.Stripes) {
			f.top = f.bottom + gap
		}
	}
	g.legend(w, f.left, height-30, min(240, width-190), missing, below)
	if coarse {
		caption += fmt.Sprintf(" Longer profiles than %d values are averaged to that many.", mostPixels)
	}
	w.closeChart(nil, caption)
}

// hover says what a band of colours does not: its range.
func (p Stripe) hover(a Axis) string {
	s := tight(Axis{}, p.Values)
	return fmt.Sprintf("%s: %s to %s", p.Name, a.label(s.lo), a.label(s.hi))
}
