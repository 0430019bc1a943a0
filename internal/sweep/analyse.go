package sweep

import (
	"encoding/json"
	"fmt"
	"math"

	"orrery/look/cogs"
	"orrery/look/grok"
	"orrery/look/li2"
	"orrery/report"
)

// fitBoundary fits Li2's boundary to the trials that have an outcome and shows
// the cells beside it.
func fitBoundary(results []Result) ([]report.Block, map[string]any, error) {
	var trials []li2.Trial
	var undecided int
	for _, r := range results {
		if r.State != Done {
			continue
		}
		var t grok.TrialResult
		if err := json.Unmarshal(r.Result, &t); err != nil {
			return nil, nil, fmt.Errorf("the result of trial %s: %w", r.Key, err)
		}
		x := li2.Trial{Group: t.Group, M: t.M, MaxD: t.MaxDegree, P: t.P, N: t.N, Seed: t.Seed, Epochs: t.Epochs}
		switch t.Outcome {
		case grok.Success:
			x.Result = li2.Success
		case grok.Failure:
			x.Result = li2.Failure
		default:
			x.Result = li2.Censored
			undecided++
		}
		trials = append(trials, x)
	}
	fields := map[string]any{"trials": len(trials), "censored": undecided, "boundary": nil}
	blocks, b, err := li2.BoundaryBlocks(trials)
	blocks = append(blocks, cells(trials))
	if err != nil {
		// Too few successes or failures is a finding, not a fault.
		fields["why"] = err.Error()
		return blocks, fields, nil
	}
	fields["boundary"] = summaryOf(b)
	return blocks, fields, nil
}

// cells is the share of successes by group and x = p·M/ln M.
func cells(trials []li2.Trial) report.Block {
	type key struct {
		group string
		p     float64
	}
	type tally struct{ wins, failures, censored int }
	var order []key
	of := map[key]*tally{}
	m := map[string]int{}
	for _, t := range trials {
		k := key{t.Group, t.P}
		if of[k] == nil {
			of[k] = &tally{}
			order = append(order, k)
		}
		m[t.Group] = t.M
		switch t.Result {
		case li2.Success:
			of[k].wins++
		case li2.Failure:
			of[k].failures++
		default:
			of[k].censored++
		}
	}
	t := report.Table{Caption: fmt.Sprintf("Trials by cell. The published boundary is at x = %g.", li2.PublishedC),
		Head: []string{"group", "order M", "share p", "x = p·M/ln M", "generalise", "memorise", "undecided at the end"}, Page: 80}
	for _, k := range order {
		n := of[k]
		t.Rows = append(t.Rows, []string{k.group, fmt.Sprint(m[k.group]), fmt.Sprintf("%.3f", k.p), fmt.Sprintf("%.2f", li2.Scaled(k.p, m[k.group])),
			fmt.Sprint(n.wins), fmt.Sprint(n.failures), fmt.Sprint(n.censored)})
	}
	return t
}

// summaryOf is the fit as JSON, in which what is infinite or undefined is null.
func summaryOf(b *li2.Boundary) map[string]any {
	number := func(x float64) any {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return x
	}
	in := func(i li2.Interval) []any { return []any{number(i.Low), number(i.High)} }
	groups := make([]map[string]any, len(b.Groups))
	for i, g := range b.Groups {
		groups[i] = map[string]any{"group": g.Group, "m": g.M, "max_degree": g.MaxD, "trials": g.Trials, "c": number(g.C), "profile": in(g.Profile)}
	}
	return map[string]any{"orders": b.Ms, "cells": b.Cells, "kappa": number(b.Kappa), "c": number(b.Shared.C), "profile": in(b.Shared.Profile), "bootstrap": in(b.Shared.Bootstrap),
		"c_if_censored_failed": number(b.AsFailed), "aic": number(b.AIC), "aic_each": number(b.AICEach), "published_c": li2.PublishedC, "groups": groups,
		"identifiable": b.Identifiable, "drift": number(b.Drift), "drift_interval": in(b.DriftIn),
		"rival": map[string]any{"a": number(b.Rival.A), "gamma": number(b.Rival.Gamma), "gamma_interval": in(b.Rival.In), "aic": number(b.Rival.AIC)}}
}

// countFactors adds up what CoGS finds in the networks of a modulus and a
// learning rate, beside the published shares.
func countFactors(results []Result) ([]report.Block, map[string]any, error) {
	type key struct {
		d         int
		width     int
		lr, decay float64
	}
	var order []key
	of := map[key][]cogs.Shares{}
	for _, r := range results {
		if r.State != Done {
			continue
		}
		var t struct {
			grok.TrialResult
			Finals struct {
				Cogs *cogs.Shares `json:"cogs"`
			} `json:"finals"`
		}
		if err := json.Unmarshal(r.Result, &t); err != nil {
			return nil, nil, fmt.Errorf("the result of trial %s: %w", r.Key, err)
		}
		if t.Finals.Cogs == nil {
			continue
		}
		k := key{t.M, t.Width, t.LR, t.Decay}
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], *t.Finals.Cogs)
	}
	t := report.Table{Caption: "Share of the frequencies with a factorisation of each kind, with Wilson's 95 % interval; published rows are of q = 512, decay 5e-5.",
		Head: []string{"d", "q", "learning rate", "decay", "networks", "frequencies"}}
	for _, k := range cogs.Kinds {
		t.Head = append(t.Head, string(k))
	}
	rows := []map[string]any{}
	shown := map[int]bool{}
	for _, k := range order {
		sum := cogs.Sum(of[k]...)
		row := []string{fmt.Sprint(k.d), fmt.Sprint(k.width), fmt.Sprint(k.lr), fmt.Sprint(k.decay), fmt.Sprint(sum.Networks), fmt.Sprint(sum.Frequencies)}
		share := map[string]any{}
		for _, kind := range cogs.Kinds {
			w := cogs.Wilson(sum.Robust[kind], sum.Frequencies)
			row = append(row, w.String())
			share[string(kind)] = []float64{w.Share, w.Low, w.High}
		}
		t.Rows = append(t.Rows, row)
		rows = append(rows, map[string]any{"d": k.d, "q": k.width, "lr": k.lr, "decay": k.decay, "networks": sum.Networks, "frequencies": sum.Frequencies, "orders": sum.Orders, "shares": share})
		shown[k.d] = true
	}
	for _, p := range cogs.PublishedShares {
		if !shown[p.D] {
			continue
		}
		row := []string{fmt.Sprint(p.D), "512", p.Source, "5e-05", "–", "–"}
		for _, kind := range cogs.Kinds {
			row = append(row, fmt.Sprintf("%.1f %%", 100*p.Share[kind]))
		}
		t.Rows = append(t.Rows, row)
	}
	return []report.Block{report.Heading("Factors"), t}, map[string]any{"shares": rows}, nil
}
