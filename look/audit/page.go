package audit

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"orrery/report"
)

// Page is the HTML report of an audit: problems of pairing, the verdict, then each
// figure with what it means and what it does not. What was not measured is said.
func (r *Result) Page() report.Page {
	base := "the base"
	if len(r.Inputs) > 0 {
		base = r.Inputs[0].Path
	}
	p := report.Page{Title: "Audit of " + short(r.Run.Tuned) + " against " + short(base), Lead: r.lead()}
	add := func(bl ...report.Block) { p.Blocks = append(p.Blocks, bl...) }
	add(r.pairingNotes()...)
	if len(r.Warnings) > 0 {
		add(report.Note{Label: "Warnings", Items: most(r.Warnings, 20), Warning: true})
	}
	add(r.verdicts()...)
	add(report.Heading("The numbers"), r.totalsTable())
	run := &r.Run
	sections := func(run *Run) []section {
		return []section{
			{"How much changed", run.changedBlocks()},
			{"Layer by matrix", run.mapBlocks()},
			{"Spectra and principal angles", run.spectrumBlocks()},
			{"Where the changes lie", run.overlapBlocks()},
			{"Rows and columns", run.profileBlocks()},
		}
	}
	for _, section := range append(sections(run),
		section{"The same figures of the others", r.others(sections)},
		section{"Several runs", r.Consensus.blocks()},
		section{"Over training", r.Series.blocks()},
		section{"The update as a file", run.deltaBlocks()},
		section{"Theory and measurement", run.theoryBlocks()},
		section{"Published pairs, for orientation", r.publishedBlocks()},
		section{"Every tensor", run.tensorBlocks()},
		section{"What was not measured", run.missingBlocks()},
		section{"How this report was made", r.provenance()},
	) {
		if len(section.blocks) > 0 {
			add(report.Heading(section.title))
			add(section.blocks...)
		}
	}
	return p
}

// section is a part of the page; without blocks it is left out.
type section struct {
	title  string
	blocks []report.Block
}

// othersDrawn bounds how many runs beside the first have figures of their own:
// the tables name all of them.
const othersDrawn = 4

// others folds the figures of the runs beside the first. In a series they are
// what its own section shows.
func (r *Result) others(sections func(*Run) []section) []report.Block {
	if r.Series != nil {
		return nil
	}
	var out []report.Block
	for i := range r.Others[:min(len(r.Others), othersDrawn)] {
		run := &r.Others[i]
		var blocks []report.Block
		for _, s := range sections(run) {
			if len(s.blocks) > 0 {
				blocks = append(append(blocks, report.Heading(s.title)), s.blocks...)
			}
		}
		out = append(out, report.Details{Summary: short(run.Tuned), Blocks: blocks})
	}
	if n := len(r.Others) - othersDrawn; n > 0 {
		out = append(out, report.Text(fmt.Sprintf("%s more in --json.", count(n, "run"))))
	}
	return out
}

func (r *Result) lead() string {
	t := r.Run.Totals
	s := fmt.Sprintf("%s compared, %s weights", count(t.Tensors, "tensor"), thousands(t.N))
	if t.ComparedShare != nil {
		s += fmt.Sprintf(", %s of the larger checkpoint", percent(t.ComparedShare))
	}
	if n := len(r.Others); n > 0 {
		s += fmt.Sprintf("; %s more beside it", count(n, "checkpoint"))
	}
	return s + "."
}

// pairingNotes lists what was not compared as it stands in the files, once for all
// runs that have the same to say.
func (r *Result) pairingNotes() []report.Block {
	var out []report.Block
	runs := r.Runs()
	for _, kind := range []struct {
		label   string
		of      func(*Run) []string
		warning bool
	}{{"problems of pairing", (*Run).problems, true}, {"how names were matched", (*Run).matching, false}} {
		who := map[string][]string{}
		var order []string
		for _, run := range runs {
			items := kind.of(run)
			if len(items) == 0 {
				continue
			}
			text := strings.Join(items, "\n")
			if who[text] == nil {
				order = append(order, text)
			}
			who[text] = append(who[text], short(run.Tuned))
		}
		for _, text := range order {
			label := kind.label
			if names := who[text]; len(names) < len(runs) {
				label = join(most(names, 3)) + ": " + label
			}
			out = append(out, report.Note{Label: label, Items: strings.Split(text, "\n"), Warning: kind.warning})
		}
	}
	return out
}

