package probe

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"orrery/report"
	"orrery/task"
)

// WriteText prints the verdicts and the tables.
func (r *Report) WriteText(w io.Writer) error {
	for _, v := range r.verdicts() {
		fmt.Fprintln(w, v.Label)
		for _, a := range v.Against {
			fmt.Fprintln(w, "  against:", a)
		}
	}
	tables := []report.Table{r.innerTable(), r.attentionTable(), r.accuracyTable(), r.interventionTable(), r.matchTable(), r.rivalsTable()}
	if len(r.Course) > 0 {
		tables = append(tables, r.courseTable())
	}
	for _, t := range tables {
		fmt.Fprintf(w, "\n%s\n", t.Caption)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Page is the report.
func (r *Report) Page() report.Page {
	p := report.Page{
		Title: "What the thoughts of " + r.Model + " hold",
		Lead:  fmt.Sprintf("%d graphs, %s. A search of a graph by continuous thoughts, as theory predicts it and as it was measured.", r.Items, r.Source),
	}
	if r.trained() == nil {
		p.Title = "What the thoughts of the constructed model hold"
	}
	add := func(b ...report.Block) { p.Blocks = append(p.Blocks, b...) }
	for _, v := range r.verdicts() {
		add(v)
	}
	add(report.Note{Label: "What this is about", Items: theoryNote})
	add(report.Heading("A search, thought by thought"),
		report.Text("Move the slider: with each thought the set of filled nodes should grow by one step along the arrows, until the target is among them. A node is as full as the thought's inner product with its embedding is large, an edge as strong as the attention that it gets from the thought. Theory: all nodes within i edges equally full, all their outgoing edges equally strong, nothing else."))
	add(r.graphs()...)
	add(report.Heading("What each thought holds"),
		report.Text("Look for colours that stand apart: nodes that the search has reached should have larger inner products with the thought than the others. Theory predicts two places, 0 for nodes not reached and 1/√|V| for all |V| nodes that are; trained models are known to favour the frontier, and the optimal nodes more so. Nodes left behind, reachable by fewer edges than there were thoughts and by no walk of as many, show whether a thought holds the whole set or its frontier."))
	add(r.histograms())
	add(r.innerPlot(), r.innerTable(), report.Details{Summary: "Length and direction of the thoughts", Blocks: []report.Block{r.thoughtTable()}})
	add(report.Heading("Where a thought looks"),
		report.Text("Look for low bars of edges that are not reachable. Theory predicts no attention there, and in each graph the same on every edge that leaves a node of the thought; trained models are known to prefer edges that lie on the way to the target. Means are over the edges of all graphs: where few edges share the attention each has more of it, so that the classes of the constructed model differ a little."))
	add(r.attentionBars(), r.attentionTable())
	add(report.Heading("How many thoughts an answer takes"),
		report.Text("Look for a rise where the number of thoughts meets the number of hops (3 or 4). Theory predicts chance, 50 %, before the target is reached, and every answer right from then on, however many thoughts follow. Where logits are exactly equal, which happens to the constructed model alone, the lower id is taken for the answer. As many thoughts as hops is an oracle: no user would know the number."))
	add(r.accuracyPlot(), r.accuracyTable(), r.rivalsTable())
	add(report.Heading("What if the thoughts are exchanged"),
		report.Text("Look for low bars: if the thoughts hold the search, another item's thoughts, their mean, noise or zeros must bring the choice between the candidates down to chance, and superpositions of the sets that theory names must not. A trained thought also has a part that is the same for all items; centred puts the exact set on top of that part. Answers, in the table, are the largest of all 40 logits, so that a model which has lost its way lies below chance."))
	fed := report.Note{Label: "What is fed"}
	for _, in := range standIns {
		fed.Items = append(fed.Items, in.name+": "+in.about)
	}
	add(r.interventionBars(), fed, r.interventionTable())
	add(report.Heading("How the edges are read"),
		report.Text("In layer 1 each bar behind an edge should copy its source and its target: theory has one head for each, and the others idle at the first token. In layer 2 the thought should match bars whose source it holds: their logits should stand above those of the other bars, by μ."))
	for _, s := range r.Studies {
		add(s.copyMap())
	}
	add(r.matchTable())
	if len(r.Course) > 0 {
		add(report.Heading("How it came about"))
		add(r.coursePlots()...)
		add(r.courseTable())
	}
	if r.Command != "" {
		add(report.Details{Summary: "How this was made", Blocks: []report.Block{report.Code(r.Command)}})
	}
	return p
}

// beside puts one block a study side by side, or the only one over the whole width.
func beside(blocks []report.Block) report.Block {
	if len(blocks) == 1 {
		return blocks[0]
	}
	return report.Columns(blocks)
}

// graphs are the drawn examples, each with a slider over thoughts.
func (r *Report) graphs() []report.Block {
	var out []report.Block
	for e := range r.Studies[0].examples {
		it := r.Studies[0].examples[e].item
		slider := report.Slider{Label: "thoughts"}
		for i := range it.Hops + 1 {
			var side []report.Block
			for _, s := range r.Studies {
				side = append(side, s.examples[e].graph(s.Subject, i))
			}
			slider.Frames = append(slider.Frames, report.Frame{Name: fmt.Sprintf("after %d of %d", i, it.Hops), Blocks: []report.Block{beside(side)}})
		}
		out = append(out, report.Details{Summary: fmt.Sprintf("Graph %d: from %d, is it %d or %d? (%d hops, %d edges)", e+1, it.Root, it.Candidates[0], it.Candidates[1], it.Hops, len(it.Edges)),
			Open: e == 0, Blocks: []report.Block{slider}})
	}
	return out
}

// graph draws an example after i thoughts.
func (ex example) graph(subject string, i int) report.Graph {
	g := report.Graph{Title: subject, Kinds: classNames(),
		Node: report.Axis{Label: "inner product", Max: ex.most(ex.inner[1:])}, Edge: report.Axis{Label: "attention", Max: max(weak*float64(ex.heads), ex.most(ex.mass))}}
	g.Caption = fmt.Sprintf("Full node: inner product %s; full edge: attention %s.", figure(g.Node.Max), figure(g.Edge.Max))
	index := map[int]int{}
	for v, class := range ex.item.node[i] {
		if class == task.Absent {
			continue
		}
		index[v] = len(g.Nodes)
		n := report.Node{Name: fmt.Sprint(v), Kind: slices.Index(classes, class), Value: ex.inner[i][v]}
		switch v {
		case ex.item.Root:
			n.Note = "root"
		case ex.item.Target:
			n.Note = "target"
		case ex.item.Candidates[0], ex.item.Candidates[1]:
			n.Note = "other"
		}
		g.Nodes = append(g.Nodes, n)
	}
	for k, e := range ex.item.Edges {
		edge := report.Edge{From: index[e[0]], To: index[e[1]], Kind: slices.Index(classes, ex.item.edge[i][k]), Value: math.NaN()}
		if i < len(ex.mass) {
			edge.Value = ex.mass[i][k]
		}
		g.Edges = append(g.Edges, edge)
	}
	return g
}

// weak is the share of all attention that an edge must have to be drawn at full
// strength where none has more: in a model that looks everywhere, no edge stands out.
const weak = .1

func (ex example) most(values [][]float64) float64 {
	most := 0.0
	for _, row := range values {
		most = max(most, slices.Max(row))
	}
	return most
}
