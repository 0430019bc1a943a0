package report

import (
	"fmt"
	"math"
)

// HeatMap draws a matrix as colours, its first row on top. Missing values (NaN,
// or rows that are too short) are hatched, never drawn as zero. A map of many
// cells becomes one embedded picture; a larger one than the screen has pixels is
// averaged first, and its caption says so.
type HeatMap struct {
	Title     string
	Caption   string
	X, Y      Axis        // names; Log says how Lines lie between the centres of cells
	Columns   []string    // labels; none: ColumnAt's values, if any
	Rows      []string    // labels; none: RowAt's values, if any
	Values    [][]float64 // row, column
	Colour    Axis        // what the colours mean
	Diverging bool        // colours around 0
	Text      bool        // the value in each cell that has room
	// ColumnAt and RowAt are the cells' centres in the units of Lines, rising or
	// falling. Without them the first cell is at 0, the next at 1.
	ColumnAt, RowAt []float64
	Lines           []Series // drawn over the cells
}

// Cells are drawn one by one, with a hover text each, up to so many; more become
// a picture of at most so many pixels a side.
const (
	mostCells  = 2500
	mostPixels = 700
)

func (m HeatMap) columns() int {
	n := len(m.Columns)
	for _, row := range m.Values {
		n = max(n, len(row))
	}
	return n
}

func (m HeatMap) at(r, c int) float64 {
	if r >= len(m.Values) || c >= len(m.Values[r]) {
		return math.NaN()
	}
	return m.Values[r][c]
}

func (m HeatMap) writeHTML(w *writer) {
	rows, columns := max(len(m.Values), len(m.Rows)), m.columns()
	rowLabels, columnLabels := names(m.Rows, m.RowAt, m.Y, rows), names(m.Columns, m.ColumnAt, m.X, columns)
	width, _ := w.size()
	f := frame{left: 14, right: width - 14, top: 10}
	for _, l := range rowLabels {
		f.left = max(f.left, min(textWidth(l), width*0.36)+12)
	}
	if m.Y.Label != "" {
		f.top = 22
	}
	cell := f.width() / float64(max(1, columns))
	if rows*columns <= mostCells {
		cell = min(cell, 84)
	}
	f.right = f.left + cell*float64(max(1, columns))
	tall := cellHeight(rows, cell)
	f.bottom = f.top + tall*float64(max(1, rows))
	turned, drop := turn(columnLabels, cell)
	if m.X.Label != "" {
		drop += 18
	}
	height := f.bottom + drop + legendHeight

	caption := m.Caption
	g := newGradient(m.Colour, m.Diverging, m.Values...)
	w.openChart(m.Title, width, height)
	missing, below := m.count(g, rows, columns)
	if missing {
		w.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="url(#%s)"/>`, f.left, f.top, f.width(), f.height(), w.hatch())
	}
	if rows*columns <= mostCells {
		m.cells(w, g, f, rows, columns, rowLabels, columnLabels)
	} else {
		small, byRow, byColumn := shrink(m.Values, rows, columns)
		w.pictures = true
		w.printf(`<image x="%.1f" y="%.1f" width="%.1f" height="%.1f" preserveAspectRatio="none" href="%s"/>`,
			f.left, f.top, f.width(), f.height(), g.picture(small, min(columns, mostPixels)))
		if byRow > 1 || byColumn > 1 {
			caption += fmt.Sprintf(" Drawn smaller: each point is the mean of about %.3g × %.3g of %d × %d values.", byRow, byColumn, rows, columns)
		}
	}
	w.printf(`<rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, f.left, f.top, f.width(), f.height())
	m.rowLabels(w, f, rowLabels)
	columnNames(w, f, columnLabels, cell, turned)
	if m.X.Label != "" {
		w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (f.left+f.right)/2, f.bottom+drop-4, esc(m.X.Label))
	}
	legend := m.lines(w, f, rows, columns)
	g.legend(w, f.left, height-30, min(240, width-f.left-150), missing, below)
	w.closeChart(legend, caption)
}

// cellHeight keeps maps of few rows from growing tall and those of many on the screen.
func cellHeight(rows int, cell float64) float64 {
	switch {
	case rows <= 16:
		return min(26, max(18, cell))
	case rows <= 48: // room for text
		return 17
	}
	return max(240, min(480, float64(rows))) / float64(rows)
}

// names are the labels of rows or columns: as given, or the centres' values.
func names(given []string, at []float64, a Axis, n int) []string {
	if len(given) > 0 || len(at) == 0 {
		return given
	}
	out := make([]string, 0, len(at))
	for _, v := range at[:min(n, len(at))] {
		out = append(out, a.label(v))
	}
	return out
}

func (m HeatMap) count(g gradient, rows, columns int) (missing, below bool) {
	for r := range rows {
		for c := range columns {
			v := m.at(r, c)
			missing = missing || g.missing(v)
			below = below || g.axis.Log && v <= 0 && !g.missing(v)
		}
	}
	return missing, below
}

