package audit

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// byLayer sums what tensors have by layer; those outside the layers come last.
type byLayer struct {
	layers []int
	outer  bool
	n      map[int]float64 // weight; -1: outside
	sum    map[int][]float64
}

func newByLayer() *byLayer { return &byLayer{n: map[int]float64{}, sum: map[int][]float64{}} }

func (b *byLayer) add(layer *int, weight float64, v ...float64) {
	at := -1
	if layer != nil {
		at = *layer
	}
	if b.sum[at] == nil {
		b.sum[at] = make([]float64, len(v))
		if layer == nil {
			b.outer = true
		} else {
			b.layers = append(b.layers, at)
		}
	}
	b.n[at] += weight
	for i, x := range v {
		b.sum[at][i] += weight * x
	}
}

func (b *byLayer) order() []int {
	slices.Sort(b.layers)
	if b.outer {
		return append(b.layers, -1)
	}
	return b.layers
}

func (b *byLayer) names() []string {
	var out []string
	for _, l := range b.order() {
		if l < 0 {
			out = append(out, "other")
		} else {
			out = append(out, fmt.Sprint(l))
		}
	}
	return out
}

// series are the i-th values in order, divided by the weights if mean is set.
func (b *byLayer) series(i int, mean bool) []float64 {
	var out []float64
	for _, l := range b.order() {
		v := b.sum[l][i]
		if mean {
			v /= b.n[l] // 0/0: not measured
		}
		out = append(out, v)
	}
	return out
}

func (run *Run) changedBlocks() []report.Block {
	b := newByLayer()
	for i := range run.Tensors {
		t := &run.Tensors[i]
		switch {
		case t.Sparsity != nil && t.SparseAbs != nil:
			b.add(t.Layer, float64(t.N), *t.Sparsity, *t.SparseAbs)
		case t.Float:
			b.add(t.Layer, 0, 0, 0) // the layer is there, if with nothing measured
		}
	}
	if len(b.n) == 0 {
		return []report.Block{report.Text("No floating-point tensor was compared, so there is no share of unchanged weights.")}
	}
	return []report.Block{
		report.BarChart{Title: "Unchanged weights by layer", X: "layer", Y: report.Axis{Label: "share of weights", Percent: true, Min: 0, Max: 1}, Categories: b.names(),
			Series:  []report.Group{{Name: "unchanged in bf16", Values: b.series(0, true)}, {Name: "unchanged to 1e-5", Values: b.series(1, true)}},
			Caption: "Weighted by elements; hatched: not measured."},
		report.Text("A weight counts as unchanged if its bf16 code is the same: two different codes are at least 2⁻⁸ of their size apart. The probe of arXiv 2505.11711 asks for 1e-5 instead, whatever the weight's size: " +
			"it takes small weights for equal that differ by a multiple, and in float32 files it finds changes that bf16 can't hold. " +
			"An unchanged weight need not have had a zero gradient: a step below half of the distance to the next bf16 number leaves no trace in bf16, so this share falls with the learning rate and with training longer."),
	}
}

