package audit

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// blocks show how far the changes of several runs agree; none for one run.
func (c *Consensus) blocks() []report.Block {
	if c == nil {
		return nil
	}
	names := make([]string, len(c.Runs))
	for i, r := range c.Runs {
		names[i] = short(r)
	}
	heat := func(title string, m [][]*float64) report.Block {
		h := report.HeatMap{Title: title, Rows: names, Columns: names, Text: true, Colour: report.Axis{Min: 0, Max: 1}}
		for _, row := range m {
			h.Values = append(h.Values, orNaNs(row))
		}
		return h
	}
	blocks := []report.Block{
		report.Text(fmt.Sprintf("Jaccard is the share of the entries changed in either of two runs that both changed: mean %s over the pairs. Random sets of these sizes would have %s. "+
			"Runs that share a base share its small weights, which bf16 moves more easily, so independent updates overlap more than random sets: %s for the precision alone. Agreement beyond that number is what the runs have in common.",
			short3(c.Mean), short3(c.MeanBaseline), short3(c.MeanPrecision))),
		report.Columns{heat("Jaccard, observed", c.Jaccard), heat("Jaccard of independent updates, same precision", c.Precision), heat("Jaccard of random sets", c.Baseline)},
	}
	if len(c.Histogram) > 0 {
		bars := report.BarChart{Title: "In how many runs an entry changed", X: "runs", Y: report.Axis{Label: "entries"}}
		var v []float64
		for i, n := range c.Histogram {
			bars.Categories, v = append(bars.Categories, fmt.Sprint(i)), append(v, float64(n))
		}
		bars.Series = []report.Group{{Name: "entries", Values: v}}
		blocks = append(blocks, bars)
	}
	return append(blocks, c.mapBlocks()...)
}

// mostMaps is how many consensus maps a page has.
const mostMaps = 14

// mapBlocks draw the consensus of the tensors whose runs agree most beyond precision alone.
func (c *Consensus) mapBlocks() []report.Block {
	beyond := newLayerMap()
	excess := func(t ConsensusTensor) float64 { return orNaN(t.Mean) - orNaN(t.MeanPrecision) }
	var have []int
	for i, t := range c.Tensors {
		beyond.add(t.Layer, t.Kind, excess(t))
		if len(t.Map) > 0 {
			have = append(have, i)
		}
	}
	var blocks []report.Block
	if h, ok := beyond.heat("Jaccard minus that of precision alone", "0: independent updates would agree as much. Red: the runs agree more.", report.Axis{}).(report.HeatMap); ok {
		h.Diverging = true
		blocks = append(blocks, h)
	}
	if len(have) == 0 {
		return blocks
	}
	slices.SortStableFunc(have, func(i, j int) int {
		a, b := excess(c.Tensors[i]), excess(c.Tensors[j])
		switch {
		case a > b || math.IsNaN(b) && !math.IsNaN(a):
			return -1
		case a < b || math.IsNaN(a) && !math.IsNaN(b):
			return 1
		}
		return 0
	})
	s := report.Slider{Label: "tensor"}
	for _, i := range have[:min(len(have), mostMaps)] {
		t := c.Tensors[i]
		s.Frames = append(s.Frames, report.Frame{Name: t.Name, Blocks: []report.Block{report.Columns{
			report.HeatMap{Title: "Consensus", X: report.Axis{Label: "column, first to last"}, Y: report.Axis{Label: "row, first to last"}, Values: t.Map, Colour: report.Axis{Label: "mean share of runs that changed an entry", Percent: true},
				Caption: fmt.Sprintf("Jaccard %s, random %s, precision alone %s.", short3(t.Mean), short3(t.MeanBaseline), short3(t.MeanPrecision))},
			report.Stripes{Title: "By row and by column", Colour: report.Axis{Percent: true}, Stripes: []report.Stripe{{Name: "rows", Values: t.Rows}, {Name: "columns", Values: t.Cols}}}}}})
	}
	return append(blocks, report.Text(fmt.Sprintf("Where the runs changed the same entries: means over blocks of the matrix, for the %d of %d tensors that agree most beyond precision.", len(s.Frames), len(have))), s)
}

// mostSteps is how many checkpoints of a series have maps of their own.
const mostSteps = 30

