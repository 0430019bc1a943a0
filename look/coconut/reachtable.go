package coconut

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"orrery/learn/latent"
	"orrery/report"
	"orrery/task"
)

// ReachComparison is several models of graph questions on the same ones.
type ReachComparison struct {
	Problems []task.Problem
	Scores   []*ReachScore // as they were given
	Rules    []Rule
}

// CompareReach puts scores of the same problems side by side.
func CompareReach(ps []task.Problem, scores []*ReachScore) *ReachComparison {
	return &ReachComparison{Problems: ps, Scores: scores, Rules: Shortcuts(ps)}
}

// reachPublished are accuracies of two layers of 768 dimensions (arXiv 2505.12514,
// figure 4, read off), of the file's sorted ids.
var reachPublished = map[latent.Reach]string{latent.ReachThoughts: "≈ 99", latent.ReachCoT: "≈ 75", latent.ReachNoCoT: "≈ 75"}

// ReachRow is a line of the table: a model, or a control of one.
type ReachRow struct {
	Model     string       `json:"model"` // its folder's name
	Method    latent.Reach `json:"method"`
	Control   Control      `json:"control,omitempty"`
	N         int          `json:"n"`
	Accuracy  float64      `json:"accuracy"`
	Low       float64      `json:"accuracy_low"` // 95 % Wilson interval
	High      float64      `json:"accuracy_high"`
	Tokens    float64      `json:"tokens_mean"`
	Published string       `json:"-"`
}

// Rows are the table's.
func (c *ReachComparison) Rows() (rows []ReachRow) {
	for _, s := range c.Scores {
		add := func(control Control, t Tally, published string) {
			r := ReachRow{Model: runName(s.Model.Dir), Method: s.Model.Info.Method, Control: control, N: len(t.Right),
				Accuracy: t.Accuracy(), Tokens: t.MeanTokens(), Published: published}
			r.Low, r.High = wilson(t.Hits(), r.N)
			rows = append(rows, r)
		}
		add("", s.Main, reachPublished[s.Model.Info.Method])
		for _, k := range Controls {
			if t, ok := s.Controls[k]; ok {
				add(k, t, "")
			}
		}
	}
	return rows
}

var reachHead = []string{"model", "method", "accuracy", "95 %", "tokens", "published"}

func (c *ReachComparison) cells() (out [][]string) {
	for _, r := range c.Rows() {
		name, method := r.Model, string(r.Method)
		if r.Control != "" {
			name, method = "", "  "+string(r.Control)
		}
		out = append(out, []string{name, method, fmt.Sprintf("%.1f", 100*r.Accuracy), fmt.Sprintf("%.1f–%.1f", 100*r.Low, 100*r.High), fmt.Sprintf("%.1f", r.Tokens), r.Published})
	}
	for _, r := range c.Rules {
		out = append(out, []string{"rule: " + r.Name, "", fmt.Sprintf("%.1f", 100*r.Accuracy), "", "", ""})
	}
	return out
}

// sweep is accuracy by number of thoughts or pauses, of the models that have them.
func (c *ReachComparison) sweep() (head []string, rows [][]string) {
	head = []string{"accuracy with"}
	for k := range mostThoughts + 1 {
		head = append(head, fmt.Sprint(k))
	}
	for _, s := range c.Scores {
		if len(s.Sweep) == 0 {
			continue
		}
		row := []string{runName(s.Model.Dir)}
		for _, t := range s.Sweep {
			row = append(row, fmt.Sprintf("%.1f", 100*t.Accuracy()))
		}
		rows = append(rows, row)
	}
	return head, rows
}

func (c *ReachComparison) lead() string {
	return fmt.Sprintf("Graph questions in symbols, %d for each model; right of all 40 tokens, in %%, after as many thoughts or pauses as hops, which models are told; "+
		"tokens: thoughts and what is written. Published: arXiv 2505.12514, two layers of 768 dimensions, its test file.", len(c.Problems))
}

// WriteTable prints the tables.
func (c *ReachComparison) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) { fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t")) }
	line(reachHead)
	for _, cells := range c.cells() {
		line(cells)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if head, rows := c.sweep(); len(rows) > 0 {
		fmt.Fprintln(w)
		line(head)
		for _, r := range rows {
			line(r)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", c.lead())
	return err
}

// Page is the comparison as a report.
func (c *ReachComparison) Page(command string) report.Page {
	p := report.Page{Title: "Continuous thoughts on graph questions", Lead: c.lead()}
	p.Blocks = append(p.Blocks, report.Table{Head: reachHead, Rows: c.cells(), Caption: "Intervals are 95 % Wilson intervals. What a control feeds takes the place of all thoughts."})
	plot := report.Plot{Title: "Accuracy against the number of thoughts", X: report.Axis{Label: "thoughts or pauses"}, Y: report.Axis{Label: "accuracy", Percent: true, Min: 0, Max: 1}}
	for _, s := range c.Scores {
		if len(s.Sweep) > 0 {
			plot.Series = append(plot.Series, sweepSeries(runName(s.Model.Dir), s.Sweep))
		}
	}
	if len(plot.Series) > 0 {
		p.Blocks = append(p.Blocks, plot)
	}
	if command != "" {
		p.Blocks = append(p.Blocks, report.Code(command))
	}
	return p
}

// JSON is the object of `orrery eval --models … --json`.
func (c *ReachComparison) JSON() map[string]any {
	type sweep struct {
		Model    string       `json:"model"`
		Method   latent.Reach `json:"method"`
		Accuracy []float64    `json:"accuracy"` // with 0, 1, … thoughts or pauses
	}
	sweeps := []sweep{}
	for _, s := range c.Scores {
		if len(s.Sweep) == 0 {
			continue
		}
		row := sweep{Model: runName(s.Model.Dir), Method: s.Model.Info.Method}
		for _, t := range s.Sweep {
			row.Accuracy = append(row.Accuracy, t.Accuracy())
		}
		sweeps = append(sweeps, row)
	}
	rules := map[string]float64{}
	for _, r := range c.Rules {
		rules[r.Name] = r.Accuracy
	}
	return map[string]any{"version": 1, "task": task.SymbolTask{}.Name(), "n": len(c.Problems), "results": slices.Clone(c.Rows()), "sweeps": sweeps, "shortcuts": rules, "verdict": nil}
}