// profiled are up to n tensors with a profile: those of the middle layer first, then
// others spread over the list.
func (run *Run) profiled(n int) []*Tensor {
	var all, out []*Tensor
	layers := newByLayer()
	for i := range run.Tensors {
		if t := &run.Tensors[i]; t.Profile != nil {
			all = append(all, t)
			layers.add(t.Layer, 1)
		}
	}
	if order := layers.order(); len(layers.layers) > 0 {
		middle := order[(len(layers.layers)-1)/2]
		for _, t := range all {
			if t.Layer != nil && *t.Layer == middle && len(out) < n {
				out = append(out, t)
			}
		}
	}
	for i := 0; i < len(all) && len(out) < n; i += max(1, len(all)/n) {
		if !slices.Contains(out, all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}

func (run *Run) profileBlocks() []report.Block {
	tensors := run.profiled(16)
	if len(tensors) == 0 {
		return []report.Block{report.Text("No profile by row and column was measured.")}
	}
	s := report.Slider{Label: "tensor"}
	for _, t := range tensors {
		rows, cols := "rows", "columns"
		if len(t.Shape) == 2 {
			rows, cols = fmt.Sprintf("%d rows", t.Shape[0]), fmt.Sprintf("%d columns", t.Shape[1])
		}
		s.Frames = append(s.Frames, report.Frame{Name: t.Name, Blocks: []report.Block{report.Stripes{Colour: report.Axis{Label: "changed", Percent: true}, Stripes: []report.Stripe{
			{Name: rows, Values: t.Profile.Rows, Borders: borders(t.Shape, 0, len(t.Profile.Rows), t.Profile.HeadRows)},
			{Name: cols, Values: t.Profile.Cols, Borders: borders(t.Shape, 1, len(t.Profile.Cols), t.Profile.HeadCols)}}}}})
	}
	return []report.Block{
		report.Text("The share of entries that changed, by row and by column (a moving mean over 3; longer profiles in bins, whose number is in brackets). White lines are the borders of attention heads, where config.json tells them. " +
			"Stripes mean that whole neurons or input features took the change; they also follow from rows or columns of small weights, which bf16 can move more easily. " +
			fmt.Sprintf("%d of the tensors are shown, those of the middle layer first; all are in the --json object.", len(tensors))), s}
}

// borders are the bins at which a new head of so many rows starts.
func borders(shape []int, axis, bins, head int) []int {
	if head <= 0 || len(shape) != 2 || shape[axis] <= 0 || shape[axis]/head > bins {
		return nil
	}
	var out []int
	for at := head; at < shape[axis]; at += head {
		out = append(out, int(math.Round(float64(at)*float64(bins)/float64(shape[axis]))))
	}
	return out
}

// encodings of a sparse update, in the order of package delta's cost: nothing first.
var encodings = []string{"none", "gap", "bitmap", "dense"}

func (run *Run) deltaBlocks() []report.Block {
	b := newByLayer()
	lacking := 0
	counts := map[string]int{}
	for i := range run.Tensors {
		t := &run.Tensors[i]
		if t.Delta == nil {
			lacking++
			continue
		}
		v := make([]float64, len(encodings))
		if k := slices.Index(encodings, t.Delta.Encoding); k >= 0 {
			v[k] = float64(t.Delta.Predicted)
		}
		counts[t.Delta.Encoding]++
		b.add(t.Layer, 1, v...)
	}
	if len(b.n) == 0 {
		return []report.Block{report.Text("The size of a sparse update was not predicted for any tensor.")}
	}
	d := run.Totals.Delta
	var groups []report.Group
	words := ""
	for k, e := range encodings {
		if counts[e] > 0 {
			words += fmt.Sprintf(", %s %s", count(counts[e], "tensor"), e)
		}
		if counts[e] > 0 && e != "none" {
			groups = append(groups, report.Group{Name: e, Values: b.series(k, false)})
		}
	}
	text := fmt.Sprintf("orrery delta make would write %s before its header, against %s for the tensors themselves", size(float64(d.Predicted)), size(float64(d.Dense)))
	if d.Dense > 0 {
		text += fmt.Sprintf(" (%.3g %%)", 100*float64(d.Predicted)/float64(d.Dense))
	}
	if d.Bound != nil {
		text += fmt.Sprintf("; independent places and their new values need n·H₂(p)/8 + c·b = %s", size(*d.Bound))
	}
	text += ". Each tensor takes the cheapest of its encodings" + words + ". The prediction counts the bytes exactly; --deflate can make the file smaller still."
	if lacking > 0 {
		text += fmt.Sprintf(" Not predicted for %s.", count(lacking, "tensor"))
	}
	return []report.Block{report.Text(text),
		report.BarChart{Title: "Predicted bytes by layer", X: "layer", Y: report.Axis{Label: "bytes"}, Categories: b.names(), Series: groups, Stacked: true, Caption: "The table of tensors has each one's size."}}
}
