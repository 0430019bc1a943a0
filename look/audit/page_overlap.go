package audit

import (
	"fmt"

	"orrery/report"
)

// mostPoints is how many matrices are drawn as points.
const mostPoints = 1500

// overlapBlocks compare the changed entries with the masks of the base, and with
// what precision alone would give.
func (run *Run) overlapBlocks() []report.Block {
	var have []Matrix
	for _, m := range run.Matrices() {
		if m.Masks != nil && (m.Masks.Princ != nil || m.Masks.Low != nil) {
			have = append(have, m)
		}
	}
	if len(have) == 0 {
		return []report.Block{report.Text("No overlap with principal or low-magnitude weights was measured.")}
	}
	k, alpha := have[0].Masks.K, have[0].Masks.Alpha
	princ, low := kindOverlaps(have, alpha, "principal weights", func(m *Masks) *Overlap { return m.Princ }), kindOverlaps(have, alpha, "low-magnitude weights", func(m *Masks) *Overlap { return m.Low })
	blocks := []report.Block{
		report.Text(fmt.Sprintf("Two masks of the base hold the share α = %.3g of a matrix's entries each: the principal weights, where its rank-%d approximation is largest, and the weights of least magnitude. "+
			"The overlap is the share of the changed entries that lie in a mask. A random set of entries would give α.", alpha, k)),
		report.Text("An update that knows nothing of the weights does not give α: bf16 holds small weights more finely, so the same step changes more of them. The null is what an independent Gaussian update of the observed density would give, for the precision alone. " +
			"Only the difference from the null can say something about direction, and overlaps of different k or α do not compare. The null needs a bf16 base; where it is missing, the place is hatched."),
		report.Columns{princ, low},
		overlapPoints(have, alpha),
	}
	if t := run.Totals.Masks; t != nil {
		table := report.Table{Caption: "Means over matrices", Head: []string{"mask", "observed", "α, random", "null, precision alone", "observed − null", "matrices above both"}}
		for _, o := range []struct {
			name string
			OverlapMean
		}{{"principal", t.Princ}, {"low-magnitude", t.Low}, {"principal, not low", t.PrincNotLow}} {
			table.Rows = append(table.Rows, []string{o.name, short3(o.Observed), short3(o.Baseline), short3(o.Null), short3(o.MinusNull), percent(o.Above)})
		}
		blocks = append(blocks, table)
	}
	return blocks
}

// kindOverlaps has the mean overlap and null of each kind of matrix.
func kindOverlaps(have []Matrix, alpha float64, what string, of func(*Masks) *Overlap) report.Block {
	type lists struct{ observed, null []*float64 }
	by := map[string]*lists{}
	order := newLayerMap()
	for _, m := range have {
		zero := 0
		order.add(&zero, m.Kind, 0)
		if by[m.Kind] == nil {
			by[m.Kind] = &lists{}
		}
		if o := of(m.Masks); o != nil {
			by[m.Kind].observed, by[m.Kind].null = append(by[m.Kind].observed, o.Observed), append(by[m.Kind].null, o.Null)
		}
	}
	kinds := order.sorted()
	observed, null := make([]float64, len(kinds)), make([]float64, len(kinds))
	for i, k := range kinds {
		observed[i], null[i] = orNaN(stats(by[k].observed).Mean), orNaN(stats(by[k].null).Mean)
	}
	return report.BarChart{Title: "Overlap with " + what, Y: report.Axis{Label: "share of changed entries", Percent: true}, Categories: kinds,
		Series: []report.Group{{Name: "observed", Values: observed}, {Name: "null, precision alone", Values: null}},
		Marks:  []report.Mark{{Name: "α", At: alpha, Horizontal: true}}, Caption: "Mean over the layers; hatched: not measured."}
}

// overlapPoints has a point a matrix: the null across, the observation upwards.
func overlapPoints(have []Matrix, alpha float64) report.Block {
	p := report.Plot{Title: "Each matrix: observed against the null", X: report.Axis{Label: "null, precision alone", Percent: true}, Y: report.Axis{Label: "observed", Percent: true}, Diagonal: true,
		Marks: []report.Mark{{Name: "α", At: alpha, Horizontal: true}}}
	every := (len(have) + mostPoints - 1) / mostPoints
	lacking := 0
	for _, side := range []struct {
		name string
		of   func(*Masks) *Overlap
	}{{"principal weights", func(m *Masks) *Overlap { return m.Princ }}, {"low-magnitude weights", func(m *Masks) *Overlap { return m.Low }}} {
		s := report.Series{Name: side.name, Draw: report.Points}
		for i, m := range have {
			o := side.of(m.Masks)
			switch {
			case o == nil || o.Observed == nil || o.Null == nil:
				lacking++
			case i%every == 0:
				s.X, s.Y, s.Labels = append(s.X, *o.Null), append(s.Y, *o.Observed), append(s.Labels, m.Name)
			}
		}
		if len(s.X) > 0 {
			p.Series = append(p.Series, s)
		}
	}
	if len(p.Series) == 0 {
		return report.Text("No matrix has both an overlap and its null, so they are not drawn against each other: either nothing changed, or the base is not stored in bf16.")
	}
	p.Caption = "On the dashed diagonal, precision alone explains the overlap."
	if every > 1 {
		p.Caption += fmt.Sprintf(" One matrix in %d is drawn.", every)
	}
	if lacking > 0 {
		p.Caption += fmt.Sprintf(" %d points not measured.", lacking)
	}
	return p
}
