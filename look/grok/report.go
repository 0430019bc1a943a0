package grok

import (
	"fmt"
	"path/filepath"

	"orrery/report"
)

// WriteReport implements recipe.Own.
func (s *Settings) WriteReport(dir string) error {
	r, err := OpenRun(dir)
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	page, err := r.page()
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	return page.WriteFile(filepath.Join(dir, "report.html"))
}

// page has the curves of a run and what the analyses add.
func (r *Run) page() (report.Page, error) {
	p := report.Page{Title: "Grokking " + r.Group.Name(), Lead: "A two-layer network learns to multiply: " + r.describe() + "."}
	if len(r.Metrics) == 0 {
		return p, nil
	}
	last := r.Metrics[len(r.Metrics)-1]
	p.Lead += fmt.Sprintf(" %d epochs in %.1f seconds.", last.Epoch, last.Seconds)
	var sections []report.Block
	for _, a := range analyses {
		if a.Report == nil {
			continue
		}
		blocks, err := a.Report(r)
		if err != nil {
			return p, fmt.Errorf("analysis %s: %w", a.Name, err)
		}
		sections = append(sections, blocks...)
	}
	p.Blocks = append(p.Blocks, r.marksTable())
	p.Blocks = append(p.Blocks, r.curves()...)
	p.Blocks = append(p.Blocks, sections...)
	p.Blocks = append(p.Blocks, report.Heading("Settings"), report.Code(r.Config))
	return p, nil
}

func (r *Run) marksTable() report.Block {
	when := func(test bool) string {
		if e, ok := r.reached(test); ok {
			return fmt.Sprint(e)
		}
		return "not reached"
	}
	last := r.Metrics[len(r.Metrics)-1]
	t := report.Table{Head: []string{"pairs", "count", "99 % from epoch", "accuracy at the end", "loss at the end"}}
	row := func(name string, n int, test bool, s Score) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprint(n), when(test), fmt.Sprintf("%.2f %%", 100*s.Accuracy), fmt.Sprintf("%.3g", s.Loss)})
	}
	row("trained on", len(r.Split.Train), false, last.Train)
	if last.Test != nil {
		row("held out", len(r.Split.Test), true, *last.Test)
	}
	return t
}

// curves are accuracy and loss over epochs, with the two marks.
func (r *Run) curves() []report.Block {
	var marks []report.Mark
	if e, ok := r.reached(false); ok {
		marks = append(marks, report.Mark{At: float64(e), Name: "fits"})
	}
	if e, ok := r.reached(true); ok {
		marks = append(marks, report.Mark{At: float64(e), Name: "generalises"})
	}
	accuracy := []report.Series{{Name: "trained on"}, {Name: "held out"}}
	loss := []report.Series{{Name: "trained on"}, {Name: "held out"}}
	add := func(i int, epoch float64, s Score) {
		accuracy[i].X, accuracy[i].Y = append(accuracy[i].X, epoch), append(accuracy[i].Y, s.Accuracy)
		loss[i].X, loss[i].Y = append(loss[i].X, epoch), append(loss[i].Y, s.Loss)
	}
	for _, e := range r.Metrics {
		add(0, float64(e.Epoch), e.Train)
		if e.Test != nil {
			add(1, float64(e.Epoch), *e.Test)
		}
	}
	if len(accuracy[1].X) == 0 {
		accuracy, loss = accuracy[:1], loss[:1]
	}
	epochs := report.Axis{Label: "epoch", Log: true}
	return []report.Block{
		report.Plot{Title: "Accuracy", X: epochs, Y: report.Axis{Percent: true, Min: 0, Max: 1}, Series: accuracy, Marks: marks,
			Caption: "Marks: the first epoch from which on two evaluations reach 99 %."},
		report.Plot{Title: "Loss", X: epochs, Y: report.Axis{Label: "mean squared error of a pair", Log: true}, Series: loss, Marks: marks},
	}
}
