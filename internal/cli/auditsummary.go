package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"orrery/look/audit"
)

// writeAudit prints the summary: problems of pairing, the verdict, the numbers.
func writeAudit(w io.Writer, r *audit.Result) error {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintln(&b, strings.TrimRight(shorten(fmt.Sprintf(format, args...), 79), " "))
	}
	for i, run := range r.Runs() {
		if i > 0 {
			line("")
		}
		if len(r.Others) > 0 {
			line("── %s", run.Tuned)
		}
		summary(line, run, len(r.Others) > 0)
	}
	if c := r.Consensus; c != nil {
		line("")
		line("Jaccard of changes, mean   %s   random %s   precision alone %s", fixed(c.Mean, 3), fixed(c.MeanBaseline, 3), fixed(c.MeanPrecision, 3))
	}
	for i, s := range r.Warnings {
		if i == 3 {
			line("note: and %s more in --json", count(len(r.Warnings)-3, "note"))
			break
		}
		line("note: %s", s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func summary(line func(string, ...any), run *audit.Run, short bool) {
	t := &run.Totals
	problems(line, &run.Pairing)
	line("%s", run.Verdict.Sentence)
	for i, s := range run.Verdict.Evidence {
		if short && i > 1 {
			break
		}
		line("  for      %s", s)
	}
	for i, s := range run.Verdict.Against {
		if i == 4 {
			line("  against  and %s more in --json", count(len(run.Verdict.Against)-4, "reason"))
			break
		}
		line("  against  %s", s)
	}
	line("compared   %s, %s parameters, %s %% of the larger checkpoint", count(t.Tensors, "tensor"), thousands(int(t.N)), percent(t.ComparedShare, 2))
	line("unchanged  bf16 %s %%  |  within 1e-5 %s %%  |  exactly %s %%", percent(t.SparsityBF16, 2), percent(t.SparsityAbs, 2), percent(t.SparsityExact, 2))
	line("update     ‖ΔW‖/‖W‖ %s   largest |ΔW| %s", general(t.Rel), general(t.MaxAbs))
	if t.Matrices > 0 {
		line("spectra    NSS median %s, worst %s   of %s", interval(t.NSSLow.Median, t.NSS.Median), general(t.NSS.Max), matrices(t.Matrices))
		angleLine(line, run)
		line("ΔW         stable rank median %s   rank share median %s", general(t.SRank.Median), fixed(t.URank.Median, 3))
	}
	if m := t.Masks; m != nil {
		line("changes in the masks (k %d, α %.2f)    observed   random     null   obs−null", m.K, m.Alpha)
		for _, x := range []struct {
			name string
			o    audit.OverlapMean
		}{{"low magnitude", m.Low}, {"principal", m.Princ}, {"principal, not low", m.PrincNotLow}} {
			line("  %-32s %8s %8s %8s %10s", x.name, fixed(x.o.Observed, 4), fixed(x.o.Baseline, 4), fixed(x.o.Null, 4), fixed(x.o.MinusNull, 4))
		}
	}
	line("delta      %s predicted, %s dense, i.i.d. bound %s", size(float64(t.Delta.Predicted)), size(float64(t.Delta.Dense)), sizeOf(t.Delta.Bound))
}

// angleLine sums up each matrix's largest principal angle, where there is one:
// a bound of 90° says nothing.
func angleLine(line func(string, ...any), run *audit.Run) {
	var resolved []float64
	for _, m := range run.Matrices() {
		if m.Spectrum == nil {
			continue
		}
		if lo, hi := m.Spectrum.MaxAngle(); lo != nil && *lo == *hi {
			resolved = append(resolved, *hi)
		}
	}
	if len(resolved) == 0 {
		line("angles     not resolved in any matrix: its leading values are too close together (--json has the bounds)")
		return
	}
	slices.Sort(resolved)
	median, worst := resolved[len(resolved)/2], resolved[len(resolved)-1]
	line("angles     largest, degrees: median %s, worst %s   of %d resolved", general(&median), general(&worst), len(resolved))
}

// problems of pairing stand on top: a comparison of half a model looks like one.
func problems(line func(string, ...any), p *audit.Pairing) {
	show := func(what string, names []string) {
		if len(names) == 0 {
			return
		}
		more := ""
		if len(names) > 2 {
			more = fmt.Sprintf(" and %d more", len(names)-2)
			names = names[:2]
		}
		line("! %s: %s%s", what, strings.Join(names, ", "), more)
	}
	var missing, extra, shape, dtype []string
	for _, s := range p.Missing {
		missing = append(missing, s.Name)
	}
	for _, s := range p.Extra {
		extra = append(extra, s.Name)
	}
	for _, s := range p.ShapeMismatch {
		shape = append(shape, fmt.Sprintf("%s %s→%s", s.Name, s.Base, s.Tuned))
	}
	for _, s := range p.DTypeMismatch {
		dtype = append(dtype, fmt.Sprintf("%s %s→%s", s.Name, s.Base, s.Tuned))
	}
	show("only in the base", missing)
	show("only in the tuned", extra)
	show("shapes differ, not compared", shape)
	show("types differ", dtype)
}

func fixed(v *float64, digits int) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, *v)
}

func percent(v *float64, digits int) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, 100**v)
}

func general(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.3g", *v)
}

// interval prints one number, or two where they differ.
func interval(lo, hi *float64) string {
	if lo == nil || hi == nil || *lo == *hi {
		return general(hi)
	}
	return general(lo) + " to " + general(hi)
}

func sizeOf(v *float64) string {
	if v == nil {
		return "–"
	}
	return size(*v)
}

// size prints bytes as 49.8 MB.
func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g TB", n)
}

func matrices(n int) string {
	if n == 1 {
		return "1 matrix"
	}
	return thousands(n) + " matrices"
}
