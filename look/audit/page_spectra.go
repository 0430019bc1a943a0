package audit

import (
	"fmt"
	"math"
	"slices"

	"orrery/report"
)

// chosen are up to n matrices with a spectrum to draw one by one: the one whose
// singular values moved most, the one that turned most, then the middle layer's.
func chosen(all []Matrix, n int) []Matrix {
	var have []Matrix
	for _, m := range all {
		if m.Spectrum != nil && len(m.Spectrum.Sigma0) > 0 {
			have = append(have, m)
		}
	}
	if len(have) == 0 {
		return nil
	}
	best := func(f func(Matrix) float64) int {
		at, most := 0, math.Inf(-1)
		for i, m := range have {
			if v := f(m); v > most {
				at, most = i, v
			}
		}
		return at
	}
	picked := []int{best(nss)}
	if i := best(angle); i != picked[0] {
		picked = append(picked, i)
	}
	var layers []int
	for _, m := range have {
		if m.Layer != nil && !slices.Contains(layers, *m.Layer) {
			layers = append(layers, *m.Layer)
		}
	}
	slices.Sort(layers)
	for i, m := range have {
		middle := len(layers) == 0 || m.Layer != nil && *m.Layer == layers[(len(layers)-1)/2]
		if middle && len(picked) < n && !slices.Contains(picked, i) {
			picked = append(picked, i)
		}
	}
	out := make([]Matrix, len(picked))
	for i, at := range picked {
		out[i] = have[at]
	}
	return out
}

func (run *Run) spectrumBlocks() []report.Block {
	all := run.Matrices()
	few := chosen(all, 14)
	if len(few) == 0 {
		return []report.Block{report.Text("No matrix has a spectrum: NSS, principal angles and energies were not measured.")}
	}
	slider := report.Slider{Label: "matrix"}
	for _, m := range few {
		slider.Frames = append(slider.Frames, report.Frame{Name: m.Name, Blocks: m.spectrumFrame()})
	}
	return []report.Block{
		report.Text("NSS is the distance between the singular values before and after, over their norm: 0 if the matrix was only rotated, of the order of ‖ΔW‖/‖W‖ if it was stretched. " +
			"It can't be above ‖ΔW‖/‖W‖, so a small step alone gives a small NSS: read it beside the relative update. Where only the top singular values are known, it is an interval."),
		report.Columns{nssHistogram(all), angleCurves(all)},
		report.Text("Principal angles compare the span of the top k directions before and after: 0° if the same, 90° if a direction is new. They depend on k and on the gap below the k-th singular value: " +
			"where the gap is small, rounding alone turns the subspace. The energies inside and outside need no gap and are in the table of tensors."),
		report.Text(fmt.Sprintf("Matrices one by one: the largest NSS, the largest angle, then the middle layer (%d of %d matrices).", len(few), len(all))),
		slider,
	}
}

// nssHistogram counts matrices by NSS, with the published figures as marks.
func nssHistogram(all []Matrix) report.Block {
	var values []float64
	zero, lacking := 0, 0
	for _, m := range all {
		switch v := nss(m); {
		case math.IsNaN(v):
			lacking++
		case v <= 0:
			zero++
		default:
			values = append(values, v)
		}
	}
	lo, hi := -6.0, -2.0
	for _, v := range values {
		lo, hi = min(lo, math.Floor(math.Log10(v))), max(hi, math.Ceil(math.Log10(v)))
	}
	const per = 4 // bins a decade
	h := report.Histogram{Title: "NSS of all matrices", X: report.Axis{Label: "NSS", Log: true}, Y: report.Axis{Label: "matrices"},
		Marks: []report.Mark{{Name: "published: RL", At: 1e-5}, {Name: "distillation", At: 1e-4}, {Name: "SFT", At: 1e-3}}}
	n := int(hi-lo) * per
	for i := range n + 1 {
		h.Edges = append(h.Edges, math.Pow(10, lo+float64(i)/per))
	}
	counts := make([]float64, n)
	for _, v := range values {
		counts[max(0, min(n-1, int((math.Log10(v)-lo)*per)))]++
	}
	h.Series = []report.Counts{{Name: "matrices", Counts: counts}}
	h.Caption = "Marks: Qwen3-8B pairs of arXiv 2606.07082, another model measured with other code: an orientation, not a threshold."
	if zero > 0 {
		h.Caption += fmt.Sprintf(" %d with NSS 0 not drawn.", zero)
	}
	if lacking > 0 {
		h.Caption += fmt.Sprintf(" Not measured: %d.", lacking)
	}
	return h
}