// problems are what was not compared, or not fully.
func (run *Run) problems() []string {
	p := run.Pairing
	var items []string
	list := func(n int, what string, each func(i int) string) {
		for i := range min(n, 12) {
			items = append(items, what+": "+each(i))
		}
		if n > 12 {
			items = append(items, fmt.Sprintf("%s: %d more, named in the --json object", what, n-12))
		}
	}
	single := func(s []Single) func(int) string {
		return func(i int) string { return fmt.Sprintf("%s %s %s", s[i].Name, s[i].DType, dims(s[i].Shape)) }
	}
	list(len(p.Missing), "missing in the tuned checkpoint", single(p.Missing))
	list(len(p.Extra), "only in the tuned checkpoint", single(p.Extra))
	list(len(p.ShapeMismatch), "different shapes, not compared", func(i int) string {
		return fmt.Sprintf("%s %s and %s", p.ShapeMismatch[i].Name, p.ShapeMismatch[i].Base, p.ShapeMismatch[i].Tuned)
	})
	list(len(p.DTypeMismatch), "different types", func(i int) string {
		return fmt.Sprintf("%s %s and %s", p.DTypeMismatch[i].Name, p.DTypeMismatch[i].Base, p.DTypeMismatch[i].Tuned)
	})
	if n := run.Totals.NonFinite; n > 0 {
		items = append(items, fmt.Sprintf("%s values are NaN or infinite; their tensors have no norms and no spectra", thousands(n)))
	}
	return items
}

// matching says which names were not simply equal.
func (run *Run) matching() []string {
	p := run.Pairing
	var notes []string
	if p.Prefix != nil {
		notes = append(notes, "names were matched with the prefix "+*p.Prefix)
	}
	if n := len(p.Renamed); n > 0 {
		notes = append(notes, fmt.Sprintf("%s matched under another name, the first %s as %s", count(n, "tensor"), p.Renamed[0].Base, p.Renamed[0].Tuned))
	}
	for i := range min(4, len(p.Tied)) {
		notes = append(notes, fmt.Sprintf("%s is %s (%s), counted once", p.Tied[i].Name, p.Tied[i].With, p.Tied[i].Why))
	}
	if n := len(p.Tied); n > 4 {
		notes = append(notes, fmt.Sprintf("%d more tied tensors", n-4))
	}
	return notes
}

func (r *Result) verdicts() []report.Block {
	runs := r.judged()
	var out []report.Block
	for _, run := range runs {
		label := run.Verdict.Sentence
		if label == "" {
			label = run.Verdict.Label
		}
		if len(runs) > 1 {
			label = short(run.Tuned) + ": " + label
		}
		out = append(out, report.Verdict{Label: label, Evidence: run.Verdict.Evidence, Against: run.Verdict.Against})
	}
	return append(out, report.Text("The verdict says which published pairs this one resembles by fixed thresholds, and nothing about how it was trained or how good the model is. "+
		"Other training can leave the same traces, and nothing here measures the loss or its curvature."))
}

// judged are the runs that have a verdict and a column of their own: of a series the
// last alone, whose others are drawn over training.
func (r *Result) judged() []*Run {
	if r.Series != nil {
		return []*Run{&r.Run}
	}
	return r.Runs()
}

