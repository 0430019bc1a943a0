package coconut

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"orrery/learn/latent"
	"orrery/look/cogs"
	"orrery/task"
)

// Comparison is several models on the same problems.
type Comparison struct {
	Task     string
	Problems []task.Problem
	Scores   []*Score // in the order of the published table, a method's models together
	Rules    []Rule
}

// Compare puts scores of the same problems side by side.
func Compare(name string, ps []task.Problem, scores []*Score) *Comparison {
	c := &Comparison{Task: name, Problems: ps, Rules: Shortcuts(ps)}
	for _, m := range latent.Methods {
		for _, s := range scores {
			if s.Model.Info.Method == m {
				c.Scores = append(c.Scores, s)
			}
		}
	}
	return c
}

// of lists a method's scores.
func (c *Comparison) of(m latent.Method) (out []*Score) {
	for _, s := range c.Scores {
		if s.Model.Info.Method == m {
			out = append(out, s)
		}
	}
	return out
}

// Row is a line of the table: the models of a method, or a control of theirs.
type Row struct {
	Name                string        `json:"name"`
	Method              latent.Method `json:"method"`
	Control             Control       `json:"control,omitempty"`
	Models              int           `json:"models"`
	N                   int           `json:"n"` // answers, of all models
	Accuracy            float64       `json:"accuracy"`
	Low                 float64       `json:"accuracy_low"` // 95 % Wilson interval over answers
	High                float64       `json:"accuracy_high"`
	Each                []float64     `json:"each"` // of each model
	Tokens              float64       `json:"tokens_mean"`
	ProsQA, Pronto, GSM figure        `json:"-"`
}

// Rows are the table's.
func (c *Comparison) Rows() (rows []Row) {
	for _, m := range latent.Methods {
		list := c.of(m)
		if len(list) == 0 {
			continue
		}
		p := published[m]
		r := pooled(p.name, list, func(s *Score) Tally { return s.Main })
		r.Method, r.ProsQA, r.Pronto, r.GSM = m, p.prosqa, p.prontoqa, p.gsm8k
		rows = append(rows, r)
		if m == latent.PauseAsThought {
			r.Name, r.ProsQA, r.Pronto, r.GSM = multipass, figure{reproduced[multipass], ""}, figure{}, figure{}
			rows = append(rows, r)
		}
	}
	list := c.of(latent.Coconut)
	for _, k := range Controls {
		if len(list) == 0 {
			break
		}
		r := pooled(string(k), list, func(s *Score) Tally { return s.Controls[k] })
		r.Method, r.Control, r.ProsQA = latent.Coconut, k, figure{reproduced[string(k)], ""}
		rows = append(rows, r)
	}
	return rows
}

// pooled joins the answers of a method's models.
func pooled(name string, list []*Score, pick func(*Score) Tally) Row {
	r := Row{Name: name, Models: len(list)}
	hits := 0
	for _, s := range list {
		t := pick(s)
		hits, r.N = hits+t.Hits(), r.N+len(t.Right)
		r.Each = append(r.Each, t.Accuracy())
		r.Tokens += t.MeanTokens() / float64(len(list))
	}
	r.Accuracy = float64(hits) / float64(r.N)
	r.Low, r.High = wilson(hits, r.N)
	return r
}

// wilson is the 95 % score interval for k of n.
func wilson(k, n int) (low, high float64) {
	i := cogs.Wilson(k, n)
	return i.Low, i.High
}

// Gap is how much better one thing does than another on the same problems.
type Gap struct {
	Against string    `json:"against"`
	Mean    float64   `json:"mean"` // difference of accuracies
	Low     float64   `json:"low"`  // 95 % interval over problems, paired; of one answer from −∞ to ∞, in JSON null
	High    float64   `json:"high"`
	Each    []float64 `json:"each"` // of each pair of models
}

