package li2

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

var epochs = report.Axis{Label: "epoch", Log: true}

// line is a series over the evaluations.
func (t *Training) line(name string, of func(Point) float64) report.Series {
	s := report.Series{Name: name}
	for _, p := range t.Points {
		s.X, s.Y = append(s.X, float64(p.Epoch)), append(s.Y, of(p))
	}
	return s
}

func (t *Training) curves(s Stages) []report.Block {
	regions := s.regions(t.Points[len(t.Points)-1].Epoch)
	share := report.Axis{Percent: true, Min: 0, Max: 1}
	accuracy := []report.Series{t.line("trained on", func(p Point) float64 { return p.TrainAccuracy })}
	loss := []report.Series{t.line("trained on", func(p Point) float64 { return p.TrainLoss })}
	if !math.IsNaN(t.Points[0].TestAccuracy) {
		accuracy = append(accuracy, t.line("held out", func(p Point) float64 { return p.TestAccuracy }))
		loss = append(loss, t.line("held out", func(p Point) float64 { return p.TestLoss }))
	}
	return []report.Block{report.Columns{
		report.Plot{Title: "Accuracy in three stages", X: epochs, Y: share, Series: accuracy, Regions: regions,
			Caption: "The stages are found without the held-out pairs. Grokking is the gap between the two curves: fitted long before understood."},
		report.Plot{Title: "Loss in three stages", X: epochs, Y: report.Axis{Label: "mean squared error of a pair", Log: true}, Series: loss, Regions: regions},
		report.Plot{Title: "Do the nodes become pure, and are all components there?", X: epochs, Y: share, Regions: regions,
			Series: []report.Series{
				t.line("weighted purity", func(p Point) float64 { return p.Purity }),
				t.line("coverage", func(p Point) float64 { return p.Coverage }),
				t.line("weighted IPR", func(p Point) float64 { return p.IPR }),
			},
			Caption: "Purity: a node's share in its main component, averaged by squared norm, since decay kills most nodes and dead ones are random. Coverage: share of components with a living node of purity above 80 %. IPR: Σ of squared shares."},
		report.Plot{Title: "Does the pull point where theory says?", X: epochs, Y: report.Axis{Label: "c = cos(G_F, ỸỸᵀF̃)"}, Regions: regions,
			Series:  []report.Series{t.line("c", func(p Point) float64 { return p.Alignment })},
			Caption: "G_F is the gradient that reaches the hidden layer. At c = 1 every node climbs its own energy E and knows of no other; where c falls, the nodes see each other."},
		report.Plot{Title: "How strong is the pull?", X: epochs, Y: report.Axis{Label: "‖G_F‖", Log: true}, Regions: regions,
			Series:  []report.Series{t.line("‖G_F‖", func(p Point) float64 { return p.Gradient })},
			Caption: "It is small while the output layer is, rises as that fits, and falls as the error does. Without decay c falls to 0: no features are learned. What stays of G_F then is the part that is the same for all outputs, which the trained loss does not see."},
	}}
}

// overTime is what is measured at kept epochs.
func (t *Training) overTime(s Stages, snaps []snapshot) []report.Block {
	regions := s.regions(t.Points[len(t.Points)-1].Epoch)
	line := func(name string, of func(snapshot) float64) report.Series {
		r := report.Series{Name: name, Draw: report.LinePoints}
		for _, p := range snaps {
			r.X, r.Y = append(r.X, float64(p.epoch)), append(r.Y, of(p))
		}
		return r
	}
	learned := report.HeatMap{Title: "Which components are explained, when?", X: report.Axis{Label: "epoch"}, Y: report.Axis{Label: "component"},
		Colour:  report.Axis{Label: "explained share", Percent: true, Min: 0, Max: 1},
		Caption: "Share of the training labels inside each component that the network explains, negative ones drawn as 0. A memorising network explains all of them alike, on the training pairs."}
	for k, c := range t.Full.Parts {
		row := make([]float64, len(snaps))
		for i, p := range snaps {
			row[i] = max(p.learned[k], 0)
		}
		learned.Rows, learned.Values = append(learned.Rows, c.Label), append(learned.Values, row)
	}
	for _, p := range snaps {
		learned.Columns = append(learned.Columns, fmt.Sprint(p.epoch))
	}
	return []report.Block{report.Columns{
		report.Plot{Title: "Which layer turns?", X: epochs, Y: report.Axis{Label: "1 − cos to the checkpoint before", Log: true}, Regions: regions,
			Series:  []report.Series{line("V, output layer", func(p snapshot) float64 { return p.turnedV }), line("W, hidden nodes", func(p snapshot) float64 { return p.turnedW })},
			Caption: "In stage I the output layer turns and the hidden nodes hardly do."},
		report.Plot{Title: "Do the nodes see each other?", X: epochs, Y: report.Axis{Label: "mean |off-diagonal| / mean |diagonal|"}, Regions: regions,
			Series:  []report.Series{line("nodes, F̃ᵀF̃", func(p snapshot) float64 { return p.diagonal }), line("pairs, PFFᵀ", func(p snapshot) float64 { return p.crossed })},
			Caption: "Near 0 the nodes are independent, which is what stages I and II rest on; at most 512 nodes and pairs are compared."},
		learned,
	}}
}