// mostCurves is how many matrices are drawn as faint curves.
const mostCurves = 150

// angleCurves draws the larger side's angles of many matrices, and their median.
func angleCurves(all []Matrix) report.Block {
	p := report.Plot{Title: "Principal angles of all matrices", X: report.Axis{Label: "angle, from the largest"}, Y: report.Axis{Label: "degrees"}}
	var curves [][]float64
	unresolved, lacking, zero, above := 0, 0, 0, 0
	for _, m := range all {
		s := m.Spectrum
		if s == nil || len(s.AnglesU)+len(s.AnglesV) == 0 {
			lacking++
			continue
		}
		u, v := resolved(s.AnglesU, s.AnglesUBound), resolved(s.AnglesV, s.AnglesVBound)
		c := make([]float64, max(len(u), len(v)))
		for i := range c {
			c[i] = math.NaN()
			for _, side := range [][]float64{u, v} {
				if i < len(side) && !(c[i] >= side[i]) {
					c[i] = side[i]
				}
			}
			switch {
			case math.IsNaN(c[i]):
				unresolved++
			case c[i] > 0:
				above++
			default:
				zero++
			}
		}
		curves = append(curves, c)
	}
	if len(curves) == 0 {
		return report.Note{Label: "Principal angles of all matrices", Text: "Not measured: no matrix has a subspace that its singular values determine. The energies inside and outside, which need no gap, may still be there."}
	}
	if !slices.ContainsFunc(curves, func(c []float64) bool { return !math.IsNaN(median(c)) }) {
		return report.Note{Label: "Principal angles of all matrices", Text: fmt.Sprintf("Not resolved for any of the %d matrices: the gaps below the k-th singular values are too small for the step, so no curve is drawn. The energies inside and outside need no gap and are in the table of tensors.", len(curves))}
	}
	every := (len(curves) + mostCurves - 1) / mostCurves
	longest := 0
	for i, c := range curves {
		longest = max(longest, len(c))
		if i%every == 0 {
			p.Series = append(p.Series, report.Series{X: ordinals(len(c)), Y: c, Faint: true})
		}
	}
	middle := make([]float64, longest)
	for i := range middle {
		var at []float64
		for _, c := range curves {
			if i < len(c) {
				at = append(at, c[i])
			}
		}
		middle[i] = median(at)
	}
	p.Series = append(p.Series, report.Series{Name: "median", X: ordinals(longest), Y: middle})
	p.Caption = fmt.Sprintf("Grey: %d of %s, the larger of both sides.", (len(curves)+every-1)/every, count(len(curves), "curve"))
	if p.Y.Log = above > 0; p.Y.Log && zero > 0 {
		p.Caption += fmt.Sprintf(" %d angles are 0 and have no place on a logarithmic axis.", zero)
	}
	if unresolved > 0 {
		p.Caption += fmt.Sprintf(" %d angles are below what the decomposition resolves and leave gaps.", unresolved)
	}
	if lacking > 0 {
		p.Caption += fmt.Sprintf(" Not measured: %d matrices.", lacking)
	}
	return p
}

// resolved are the angles that are values and not bounds; the others NaN.
func resolved(angles []float64, bounds []*float64) []float64 {
	out := slices.Clone(angles)
	for i := range out {
		if i < len(bounds) && bounds[i] != nil {
			out[i] = math.NaN()
		}
	}
	return out
}

