package li2

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// BoundaryBlocks is the page of a sweep: which share of the pairs a group
// needs, with the fit. The error is FitBoundary's; the blocks then say why there
// is no boundary.
func BoundaryBlocks(trials []Trial) ([]report.Block, *Boundary, error) {
	blocks := []report.Block{
		report.Heading("Li2: how many pairs does a group need?"),
		report.Text("Each trial trains a network on a share p of the pairs of a group of M elements and asks whether it gets the other pairs right. " +
			"The theory says that the share at which half of the trials do falls as ln M/M, so that in x = p·M/ln M it is the same c for all groups."),
	}
	b, err := FitBoundary(trials)
	if err != nil {
		blocks = append(blocks, report.Note{Label: "No boundary", Text: err.Error(), Warning: true})
		if len(trials) > 0 {
			blocks = append(blocks, boundaryMap(trials, nil))
		}
		return blocks, nil, err
	}
	return append(blocks, b.verdict(), b.table(), boundaryMap(trials, b), b.groups()), b, nil
}

func (i Interval) String() string { return fmt.Sprintf("%.3g … %.3g", i.Low, i.High) }

func (b *Boundary) verdict() report.Block {
	v := report.Verdict{Label: fmt.Sprintf("Half of the trials generalise at p = %.2f·ln M/M", b.Shared.C),
		Evidence: []string{fmt.Sprintf("95 %% interval of c: %s by profile likelihood, %s by %d bootstraps over seeds.", b.Shared.Profile, b.Shared.Bootstrap, bootstraps)}}
	if b.Censored > 0 {
		v.Against = append(v.Against, fmt.Sprintf("%d of %d trials were undecided when their training ended and are left out; counted as failures they make c %.2f.", b.Censored, b.Trials, b.AsFailed))
	}
	if b.AICEach < b.AIC-2 {
		v.Against = append(v.Against, fmt.Sprintf("A c for each group describes the trials better than one for all: AIC %.1f against %.1f.", b.AICEach, b.AIC))
	}
	switch {
	case !b.Identifiable:
		v.Against = append(v.Against, b.Why+".")
	case b.DriftIn.Contains(0):
		v.Evidence = append(v.Evidence, fmt.Sprintf("c does not drift with M: exponent %.2f, interval %s, which holds 0.", b.Drift, b.DriftIn))
	default:
		v.Against = append(v.Against, fmt.Sprintf("c drifts with M: p50·M/ln M falls as M^(−γ), γ = %.2f, interval %s, which does not hold 0.", b.Drift, b.DriftIn))
	}
	if b.Identifiable && b.Rival.AIC < b.AIC-2 {
		v.Against = append(v.Against, fmt.Sprintf("The rival p50 = %.3g·M^(−%.3g) describes the trials better: AIC %.1f against %.1f.", b.Rival.A, b.Rival.Gamma, b.Rival.AIC, b.AIC))
	}
	return v
}

func (b *Boundary) table() report.Block {
	yes := map[bool]string{true: "yes", false: "no"}
	t := report.Table{Head: []string{"statement", "theory", "measured", "agree?"}, Caption: fmt.Sprintf("%d trials in %d cells, orders %v, %d censored. The published c is of other widths, rates and epochs: a reference, not a prediction for these.",
		b.Trials, b.Cells, b.Ms, b.Censored)}
	row := func(cells ...string) { t.Rows = append(t.Rows, cells) }
	row("c of p50 = c·ln M/M (published, cyclic groups)", fmt.Sprintf("%.4f", PublishedC), fmt.Sprintf("%.3f, %s", b.Shared.C, b.Shared.Profile), yes[b.Shared.Profile.Contains(PublishedC)])
	row("steepness κ", "", fmt.Sprintf("%.3g", b.Kappa), "")
	if b.Identifiable {
		row("drift of p50·M/ln M with M, exponent", "0", fmt.Sprintf("%.3f, %s", b.Drift, b.DriftIn), yes[b.DriftIn.Contains(0)])
		row("rival p50 = A·M^(−γ): AIC, less is better", fmt.Sprintf("law %.1f", b.AIC), fmt.Sprintf("rival %.1f, A %.3g, γ %.3g (%s)", b.Rival.AIC, b.Rival.A, b.Rival.Gamma, b.Rival.In), yes[b.AIC <= b.Rival.AIC])
	} else {
		row("law against rival", "", b.Why, "")
	}
	row("one c for all groups: AIC, less is better", fmt.Sprintf("one %.1f", b.AIC), fmt.Sprintf("each %.1f", b.AICEach), yes[b.AIC <= b.AICEach])
	return t
}

