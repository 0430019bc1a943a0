package spectrum

import "math"

// Inequality is a bound of perturbation theory beside what was measured.
type Inequality struct {
	Name     string `json:"name"`
	Says     string `json:"says"`
	Measured Num    `json:"measured"`
	Bound    Num    `json:"bound"` // null where the theorem says nothing
	// Holds is null where the theorem says nothing, or where the errors of
	// what was measured leave it open.
	Holds *bool `json:"holds"`
}

// estimate is a computed number and the interval that its error leaves.
type estimate struct{ value, low, high float64 }

// judge fills in whether measured ≤ bound.
func judge(name, says string, measured, bound estimate) Inequality {
	q := Inequality{Name: name, Says: says, Measured: Num(measured.value), Bound: Num(bound.value)}
	yes, no := true, false
	switch {
	case measured.high <= bound.low:
		q.Holds = &yes
	case measured.low > bound.high:
		q.Holds = &no
	case measured.value <= bound.value && measured.high-bound.low <= slack*bound.high:
		q.Holds = &yes // equal within rounding
	}
	return q
}

// slack is how far two sides may be apart and still count as equal: theory's
// bounds are attained (ΔW = cW0), and both sides carry rounding.
const slack = 1e-9

// inequalities of Weyl, Mirsky, Ky Fan and Wedin for W1 = W0 + ΔW. In mode top
// they are about the leading k, which each of them allows.
func inequalities(f0, f1, fd *factors, r *Result) []Inequality {
	count := f0.k
	if f0.complete && f1.complete {
		count = len(f0.sigma)
	}
	var weyl, mirsky, kyFan estimate
	for i := range count {
		d := math.Abs(f1.sigma[i] - f0.sigma[i])
		e := f0.sigmaError(i) + f1.sigmaError(i)
		lo, hi := max(0, d-e), d+e
		weyl = estimate{max(weyl.value, d), max(weyl.low, lo), max(weyl.high, hi)}
		mirsky = estimate{mirsky.value + d*d, mirsky.low + lo*lo, mirsky.high + hi*hi}
		if i < f0.k {
			kyFan = estimate{kyFan.value + d, kyFan.low + lo, kyFan.high + hi}
		}
	}
	mirsky = estimate{math.Sqrt(mirsky.value), math.Sqrt(mirsky.low), math.Sqrt(mirsky.high)}
	norm := fd.normEstimate(1)
	fro := estimate{fd.fro, fd.fro * (1 - 1e-14), fd.fro * (1 + 1e-14)}
	return []Inequality{
		judge("Weyl", "max |σ_i(W1)−σ_i(W0)| ≤ ‖ΔW‖₂", weyl, norm),
		judge("Mirsky", "‖σ(W1)−σ(W0)‖₂ ≤ ‖ΔW‖_F", mirsky, fro),
		judge("Ky Fan", "Σ_{i≤k} |σ_i(W1)−σ_i(W0)| ≤ Σ_{i≤k} σ_i(ΔW)", kyFan, fd.normEstimate(f0.k)),
		wedin(f0, f1, norm, r),
	}
}

// normEstimate is the sum of the leading k singular values: Ritz values from
// below, and from above by their errors, or by Cauchy and Schwarz.
func (f *factors) normEstimate(k int) estimate {
	var e estimate
	for i := range k {
		e.value += f.sigma[i]
		e.low += max(0, f.sigma[i]-f.roundoff())
		e.high += f.sigma[i] + f.sigmaError(i)
	}
	e.high = max(e.value, min(e.high, math.Sqrt(float64(k))*f.fro))
	return e
}

// wedin is ‖sin Θ‖₂ ≤ ‖ΔW‖₂/δ with δ = max(σ_k(W1)−σ_{k+1}(W0), σ_k(W0)−σ_{k+1}(W1)).
// The paper's form, with the base's gap alone, is false: W0 = diag(1, 0) and an
// update of norm 0.3 can turn it by arcsin 0.316.
func wedin(f0, f1 *factors, norm estimate, r *Result) Inequality {
	const name, says = "Wedin", "sin θ_max ≤ ‖ΔW‖₂/max(σ_k(W1)−σ_{k+1}(W0), σ_k(W0)−σ_{k+1}(W1))"
	delta := max(f1.sigma[f1.k-1]-f0.next(), f0.sigma[f0.k-1]-f1.next())
	e := float64(r.AngleError) * degree
	angle := max(float64(r.AnglesU[0]), float64(r.AnglesV[0])) * degree
	if delta <= 0 || math.IsNaN(e) {
		return Inequality{Name: name, Says: says, Measured: Num(math.Sin(angle)), Bound: nan}
	}
	measured := estimate{math.Sin(angle), math.Sin(max(0, angle-e)), math.Sin(min(math.Pi/2, angle+e))}
	off := f0.sigmaError(f0.k-1) + f1.sigmaError(f1.k-1)
	bound := estimate{value: norm.value / delta, low: norm.low / (delta + off), high: math.Inf(1)}
	if delta > off {
		bound.high = norm.high / (delta - off)
	}
	if bound.low >= 1 { // a sine is never more
		return Inequality{Name: name, Says: says, Measured: Num(measured.value), Bound: nan}
	}
	return judge(name, says, measured, bound)
}
