package audit

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"orrery/report"
)

// mostBounds is how many inequalities are listed one by one.
const mostBounds = 20_000

// theoryBlocks put what theory bounds beside what was measured.
func (run *Run) theoryBlocks() []report.Block {
	type tally struct {
		holds, fails, open, lacking int
		tight                       float64 // largest measured/bound
		at                          string
		measured, bound             *float64
	}
	by := map[string]*tally{}
	var names []string
	var rows [][]string
	total := 0
	for _, m := range run.Matrices() {
		if m.Spectrum == nil {
			continue
		}
		for _, q := range m.Spectrum.Inequalities {
			total++
			name := q.Name
			if q.Says != "" {
				name += ": " + q.Says
			}
			t := by[name]
			if t == nil {
				t = &tally{tight: -1}
				by[name], names = t, append(names, name)
			}
			verdict := "conditions not met"
			switch {
			case q.Measured == nil:
				verdict = "not measured"
				t.lacking++
			case q.Holds == nil:
				t.open++
			case *q.Holds:
				verdict = "holds"
				t.holds++
			default:
				verdict = "FAILS"
				t.fails++
			}
			if q.Holds != nil && q.Measured != nil && q.Bound != nil && *q.Measured / *q.Bound > t.tight {
				t.tight, t.at, t.measured, t.bound = *q.Measured / *q.Bound, m.Name, q.Measured, q.Bound
			}
			if len(rows) < mostBounds {
				rows = append(rows, []string{m.Name, q.Name, short3(q.Measured), short3(q.Bound), verdict})
			}
		}
	}
	if total == 0 {
		return []report.Block{report.Text("No inequality was checked: they need spectra.")}
	}
	sum := report.Table{Caption: "By inequality, with the matrix that comes closest to its bound", Head: []string{"inequality", "holds", "fails", "conditions not met", "not measured", "measured", "bound", "closest matrix"}}
	for _, n := range names {
		t := by[n]
		sum.Rows = append(sum.Rows, []string{n, fmt.Sprint(t.holds), fmt.Sprint(t.fails), fmt.Sprint(t.open), fmt.Sprint(t.lacking), short3(t.measured), short3(t.bound), cmp.Or(t.at, missing)})
	}
	each := report.Table{Caption: "Each matrix", Head: []string{"matrix", "inequality", "measured", "bound", ""}, Rows: rows, Page: 25}
	if total > len(rows) {
		each.Caption += fmt.Sprintf(", the first %s of %s; the rest is in the --json object", thousands(int64(len(rows))), thousands(int64(total)))
	}
	return []report.Block{
		report.Text("These hold for any two matrices, so one that fails is a fault of the measurement and not of the model: please report it. The bound on the angles is Wedin's with the gap reduced by ‖ΔW‖; the form with the base's gap alone, as printed in arXiv 2511.08567, is false. " +
			"Where the gap is smaller than the step the bound says nothing."),
		sum, report.Details{Summary: "Every matrix and inequality", Blocks: []report.Block{each}},
	}
}

// published are the figures of arXiv 2511.08567, by tuned model.
var published = [][]string{
	{"Qwen-1.5B → DS-R1-Distill", "SFT", "2.8"}, {"DS-1.5B → DeepScaleR", "RL", "53.8"}, {"DS-1.5B → DeepCoder", "RL", "45.5"}, {"DS-1.5B → Archer-Code", "RL", "52.5"},
	{"DS-1.5B → ProRL", "RL", "38.4"}, {"DS-1.5B → ProRL-v2", "RL", "36.3"}, {"Qwen3-8B-Base → Klear-SFT", "SFT", "0.6"}, {"Klear-SFT → Klear", "RL", "69.5"},
	{"Qwen3-8B-Base → GT", "RL", "79.9"}, {"Qwen3-8B-Base → DAPO", "RL", "79.7"}, {"Qwen3-14B-Base → UniReason-SFT", "SFT", "18.8"}, {"Qwen3-14B-Base → UniReason-RL", "RL", "68.3"},
	{"Qwen3-4B → Polaris", "RL", "79.3"}, {"DS-7B → Polaris", "RL", "61.7"}, {"Qwen3-30B-A3B → UloRL", "RL", "91.7"},
}

// followUp are those of arXiv 2606.07082, for Qwen3-8B.
var followUp = [][]string{
	{"SFT", "8.1 %", "> 10", "1e-3", "29.7 %", "31.9 %"}, {"distillation", "51.6 %", "≈ 1", "1e-4", "27.3 %", "53.6 %"}, {"RL", "77.2 %", "< 0.5", "1e-5", "26.7 %", "73.5 %"},
}

