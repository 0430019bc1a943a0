package report

import "strings"

// Table has a header and rows of cells. Cells that read as numbers are
// aligned to the right.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
	// Page is how many rows are shown at a time, with a filter and sorting by
	// column; 0, or no fewer than there are rows, shows all. The others follow
	// as tab-separated text, which is also what a reader without script has.
	Page int
	// Sparks draws a small curve before the text of a cell: column, row, values.
	// In a table of pages only those of the first page are drawn.
	Sparks map[int][][]float64
}

func (t Table) writeHTML(w *writer) {
	if t.Page > 0 && t.Page < len(t.Rows) {
		t.writePaged(w)
		return
	}
	t.writeRows(w, t.Rows)
}

func (t Table) writeRows(w *writer, rows [][]string) {
	w.WriteString(`<div class="scroll" tabindex="0"><table>`)
	if t.Caption != "" {
		w.printf("<caption>%s</caption>", esc(t.Caption))
	}
	w.WriteString("<thead><tr>")
	for i, h := range t.Head {
		align := ""
		if len(rows) > 0 && i < len(rows[0]) && numeric(rows[0][i]) {
			align = ` class="n"`
		}
		w.printf(`<th scope="col"%s>%s</th>`, align, esc(h))
	}
	w.WriteString("</tr></thead><tbody>\n")
	for r, row := range rows {
		w.WriteString("<tr>")
		for i, c := range row {
			w.printf("<td%s>", class(c))
			if curves := t.Sparks[i]; r < len(curves) {
				w.spark(curves[r])
			}
			w.printf("%s</td>", esc(c))
		}
		w.WriteString("</tr>\n")
	}
	w.WriteString("</tbody></table></div>\n")
}

// writePaged writes the first page, and all rows as text for the script to page through.
func (t Table) writePaged(w *writer) {
	w.scripted = true
	w.printf(`<div class="paged" data-page="%d" data-rows="%d"><div class="control" hidden><label>Filter <input type="search"></label> `+
		`<button type="button" aria-label="previous page">‹</button> <output></output> <button type="button" aria-label="next page">›</button></div>`+"\n", t.Page, len(t.Rows))
	t.writeRows(w, t.Rows[:t.Page])
	w.printf("<details><summary>All %d rows as tab-separated text</summary><pre>\n", len(t.Rows))
	w.WriteString(tabbed(t.Head))
	for _, row := range t.Rows {
		w.WriteByte('\n')
		w.WriteString(tabbed(row))
	}
	w.WriteString("</pre></details></div>\n")
}

var oneLine = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")

func tabbed(cells []string) string {
	clean := make([]string, len(cells))
	for i, c := range cells {
		clean[i] = esc(oneLine.Replace(c))
	}
	return strings.Join(clean, "\t")
}

// class aligns a cell: numbers to the right, sentences over several lines.
func class(cell string) string {
	switch {
	case numeric(cell):
		return ` class="n"`
	case len(cell) > 40 && strings.Count(cell, " ") > 3:
		return ` class="w"`
	}
	return ""
}

// numeric reports whether a cell begins like a number, or is the dash of a missing one.
func numeric(s string) bool {
	if s == "–" {
		return true
	}
	s = strings.TrimLeft(s, "-+−±≤≥<>≈ ")
	return s != "" && s[0] >= '0' && s[0] <= '9'
}

// spark draws a curve the height of a line of text, scaled to its own range; a
// missing value leaves a gap.
func (w *writer) spark(values []float64) {
	const width, height = 72.0, 18.0
	y := tight(Axis{}, values)
	y.from, y.to = height-2, 2
	step := (width - 4) / float64(max(1, len(values)-1))
	w.printf(`<svg class="spark" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" aria-hidden="true"><path d="`, width, height, width, height)
	open, lastX, lastY := false, 0.0, 0.0
	for i, v := range values {
		if !y.shows(v) {
			open = false
			continue
		}
		op := "L"
		if !open {
			op = "M"
		}
		open, lastX, lastY = true, 2+step*float64(i), y.px(v)
		w.printf("%s%.1f %.1f", op, lastX, lastY)
	}
	w.WriteString(`"/>`)
	if open {
		w.printf(`<circle cx="%.1f" cy="%.1f" r="1.8"/>`, lastX, lastY)
	}
	w.WriteString("</svg>")
}
