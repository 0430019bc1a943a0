package coconut

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"orrery/report"
	"orrery/task"
)

// graph is a problem's.
func (t *Tree) graph(item int) *task.Graph { return t.Problems[item].Data.(*task.Graph) }

// correct are the nodes k edges from the root on a shortest path to the target.
func correct(g *task.Graph, k int) []int { return g.Optimal()[k] }

// ByHeight is the mean value of nodes of one height.
type ByHeight struct {
	K         int     `json:"thoughts"`
	Height    int     `json:"height"` // shortest distance to a leaf
	Correct   float64 `json:"correct"`
	Incorrect float64 `json:"incorrect"`
	N         [2]int  `json:"n"` // correct nodes, incorrect ones
}

// Heights are mean values by number of thoughts and height, where a node is on the way
// and where it isn't. Means of none are NaN.
func (t *Tree) Heights() (out []ByHeight) {
	type key struct{ k, height int }
	sums := map[key]*ByHeight{}
	for _, c := range t.Choices {
		g := t.graph(c.Item)
		h, way := heights(g), correct(g, c.K)
		for i, v := range c.Nodes {
			k := key{c.K, h[v]}
			if sums[k] == nil {
				sums[k] = &ByHeight{K: k.k, Height: k.height}
			}
			if slices.Contains(way, v) {
				sums[k].Correct, sums[k].N[0] = sums[k].Correct+c.Values[i], sums[k].N[0]+1
			} else {
				sums[k].Incorrect, sums[k].N[1] = sums[k].Incorrect+c.Values[i], sums[k].N[1]+1
			}
		}
	}
	for _, s := range sums {
		s.Correct /= float64(s.N[0]) // 0/0 is NaN
		s.Incorrect /= float64(s.N[1])
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b ByHeight) int { return 100*(a.K-b.K) + a.Height - b.Height })
	return out
}

// Top is the value of the best, the best two and the best three nodes together, of
// each choice with K thoughts, ascending: parallel search shows as a gap between them.
func (t *Tree) Top(k int) (top [3][]float64) {
	for _, c := range t.Choices {
		if c.K != k || len(c.Nodes) < 2 {
			continue // one node has all
		}
		v := slices.Sorted(slices.Values(c.Values))
		slices.Reverse(v)
		sum := 0.0
		for i := range top {
			if i < len(v) {
				sum += v[i]
			}
			top[i] = append(top[i], sum)
		}
	}
	for i := range top {
		slices.Sort(top[i])
	}
	return top
}

// Right is how often the likeliest node is on the way, with k thoughts; mass is the
// mean part that nodes have of all tokens.
func (t *Tree) Right(k int) (hits, n int, mass float64) {
	for _, c := range t.Choices {
		way := correct(t.graph(c.Item), c.K)
		if c.K != k || len(c.Nodes) < 2 {
			continue
		}
		n++
		mass += c.Mass
		best := 0
		for i, v := range c.Values {
			if v > c.Values[best] {
				best = i
			}
		}
		if slices.Contains(way, c.Nodes[best]) {
			hits++
		}
	}
	return hits, n, mass / float64(n)
}

func (t *Tree) lead() string {
	return fmt.Sprintf("%s, %d problems. A node's value after K thoughts, fewer than hops, is the probability that the sentence about it is written next, normalised over the nodes that walks of K edges come to.",
		t.Model.Info.Task, len(t.Problems))
}

func (t *Tree) rightTable() report.Table {
	out := report.Table{Caption: "Where the search stands: whether the likeliest node is on a shortest path, of problems with steps left and two nodes and more to choose from",
		Head: []string{"thoughts", "right", "95 %", "problems", "of all tokens"}}
	for k := 1; k <= t.Model.Info.Thoughts; k++ {
		hits, n, mass := t.Right(k)
		if n == 0 {
			continue
		}
		low, high := wilson(hits, n)
		out.Rows = append(out.Rows, []string{strconv.Itoa(k), fmt.Sprintf("%.1f %%", 100*float64(hits)/float64(n)), fmt.Sprintf("%.1f–%.1f", 100*low, 100*high), strconv.Itoa(n), fmt.Sprintf("%.3f", mass)})
	}
	return out
}

func (t *Tree) heightTable() report.Table {
	out := report.Table{Caption: "Mean value by height, the shortest distance to a leaf", Head: []string{"thoughts", "height", "on the way", "nodes", "not", "nodes"}}
	cell := func(x float64) string {
		if math.IsNaN(x) {
			return "–"
		}
		return fmt.Sprintf("%.3f", x)
	}
	for _, h := range t.Heights() {
		out.Rows = append(out.Rows, []string{strconv.Itoa(h.K), strconv.Itoa(h.Height), cell(h.Correct), strconv.Itoa(h.N[0]), cell(h.Incorrect), strconv.Itoa(h.N[1])})
	}
	return out
}