// publishedJaccard are those of arXiv 2511.08567: DS-1.5B, block 13, five runs.
var publishedJaccard = [][]string{
	{"q_proj", "0.580", "0.430"}, {"k_proj", "0.580", "0.413"}, {"v_proj", "0.597", "0.467"}, {"o_proj", "0.552", "0.373"},
	{"down_proj", "0.585", "0.453"}, {"up_proj", "0.578", "0.443"}, {"gate_proj", "0.575", "0.437"},
}

// maskedTraining are the means of four benchmarks after training only some weights of DS-1.5B
// for 320 steps, arXiv 2511.08567: single runs, no error bars.
var maskedTraining = [][]string{
	{"all", "100", "57.44"}, {"principal", "50", "53.82"}, {"not principal", "50", "55.40"}, {"low-magnitude", "58.59", "56.69"}, {"not principal, or low-magnitude", "74.02", "56.24"}, {"random", "74.02", "55.34"},
}

// publishedBlocks are published figures beside this pair's, for orientation.
func (r *Result) publishedBlocks() []report.Block {
	t := r.Totals
	mine := []string{"this pair", percent(t.SparsityBF16), angleRow([]*Run{&r.Run})[2], short3(t.NSS.Median), missing, missing}
	if t.Masks != nil {
		mine[4], mine[5] = percent(t.Masks.Princ.Observed), percent(t.Masks.Low.Observed)
	}
	first := [][]string{{"this pair", "", strings.TrimSuffix(percent(t.SparsityBF16), " %")}}
	pre := [][]string{{"this pair", percent(t.SparsityBF16), percent(t.URank.Mean)}, {"RL pairs", "68.5–96 %", "99.2–99.8 %"}, {"SFT pairs", "6–15 %", missing}}
	return []report.Block{
		report.Text("What papers report for pairs whose training is known, of other sizes and mostly from other code. They show the order of magnitude; a number near one of them does not say how this pair was trained. " +
			"Neither paper states k and α of its overlaps in full, so those of this pair do not compare with them."),
		report.Table{Caption: "Qwen3-8B, arXiv 2606.07082, and this pair", Head: []string{"training", "unchanged in bf16", "angle (°)", "NSS", "principal overlap", "low-magnitude overlap"}, Rows: append([][]string{mine}, followUp...)},
		report.Details{Summary: "Further published numbers", Blocks: []report.Block{
			report.Table{Caption: "Unchanged in bf16, per cent: arXiv 2511.08567, and this pair", Head: []string{"pair", "training", "per cent"}, Rows: append(first, published...)},
			report.Table{Caption: "arXiv 2505.11711 counts weights equal to 1e-5 and the rank of ΔW; this pair by its bf16 codes", Head: []string{"pairs", "unchanged", "rank of ΔW"}, Rows: pre},
			report.Table{Caption: "Jaccard of five RL runs from one base, DS-1.5B, block 13, arXiv 2511.08567", Head: []string{"matrix", "Jaccard", "random", "here, median", "here, random"}, Rows: r.Consensus.besidePublished()},
			report.Table{Caption: "Training only some weights, DS-1.5B, 320 steps, arXiv 2511.08567: single runs without error bars", Head: []string{"weights trained", "per cent of weights", "mean of four benchmarks"}, Rows: maskedTraining},
		}},
	}
}

// besidePublished adds the medians of these runs to the published rows.
func (c *Consensus) besidePublished() [][]string {
	var rows [][]string
	for _, p := range publishedJaccard {
		var jaccard, random []float64
		if c != nil {
			for _, t := range c.Tensors {
				if t.Kind == p[0] {
					jaccard, random = append(jaccard, orNaN(t.Mean)), append(random, orNaN(t.MeanBaseline))
				}
			}
		}
		rows = append(rows, append(slices.Clone(p), short3(num(median(jaccard))), short3(num(median(random)))))
	}
	return rows
}

