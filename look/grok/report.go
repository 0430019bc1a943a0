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
	var marks []report.Mark
	for _, a := range analyses {
		if a.Report == nil {
			continue
		}
		s, err := a.Report(r)
		if err != nil {
			return p, fmt.Errorf("analysis %s: %w", a.Name, err)
		}
		sections, marks = append(sections, s.Blocks...), append(marks, s.Marks...)
	}
	p.Blocks = append(p.Blocks, r.Metrics.Blocks(len(r.Split.Train), len(r.Split.Test), marks)...)
	p.Blocks = append(p.Blocks, sections...)
	p.Blocks = append(p.Blocks, report.Heading("Settings"), report.Code(r.Config))
	return p, nil
}