func (b *Boundary) groups() report.Block {
	t := report.Table{Head: []string{"group", "M", "largest d", "decided trials", "c", "95 %", "published"}, Caption: "A c for each group, with a common steepness. A dash: all of its trials ended alike. An infinite end: its trials set no bound there."}
	for _, g := range b.Groups {
		c, in := "—", "—"
		if !math.IsNaN(g.C) {
			c, in = fmt.Sprintf("%.3f", g.C), g.Profile.String()
		}
		t.Rows = append(t.Rows, []string{g.Group, fmt.Sprint(g.M), fmt.Sprint(g.MaxD), fmt.Sprint(g.Trials), c, in, fmt.Sprintf("%.3f", Scaled(PublishedShare(g.M, g.MaxD, 0), g.M))})
	}
	return t
}

// boundaryMap is the share of successes by group and x.
func boundaryMap(trials []Trial, b *Boundary) report.Block {
	h := report.HeatMap{Title: "Which trials generalise?", X: report.Axis{Label: "x = p·M/ln M"}, Y: report.Axis{Label: "group, by order"},
		Colour: report.Axis{Label: "trials that succeeded", Percent: true, Min: 0, Max: 1}, Text: true,
		Caption: "Hatched: no decided trial. Lines: the fitted boundary with its interval, the rival law, and the published one."}
	cells := gather(trials, Trial.X) // by order
	least, most := math.Inf(1), math.Inf(-1)
	var groups []cell
	for _, c := range cells {
		least, most = min(least, c.x), max(most, c.x)
		if !slices.ContainsFunc(groups, func(g cell) bool { return g.group == c.group }) {
			groups = append(groups, c)
		}
	}
	// As many columns as the group with most shares has, all of one width.
	columns, bin := 1, 1.0
	for _, g := range groups {
		n := 0
		for _, c := range cells {
			if c.group == g.group {
				n++
			}
		}
		columns = max(columns, n)
	}
	if most > least && columns > 1 {
		bin = (most - least) / float64(columns-1)
	}
	column := func(x float64) int { return min(columns-1, int(math.Round((x-least)/bin))) }
	for i := range columns {
		h.ColumnAt = append(h.ColumnAt, least+bin*float64(i))
		h.Columns = append(h.Columns, fmt.Sprintf("%.2f", h.ColumnAt[i]))
	}
	for _, g := range groups {
		wins, n, row := make([]float64, columns), make([]float64, columns), make([]float64, columns)
		for _, t := range trials {
			if t.Group == g.group && t.Result != Censored {
				i := column(t.X())
				n[i]++
				if t.Result == Success {
					wins[i]++
				}
			}
		}
		for i := range row {
			row[i] = wins[i] / n[i] // NaN without trials
		}
		h.Rows, h.Values = append(h.Rows, fmt.Sprintf("%s (%d)", g.group, g.m)), append(h.Values, row)
	}
	// line draws x over all rows, from edge to edge; several one after the other.
	line := func(name string, xs ...func(g cell) float64) {
		s := report.Series{Name: name}
		add := func(x, y float64) { s.X, s.Y = append(s.X, x), append(s.Y, y) }
		for _, x := range xs {
			add(x(groups[0]), -0.5)
			for i, g := range groups {
				add(x(g), float64(i))
			}
			add(x(groups[len(groups)-1]), float64(len(groups))-0.5)
			add(math.NaN(), math.NaN())
		}
		h.Lines = append(h.Lines, s)
	}
	at := func(x float64) func(cell) float64 { return func(cell) float64 { return x } }
	if b != nil {
		line("fitted c", at(b.Shared.C))
		if in := b.Shared.Profile; !math.IsInf(in.Low, 0) && !math.IsInf(in.High, 0) {
			line("its 95 % interval", at(in.Low), at(in.High))
		}
		if b.Identifiable {
			line("rival law", func(g cell) float64 { return Scaled(b.Rival.A*math.Pow(float64(g.m), -b.Rival.Gamma), g.m) })
		}
	}
	line("published", func(g cell) float64 { return Scaled(PublishedShare(g.m, g.maxD, 0), g.m) })
	return h
}
