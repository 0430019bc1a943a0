package cogs

import (
	"fmt"
	"math"
	"math/cmplx"

	"orrery/report"
)

func degrees(angle float64) string {
	if math.IsNaN(angle) {
		return "–"
	}
	return fmt.Sprintf("%.1f°", angle*180/math.Pi)
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}

// polar is a complex number near 1: its size, and its angle if it has one.
func polar(z complex128) string {
	if a := cmplx.Phase(z); math.Abs(a) > 5e-4 {
		return fmt.Sprintf("%.4f at %s", cmplx.Abs(z), degrees(a))
	}
	return fmt.Sprintf("%.4f", cmplx.Abs(z))
}

func factorTable(f *Factorisation) report.Block {
	t := report.Table{Page: 40, Caption: "Factors of each frequency. Distance: between the phases of C within pairs; below 0.10 rad ν counts as i. " +
		"Rc, Rn and R* are the largest of their monomials, relative to |Σabc|; Rn of one frequency may be large. Angles are up to the freedoms of each parameter.",
		Head: []string{"k", "order", "factors", "distance", "authors' rule", "err", "r[k,k,k]", "Rc", "Rn", "R*", "ν", "ξ", "α", "β"}}
	for _, k := range f.Frequencies {
		kind, r := string(k.Robust.Kind), k.Robust
		if r.Near {
			kind += ", near z_ν=i"
		}
		rule := "–"
		switch {
		case k.Compatible.Factorable:
			rule = k.Compatible.First + " * " + k.Compatible.Second
		case !math.IsNaN(k.Compatible.Err):
			rule = "not factorable"
		}
		t.Rows = append(t.Rows, []string{fmt.Sprint(k.K), fmt.Sprint(k.Order()), kind, number(r.Distance), rule, number(k.Compatible.Err),
			polar(k.R), number(k.Rc), number(k.Rn), number(k.RStar), degrees(r.Nu), degrees(r.Xi), degrees(r.Alpha), degrees(r.Beta)})
	}
	if len(f.DC) > 0 {
		t.Caption += fmt.Sprintf(" %d nodes are largest at frequency 0 and belong to none.", len(f.DC))
	}
	return t
}

// circle shows the parameters on the quarter of the unit circle that they are
// determined up to.
func circle(f *Factorisation) report.Block {
	arc := report.Series{Name: "unit circle", Faint: true}
	for i := range 91 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 180)
		arc.X, arc.Y = append(arc.X, cos), append(arc.Y, sin)
	}
	series := []report.Series{arc}
	for _, p := range []struct {
		name string
		of   func(Robust) float64
	}{
		{"ν", func(r Robust) float64 { return r.Nu }}, {"ξ", func(r Robust) float64 { return r.Xi }},
		{"α", func(r Robust) float64 { return r.Alpha }}, {"β", func(r Robust) float64 { return r.Beta }},
	} {
		s := report.Series{Name: p.name, Draw: report.Points}
		for _, k := range f.Frequencies {
			angle := p.of(k.Robust)
			if math.IsNaN(angle) {
				continue
			}
			sin, cos := math.Sincos(angle)
			s.X, s.Y = append(s.X, cos), append(s.Y, sin)
			s.Labels = append(s.Labels, fmt.Sprintf("k=%d, %s", k.K, degrees(angle)))
		}
		if len(s.X) > 0 {
			series = append(series, s)
		}
	}
	return report.Plot{Title: "Parameters of the factors", X: report.Axis{Label: "real part", Min: -0.02, Max: 1.08}, Y: report.Axis{Label: "imaginary part", Min: -0.02, Max: 1.08},
		Series: series, Caption: "Where ν, ξ, α and β lie on the unit circle, at the representative in its first quarter. ν = i is the upper end; ν varies continuously. ξ, α and β are free."}
}