// nodes are a node × component map over time and the spectrum of one node.
func (t *Training) nodes(snaps []snapshot) []report.Block {
	last := snaps[len(snaps)-1].nodes
	order := last.Order()
	drawn := order[:min(len(order), 64)] // a page of a few MB, see frames
	names := make([]string, len(t.Full.Parts))
	for k, c := range t.Full.Parts {
		names[k] = c.Label
	}
	one := 0
	for _, j := range drawn { // the node with the largest pure part at the end
		if last.Norm[j]*last.Purity[j] > last.Norm[one]*last.Purity[one] || math.IsNaN(last.Purity[one]) {
			one = j
		}
	}
	slider := report.Slider{Label: "epoch"}
	for _, s := range snaps {
		h := report.HeatMap{Title: fmt.Sprintf("Nodes and components at epoch %d", s.epoch), X: report.Axis{Label: "component"}, Y: report.Axis{Label: "node"},
			Columns: names, Colour: report.Axis{Label: "share of the node", Percent: true, Min: 0, Max: 1}}
		for _, j := range drawn {
			h.Rows, h.Values = append(h.Rows, fmt.Sprint(j)), append(h.Values, s.nodes.Q[j])
		}
		spectrum := report.BarChart{Title: fmt.Sprintf("Node %d at epoch %d", one, s.epoch), X: "component", Y: report.Axis{Label: "share", Percent: true, Min: 0, Max: 1},
			Categories: names, Series: []report.Group{{Name: "share", Values: slices.Clone(s.nodes.Q[one])}}}
		slider.Frames = append(slider.Frames, report.Frame{Name: fmt.Sprint(s.epoch), Blocks: []report.Block{report.Columns{h, spectrum}}})
	}
	return []report.Block{
		report.Text(fmt.Sprintf("Move the slider to see nodes choose. A row is a node, sorted by what it is at the end (%d of %d are drawn, %d are alive then, with a norm above a fifth of the largest); a bright cell is a node that has become one pure component. The bars are one node, the strongest pure one at the end.",
			len(drawn), len(order), last.Living())),
		slider,
	}
}

// energies are histograms of E/E* at the start, in the middle and at the end.
func (t *Training) energies(snaps []snapshot) []report.Block {
	some := []int{0}
	for _, i := range []int{len(snaps) / 2, len(snaps) - 1} {
		if i > some[len(some)-1] {
			some = append(some, i)
		}
	}
	const bins = 40
	const most = 1.1
	h := report.Histogram{Title: "How high have the nodes climbed?", X: report.Axis{Label: "E/E* of the node's main component, full table"}, Y: report.Axis{Label: "living nodes"},
		Marks: []report.Mark{{Name: "maximum", At: 1}}, Caption: "E* is the largest energy that a node of its length can have in its component. Theory allows nothing beyond the line."}
	for b := range bins + 1 {
		h.Edges = append(h.Edges, most*float64(b)/bins)
	}
	known := false
	for _, i := range some {
		c := report.Counts{Name: fmt.Sprintf("epoch %d", snaps[i].epoch), Counts: make([]float64, bins)}
		for j, e := range snaps[i].energy {
			if snaps[i].nodes.Alive[j] && !math.IsNaN(e) {
				known = true
				c.Counts[min(bins-1, max(0, int(e/most*bins)))]++
			}
		}
		h.Series = append(h.Series, c)
	}
	if !known {
		return []report.Block{report.Note{Label: "Energy", Text: "The maxima of E are known for the square alone; this network has another activation."}}
	}
	out := []report.Block{h}
	if raw := t.rawEnergies(snaps[len(snaps)-1]); raw != nil {
		out = append(out, raw)
	}
	return []report.Block{report.Columns(out)}
}

// rawEnergies is the histogram of E at the end, if E* differs among components.
func (t *Training) rawEnergies(s snapshot) report.Block {
	h := report.Histogram{Title: "Energies at the end", X: report.Axis{Label: "E of a unit node, full table"}, Y: report.Axis{Label: "living nodes"},
		Caption: "Each line is the maximum of one kind of component: M/2d if it is real, M/4d if it is a complex pair or quaternionic."}
	top := 0.0
	for _, c := range t.Full.Parts {
		e := c.MaxEnergy()
		top = max(top, e)
		name := fmt.Sprintf("%s, d = %d", c.Type, c.Degree)
		if !slices.ContainsFunc(h.Marks, func(m report.Mark) bool { return math.Abs(m.At-e) < 1e-9 }) {
			h.Marks = append(h.Marks, report.Mark{Name: name, At: e})
		}
	}
	if len(h.Marks) < 2 {
		return nil
	}
	const bins = 50
	counts := make([]float64, bins)
	for b := range bins + 1 {
		h.Edges = append(h.Edges, 1.05*top*float64(b)/bins)
	}
	for j, e := range s.energy {
		if s.nodes.Alive[j] && !math.IsNaN(e) {
			e *= t.Full.Parts[s.nodes.Main[j]].MaxEnergy()
			counts[min(bins-1, max(0, int(e/(1.05*top)*bins)))]++
		}
	}
	h.Series = []report.Counts{{Name: fmt.Sprintf("epoch %d", s.epoch), Counts: counts}}
	return h
}
