package cogs

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// Blocks are the sections of a report about a training: what theory says beside
// what was measured, on top.
func (h *History) Blocks() []report.Block {
	f := h.Factors()
	out := []report.Block{report.Heading("What the network consists of (CoGS)")}
	if _, ok := h.Settled(); !ok {
		out = append(out, report.Note{Warning: true, Label: "Orders are still changing",
			Text: "The last two kept epochs give a frequency different numbers of nodes, or there is one epoch alone. Orders settle late: train longer before counting factors."})
	}
	out = append(out, h.theory(), SharesTable(h.D, Count(f)), h.tailTable())
	out = append(out, h.curves(), h.orderMap(), h.nodeMaps())
	out = append(out, factorTable(f), circle(f))
	return out
}

// A row of theory beside measurement agrees within these.
const (
	signalWithin   = 0.01 // of r[k,k,k], which decay keeps some 0.002 below 1
	monomialWithin = 0.05 // of Rc and R*; trained networks have up to about 0.01
	rn4Within      = 0.1  // of Rn at order 4
)

func (h *History) theory() report.Block {
	f, p := h.Factors(), h.BestPoint()
	t := report.Table{Head: []string{"quantity", "theory", "measured", "agree?"},
		Caption: fmt.Sprintf("At epoch %d, the best by loss of the last %d kept. Agreement: the identity to 1e-9; r within %g; Rc, R* and folded Rn up to %g; Rn at order 4 within %g.",
			p.Epoch, len(h.Tail), signalWithin, monomialWithin, rn4Within)}
	row := func(what, theory, measured string, agree bool) {
		t.Rows = append(t.Rows, []string{what, theory, measured, yes(agree)})
	}
	row("loss of the whole table is a sum of squared potentials", fmt.Sprintf("%.6g", h.FromPotentials), fmt.Sprintf("%.6g", h.Direct),
		math.Abs(h.FromPotentials-h.Direct) <= 1e-9*max(h.Direct, 1e-9))
	row("Σ r[k,k,k] over k ≠ 0", fmt.Sprintf("d − 1 = %d", h.D-1), fmt.Sprintf("%.3f", p.Diagonal), math.Abs(p.Diagonal/float64(h.D-1)-1) <= signalWithin)
	row("Σ |G|² over all other potentials", "0", fmt.Sprintf("%.3g", p.Others), p.Others <= signalWithin*float64(h.D-1))
	fits, n4, rn4, rc, rstar := 0, 0, 0.0, 0.0, 0.0
	for _, k := range f.Frequencies {
		if k.Order() == 4 || k.Order() == 6 {
			fits++
			rc, rstar = max(rc, k.Rc), max(rstar, k.RStar)
		}
		if k.Robust.Kind == Kind4 {
			n4++
			rn4 += k.Rn
		}
	}
	row("frequencies with 4 or 6 nodes", fmt.Sprintf("all %d", len(f.Frequencies)), fmt.Sprint(fits), fits == len(f.Frequencies))
	if fits > 0 {
		row("largest Rc of those, relative to |Σabc|", "0", fmt.Sprintf("%.2g", rc), rc <= monomialWithin)
		row("largest R* of those", "0", fmt.Sprintf("%.2g", rstar), rstar <= monomialWithin)
	}
	row("Rn summed over all frequencies: largest |G_k(0,0)|", "0", fmt.Sprintf("%.2g", h.Folded), h.Folded <= monomialWithin)
	if n4 > 0 {
		rn4 /= float64(n4)
		row("Rn at one frequency of order 4, mean (others' nodes make up for it)", "1/√2 = 0.707", fmt.Sprintf("%.3f", rn4), math.Abs(rn4-math.Sqrt2/2) <= rn4Within)
	}
	return t
}

func yes(agree bool) string {
	if agree {
		return "yes"
	}
	return "no"
}

