package coconut

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"orrery/learn/latent"
	"orrery/report"
	"orrery/task"
)

// Page is the comparison as a report.
func (c *Comparison) Page(command string) report.Page {
	p := report.Page{Title: "Continuous thoughts on " + c.Task, Lead: c.lead(), Blocks: c.verdictBlocks()}
	p.Blocks = append(p.Blocks, report.Table{Head: head, Rows: c.cells(),
		Caption: "Intervals are 95 % Wilson intervals over all answers of a row; by model, one training seed each."}, c.tokensPlot(), c.sweepPlot())
	for _, s := range c.Scores {
		if b := s.SweepBlock(); b != nil {
			p.Blocks = append(p.Blocks, b)
		}
	}
	if command != "" {
		p.Blocks = append(p.Blocks, report.Code(command))
	}
	return p
}

func (c *Comparison) verdictBlocks() []report.Block {
	v, ok := c.Verdict()
	if !ok {
		return []report.Block{report.Note{Text: c.conclusion()}}
	}
	b := report.Verdict{Label: "Thoughts needed: no"}
	if v.Needed {
		b.Label = "Thoughts needed: yes"
	}
	for _, g := range v.Gaps {
		if text := "Coconut " + g.String(); g.clear() {
			b.Evidence = append(b.Evidence, text)
		} else {
			b.Against = append(b.Against, text)
		}
	}
	// That places are needed does not say that what is in them is.
	list := c.of(latent.Coconut)
	if g, _ := gap(string(Other), list, list, func(s *Score) Tally { return s.Controls[Other] }); g.clear() {
		b.Evidence = append(b.Evidence, "Coconut "+g.String())
	} else {
		b.Against = append(b.Against, "Coconut "+g.String()+": what a thought holds about its own problem is not used")
	}
	return []report.Block{b}
}

// tokensPlot is accuracy against what a reply costs.
func (c *Comparison) tokensPlot() report.Block {
	plot := report.Plot{Title: "Accuracy against tokens", X: report.Axis{Label: "tokens a reply, thoughts included"}, Y: report.Axis{Label: "accuracy", Percent: true, Min: 0, Max: 1},
		Caption: "A point is a row of the table, a bar its interval. Up and to the left is better."}
	for _, r := range c.Rows() {
		name := r.Name
		if r.Control != "" {
			name = "Coconut, " + string(r.Control)
		}
		plot.Series = append(plot.Series, report.Series{Name: name, X: []float64{r.Tokens}, Y: []float64{r.Accuracy},
			Low: []float64{r.Low}, High: []float64{r.High}, Draw: report.Points})
	}
	names := map[float64]string{} // of the rules at an accuracy: one mark
	for _, r := range c.Rules {
		if names[r.Accuracy] != "" {
			names[r.Accuracy] += "; "
		}
		names[r.Accuracy] += r.Name
	}
	for _, at := range slices.Sorted(maps.Keys(names)) {
		plot.Marks = append(plot.Marks, report.Mark{Name: names[at], At: at, Horizontal: true})
	}
	return plot
}

// sweepPlot is accuracy against the number of thoughts or pauses.
func (c *Comparison) sweepPlot() report.Block {
	plot := report.Plot{Title: "Accuracy against the number of thoughts", X: report.Axis{Label: "thoughts or pauses at inference"}, Y: report.Axis{Label: "accuracy", Percent: true, Min: 0, Max: 1},
		Caption: "Each model with fewer thoughts than it was trained for."}
	for _, s := range c.Scores {
		if len(s.Sweep) == 0 {
			continue
		}
		plot.Series = append(plot.Series, sweepSeries(string(s.Model.Info.Method)+" "+s.name(), s.Sweep))
	}
	return plot
}

// sweepSeries is accuracy with 0, 1, … thoughts, with intervals.
func sweepSeries(name string, sweep []Tally) report.Series {
	line := report.Series{Name: name, Draw: report.LinePoints}
	for k, t := range sweep {
		low, high := wilson(t.Hits(), len(t.Right))
		line.X, line.Y = append(line.X, float64(k)), append(line.Y, t.Accuracy())
		line.Low, line.High = append(line.Low, low), append(line.High, high)
	}
	return line
}

// name tells models of a method apart: the run's folder.
func (s *Score) name() string { return runName(s.Model.Dir) }

// runName is what a run's folder is called, without the "final" that training makes of
// every run.
func runName(dir string) string {
	dir = filepath.Clean(dir)
	if filepath.Base(dir) == "final" {
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir)
}

// SweepBlock shows what a model writes with each number of thoughts, as stacked
// shares; nil for tasks without graphs.
func (s *Score) SweepBlock() report.Block {
	sweep, x := s.Sweep, "thoughts"
	switch s.Model.Info.Fill {
	case latent.Pauses:
		x = "pauses"
	case latent.Nothing:
		sweep = []Tally{s.Main}
	}
	if len(sweep) == 0 || sweep[0].Classes == nil {
		return nil
	}
	b := report.BarChart{Title: "What " + s.name() + " writes", X: x, Y: report.Axis{Label: "share of replies", Percent: true, Min: 0, Max: 1}, Stacked: true,
		Caption: "With a path: whether it is part of a shortest one, of a longer one, has a sentence that the question lacks, or ends elsewhere. Without: whether the answer is right."}
	for k := range sweep {
		b.Categories = append(b.Categories, fmt.Sprint(k))
	}
	for _, class := range task.PathClasses {
		g := report.Group{Name: string(class)}
		for _, t := range sweep {
			g.Values = append(g.Values, float64(t.Classes[class])/float64(len(t.Right)))
		}
		b.Series = append(b.Series, g)
	}
	return b
}

// Blocks are a run's own part of its report.
func (s *Score) Blocks() []report.Block {
	rows := [][]string{{"as trained", fmt.Sprintf("%.1f %%", 100*s.Main.Accuracy()), fmt.Sprintf("%.1f", s.Main.MeanTokens())}}
	for _, c := range Controls {
		if t, ok := s.Controls[c]; ok {
			rows = append(rows, []string{string(c), fmt.Sprintf("%.1f %%", 100*t.Accuracy()), fmt.Sprintf("%.1f", t.MeanTokens())})
		}
	}
	plot := report.Plot{Title: "Accuracy against tokens", X: report.Axis{Label: "tokens a reply, thoughts included"}, Y: report.Axis{Label: "accuracy", Percent: true, Min: 0, Max: 1}}
	for k, t := range s.Sweep {
		low, high := wilson(t.Hits(), len(t.Right))
		plot.Series = append(plot.Series, report.Series{Name: fmt.Sprint(k), X: []float64{t.MeanTokens()}, Y: []float64{t.Accuracy()}, Low: []float64{low}, High: []float64{high}, Draw: report.Points})
	}
	blocks := []report.Block{report.Heading("The finished model"), report.Table{Head: []string{"fed", "accuracy", "tokens"}, Rows: rows,
		Caption: fmt.Sprintf("%d generated problems, greedy.", len(s.Main.Right))}}
	if b := s.SweepBlock(); b != nil {
		blocks = append(blocks, b)
	}
	if len(s.Sweep) > 0 {
		plot.Caption = "One point for each number of thoughts or pauses."
		blocks = append(blocks, plot)
	}
	return blocks
}
