package cogs

import (
	"fmt"
	"math/cmplx"
	"slices"

	"orrery/report"
)

// Blocks are a report on a network that was written down: whether it does what
// it should, its weights, and what each of its nodes is needed for.
func (b *Built) Blocks() ([]report.Block, error) {
	w := b.Weights()
	loss, accuracy := w.Table()
	t := report.Table{Head: []string{"quantity", "theory", "measured", "agree?"}}
	want, within := b.exact(), 1e-12
	if want >= 0 {
		t.Rows = append(t.Rows, []string{"loss of the whole table", fmt.Sprintf("%.6g", want), fmt.Sprintf("%.6g", loss), yes(loss >= want-within && loss <= want+within)})
	} else {
		t.Rows = append(t.Rows, []string{"loss of the whole table", "more than 0", fmt.Sprintf("%.6g", loss), yes(loss > within)})
	}
	if want == 0 {
		t.Rows = append(t.Rows, []string{"pairs that are right", "all", fmt.Sprintf("%.2f %%", 100*accuracy), yes(accuracy == 1)})
	} else {
		t.Rows = append(t.Rows, []string{"pairs that are right", "–", fmt.Sprintf("%.2f %%", 100*accuracy), "–"})
	}
	t.Rows = append(t.Rows, []string{"nodes", "–", fmt.Sprint(b.Q), "–"})
	need := "Choose one, and see which potentials no longer cancel."
	if want == 0 {
		need = "Every node is needed. " + need
	}
	out := []report.Block{t, report.Heading("Remove a node"), report.Text(need)}
	s := report.Slider{Label: "node"}
	for _, j := range b.shown() {
		f, err := b.without(j)
		if err != nil {
			return nil, err
		}
		s.Frames = append(s.Frames, f)
	}
	return append(out, s, report.Heading("Weights"), b.weightMaps(w), report.Heading("The parts"), generatorTable()), nil
}

// exact is the loss that theory gives, −1 if it gives none but that there is one.
func (b *Built) exact() float64 {
	switch b.Name {
	case "F4":
		return 2 * (1 - 1/float64(b.D))
	case "F46-unbiased":
		return -1
	}
	return 0
}

// shown are the nodes that the page can remove: those of the first two
// frequencies, or a few.
func (b *Built) shown() (nodes []int) {
	for j, k := range b.Frequency {
		if k <= 2 && len(nodes) < 12 {
			nodes = append(nodes, j)
		}
	}
	return nodes
}

func (b *Built) without(j int) (report.Frame, error) {
	r, err := b.Remove(j)
	if err != nil {
		return report.Frame{}, err
	}
	f := report.Frame{Name: fmt.Sprintf("without node %d", j)}
	text := fmt.Sprintf("Loss %.4g, %.2f %% of all pairs right.", r.Loss, 100*r.Accuracy)
	if r.Frequency == 0 {
		f.Blocks = []report.Block{report.Text(text + " The network knows one pair less; no frequency has nodes of its own.")}
		return f, nil
	}
	f.Blocks = append(f.Blocks, report.Text(text+fmt.Sprintf(" r[k,k,k] at k = %d is %s instead of 1.", r.Frequency, polar(r.R))))
	var all, left []int
	for i, k := range b.Frequency {
		if k == r.Frequency {
			all = append(all, i)
		}
	}
	left = slices.DeleteFunc(slices.Clone(all), func(i int) bool { return i == j })
	chart := report.BarChart{Title: fmt.Sprintf("Monomials at frequency %d", r.Frequency), Y: report.Axis{Label: "relative to |Σabc| of the whole"},
		Series: []report.Group{{Name: "whole"}, {Name: "without the node"}}}
	before, after := b.Element(r.Frequency, all), b.Element(r.Frequency, left)
	signal := cmplx.Abs(Monomials[0].Of(before))
	for _, m := range Monomials {
		chart.Categories = append(chart.Categories, m.Name)
		chart.Series[0].Values = append(chart.Series[0].Values, cmplx.Abs(m.Of(before))/signal)
		chart.Series[1].Values = append(chart.Series[1].Values, cmplx.Abs(m.Of(after))/signal)
	}
	f.Blocks = append(f.Blocks, chart)
	return f, nil
}

// weightMaps draw the three matrices.
func (b *Built) weightMaps(w *Weights) report.Block {
	var out report.Columns
	for _, m := range []struct {
		name, rows string
		data       []float64
	}{{"W_a", "x", w.A}, {"W_b", "y", w.B}, {"W_c", "output", w.C}} {
		h := report.HeatMap{Title: m.name, X: report.Axis{Label: "node"}, Y: report.Axis{Label: m.rows}, Diverging: true, Colour: report.Axis{Label: "weight"}}
		for x := range w.D {
			h.Values = append(h.Values, m.data[x*w.Q:(x+1)*w.Q])
		}
		out = append(out, h)
	}
	return out
}

func generatorTable() report.Block {
	t := report.Table{Head: []string{"part", "nodes"}, Caption: "What each part cancels, at any phases: 0. Products of parts cancel what any of their factors cancels; the signal abc stays."}
	for _, m := range Monomials {
		t.Head = append(t.Head, m.Name)
	}
	for _, g := range Generators {
		z := g.Make(Generic)
		row := []string{g.Name, fmt.Sprint(z.Order())}
		for _, m := range Monomials {
			cell := fmt.Sprintf("%.2f", cmplx.Abs(m.Of(z)))
			if slices.Contains(g.Vanishes, m.Name) {
				cell = "0"
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
