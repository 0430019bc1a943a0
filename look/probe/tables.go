package probe

import (
	"fmt"
	"math"
	"strconv"

	"orrery/report"
	"orrery/task"
)

// classes in the order of tables, legends and colours.
var classes = []task.Class{task.NotReachable, task.Reachable, task.Frontier, task.Optimal}

func classNames() (names []string) {
	for _, c := range classes {
		names = append(names, c.String())
	}
	return names
}

// figure prints a number for a table; what is not measured is a dash.
func figure(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case x != 0 && math.Abs(x) < .0005:
		return strconv.FormatFloat(x, 'e', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

// leftBehind is the column of reachable nodes, or edges out of them, that are no frontier.
const leftBehind = "of those, left behind"

// classTable is class means by step, measured beside published ones.
func classTable(caption, steps string, studies []*Study, of func(*Study) []ByClass, pub []published) report.Table {
	t := report.Table{Caption: caption, Head: []string{steps, "model"}}
	for _, name := range classNames() {
		if t.Head = append(t.Head, name); name == task.Reachable.String() {
			t.Head = append(t.Head, leftBehind)
		}
	}
	most, first := 0, 0
	for _, s := range studies {
		most = max(most, len(of(s)))
		if len(of(s)) > 0 {
			first = of(s)[0].Step
		}
	}
	for i := range most {
		for _, s := range studies {
			row := []string{fmt.Sprint(first + i), s.Subject}
			for _, c := range classes {
				if row = append(row, figure(of(s)[i].of(c).Value())); c == task.Reachable {
					row = append(row, figure(of(s)[i].Left.Value()))
				}
			}
			t.Rows = append(t.Rows, row)
		}
		for _, p := range pub {
			if i >= len(p.Low) {
				continue
			}
			row := []string{fmt.Sprint(first + i), p.Source}
			for c, low := range p.Low[i] {
				cell := strconv.FormatFloat(low, 'f', -1, 64)
				if p.High != nil {
					cell += " … " + strconv.FormatFloat(p.High[i][c], 'f', -1, 64)
				}
				if row = append(row, cell); classes[c] == task.Reachable {
					row = append(row, "–")
				}
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func (r *Report) innerTable() report.Table {
	return classTable("Inner product of thought i with the embeddings of nodes, means by class", "thought", r.Studies,
		func(s *Study) []ByClass { return s.Inner }, publishedInner)
}

func (r *Report) attentionTable() report.Table {
	return classTable("Attention of the last position on an edge in layer 2, summed over heads, means by class", "thoughts", r.Studies,
		func(s *Study) []ByClass { return s.Attention }, publishedAttention)
}

func (r *Report) accuracyTable() report.Table {
	t := report.Table{Caption: "Right answers by number of thoughts, with the 95 % interval", Head: []string{"thoughts"}}
	for _, s := range r.Studies {
		t.Head = append(t.Head, s.Subject)
	}
	for k := range mostThoughts + 1 {
		row := []string{fmt.Sprint(k)}
		for _, s := range r.Studies {
			row = append(row, s.Accuracy[k].String())
		}
		t.Rows = append(t.Rows, row)
	}
	row := []string{"as many as hops"}
	for _, s := range r.Studies {
		row = append(row, s.Oracle.String())
	}
	t.Rows = append(t.Rows, row)
	return t
}

// String is the share with its interval, and a word on ties.
func (s Share) String() string {
	text := s.Interval().String()
	if s.Ties > 0 {
		text += fmt.Sprintf(", %d ties", s.Ties)
	}
	return text
}

func (r *Report) interventionTable() report.Table {
	t := report.Table{Caption: "Right answers with other vectors in the place of all thoughts, as many as hops: of all 40 tokens, and of the two candidates", Head: []string{"fed"}}
	for _, s := range r.Studies {
		t.Head = append(t.Head, s.Subject, "of the two")
	}
	t.Head = append(t.Head, "theory")
	for k, in := range standIns {
		row := []string{in.name}
		for _, s := range r.Studies {
			row = append(row, s.StandIns[k].Share.String(), s.StandIns[k].Pair.String())
		}
		t.Rows = append(t.Rows, append(row, in.theory))
	}
	return t
}

func (r *Report) matchTable() report.Table {
	t := report.Table{Caption: "Layer 2's logits on bars, mean over heads, and their difference μ", Head: []string{"thoughts", "model", "source in the thought", "others", "μ"}}
	for i := range mostLen(r.Studies) {
		for _, s := range r.Studies {
			m := s.Match[i]
			t.Rows = append(t.Rows, []string{fmt.Sprint(m.Step), s.Subject, figure(m.Inside.Value()), figure(m.Outside.Value()), figure(m.Difference())})
		}
	}
	return t
}

func mostLen(studies []*Study) int {
	n := 0
	for _, s := range studies {
		n = max(n, len(s.Match))
	}
	return n
}

func (r *Report) thoughtTable() report.Table {
	t := report.Table{Caption: "The thoughts themselves", Head: []string{"thought", "model", "length", "cosine with the exact superposition"}}
	for i := range mostLen(r.Studies) {
		for _, s := range r.Studies {
			th := s.Thoughts[i]
			t.Rows = append(t.Rows, []string{fmt.Sprint(th.Step), s.Subject, figure(th.Norm.Value()), figure(th.Cosine.Value())})
		}
	}
	return t
}

func (r *Report) rivalsTable() report.Table {
	t := report.Table{Caption: "What the accuracy is to be compared with; up to 4 hops the last rule about ancestors is a whole search, from both ends", Head: []string{"rule or model", "accuracy", "on"}}
	percent := func(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }
	for _, s := range r.Shortcuts {
		t.Rows = append(t.Rows, []string{"rule: " + s.Name, percent(s.Share), "these items"})
	}
	for _, p := range publishedAccuracy {
		t.Rows = append(t.Rows, []string{"published: " + p.Name, percent(p.Share), "the published test file"})
	}
	return t
}