// tensorBlocks is the whole table, in pages.
func (run *Run) tensorBlocks() []report.Block {
	t := report.Table{Page: 25, Head: []string{"tensor", "shape", "types", "changed in bf16", "unchanged", "unchanged to 1e-5", "‖ΔW‖/‖W‖", "max |ΔW|", "NSS", "angle U", "angle V", "stable rank", "energy in", "energy out",
		"principal − null", "low − null", "update", "bytes"}}
	row := func(name string, shape []int, types string, x *Tensor, m Matrix) {
		cells := []string{name, dims(shape), types}
		if x == nil {
			cells = append(cells, "", "", "", "", "")
		} else {
			changed := missing
			if x.Changed != nil {
				changed = fmt.Sprint(*x.Changed)
			}
			cells = append(cells, changed, percent(x.Sparsity), percent(x.SparseAbs), short3(x.Rel), short3(x.MaxAbs))
		}
		s := m.Spectrum
		if s == nil {
			s = &Spectrum{}
		}
		cells = append(cells, s.nssText(), angleText(s.AnglesU, s.AnglesUBound), angleText(s.AnglesV, s.AnglesVBound), short3(s.SRank), short3(s.EnergyIn), short3(s.EnergyOut))
		princ, low := &Overlap{}, &Overlap{}
		if m.Masks != nil {
			princ, low = cmp.Or(m.Masks.Princ, princ), cmp.Or(m.Masks.Low, low)
		}
		cells = append(cells, short3(princ.MinusNull), short3(low.MinusNull))
		encoding, bytes := "", ""
		if x != nil {
			encoding, bytes = missing, missing
			if x.Delta != nil {
				encoding, bytes = x.Delta.Encoding, fmt.Sprint(x.Delta.Predicted)
			}
		}
		t.Rows = append(t.Rows, append(cells, encoding, bytes))
	}
	for i := range run.Tensors {
		x := &run.Tensors[i]
		row(x.Name, x.Shape, strings.Join(slices.Compact(slices.Clone(x.DTypes)), " → "), x, Matrix{Masks: x.Masks, Spectrum: x.Spectrum})
		for _, p := range x.Parts {
			row(x.Name+"["+p.Name+"]", p.Shape, "part", nil, Matrix{Masks: p.Masks, Spectrum: p.Spectrum})
		}
	}
	if len(t.Rows) == 0 {
		return []report.Block{report.Text("No tensor was compared.")}
	}
	return []report.Block{report.Text("– is not measured, ≤ a bound because the angle is too small to resolve; not resolved: the bound is 90°, because the gap below the k-th singular value is too small. Parts of fused matrices have rows of their own."), t}
}

// angleText is the largest angle of one side, or its bound.
func angleText(angles []float64, bounds []*float64) string {
	return Matrix{Spectrum: &Spectrum{AnglesU: angles, AnglesUBound: bounds}}.angleText()
}

// angleText is the largest angle, or its bound; a bound of 90° says nothing.
func (m Matrix) angleText() string {
	switch a := angle(m); {
	case math.IsNaN(a) && m.Spectrum != nil && len(m.Spectrum.AnglesU)+len(m.Spectrum.AnglesV) > 0:
		return "not resolved"
	case math.IsNaN(a):
		return missing
	case resolvedAngle(m.Spectrum):
		return short3(&a)
	default:
		return "≤ " + short3(&a)
	}
}

// missingBlocks say why numbers are missing, reason by reason.
func (run *Run) missingBlocks() []report.Block {
	type reason struct {
		n  int
		at string
	}
	by := map[string]*reason{}
	note := func(name string, notes []string) {
		for _, s := range notes {
			if by[s] == nil {
				by[s] = &reason{at: name}
			}
			by[s].n++
		}
	}
	for i := range run.Tensors {
		t := &run.Tensors[i]
		note(t.Name, t.Notes)
		for _, p := range t.Parts {
			note(t.Name+"["+p.Name+"]", p.Notes)
		}
	}
	for _, m := range run.Matrices() {
		if m.Spectrum != nil {
			note(m.Name, m.Spectrum.Warnings)
		}
	}
	if len(by) == 0 {
		return nil
	}
	t := report.Table{Head: []string{"reason or warning", "times", "first at"}, Page: 25}
	for _, s := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b].n, by[a].n), cmp.Compare(a, b)) }) {
		t.Rows = append(t.Rows, []string{s, fmt.Sprint(by[s].n), by[s].at})
	}
	return []report.Block{t}
}

// provenance is the command and what it read.
func (r *Result) provenance() []report.Block {
	inputs := report.Table{Head: []string{"input", "kind", "parameters", "tensors", "files", "bytes"}}
	files := report.Table{Caption: "Files", Head: []string{"input", "file", "bytes", "sha256"}, Page: 20}
	for _, in := range r.Inputs {
		var bytes int64
		for _, f := range in.Files {
			bytes += f.Bytes
			sum := "not asked for"
			if f.SHA256 != nil {
				sum = *f.SHA256
			}
			files.Rows = append(files.Rows, []string{in.Path, f.Name, fmt.Sprint(f.Bytes), sum})
		}
		inputs.Rows = append(inputs.Rows, []string{in.Path, in.Kind, thousands(in.Params), fmt.Sprint(in.Tensors), fmt.Sprint(len(in.Files)), fmt.Sprint(bytes)})
	}
	return []report.Block{report.Code(command(r.Args)), report.Text(fmt.Sprintf("%s, version %d of the --json object, which has every number of this page in full.", cmp.Or(r.Tool, "orrery"), r.Version)),
		inputs, report.Details{Summary: "Files and their checksums", Blocks: []report.Block{files}}}
}

// command is the line to run again; arguments that a shell would take apart are quoted.
func command(args []string) string {
	out := []string{"orrery audit"}
	for i, a := range args {
		if i == 0 && a == "audit" {
			continue
		}
		if a == "" || strings.ContainsAny(a, " \t\n'\"$&|<>();*?`\\!#~[]{}") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
