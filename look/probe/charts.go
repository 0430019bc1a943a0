package probe

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

const bins = 48

// histograms are the inner products of each thought, by class, in a slider.
func (r *Report) histograms() report.Block {
	slider := report.Slider{Label: "thought"}
	for i := range mostLen(r.Studies) {
		var side []report.Block
		for _, s := range r.Studies {
			side = append(side, s.histogram(i))
		}
		slider.Frames = append(slider.Frames, report.Frame{Name: fmt.Sprintf("%d of %d", i+1, mostLen(r.Studies)), Blocks: []report.Block{beside(side)}})
	}
	return slider
}

// histogram shows each class as shares of itself, because most nodes are never reached.
func (s *Study) histogram(i int) report.Histogram {
	low, high := math.Inf(1), math.Inf(-1) // over all thoughts, so that frames compare
	for _, step := range s.values {
		for _, class := range step {
			if len(class) > 0 {
				low, high = min(low, slices.Min(class)), max(high, slices.Max(class))
			}
		}
	}
	h := report.Histogram{
		Title: s.Subject, X: report.Axis{Label: "inner product with a node's embedding"}, Y: report.Axis{Label: "share of the class", Percent: true},
		Overlaid: true,
		Caption:  "Each node counts in its last class alone (reachable: the search has been there and moved on); each class adds up to 100 %. The lines are means as in the table, of nested classes.",
	}
	if low >= high {
		high = low + 1
	}
	for b := range bins + 1 {
		h.Edges = append(h.Edges, low+(high-low)*float64(b)/bins)
	}
	for _, c := range classes {
		counts := make([]float64, bins)
		values := s.values[i][c]
		for _, x := range values {
			b := min(bins-1, int((x-low)/(high-low)*bins))
			counts[b] += 1 / float64(len(values))
		}
		h.Series = append(h.Series, report.Counts{Name: c.String(), Counts: counts})
		if m := s.Inner[i].of(c); m.N > 0 {
			h.Marks = append(h.Marks, report.Mark{Name: c.String(), At: m.Value()})
		}
	}
	return h
}

// innerPlot is the class means over thoughts.
func (r *Report) innerPlot() report.Block {
	var side []report.Block
	for _, s := range r.Studies {
		p := report.Plot{Title: s.Subject + ": mean inner product", X: report.Axis{Label: "thought"}, Y: report.Axis{}}
		for _, c := range classes {
			line := report.Series{Name: c.String(), Draw: report.LinePoints}
			for _, b := range s.Inner {
				line.X, line.Y = append(line.X, float64(b.Step)), append(line.Y, b.of(c).Value())
			}
			p.Series = append(p.Series, line)
		}
		p.Caption = "Trained models: the paper's means lie in the table below."
		if s.Theory != nil {
			p.Caption = "Reachable, frontier and optimal nodes lie on each other where their items are the same."
		}
		side = append(side, p)
	}
	return beside(side)
}

// attentionBars are the class means of the attention by thoughts present.
func (r *Report) attentionBars() report.Block {
	var side []report.Block
	for _, s := range r.Studies {
		c := report.BarChart{Title: s.Subject, X: "thoughts present", Y: report.Axis{Label: "attention on an edge, summed over heads"}}
		for _, class := range classes {
			g := report.Group{Name: class.String()}
			for _, b := range s.Attention {
				g.Values = append(g.Values, b.of(class).Value())
			}
			c.Series = append(c.Series, g)
		}
		for _, b := range s.Attention {
			c.Categories = append(c.Categories, fmt.Sprint(b.Step))
		}
		side = append(side, c)
	}
	return beside(side)
}

// accuracyPlot is the accuracy by number of thoughts.
func (r *Report) accuracyPlot() report.Block {
	p := report.Plot{Title: "Right answers by number of thoughts", X: report.Axis{Label: "thoughts"}, Y: report.Axis{Percent: true, Min: 0, Max: 1},
		Marks: []report.Mark{{Name: "chance", At: .5, Horizontal: true}}, Caption: "The bands are 95 % intervals."}
	for _, s := range r.Studies {
		line := report.Series{Name: s.Subject, Draw: report.LinePoints}
		for k, a := range s.Accuracy {
			i := a.Interval()
			line.X, line.Y = append(line.X, float64(k)), append(line.Y, i.Share)
			line.Low, line.High = append(line.Low, i.Low), append(line.High, i.High)
		}
		p.Series = append(p.Series, line)
	}
	return p
}

// interventionBars are the shares of items in which the target's logit is the larger
// of the candidates'.
func (r *Report) interventionBars() report.Block {
	c := report.BarChart{Title: "Right choices between the candidates with other vectors as thoughts", Y: report.Axis{Percent: true, Min: 0, Max: 1},
		Marks: []report.Mark{{Name: "chance", At: .5, Horizontal: true}}, Caption: "The whiskers are 95 % intervals."}
	for _, in := range standIns {
		c.Categories = append(c.Categories, in.name)
	}
	for _, s := range r.Studies {
		g := report.Group{Name: s.Subject}
		for _, in := range s.StandIns {
			i := in.Pair.Interval()
			g.Values, g.Low, g.High = append(g.Values, i.Share), append(g.Low, i.Low), append(g.High, i.High)
		}
		c.Series = append(c.Series, g)
	}
	return c
}

// copyMap is where the heads of layer 1 look from the bars.
func (s *Study) copyMap() report.Block {
	h := report.HeatMap{Title: s.Subject + ": layer 1, from the bar behind an edge", Columns: []string{"its source", "its target", "<eos>", "elsewhere"},
		Colour: report.Axis{Label: "attention", Min: 0, Max: 1, Percent: true}, Text: true}
	for _, c := range s.Copying {
		h.Rows = append(h.Rows, fmt.Sprintf("head %d", c.Head))
		h.Values = append(h.Values, []float64{c.Source.Value(), c.Target.Value(), c.First.Value(), c.Elsewhere.Value()})
	}
	return h
}