// SharesTable shows shares of frequencies by kind beside the published ones for
// this d, if there are any.
func SharesTable(d int, s Shares) report.Block {
	t := report.Table{Head: []string{"factors", "nodes", "frequencies", "share, 95 % interval"}, Caption: fmt.Sprintf(
		"%d networks, %d frequencies; %d of %s are near z_ν=i. The last column is the authors' rule, of the %d frequencies that it can factor. "+
			"Published shares lie inside or outside of the interval; they disagree within order 6, where the split depends on the classifier; that of order 4 is the stable one.",
		s.Networks, s.Frequencies, s.Near, Kind6, s.Factorable)}
	var rows []Published
	for _, p := range PublishedShares {
		if p.D == d {
			rows = append(rows, p)
			t.Head = append(t.Head, p.Source+", d = "+fmt.Sprint(d))
		}
	}
	if rows == nil {
		t.Caption += fmt.Sprintf(" Nothing is published for d = %d.", d)
	}
	t.Head = append(t.Head, "authors' rule")
	for _, k := range Kinds {
		i := Wilson(s.Robust[k], s.Frequencies)
		row := []string{string(k), map[Kind]string{Kind4: "4", Kind6i: "6", Kind6: "6", Other: "any"}[k], fmt.Sprint(s.Robust[k]), i.String()}
		for _, p := range rows {
			where := "outside"
			if i.Holds(p.Share[k]) {
				where = "inside"
			}
			row = append(row, fmt.Sprintf("%.2f %%, %s", 100*p.Share[k], where))
		}
		t.Rows = append(t.Rows, append(row, Wilson(s.Compatible[k], s.Factorable).String()))
	}
	return t
}

// tailTable shows how much the last snapshots differ.
func (h *History) tailTable() report.Block {
	t := report.Table{Caption: "The last kept epochs: a large learning rate leaves spikes of loss. The one with the lowest loss, of those with the final orders, is factorised.",
		Head: []string{"epoch", "loss", "order 4", "order 6", "other orders", string(Kind6i), ""}}
	for i, f := range h.Tail {
		p, s := h.tailPoint(i), Count(f)
		note := ""
		if i == h.Best {
			note = "best"
		}
		t.Rows = append(t.Rows, []string{fmt.Sprint(p.Epoch), fmt.Sprintf("%.3g", p.Loss), fmt.Sprint(s.Orders[4]), fmt.Sprint(s.Orders[6]),
			fmt.Sprint(s.Frequencies - s.Orders[4] - s.Orders[6]), fmt.Sprint(s.Robust[Kind6i]), note})
	}
	return t
}

// curves are the potentials over epochs.
func (h *History) curves() report.Block {
	diagonal, others := report.Series{Name: "Σ r[k,k,k]", Draw: report.LinePoints}, report.Series{Name: "Σ |G|²", Draw: report.LinePoints}
	for _, p := range h.Points {
		if p.Epoch == 0 {
			continue // no place on a logarithmic axis
		}
		x := float64(p.Epoch)
		diagonal.X, diagonal.Y = append(diagonal.X, x), append(diagonal.Y, p.Diagonal)
		others.X, others.Y = append(others.X, x), append(others.Y, p.Others)
	}
	var marks []report.Mark
	if e, ok := h.Settled(); ok && e > 0 {
		marks = append(marks, report.Mark{Name: "orders final", At: float64(e)})
	}
	epochs := report.Axis{Label: "epoch", Log: true}
	return report.Columns{
		report.Plot{Title: "The signal", X: epochs, Y: report.Axis{Label: "Σ r[k,k,k], k ≠ 0"}, Series: []report.Series{diagonal},
			Marks:   append([]report.Mark{{Name: fmt.Sprintf("theory d − 1 = %d", h.D-1), At: float64(h.D - 1), Horizontal: true}}, marks...),
			Caption: "The potentials that must be 1."},
		report.Plot{Title: "The noise", X: epochs, Y: report.Axis{Label: "Σ |G|² of all others", Log: true}, Series: []report.Series{others}, Marks: marks,
			Caption: "The potentials that must vanish: what is left of d times the loss."},
	}
}

