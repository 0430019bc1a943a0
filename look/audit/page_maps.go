package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// nss is the upper end of what is known of a matrix's NSS, and angle of its largest
// principal angle; NaN where nothing is.
func nss(m Matrix) float64 {
	if m.Spectrum == nil {
		return math.NaN()
	}
	return orNaN(m.Spectrum.NSSUpper())
}

func angle(m Matrix) float64 {
	if m.Spectrum == nil {
		return math.NaN()
	}
	_, hi := m.Spectrum.MaxAngle()
	if hi != nil && *hi >= 90 && !resolvedAngle(m.Spectrum) { // every angle is at most 90°: nothing is known
		return math.NaN()
	}
	return orNaN(hi)
}

// resolvedAngle reports whether the largest angle is a number and not a bound.
func resolvedAngle(s *Spectrum) bool {
	if s == nil {
		return false
	}
	lo, hi := s.MaxAngle()
	return lo != nil && hi != nil && *lo == *hi
}

// cell is a place of a layer × kind map.
type cell struct {
	layer int
	kind  string
}

// layerMap collects values by layer and kind; a cell is the median of its values.
type layerMap struct {
	values map[cell][]float64
	layers []int
	kinds  []string // by first appearance, those of a common block first
}

// usual is the order in which the matrices of a block are usually listed.
var usual = []string{"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "gate_up_proj", "down_proj"}

// mostKinds is how many columns a map has at most.
const mostKinds = 24

func newLayerMap() *layerMap { return &layerMap{values: map[cell][]float64{}} }

func (m *layerMap) add(layer *int, kind string, v float64) {
	if layer == nil {
		return
	}
	if c := (cell{*layer, kind}); m.values[c] == nil {
		if !slices.Contains(m.kinds, kind) {
			m.kinds = append(m.kinds, kind)
		}
		if at, found := slices.BinarySearch(m.layers, *layer); !found {
			m.layers = slices.Insert(m.layers, at, *layer)
		}
	}
	m.values[cell{*layer, kind}] = append(m.values[cell{*layer, kind}], v)
}

func (m *layerMap) sorted() []string {
	kinds := slices.Clone(m.kinds)
	rank := func(k string) int {
		if i := slices.Index(usual, k); i >= 0 {
			return i
		}
		return len(usual)
	}
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return kinds[:min(len(kinds), mostKinds)]
}

// heat draws the map; nil if it has no value.
func (m *layerMap) heat(title, caption string, colour report.Axis) report.Block {
	kinds, empty := m.sorted(), []string{}
	kinds = slices.DeleteFunc(kinds, func(k string) bool {
		for _, l := range m.layers {
			if !math.IsNaN(median(m.values[cell{l, k}])) {
				return false
			}
		}
		empty = append(empty, k)
		return true
	})
	h := report.HeatMap{Title: title, Columns: kinds, Y: report.Axis{Label: "layer"}, Colour: colour, Text: true}
	for _, l := range m.layers {
		row := make([]float64, len(kinds))
		for i, k := range kinds {
			row[i] = median(m.values[cell{l, k}])
		}
		h.Rows, h.Values = append(h.Rows, fmt.Sprint(l)), append(h.Values, row)
	}
	if len(kinds) == 0 {
		return nil
	}
	h.Caption = caption
	if len(empty) > 0 {
		h.Caption += " No value for " + join(empty) + "."
	}
	if left := len(m.kinds) - len(kinds) - len(empty); left > 0 {
		h.Caption += fmt.Sprintf(" %d further kinds are in the table of tensors alone.", left)
	}
	return h
}

// limits are the range of the medians, for maps that share a scale.
func (m *layerMap) limits() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range m.values {
		if x := median(v); !math.IsNaN(x) {
			lo, hi = min(lo, x), max(hi, x)
		}
	}
	return lo, hi
}

// mapBlocks are the heat maps of layer by kind, and what lies outside the layers.
func (run *Run) mapBlocks() []report.Block {
	sparsity, rel, shift, turned := newLayerMap(), newLayerMap(), newLayerMap(), newLayerMap()
	outside := report.Table{Caption: "Matrices outside the layers", Head: []string{"tensor", "shape", "unchanged in bf16", "‖ΔW‖/‖W‖", "NSS ≤", "largest angle (°)"}}
	for i := range run.Tensors {
		t := &run.Tensors[i]
		if len(t.Shape) < 2 || !t.Float {
			continue
		}
		sparsity.add(t.Layer, t.Kind, orNaN(t.Sparsity))
		rel.add(t.Layer, t.Kind, orNaN(t.Rel))
		if t.Layer == nil {
			m := Matrix{Spectrum: t.Spectrum}
			outside.Rows = append(outside.Rows, []string{t.Name, dims(t.Shape), percent(t.Sparsity), short3(t.Rel), short3(num(nss(m))), m.angleText()})
		}
	}
	for _, m := range run.Matrices() {
		shift.add(m.Layer, m.Kind, nss(m))
		turned.add(m.Layer, m.Kind, angle(m))
	}
	var maps report.Columns
	var lacking []string
	add := func(name string, b report.Block) {
		if b == nil {
			lacking = append(lacking, name)
			return
		}
		maps = append(maps, b)
	}
	add("unchanged weights", sparsity.heat("Unchanged in bf16", "Bright: few weights changed code.", report.Axis{Percent: true}))
	add("relative update", rel.heat("Relative update ‖ΔW‖/‖W‖", "Logarithmic colours.", report.Axis{Log: true}))
	add("NSS", shift.heat("NSS, the shift of the singular values", "Logarithmic colours; upper ends where an interval is known.", report.Axis{Log: true}))
	add("principal angles", turned.heat("Largest principal angle", "Degrees, logarithmic colours; the larger side, and its bound where it is not resolved. A bound of 90° says nothing and is hatched.", report.Axis{Label: "degrees", Log: true}))
	var out []report.Block
	if len(maps) > 0 {
		out = append(out, report.Text("One cell a layer and kind of matrix; of several matrices in a cell (experts) the median. Hatched: no such matrix, or not measured. "+
			"A column that differs from the others says that one kind of matrix took the change; a row, that one layer did. Cells of different shapes do not compare exactly: a larger matrix turns less for the same step."), maps)
	}
	if len(lacking) > 0 {
		out = append(out, report.Text("Not measured for any layer, so no map: "+join(lacking)+"."))
	}
	if len(outside.Rows) > 0 {
		outside.Page = 20
		out = append(out, outside)
	}
	return out
}

func join(s []string) string {
	switch n := len(s); n {
	case 0:
		return ""
	case 1:
		return s[0]
	default:
		out := s[0]
		for _, x := range s[1 : n-1] {
			out += ", " + x
		}
		return out + " and " + s[n-1]
	}
}
