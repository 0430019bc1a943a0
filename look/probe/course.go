package probe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"orrery/report"
)

// Moment is what a model had come to at a step of its training.
type Moment struct {
	Step      int       `json:"step"`
	Match     []float64 `json:"match"` // μ with 0, 1, … thoughts present (see [MatchStep])
	Oracle    Share     `json:"oracle"`
	Inner     [2]int    `json:"inner_orderings"`     // that hold, of how many
	Attention [2]int    `json:"attention_orderings"` // that hold, of how many
}

// Snapshots lists the weights that a run kept, by step: folders step-N of dir.
func Snapshots(dir string) (steps []int, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for snapshots: %w: give the folder snapshots/ of a run that was trained with snapshot_every", err)
	}
	for _, e := range list {
		if name, ok := strings.CutPrefix(e.Name(), "step-"); ok && e.IsDir() {
			if n, err := strconv.Atoi(name); err == nil {
				steps = append(steps, n)
			}
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("looking for snapshots: %s has no folders step-N: give the folder snapshots/ of a run that was trained with snapshot_every", dir)
	}
	slices.Sort(steps)
	return steps, nil
}

// Follow studies every snapshot of dir on the same items. Progress of o is told of the
// snapshots done.
func Follow(ctx context.Context, dir string, items []Item, o Options) (course []Moment, err error) {
	steps, err := Snapshots(dir)
	if err != nil {
		return nil, err
	}
	for i, step := range steps {
		s, err := Open(filepath.Join(dir, fmt.Sprintf("step-%d", step)))
		if err != nil {
			return nil, err
		}
		study, err := Run(ctx, s, items, Options{Seed: o.Seed, Brief: true})
		if err != nil {
			return nil, err
		}
		m := Moment{Step: step, Oracle: study.Oracle}
		for _, x := range study.Match {
			m.Match = append(m.Match, x.Difference())
		}
		m.Inner[0], m.Inner[1] = study.Held("inner")
		m.Attention[0], m.Attention[1] = study.Held("attention")
		course = append(course, m)
		if o.Progress != nil {
			o.Progress(i+1, len(steps))
		}
	}
	return course, nil
}

// coursePlots are μ and the accuracy by step.
func (r *Report) coursePlots() []report.Block {
	match := report.Plot{Title: "Index matching while it trains", X: report.Axis{Label: "step"}, Y: report.Axis{Label: "μ"},
		Caption: "Layer 2's mean logit on edges whose source the thought holds, minus that on the others. Theory (arXiv 2509.23365): with targets on a path it grows and saturates, with all next nodes as targets it goes on growing."}
	for i := range r.Course[0].Match {
		line := report.Series{Name: fmt.Sprintf("%d thoughts", i), Draw: report.LinePoints}
		for _, m := range r.Course {
			line.X, line.Y = append(line.X, float64(m.Step)), append(line.Y, m.Match[i])
		}
		match.Series = append(match.Series, line)
	}
	right := report.Plot{Title: "What holds while it trains", X: report.Axis{Label: "step"}, Y: report.Axis{Label: "share", Percent: true, Min: 0, Max: 1}}
	for _, s := range []struct {
		name  string
		share func(Moment) float64
	}{
		{"answers right", func(m Moment) float64 { return m.Oracle.Interval().Share }},
		{"orderings of inner products", func(m Moment) float64 { return float64(m.Inner[0]) / float64(m.Inner[1]) }},
		{"orderings of attention", func(m Moment) float64 { return float64(m.Attention[0]) / float64(m.Attention[1]) }},
	} {
		line := report.Series{Name: s.name, Draw: report.LinePoints}
		for _, m := range r.Course {
			line.X, line.Y = append(line.X, float64(m.Step)), append(line.Y, s.share(m))
		}
		right.Series = append(right.Series, line)
	}
	return []report.Block{match, right}
}

func (r *Report) courseTable() report.Table {
	t := report.Table{Caption: "The same at every snapshot of the training", Head: []string{"step"}}
	for i := range r.Course[0].Match {
		t.Head = append(t.Head, fmt.Sprintf("μ, %d thoughts", i))
	}
	t.Head = append(t.Head, "right", "orderings: inner products", "attention")
	for _, m := range r.Course {
		row := []string{fmt.Sprint(m.Step)}
		for _, x := range m.Match {
			row = append(row, figure(x))
		}
		t.Rows = append(t.Rows, append(row, m.Oracle.String(), fmt.Sprintf("%d of %d", m.Inner[0], m.Inner[1]), fmt.Sprintf("%d of %d", m.Attention[0], m.Attention[1])))
	}
	return t
}
