package report

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// writer collects a page's body and what its head must allow. It counts ids, so
// that equal pages have equal bytes.
type writer struct {
	strings.Builder
	narrow   bool // charts stand side by side
	ids      int
	scripted bool // a block is worked by the page's script
	pictures bool // a block embeds a PNG
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// id is a name that no other element of the page has.
func (w *writer) id() string {
	w.ids++
	return fmt.Sprintf("i%d", w.ids)
}

// size is the width and height in pixels that a chart is drawn at.
func (w *writer) size() (width, height float64) {
	if w.narrow {
		return 460, 300
	}
	return 720, 360
}

// openChart starts a figure with its title and its drawing. The drawing scrolls
// sideways, by touch or by key, where a screen is too small for its text.
func (w *writer) openChart(title string, width, height float64) {
	w.WriteString("<figure>")
	if title != "" {
		w.printf(`<div class="title">%s</div>`, esc(title))
	}
	w.printf(`<div class="scroll" tabindex="0"><svg viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" style="min-width:%.0fpx" role="img" aria-label="%s">`,
		width, height, width, height, min(width, max(340, width*0.78)), esc(title))
}

// closeChart ends the drawing, with its legend and caption underneath.
func (w *writer) closeChart(legend []key, caption string) {
	w.WriteString("</svg></div><figcaption>")
	for _, k := range legend {
		if k.name != "" {
			w.printf(`<span class="key"><span style="color:%s" aria-hidden="true">%s</span> %s</span> `, k.colour, k.glyph, esc(k.name))
		}
	}
	if caption != "" {
		w.printf(`<div>%s</div>`, esc(caption))
	}
	w.WriteString("</figcaption></figure>\n")
}

// key is an entry of a legend.
type key struct{ colour, glyph, name string }

// colours of series: Okabe and Ito's, made to be told apart by everybody, in a
// light and a dark set (see style).
const colours = 8

func colour(i int) string { return fmt.Sprintf("var(--s%d)", i%colours) }

// frame is the rectangle inside a chart's labels, in pixels.
type frame struct{ left, right, top, bottom float64 }

func (f frame) width() float64  { return f.right - f.left }
func (f frame) height() float64 { return f.bottom - f.top }

// clip opens a group that cuts off what leaves the frame by more than a mark's radius.
func (f frame) clip(w *writer) {
	id := w.id()
	w.printf(`<clipPath id="%s"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></clipPath><g clip-path="url(#%s)">`,
		id, f.left-5, f.top-5, f.width()+10, f.height()+10, id)
}

// letter is about how wide a letter of the charts is, in pixels; digits are a little wider.
const letter = 7.1

func textWidth(s string) float64 { return letter * float64(utf8.RuneCountInString(s)) }

// cut shortens a label to about so many pixels by taking out its middle.
func cut(s string, width float64) string {
	most := max(4, int(width/letter))
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	head := (most - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(most-1-head):])
}

// nothing says that a chart has no value, in the middle of its empty frame.
func (f frame) nothing(w *writer) {
	w.printf(`<text class="halo" x="%.1f" y="%.1f" text-anchor="middle">nothing was measured</text>`, (f.left+f.right)/2, (f.top+f.bottom)/2)
}

func esc(s string) string { return html.EscapeString(s) }