// blocks follow a series of checkpoints; none without one.
func (s *Series) blocks() []report.Block {
	if s == nil {
		return nil
	}
	x := ordinals(len(s.Steps))
	line := func(name string, f func(Step) *float64) report.Series {
		out := report.Series{Name: name, X: x, Draw: report.LinePoints}
		for _, st := range s.Steps {
			out.Y, out.Labels = append(out.Y, orNaN(f(st))), append(out.Labels, short(st.Tuned))
		}
		return out
	}
	both := func(title, label string, a report.Axis, f func(Totals) *float64) report.Plot {
		a.Label = label
		return report.Plot{Title: title, X: report.Axis{Label: "checkpoint"}, Y: a, Series: []report.Series{
			line("against the base", func(st Step) *float64 { return f(st.Base) }),
			line("against the one before", func(st Step) *float64 {
				if st.Previous == nil {
					return nil
				}
				return f(*st.Previous)
			})}}
	}
	blocks := []report.Block{
		report.Text("The checkpoints in the order given, each against the base and against the one before. Unchanged weights fall in steps as a run gets longer, because a bf16 weight moves only once the sum of its small steps is large enough; that is no measure of how often a gradient was zero."),
		report.Columns{
			both("Unchanged in bf16", "share of weights", report.Axis{Percent: true}, func(t Totals) *float64 { return t.SparsityBF16 }),
			both("Relative update", "‖ΔW‖/‖W‖", report.Axis{Log: true}, func(t Totals) *float64 { return t.Rel }),
			both("NSS, median", "upper end", report.Axis{Log: true}, func(t Totals) *float64 { return t.NSS.Median }),
			report.Plot{Title: "Directions already there", X: report.Axis{Label: "checkpoint"}, Y: report.Axis{Label: "similarity", Min: 0, Max: 1}, Series: []report.Series{line("mean over matrices", func(st Step) *float64 { return st.Similarity })},
				Caption: "Overlap of the top 16 right directions of ΔW with those of the last checkpoint: 1 if the update points where it will end."},
		},
	}
	if t, ok := s.kinds(); ok {
		blocks = append(blocks, t)
	}
	return append(blocks, s.slider()...)
}

// kinds is a table of curves: the median over layers of each kind of matrix.
func (s *Series) kinds() (report.Table, bool) {
	by, order := map[string][]SeriesTensor{}, newLayerMap()
	for _, t := range s.Tensors {
		zero := 0
		order.add(&zero, t.Kind, 0)
		by[t.Kind] = append(by[t.Kind], t)
	}
	out := report.Table{Caption: "By kind of matrix over the checkpoints: the median over layers, and its last value", Head: []string{"kind", "unchanged in bf16", "‖ΔW‖/‖W‖", "NSS", "similarity"}, Sparks: map[int][][]float64{}}
	for _, kind := range order.sorted() {
		row := []string{kind}
		for col, f := range []func(SeriesTensor) []*float64{
			func(t SeriesTensor) []*float64 { return t.Sparsity }, func(t SeriesTensor) []*float64 { return t.Rel },
			func(t SeriesTensor) []*float64 { return t.NSS }, func(t SeriesTensor) []*float64 { return t.Similarity }} {
			curve := make([]float64, len(s.Steps))
			for i := range curve {
				var at []float64
				for _, t := range by[kind] {
					if v := f(t); i < len(v) {
						at = append(at, orNaN(v[i]))
					}
				}
				curve[i] = median(at)
			}
			last := missing
			if n := len(curve); n > 0 {
				last = short3(num(curve[n-1]))
			}
			out.Sparks[col+1], row = append(out.Sparks[col+1], curve), append(row, last)
		}
		out.Rows = append(out.Rows, row)
	}
	return out, len(out.Rows) > 0
}

// slider has a pair of maps a checkpoint, in colours that all share.
func (s *Series) slider() []report.Block {
	steps := len(s.Steps)
	if steps == 0 || len(s.Tensors) == 0 {
		return nil
	}
	shown := min(steps, mostSteps)
	at := func(i int) int {
		if shown == 1 {
			return steps - 1
		}
		return int(math.Round(float64(i) * float64(steps-1) / float64(shown-1)))
	}
	sparse, shift := make([]*layerMap, shown), make([]*layerMap, shown)
	a, b := report.Axis{Percent: true, Min: 0, Max: 1}, report.Axis{Log: true, Min: math.Inf(1), Max: math.Inf(-1)}
	for i := range shown {
		sparse[i], shift[i] = newLayerMap(), newLayerMap()
		for _, t := range s.Tensors {
			if j := at(i); j < len(t.Sparsity) && j < len(t.NSS) {
				sparse[i].add(t.Layer, t.Kind, orNaN(t.Sparsity[j]))
				shift[i].add(t.Layer, t.Kind, orNaN(t.NSS[j]))
			}
		}
		lo, hi := shift[i].limits()
		if lo > 0 { // a log scale has no place for 0, and an empty map no limits
			b.Min, b.Max = min(b.Min, lo), max(b.Max, hi)
		}
	}
	if !(b.Min < b.Max) {
		b.Min, b.Max = 0, 0
	}
	out := report.Slider{Label: "checkpoint"}
	for i := range shown {
		var maps report.Columns
		for _, m := range []report.Block{sparse[i].heat("Unchanged in bf16, against the base", "", a), shift[i].heat("NSS against the base", "", b)} {
			if m != nil {
				maps = append(maps, m)
			}
		}
		out.Frames = append(out.Frames, report.Frame{Name: short(s.Steps[at(i)].Tuned), Blocks: []report.Block{maps}})
	}
	blocks := []report.Block{report.Text("Layer by matrix at each checkpoint; all checkpoints share the colours.")}
	if shown < steps {
		blocks = []report.Block{report.Text(fmt.Sprintf("Layer by matrix at %d of the %d checkpoints; all share the colours.", shown, steps))}
	}
	return append(blocks, out)
}
