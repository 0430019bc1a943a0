package li2

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

func median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := slices.Clone(x)
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// table is theory, measured, agree?
func (t *Training) table(st Stages, s snapshot, net *Net) (report.Block, error) {
	out := report.Table{Head: []string{"statement", "theory", "measured", "agree?"},
		Caption: "What the theory says and what this run did. A blank says that the statement predicts no single number."}
	row := func(what, theory, measured, agree string) {
		out.Rows = append(out.Rows, []string{what, theory, measured, agree})
	}
	yes := func(ok bool) string {
		if ok {
			return "yes"
		}
		return "no"
	}
	m, n, d := t.Full.M, t.Train.Len(), 1
	for _, c := range t.Full.Parts {
		d = max(d, c.Degree)
	}
	won := "—"
	if acc := t.Points[len(t.Points)-1].TestAccuracy; !math.IsNaN(acc) {
		won = fmt.Sprintf("%.1f %% of held-out pairs right", 100*acc)
	}
	p, border := t.Train.Share(), PublishedShare(m, d, 0)
	row("Share of pairs that generalises (published law)", fmt.Sprintf("p above %.3f", border), fmt.Sprintf("p = %.3f, %s", p, won), t.lawAgrees(p > border, yes))
	row("Samples that keep the maxima: d²·M·ln(M/δ), δ = 0.05, times a constant", fmt.Sprintf("%.0f × constant", SamplesNeeded(m, d, 0.05)), fmt.Sprintf("n = %d", n), "")
	if t.Full.Group.Abelian() {
		row("Width that suffices: 2(M−1) complex, 2M real", fmt.Sprintf("K ≥ %d, %d", SufficientWidth(m), RealWidth(m)), fmt.Sprintf("K = %d, %d living", t.Width, s.nodes.Living()), "")
	}
	l := len(t.Full.Parts)
	row("Nodes until each component has one: by chance; with Muon at best", fmt.Sprintf("about %.0f; %d", Coupons(l), l), fmt.Sprintf("%s: coverage %.0f %%", t.Optimizer, 100*s.nodes.Coverage()), "")
	row("Stage I: G_F is a multiple of ỸỸᵀF̃", "c near 1", fmt.Sprintf("at most %.2f, at epoch %.0f", st.MaxAlignment, st.MaxEpoch), yes(st.MaxAlignment > 0.8))
	row("Independent nodes in stage I and II (the paper's Fig. 3)", "off-diagonal at most 8 %", fmt.Sprintf("at the end %.1f %%", 100*s.diagonal), "")
	t.energyRows(s, row, yes)
	t.rankRow(s, net, d, row, yes)
	return out, t.ridgeRows(s, net, row, yes)
}

// lawAgrees compares the law with the held-out pairs.
func (t *Training) lawAgrees(above bool, yes func(bool) string) string {
	acc := t.Points[len(t.Points)-1].TestAccuracy
	if math.IsNaN(acc) {
		return ""
	}
	return yes(above == (acc >= successful))
}