func (m HeatMap) cells(w *writer, g gradient, f frame, rows, columns int, rowLabels, columnLabels []string) {
	cw, ch := f.width()/float64(max(1, columns)), f.height()/float64(max(1, rows))
	w.WriteString(`<g class="cells">`)
	for r := range rows {
		for c := range columns {
			v, fill := m.at(r, c), "transparent"
			if !g.missing(v) {
				fill = hex(g.at(v))
			}
			x, y := f.left+cw*float64(c), f.top+ch*float64(r)
			value := m.Colour.label(v)
			w.printf(`<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"><title>%s</title></rect>`,
				x, y, cw+0.3, ch+0.3, fill, esc(nth(rowLabels, r)+", "+nth(columnLabels, c)+": "+value))
			if m.Text && !g.missing(v) && ch >= 16 {
				if textWidth(value)*1.08 > cw {
					value = m.Colour.format(v, 2)
				}
				if textWidth(value)*1.08 <= cw {
					w.printf(`<text class="%s" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, ink(g.at(v)), x+cw/2, y+ch/2+4, esc(value))
				}
			}
		}
	}
	w.WriteString("</g>")
}

func nth(labels []string, i int) string {
	if i < len(labels) {
		return labels[i]
	}
	return fmt.Sprint(i)
}

func (m HeatMap) rowLabels(w *writer, f frame, labels []string) {
	tall := f.height() / float64(max(1, len(m.Values), len(m.Rows)))
	every := max(1, int(math.Ceil(13/tall)))
	for i := 0; i < len(labels); i += every {
		w.printf(`<text x="%.1f" y="%.1f" text-anchor="end">%s<title>%s</title></text>`,
			f.left-6, f.top+tall*(float64(i)+0.5)+4, esc(cut(labels[i], f.left-10)), esc(labels[i]))
	}
	if m.Y.Label != "" {
		w.printf(`<text x="6" y="14">%s</text>`, esc(m.Y.Label))
	}
}

// turn decides whether column labels must stand at an angle, and how far they reach
// down. Short ones are thinned out instead.
func turn(labels []string, cell float64) (turned bool, drop float64) {
	longest := widest(labels)
	if longest <= 40 || longest <= cell-4 {
		return false, 20
	}
	return true, min(longest, 150)*0.71 + 10
}

func widest(labels []string) (longest float64) {
	for _, l := range labels {
		longest = max(longest, textWidth(l))
	}
	return longest
}

// columnNames writes the labels of columns that are cell wide: every one, or every
// nth so that they do not touch.
func columnNames(w *writer, f frame, labels []string, cell float64, turned bool) {
	room := 13.0
	if !turned {
		room = widest(labels) + 5
	}
	every := max(1, int(math.Ceil(room/cell)))
	for i := 0; i < len(labels); i += every {
		x, l := f.left+cell*(float64(i)+0.5), labels[i]
		if turned {
			w.printf(`<text transform="translate(%.1f %.1f) rotate(-45)" text-anchor="end">%s<title>%s</title></text>`, x+4, f.bottom+12, esc(cut(l, 150)), esc(l))
			continue
		}
		w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x, f.bottom+15, esc(l))
	}
}

// lines draws Lines over the map, and returns their legend.
func (m HeatMap) lines(w *writer, f frame, rows, columns int) (legend []key) {
	if len(m.Lines) == 0 || rows == 0 || columns == 0 {
		return nil
	}
	cw, ch := f.width()/float64(columns), f.height()/float64(rows)
	f.clip(w)
	for i, s := range m.Lines {
		stroke := []string{"#fff", "#ff9d5c", "#7fe0ff", "#ffd0ec"}[i%4]
		look := []string{"", ` stroke-dasharray="8 3"`, ` stroke-dasharray="2 3"`, ` stroke-dasharray="8 3 2 3"`}[i%4]
		legend = append(legend, key{"var(--fg)", []string{"━━", "╍╍", "┄┄", "━·━"}[i%4], s.Name})
		var d []byte
		open := false
		for j := range min(len(s.X), len(s.Y)) {
			x, y := cellIndex(m.ColumnAt, m.X.Log, s.X[j]), cellIndex(m.RowAt, m.Y.Log, s.Y[j])
			if math.IsNaN(x) || math.IsNaN(y) {
				open = false
				continue
			}
			op := byte('L')
			if !open {
				op = 'M'
			}
			open = true
			d = fmt.Appendf(append(d, op), "%.1f %.1f", f.left+cw*(x+0.5), f.top+ch*(y+0.5))
		}
		w.printf(`<path class="under" d="%s"/><path fill="none" stroke="%s" stroke-width="2"%s d="%s"><title>%s</title></path>`, d, stroke, look, d, esc(s.Name))
	}
	w.WriteString("</g>")
	return legend
}

// cellIndex is where v lies among the cells' centres, in cells: 0 is the middle of
// the first. It goes on in a straight line outside; NaN where there is no place.
func cellIndex(at []float64, log bool, v float64) float64 {
	f := func(v float64) float64 { return v }
	if log {
		f = math.Log10
	}
	v = f(v)
	if len(at) < 2 {
		if len(at) == 1 {
			v -= f(at[0])
		}
	} else {
		i := 0
		for i+2 < len(at) && (v-f(at[i+1]))*(f(at[i+1])-f(at[i])) > 0 {
			i++
		}
		v = float64(i) + (v-f(at[i]))/(f(at[i+1])-f(at[i]))
	}
	if !(math.Abs(v) < 1e6) { // far outside
		return math.NaN()
	}
	return v
}

// shrink averages the values that are there to at most mostPixels a side, and
// says how many rows and columns a point stands for.
func shrink(values [][]float64, rows, columns int) (out [][]float64, byRow, byColumn float64) {
	h, width := min(rows, mostPixels), min(columns, mostPixels)
	out = make([][]float64, h)
	sum, n := make([]float64, width), make([]int, width)
	for y := range h {
		clear(sum)
		clear(n)
		for r := y * rows / h; r < (y+1)*rows/h && r < len(values); r++ {
			for x := range width {
				for c := x * columns / width; c < (x+1)*columns/width && c < len(values[r]); c++ {
					if v := values[r][c]; math.Abs(v) <= largest {
						sum[x] += v
						n[x]++
					}
				}
			}
		}
		out[y] = make([]float64, width)
		for x := range width {
			out[y][x] = sum[x] / float64(n[x]) // 0/0: missing
		}
	}
	return out, float64(rows) / float64(h), float64(columns) / float64(width)
}