// gap compares answers pairwise: models in their order, and each problem with
// itself.
func gap(against string, list, others []*Score, pick func(*Score) Tally) (g Gap, ok bool) {
	n := min(len(list), len(others))
	if n == 0 {
		return g, false
	}
	g.Against = against
	var diff []float64
	for i := range n {
		a, b := list[i].Main.Right, pick(others[i]).Right
		sum := 0.0
		for j := range a {
			d := one(a[j]) - one(b[j])
			diff, sum = append(diff, d), sum+d
		}
		g.Each = append(g.Each, sum/float64(len(a)))
	}
	for _, d := range diff {
		g.Mean += d / float64(len(diff))
	}
	variance := 0.0
	for _, d := range diff {
		variance += (d - g.Mean) * (d - g.Mean) / float64(len(diff)-1)
	}
	half := 1.959963984540054 * math.Sqrt(variance/float64(len(diff)))
	if len(diff) == 1 {
		half = math.Inf(1)
	}
	g.Low, g.High = g.Mean-half, g.Mean+half
	return g, true
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// MarshalJSON writes null for the ends of an interval that has none.
func (g Gap) MarshalJSON() ([]byte, error) {
	type plain Gap
	out := struct {
		plain
		Low  *float64 `json:"low"`
		High *float64 `json:"high"`
	}{plain: plain(g)}
	if !math.IsInf(g.High, 0) {
		out.Low, out.High = &g.Low, &g.High
	}
	return json.Marshal(out)
}

// clear says that the gap is there: above 0 in its interval and in every pair.
func (g Gap) clear() bool { return len(g.Each) > 0 && g.Low > 0 && slices.Min(g.Each) > 0 }

func (g Gap) String() string {
	each := make([]string, len(g.Each))
	for i, x := range g.Each {
		each[i] = fmt.Sprintf("%+.1f", 100*x)
	}
	return fmt.Sprintf("%+.1f points against %s (95 %%: %+.1f to %+.1f; by model: %s)", 100*g.Mean, g.Against, 100*g.Low, 100*g.High, strings.Join(each, ", "))
}

// Verdict says whether the thoughts earn their place.
type Verdict struct {
	Needed bool  `json:"thoughts_needed"` // both gaps are clear
	Gaps   []Gap `json:"gaps"`            // to zero latents, and to pause tokens in the thoughts' place
}

// Verdict compares Coconut with itself without thoughts and with pauses in their
// place; ok is false if models of one of both are missing.
func (c *Comparison) Verdict() (v Verdict, ok bool) {
	list := c.of(latent.Coconut)
	zero, have := gap("zero latents", list, list, func(s *Score) Tally { return s.Controls[ZeroLatent] })
	pause, both := gap("pause as thought", list, c.of(latent.PauseAsThought), func(s *Score) Tally { return s.Main })
	return Verdict{zero.clear() && pause.clear(), []Gap{zero, pause}}, have && both
}

func (v Verdict) String() string {
	word := "no"
	if v.Needed {
		word = "yes"
	}
	lines := []string{"thoughts needed: " + word}
	for _, g := range v.Gaps {
		lines = append(lines, "  Coconut "+g.String())
	}
	return strings.Join(lines, "\n")
}

var head = []string{"row", "accuracy", "95 %", "by model", "tokens", "ProsQA, published", "ProntoQA, published", "GSM8k, published"}

// cells are the table's lines as text.
func (c *Comparison) cells() (out [][]string) {
	cell := func(f figure) string {
		switch {
		case f.accuracy == "":
			return "–"
		case f.tokens == "":
			return f.accuracy
		}
		return f.accuracy + " (" + f.tokens + ")"
	}
	for _, r := range c.Rows() {
		each := make([]string, len(r.Each))
		for i, x := range r.Each {
			each[i] = fmt.Sprintf("%.1f", 100*x)
		}
		name := r.Name
		if i := slices.Index(latent.Methods, r.Method); r.Control != "" || i > slices.Index(latent.Methods, latent.Coconut) {
			name = "  " + name // about Coconut
		}
		out = append(out, []string{name, fmt.Sprintf("%.1f", 100*r.Accuracy), fmt.Sprintf("%.1f–%.1f", 100*r.Low, 100*r.High),
			strings.Join(each, " "), fmt.Sprintf("%.1f", r.Tokens), cell(r.ProsQA), cell(r.Pronto), cell(r.GSM)})
	}
	for i, s := range c.Rules {
		test := []string{"66", "71", "70", "92"}
		out = append(out, []string{"rule: " + s.Name, fmt.Sprintf("%.1f", 100*s.Accuracy), "", "", "", test[i], "–", "–"})
	}
	return out
}

// WriteTable prints the table and the verdict.
func (c *Comparison) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	for _, cells := range c.cells() {
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n%s\n", c.lead(), c.conclusion())
	return err
}

func (c *Comparison) lead() string {
	return fmt.Sprintf("%s, %d problems for each model, greedy; accuracy in %%, tokens written and thoughts together. Published: arXiv 2412.06769, "+
		"a pre-trained GPT-2, accuracy (tokens); zero latents and multipass are others' reproductions, rules those of its test file.", c.Task, len(c.Problems))
}

func (c *Comparison) conclusion() string {
	v, ok := c.Verdict()
	if !ok {
		return "thoughts needed: not decided, which takes models of coconut and of pause-as-thought"
	}
	return v.String()
}

// JSON is the object of `orrery eval --models … --json`.
func (c *Comparison) JSON() map[string]any {
	rules := map[string]float64{}
	for _, r := range c.Rules {
		rules[r.Name] = r.Accuracy
	}
	type sweep struct {
		Model    string                   `json:"model"`
		Method   latent.Method            `json:"method"`
		Accuracy []float64                `json:"accuracy"` // with 0, 1, … thoughts or pauses
		Classes  []map[task.PathClass]int `json:"classes"`  // replies of each class; null of tasks without graphs
	}
	sweeps := []sweep{}
	for _, s := range c.Scores {
		if len(s.Sweep) == 0 {
			continue
		}
		row := sweep{Model: s.name(), Method: s.Model.Info.Method}
		for _, t := range s.Sweep {
			row.Accuracy, row.Classes = append(row.Accuracy, t.Accuracy()), append(row.Classes, t.Classes)
		}
		sweeps = append(sweeps, row)
	}
	out := map[string]any{"version": 1, "sweeps": sweeps, "task": c.Task, "n": len(c.Problems), "results": c.Rows(), "shortcuts": rules, "verdict": nil}
	if v, ok := c.Verdict(); ok {
		out["verdict"] = v
	}
	return out
}