// totalsTable has a row a number and a column a run, with what the number means.
func (r *Result) totalsTable() report.Block {
	runs := r.judged()
	t := report.Table{Head: []string{"number", "what it says"}}
	for _, run := range runs {
		t.Head = append(t.Head, short(run.Tuned))
	}
	row := func(name, meaning string, f func(t Totals) string) {
		cells := []string{name, meaning}
		for _, run := range runs {
			cells = append(cells, f(run.Totals))
		}
		t.Rows = append(t.Rows, cells)
	}
	row("unchanged in bf16", "weights whose bf16 code is the same", func(t Totals) string { return percent(t.SparsityBF16) })
	row("unchanged to 1e-5", "the probe of arXiv 2505.11711: absolute, so small weights count as equal", func(t Totals) string { return percent(t.SparsityAbs) })
	row("exactly equal", "as numbers, in the stored types", func(t Totals) string { return percent(t.SparsityExact) })
	row("relative update ‖ΔW‖/‖W‖", "how long the step from base to tuned is", func(t Totals) string { return short3(t.Rel) })
	row("largest change of a weight", "absolute", func(t Totals) string { return short3(t.MaxAbs) })
	row("NSS, median", "how far the singular values moved; the upper end where only an interval is known", func(t Totals) string { return short3(t.NSS.Median) })
	row("NSS, lower end, median", "equal to the line above where NSS itself is known", func(t Totals) string { return short3(t.NSSLow.Median) })
	row("NSS, largest", "of any matrix, upper end", func(t Totals) string { return short3(t.NSS.Max) })
	t.Rows = append(t.Rows, angleRow(runs))
	row("stable rank of ΔW, median", "about how many directions carry the update", func(t Totals) string { return short3(t.SRank.Median) })
	row("rank of ΔW, median share", "full rank is 1, and rounding alone gives it", func(t Totals) string { return short3(t.URank.Median) })
	row("energy inside, median", "share of ‖ΔW‖² along the base's top directions on both sides", func(t Totals) string { return short3(t.EnergyIn.Median) })
	row("sparse update", "predicted size as a file, before its header, and its share of the tensors' own", func(t Totals) string {
		if t.Delta.Dense == 0 {
			return missing
		}
		return fmt.Sprintf("%s (%.3g %%)", size(float64(t.Delta.Predicted)), 100*float64(t.Delta.Predicted)/float64(t.Delta.Dense))
	})
	return t
}

// angleRow has the median of the largest angles that are resolved, and of how many.
func angleRow(runs []*Run) []string {
	cells := []string{"largest angle, median (°)", "how far the top directions turned, over the matrices whose largest angle is resolved"}
	for _, run := range runs {
		var all []float64
		n := 0
		for _, m := range run.Matrices() {
			if m.Spectrum != nil {
				n++
			}
			if resolvedAngle(m.Spectrum) {
				all = append(all, angle(m))
			}
		}
		cells = append(cells, fmt.Sprintf("%s (%d of %d)", short3(num(median(all))), len(all), n))
	}
	return cells
}

// missing stands for what was not measured.
const missing = "–"

func orNaN(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}

func orNaNs(ps []*float64) []float64 {
	out := make([]float64, len(ps))
	for i, p := range ps {
		out[i] = orNaN(p)
	}
	return out
}

func percent(p *float64) string {
	if p == nil {
		return missing
	}
	switch text := fmt.Sprintf("%.2f %%", 100**p); {
	case *p < 1 && text == "100.00 %": // one changed weight of a million is not none
		return "> 99.99 %"
	case *p > 0 && text == "0.00 %":
		return "< 0.01 %"
	default:
		return text
	}
}

// short3 is a number with three digits.
func short3(p *float64) string {
	if p == nil {
		return missing
	}
	return strings.Replace(fmt.Sprintf("%.3g", *p), "e-0", "e-", 1)
}

// size is a number of bytes in powers of 1000.
func size(bytes float64) string {
	for i, unit := range []string{"GB", "MB", "kB"} {
		if f := math.Pow(1000, float64(3-i)); bytes >= f {
			return fmt.Sprintf("%.3g %s", bytes/f, unit)
		}
	}
	return fmt.Sprintf("%.0f B", bytes)
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int64(n)) + " " + noun + "s"
}

// short names a checkpoint: the last part of its path, and where that is a name
// that every run folder has, the one before it too.
func short(path string) string {
	clean := filepath.Clean(path)
	s := filepath.Base(clean)
	if s == "." || s == string(filepath.Separator) {
		return path
	}
	common := strings.HasPrefix(s, "final") || strings.HasPrefix(s, "checkpoint") || strings.HasPrefix(s, "step") || strings.HasPrefix(s, "global_step") || s == "model.safetensors"
	if up := filepath.Base(filepath.Dir(clean)); common && up != "." && up != string(filepath.Separator) {
		return up + "/" + s
	}
	return s
}

func dims(shape []int) string {
	if len(shape) == 0 {
		return "scalar"
	}
	s := make([]string, len(shape))
	for i, n := range shape {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, " × ")
}

// most are at most n items, and how many more there are.
func most(items []string, n int) []string {
	if len(items) <= n {
		return items
	}
	return append(slices.Clone(items[:n]), fmt.Sprintf("%d more, in the --json object", len(items)-n))
}

// median of the values that are there, NaN if none is.
func median(v []float64) float64 {
	v = slices.DeleteFunc(slices.Clone(v), math.IsNaN)
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