func ordinals(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i + 1)
	}
	return out
}

// spectrumFrame draws one matrix: singular values, angles with their error, and bounds.
func (m Matrix) spectrumFrame() []report.Block {
	s := m.Spectrum
	n := min(len(s.Sigma0), len(s.Sigma1))
	sigma := report.Plot{Title: "Singular values", X: report.Axis{Label: "index"}, Y: report.Axis{Log: positive(s.Sigma0, s.Sigma1)}, Series: []report.Series{
		{Name: "base", X: ordinals(len(s.Sigma0)), Y: s.Sigma0}, {Name: "tuned", X: ordinals(len(s.Sigma1)), Y: s.Sigma1, Draw: report.Points}}}
	far := 0.0
	for i := range n {
		far = max(far, math.Abs(s.Sigma1[i]-s.Sigma0[i])/s.Sigma0[i])
	}
	sigma.Caption = fmt.Sprintf("The top %d (%s). Largest relative difference %s; NSS %s.", n, s.Mode, short3(num(far)), s.nssText())
	return []report.Block{report.Columns{sigma, m.angles()}}
}

func positive(vs ...[]float64) bool {
	for _, v := range vs {
		for _, x := range v {
			if !(x > 0) {
				return false
			}
		}
	}
	return true
}

func (s *Spectrum) nssText() string {
	switch {
	case s == nil:
		return missing
	case s.NSS != nil:
		return short3(s.NSS)
	case s.NSSInterval != nil:
		return short3(&s.NSSInterval[0]) + " to " + short3(&s.NSSInterval[1])
	}
	return missing
}

func (m Matrix) angles() report.Block {
	s := m.Spectrum
	note := func(text string) report.Block {
		if c := s.Certificate; c != nil && c.Base.NearestK != nil {
			text += fmt.Sprintf(" A clearer gap is at k = %d.", *c.Base.NearestK)
		}
		return report.Note{Label: "Principal angles", Text: text, Items: s.Warnings}
	}
	if len(s.AnglesU)+len(s.AnglesV) == 0 {
		return note("Not measured: the k-th singular value is not separated from the next, so the subspace is not determined.")
	}
	if math.IsNaN(angle(m)) {
		return note(fmt.Sprintf("Not resolved at k = %d: the gap below the k-th singular value is too small for the step, and the bound on the largest angle is 90°.", s.K))
	}
	p := report.Plot{Title: "Principal angles", X: report.Axis{Label: "angle, from the largest"}, Y: report.Axis{Label: "degrees"}}
	e, log := orNaN(s.AngleError), true
	side := func(name string, angles []float64, bounds []*float64) {
		y := resolved(angles, bounds)
		line := report.Series{Name: name, X: ordinals(len(y)), Y: y, Draw: report.LinePoints}
		limit := report.Series{Name: name + ", at most", X: ordinals(len(y)), Y: make([]float64, len(y)), Draw: report.Points}
		bounded := false
		for i, v := range y {
			line.Low, line.High = append(line.Low, max(0, v-e)), append(line.High, v+e)
			limit.Y[i] = math.NaN()
			if i < len(bounds) && bounds[i] != nil {
				limit.Y[i], bounded = *bounds[i], true
				log = log && *bounds[i] > 0
			}
			log = log && !(v <= 0)
		}
		p.Series = append(p.Series, line)
		if bounded {
			p.Series = append(p.Series, limit)
		}
	}
	side("left", s.AnglesU, s.AnglesUBound)
	side("right", s.AnglesV, s.AnglesVBound)
	p.Y.Log = log
	p.Caption = fmt.Sprintf("k = %d; an angle below ten times its error is drawn as a bound.", s.K)
	if s.AngleError != nil {
		p.Caption += fmt.Sprintf(" Error of an angle (the band): %s°.", short3(s.AngleError))
	}
	return p
}