func (t *Training) energyRows(s snapshot, row func(a, b, c, d string), yes func(bool) string) {
	var all []float64
	for j, e := range s.energy {
		if s.nodes.Alive[j] && !math.IsNaN(e) {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return
	}
	var sampled []float64
	for j, e := range s.trainEnergy {
		if s.nodes.Alive[j] && !math.IsNaN(e) {
			sampled = append(sampled, e)
		}
	}
	top, mid := slices.Max(all), median(all)
	row("No node climbs beyond E*", "E/E* ≤ 1", fmt.Sprintf("largest %.4f", top), yes(top <= 1+1e-6))
	row("Nodes end at the maxima", "E/E* = 1", fmt.Sprintf("median %.3f of %d living nodes", mid, len(all)), yes(mid >= 0.9))
	row("The training pairs keep the maxima", "Ê/(p²E*) near E/E*", fmt.Sprintf("median %.3f", median(sampled)), yes(math.Abs(median(sampled)-mid) < 0.2))
	row("One component a node", "purity 1", fmt.Sprintf("weighted %.3f", s.nodes.Weighted()), yes(s.nodes.Weighted() >= purified))
}

// rankRow looks at the nodes of components of degree two or more.
func (t *Training) rankRow(s snapshot, net *Net, d int, row func(a, b, c, d string), yes func(bool) string) {
	if d < 2 {
		return
	}
	var ranks []float64
	for j := range s.nodes.Main {
		c := t.Full.Parts[s.nodes.Main[j]]
		if s.nodes.Alive[j] && s.nodes.Purity[j] > pure && c.Degree > 1 {
			ranks = append(ranks, Rank(t.Full.Group, c, net.Node(j)[:net.M], 0.2))
		}
	}
	if len(ranks) == 0 {
		return
	}
	// To a fifth: a column that weighs less is 4 % of the power.
	row("Coefficient matrices of rank 1 where d ≥ 2 (to a fifth of the largest column)", "rank 1", fmt.Sprintf("median %.2f of %d pure nodes", median(ranks), len(ranks)), yes(median(ranks) < 1.25))
}

// ridgeRows compare the output layer with its optimum for the hidden nodes as
// they are. They cost n·K² operations and are left out beyond 1,024 nodes.
func (t *Training) ridgeRows(s snapshot, net *Net, row func(a, b, c, d string), yes func(bool) string) error {
	eta := Eta(t.Decay, t.Train.Len())
	if !(eta > 0) || net.K > 1024 {
		return nil
	}
	y, f := t.Train.Labels(), t.Train.Hidden(net)
	v, err := RidgeV(y, f, eta)
	if err != nil {
		return err
	}
	trained, err := t.Train.CodeRidgeV(f, eta)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("The output layer is the paper's ridge solution for its nodes, η = decay·n/2 = %.3g", eta), "cos 1", fmt.Sprintf("%.4f", Cosine(v, net.V())), yes(Cosine(v, net.V()) > 0.99))
	row("… and that of the loss that is trained, whose means are over outputs", "cos 1", fmt.Sprintf("%.4f", Cosine(trained, net.V())), yes(Cosine(trained, net.V()) > 0.99))
	var living []int
	for j, a := range s.nodes.Alive {
		if a {
			living = append(living, j)
		}
	}
	few := make([]int, 0, 128)
	for _, i := range spread(len(living), 128) {
		few = append(few, living[i])
	}
	if len(few) < 2 {
		return nil
	}
	alike, repel, err := repelling(columns(f, few), eta)
	if err != nil {
		return err
	}
	if alike > 0 {
		row("Similar nodes repel: b_jl < 0 where cos(f̃_j, f̃_l) > 0.5", "mostly", fmt.Sprintf("%d of %d pairs among %d living nodes", repel, alike, len(few)), yes(2*repel > alike))
	}
	return nil
}

func (t *Training) components(s snapshot) report.Block {
	out := report.Table{Head: []string{"component", "type", "degree d", "dimension", "E*", "living nodes", "purest", "best E/E*", "explained"}, Page: 40,
		Caption: fmt.Sprintf("The components of %s, without the constants, and what the network has of each at epoch %d. Explained: of the training labels.", t.Full.Group.Name(), s.epoch)}
	dash := func(format string, x float64) string {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "—"
		}
		return fmt.Sprintf(format, x)
	}
	for k, c := range t.Full.Parts {
		count, purest, best := 0, math.Inf(-1), math.Inf(-1)
		for j, main := range s.nodes.Main {
			if main == k && s.nodes.Alive[j] {
				count++
				purest = max(purest, s.nodes.Purity[j])
				best = max(best, s.energy[j])
			}
		}
		out.Rows = append(out.Rows, []string{c.Label, string(c.Type), fmt.Sprint(c.Degree), fmt.Sprint(c.Dim), fmt.Sprintf("%.4g", c.MaxEnergy()), fmt.Sprint(count),
			dash("%.3f", purest), dash("%.3f", best), dash("%.3f", s.learned[k])})
	}
	return out
}
