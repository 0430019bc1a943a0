package eval

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"orrery/report"
	"orrery/task"
	"orrery/think/confidence"
)

// Report is an evaluation.
type Report struct {
	Partial bool // it was interrupted or failed: each result says how many problems it is of
	Options Options
	Model   string
	Results []Result
	Records []Record
	Command string // that made it, for the page
}

// JSON is the object of `orrery eval --json`.
type JSON struct {
	Version int    `json:"version"`
	Task    string `json:"task"` // several are joined by commas; each result names its own
	N       int    `json:"n"`    // problems a task
	Model   string `json:"model"`
	Partial bool   `json:"partial"` // interrupted or failed on the way

	Unanswerable int `json:"unanswerable"` // problems of the file, left out

	Results []Result `json:"results"`
}

// JSON returns the documented object.
func (r *Report) JSON() JSON {
	j := JSON{Version: 1, Task: strings.Join(r.Options.Tasks, ","), Model: r.Model, Partial: r.Partial, Unanswerable: r.Options.Unanswerable, Results: r.Results}
	if j.Results == nil {
		j.Results = []Result{}
	}
	if len(r.Results) > 0 {
		j.N = r.Results[0].N
	}
	return j
}

// WriteTable prints the side-by-side table.
func (r *Report) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head, rows := r.table()
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	last := ""
	for _, row := range rows {
		if last != "" && row[0] != last {
			fmt.Fprintln(tw, strings.Repeat("\t", len(head)-1))
		}
		last = row[0]
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	for _, n := range r.notes() {
		fmt.Fprintf(tw, "\n%s\n", n)
	}
	tw.Flush() // into memory
	for line := range bytes.Lines(b.Bytes()) {
		if _, err := fmt.Fprintf(w, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// tokens shows a mean; a latent model's few tokens are compared in tenths.
func tokens(mean float64) string {
	if mean < 10 {
		return fmt.Sprintf("%.1f", mean)
	}
	return fmt.Sprintf("%.0f", mean)
}

// notes are what the table alone would hide.
func (r *Report) notes() (notes []string) {
	if r.Partial {
		notes = append(notes, "Not all problems were asked: rows of different numbers of problems do not compare.")
	}
	if n := r.Options.Unanswerable; n > 0 {
		notes = append(notes, fmt.Sprintf("%d problems of the file are unanswerable, because their text does not decide the answer: they were left out.", n))
	}
	return notes
}

func (r *Report) table() (head []string, rows [][]string) {
	head = []string{"task", "method", "accuracy", "95 % interval", "tokens/problem", "traces", "stopped", "answered", "seconds/problem"}
	for _, x := range r.Results {
		if t := x.Thinking; t != nil {
			x.Method = fmt.Sprintf("%s, %d of %s", x.Method, t.Thoughts, t.Trained)
			head[1] = "method, thoughts"
		}
		rows = append(rows, []string{x.Task, x.Method, fmt.Sprintf("%.1f %%", 100*x.Accuracy),
			fmt.Sprintf("%.1f–%.1f", 100*x.AccuracyLow, 100*x.AccuracyHigh), tokens(x.TokensMean),
			fmt.Sprintf("%.1f", x.TracesMean), fmt.Sprintf("%.1f", x.StoppedMean),
			fmt.Sprintf("%d/%d", x.Answered, x.N), fmt.Sprintf("%.2f", x.SecondsMean)})
	}
	return head, rows
}

// records of one task and method.
func (r *Report) records(task, method string) []Record {
	var out []Record
	for _, rec := range r.Records {
		if rec.Task == task && rec.Method == method {
			out = append(out, rec)
		}
	}
	return out
}

// Page is the HTML report.
func (r *Report) Page() report.Page {
	head, rows := r.table()
	p := report.Page{
		Title: "Evaluation of " + r.Model,
		Lead: fmt.Sprintf("%s on %s, %d problems a task. Accuracy with 95 %% Wilson intervals; tokens are all traces of a problem together.",
			strings.Join(r.Options.Methods, ", "), strings.Join(r.Options.Tasks, ", "), r.JSON().N),
		Blocks: []report.Block{report.Table{Head: head, Rows: rows}},
	}
	for _, n := range r.notes() {
		p.Blocks = append(p.Blocks, report.Text(n))
	}
	if r.Command != "" {
		p.Blocks = append(p.Blocks, report.Code(r.Command))
	}
	for _, t := range r.Options.Tasks {
		p.Blocks = append(p.Blocks, report.Heading(t))
		p.Blocks = append(p.Blocks, r.tokensPlot(t)...)
		p.Blocks = append(p.Blocks, r.calibrationBlocks(t)...)
	}
	return p
}

// verify marks an answer against the record's problem. Problems with data of
// their own are generated again or looked up, so that a log can be reported.
func (r *Report) verify(name string) verifier {
	t, err := task.Lookup(name)
	if err != nil {
		return func(Record, string) bool { return false }
	}
	ps := r.Options.problems(t)
	return func(rec Record, a string) bool { return t.Verify(ps[rec.Index], a) }
}

func (r *Report) tokensPlot(name string) []report.Block {
	plot := report.Plot{
		Title: "Accuracy against tokens, " + name,
		X:     report.Axis{Label: "tokens a problem", Log: true},
		Y:     report.Axis{Label: "accuracy", Percent: true},
		Caption: "The line is plain majority voting over the first 1, 2, 4, … traces: a method earns its place where its point lies above the line. " +
			"Bars and band are 95 % intervals; they are wide where few problems were asked.",
	}
	if recs := r.records(name, "majority"); len(recs) > 0 {
		c := majorityCurve(recs, r.verify(name))
		plot.Series = append(plot.Series, report.Series{Name: "majority, by budget", X: c.Tokens, Y: c.Accuracy, Low: c.Low, High: c.High, Draw: report.LinePoints})
	}
	for _, x := range r.Results {
		if x.Task == name {
			plot.Series = append(plot.Series, report.Series{Name: x.Method, X: []float64{x.TokensMean}, Y: []float64{x.Accuracy},
				Low: []float64{x.AccuracyLow}, High: []float64{x.AccuracyHigh}, Draw: report.Points})
		}
	}
	return []report.Block{plot}
}

func (r *Report) calibrationBlocks(name string) []report.Block {
	source, recs := r.calibrationSource(name)
	if len(recs) == 0 {
		return []report.Block{report.Text("No method of this run measured the confidence of complete traces, so there is no calibration plot. Add majority or a deepconf method.")}
	}
	plot := report.Plot{
		Title: "Confidence and correctness of single traces, " + name,
		X:     report.Axis{Label: "confidence (nats a token)"},
		Y:     report.Axis{Label: "share of right traces", Percent: true, Min: 0, Max: 1},
		Caption: "Each point is a tenth of the traces that " + source + " ran to their end, sorted by the measure. A rising line says that confidence tells right from wrong; " +
			"a flat one says that weighing by it can't help. The bands are 95 % intervals for independent traces; those of one problem are not, so the truth may lie further out.",
	}
	tab := report.Table{
		Caption: "How well each measure ranks a right trace above a wrong one. 0.5 is chance. Only the second figure matters to a vote, which compares traces of one problem.",
		Head:    []string{"measure", "AUC, all traces", "AUC within a problem", "traces"},
	}
	for _, m := range confidence.AllMeasures {
		c := calibrate(recs, m)
		plot.Series = append(plot.Series, report.Series{Name: string(m), X: c.Confidence, Y: c.Accuracy, Low: c.Low, High: c.High, Draw: report.LinePoints})
		tab.Rows = append(tab.Rows, []string{string(m), figure(c.AUC), figure(c.Within), fmt.Sprint(c.Traces)})
	}
	return []report.Block{plot, tab}
}

// calibrationSource prefers majority, whose traces all run to their end.
func (r *Report) calibrationSource(name string) (method string, recs []Record) {
	methods := append([]string{"majority"}, r.Options.Methods...)
	for _, m := range methods {
		for _, rec := range r.records(name, m) {
			if len(rec.Traces) > 1 && rec.Traces[0].Mean != nil {
				return m, r.records(name, m)
			}
		}
	}
	return "", nil
}

func figure(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}