// WriteText prints the tables.
func (t *Tree) WriteText(w io.Writer) error {
	for i, table := range []report.Table{t.rightTable(), t.heightTable(), t.sweepTable()} {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, table.Caption)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{table.Head}, table.Rows...) {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", t.lead())
	return err
}

// sweepTable is what is written with each number of thoughts.
func (t *Tree) sweepTable() report.Table {
	out := report.Table{Caption: "What is written after so many thoughts, %", Head: []string{"thoughts", "accuracy"}}
	for _, c := range task.PathClasses {
		out.Head = append(out.Head, string(c))
	}
	for k, tally := range t.Score.Sweep {
		row := []string{strconv.Itoa(k), fmt.Sprintf("%.1f", 100*tally.Accuracy())}
		for _, c := range task.PathClasses {
			row = append(row, fmt.Sprintf("%.1f", 100*float64(tally.Classes[c])/float64(len(tally.Right))))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// Page is the report.
func (t *Tree) Page(command string) report.Page {
	p := report.Page{Title: "What " + runName(t.Model.Dir) + " is thinking of", Lead: t.lead()}
	add := func(b ...report.Block) { p.Blocks = append(p.Blocks, b...) }
	add(report.Heading("The search tree"), report.Text("Move the slider: after K thoughts the nodes that the model would go on from are filled, as full as their value is large. A search keeps several and drops those that lead nowhere; one path at a time has one full node."))
	for i, item := range t.examples() {
		add(t.drawn(item, i == 0))
	}
	add(t.rightTable(), report.Heading("Several at once?"), report.Text("The best, the best two and the best three nodes of each problem together, problems in ascending order. Where lines lie apart the model holds several nodes open; where the first is at 100 % it has decided."))
	var tops []report.Block
	for k := 1; k <= min(2, t.Model.Info.Thoughts); k++ {
		tops = append(tops, t.topPlot(k))
	}
	add(report.Columns(tops), report.Heading("Near a leaf it is easier"), report.Text("Nodes near a leaf can be judged by a short look ahead: if the model does that, nodes on the way and others lie further apart where the height is small."), t.heightPlot(), t.heightTable())
	add(report.Heading("What is written after so many thoughts"), t.sweepTable())
	if b := t.Score.SweepBlock(); b != nil {
		add(b)
	}
	for i, l := range t.Lenses {
		if i == 0 {
			add(report.Heading("Thoughts read as words"), report.Text("The likeliest tokens of softmax(W h) of each thought, the logit lens."))
		}
		add(t.lensTable(l))
	}
	if command != "" {
		add(report.Code(command))
	}
	return p
}

// drawn is a problem's graph below its root, with values after each number of thoughts.
// Kinds' names all end in "pus", which is left out in the nodes.
func (t *Tree) drawn(item int, open bool) report.Block {
	g := t.graph(item)
	dist := g.Distances(g.Root)
	slider := report.Slider{Label: "thoughts"}
	for k := 1; k <= t.Model.Info.Thoughts; k++ {
		at := slices.IndexFunc(t.Choices, func(c Choice) bool { return c.Item == item && c.K == k })
		if at < 0 {
			break
		}
		c := t.Choices[at]
		out := report.Graph{Kinds: []string{"elsewhere", "not on the way", "on a shortest path"}, Node: report.Axis{Label: "value", Max: 1}, Edge: report.Axis{Label: "", Max: 1}}
		index := map[int]int{}
		path := g.Optimal()
		kind := func(v int) int {
			switch {
			case dist[v] < 0:
				return 0
			case dist[v] < len(path) && slices.Contains(path[dist[v]], v):
				return 2
			}
			return 1
		}
		for v := range g.Nodes() {
			if dist[v] < 0 && v != g.NegTarget {
				continue
			}
			n := report.Node{Name: strings.TrimSuffix(g.IdxToSymbol[v], "pus"), Kind: kind(v), Value: math.NaN()}
			if i := slices.Index(c.Nodes, v); i >= 0 {
				n.Value = c.Values[i]
			}
			switch v {
			case g.Root:
				n.Note = "root"
			case g.Target:
				n.Note = "target"
			case g.NegTarget:
				n.Note = "other"
			}
			index[v] = len(out.Nodes)
			out.Nodes = append(out.Nodes, n)
		}
		for _, e := range g.Edges {
			from, a := index[e[0]]
			to, b := index[e[1]]
			if a && b {
				out.Edges = append(out.Edges, report.Edge{From: from, To: to, Kind: min(kind(e[0]), kind(e[1])), Value: math.NaN()})
			}
		}
		slider.Frames = append(slider.Frames, report.Frame{Name: fmt.Sprintf("after %d", k), Blocks: []report.Block{out}})
	}
	return report.Details{Summary: fmt.Sprintf("Problem %d: is %s a %s or %s?", item+1, g.IdxToSymbol[g.Root], g.IdxToSymbol[g.Target], g.IdxToSymbol[g.NegTarget]), Open: open, Blocks: []report.Block{slider}}
}

func (t *Tree) topPlot(k int) report.Plot {
	p := report.Plot{Title: "After " + thoughts(k), X: report.Axis{Label: "problems, percentile"}, Y: report.Axis{Label: "value", Percent: true, Min: 0, Max: 1}}
	for i, values := range t.Top(k) {
		line := report.Series{Name: []string{"best", "best two", "best three"}[i]}
		for j, v := range values {
			line.X, line.Y = append(line.X, 100*(float64(j)+0.5)/float64(len(values))), append(line.Y, v)
		}
		p.Series = append(p.Series, line)
	}
	return p
}

func thoughts(k int) string {
	if k == 1 {
		return "1 thought"
	}
	return fmt.Sprintf("%d thoughts", k)
}

func (t *Tree) heightPlot() report.Plot {
	p := report.Plot{Title: "Value and height", X: report.Axis{Label: "height"}, Y: report.Axis{Label: "mean value", Percent: true, Min: 0, Max: 1}}
	for k := 1; k <= t.Model.Info.Thoughts; k++ {
		way, not := report.Series{Name: "on the way, " + thoughts(k), Draw: report.LinePoints}, report.Series{Name: "not, " + thoughts(k), Draw: report.LinePoints}
		for _, h := range t.Heights() {
			if h.K == k {
				way.X, way.Y = append(way.X, float64(h.Height)), append(way.Y, h.Correct)
				not.X, not.Y = append(not.X, float64(h.Height)), append(not.Y, h.Incorrect)
			}
		}
		if len(way.X) > 0 {
			p.Series = append(p.Series, way, not)
		}
	}
	return p
}

func (t *Tree) lensTable(l Lens) report.Table {
	g := t.graph(l.Item)
	out := report.Table{Caption: fmt.Sprintf("Problem %d: is %s a %s or %s?", l.Item+1, g.IdxToSymbol[g.Root], g.IdxToSymbol[g.Target], g.IdxToSymbol[g.NegTarget]), Head: []string{"thought"}}
	for i := range readings {
		out.Head = append(out.Head, strconv.Itoa(i+1))
	}
	for k, list := range l.Readings {
		row := []string{strconv.Itoa(k + 1)}
		for _, r := range list {
			row = append(row, fmt.Sprintf("%s %.2f", r.Text, r.P))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// JSON is the object of `orrery probe MODEL --json`.
func (t *Tree) JSON() map[string]any {
	type sums struct {
		K     int        `json:"thoughts"`
		Right int        `json:"right"`
		N     int        `json:"n"`
		Mass  float64    `json:"mass"`
		Top   [3]float64 `json:"top"` // medians: best, best two, best three
	}
	var list []sums
	for k := 1; k <= t.Model.Info.Thoughts; k++ {
		s := sums{K: k}
		if s.Right, s.N, s.Mass = t.Right(k); s.N == 0 {
			continue
		}
		for i, values := range t.Top(k) {
			s.Top[i] = values[len(values)/2]
		}
		list = append(list, s)
	}
	type height struct {
		K         int      `json:"thoughts"`
		Height    int      `json:"height"`
		Correct   *float64 `json:"correct"`
		Incorrect *float64 `json:"incorrect"`
		N         [2]int   `json:"n"`
	}
	orNull := func(x float64) *float64 {
		if math.IsNaN(x) {
			return nil
		}
		return &x
	}
	var byHeight []height
	for _, h := range t.Heights() {
		byHeight = append(byHeight, height{h.K, h.Height, orNull(h.Correct), orNull(h.Incorrect), h.N})
	}
	accuracy, classes := []float64{}, []map[task.PathClass]int{}
	for _, s := range t.Score.Sweep {
		accuracy, classes = append(accuracy, s.Accuracy()), append(classes, s.Classes)
	}
	return map[string]any{"version": 1, "model": t.Model.Dir, "task": t.Model.Info.Task, "n": len(t.Problems), "choices": list, "heights": byHeight,
		"accuracy": accuracy, "classes": classes, "lenses": t.Lenses}
}