// orderMap is the histogram of orders at each kept epoch.
func (h *History) orderMap() report.Block {
	most := 0
	for _, p := range h.Points {
		most = max(most, slices.Max(p.Orders))
	}
	const bin = 10 // orders from here on share a row
	m := report.HeatMap{Title: "Nodes a frequency has, over time", X: report.Axis{Label: "epoch"}, Y: report.Axis{Label: "order"},
		Colour: report.Axis{Label: "frequencies"}, Text: true, Caption: "How many frequencies have so many nodes. In the end theory wants 4 or 6."}
	rows := min(most, bin) + 1
	for r := rows - 1; r >= 0; r-- {
		name := fmt.Sprint(r)
		if r == bin {
			name += " or more"
		}
		m.Rows = append(m.Rows, name)
		m.Values = append(m.Values, make([]float64, len(h.Points)))
	}
	for c, p := range h.Points {
		m.Columns = append(m.Columns, fmt.Sprint(p.Epoch))
		for _, o := range p.Orders {
			m.Values[rows-1-min(o, bin)][c]++
		}
	}
	return m
}

// frames are the epochs shown by the slider.
const frames = 12

// nodeMaps show |A| of the nodes that live in the end.
func (h *History) nodeMaps() report.Block {
	f := h.Factors()
	var nodes []int
	var names []string
	for _, k := range f.Frequencies {
		mine := slices.Clone(k.Nodes)
		slices.SortStableFunc(mine, func(i, j int) int { // groups of equal c side by side
			return cmp.Compare(h.phase(k, i), h.phase(k, j))
		})
		for _, j := range mine {
			nodes = append(nodes, j)
			names = append(names, fmt.Sprintf("k=%d, node %d", k.K, j))
		}
	}
	if len(nodes) == 0 {
		return report.Note{Label: "No node is alive", Text: fmt.Sprintf("No node has a coefficient |A| above %g at a frequency other than 0.", f.Threshold)}
	}
	n := h.D/2 + 1
	var columns []string
	for k := range n {
		columns = append(columns, fmt.Sprint(k))
	}
	largest := 0.0
	s := report.Slider{Label: "epoch"}
	for _, i := range spread(len(h.Points), frames) {
		p := h.Points[i]
		m := report.HeatMap{Title: "|A| of each node at each frequency", X: report.Axis{Label: "frequency"}, Y: report.Axis{Label: "node, by the frequency that it ends at"},
			Columns: columns, Rows: names, Colour: report.Axis{Label: "|A|"}, Caption: fmt.Sprintf(
				"The %d nodes that live in the end, at epoch %d; bands of four and six form. %d others have died.", len(nodes), p.Epoch, f.Dropped)}
		for _, j := range nodes {
			row := make([]float64, n)
			for k := range row {
				row[k] = float64(p.amplitude[j*n+k])
				largest = max(largest, row[k])
			}
			m.Values = append(m.Values, row)
		}
		s.Frames = append(s.Frames, report.Frame{Name: fmt.Sprintf("epoch %d", p.Epoch), Blocks: []report.Block{m}})
	}
	for i := range s.Frames { // one scale for all
		m := s.Frames[i].Blocks[0].(report.HeatMap)
		m.Colour.Max = largest
		s.Frames[i].Blocks[0] = m
	}
	return s
}

// phase is that of C of a node of the frequency.
func (h *History) phase(k Frequency, node int) float64 {
	return angles(k.Element.C, 1)[slices.Index(k.Nodes, node)]
}

// spread picks at most so many of n indices, evenly, the last among them.
func spread(n, most int) []int {
	if n <= most {
		most = n
	}
	var out []int
	for i := range most {
		out = append(out, (i+1)*n/most-1)
	}
	return out
}
