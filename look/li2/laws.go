package li2

import (
	"fmt"
	"math"
	"slices"
)

// power is the fit of logit Pr = κ(x·(M/M₀)^γ − c): p50·M/ln M ∝ M^(−γ).
type power struct {
	logistic
	gamma float64
	in    Interval
}

// laws compares p50 = c·ln M/M with p50 = A·M^(−γ), and asks how the first
// drifts with M.
func (b *Boundary) laws(used []Trial) {
	logs := 0.0
	for _, m := range b.Ms {
		logs += math.Log(float64(m))
	}
	m0 := math.Exp(logs / float64(len(b.Ms)))
	first, last := b.Ms[0], b.Ms[len(b.Ms)-1]
	b.Identifiable = len(b.Ms) >= 5 && last >= 3*first
	b.Drift, b.DriftIn = math.NaN(), Interval{math.Inf(-1), math.Inf(1)}
	b.Rival = Rival{A: math.NaN(), Gamma: math.NaN(), In: b.DriftIn, AIC: math.NaN()}
	if !b.Identifiable {
		b.Why = fmt.Sprintf("law not identifiable: %d orders from %d to %d, want five or more that span a factor of 3", len(b.Ms), first, last)
		return
	}
	drift := fitPower(used, m0, 0, Trial.X)
	b.Drift, b.DriftIn = drift.gamma, drift.in
	// p·M₀/ln M₀, so that κ and its penalty are in the same units as above.
	unit := m0 / math.Log(m0)
	rival := fitPower(used, m0, 1-1/math.Log(m0), func(t Trial) float64 { return t.P * unit })
	b.Rival = Rival{A: rival.c(0) / unit * math.Pow(m0, rival.gamma), Gamma: rival.gamma, In: rival.in, AIC: rival.aic() + 2}
}

// fitPower maximises over γ by halving steps around a guess.
func fitPower(used []Trial, m0, guess float64, x func(Trial) float64) power {
	cells := gather(used, x)
	at := func(gamma float64, from logistic) logistic {
		scaled := slices.Clone(cells)
		for i, c := range cells {
			scaled[i].x = c.x * math.Pow(float64(c.m)/m0, gamma)
		}
		return newton(scaled, from, -1, math.NaN())
	}
	best := power{logistic: at(guess, begin(cells, 1)), gamma: guess}
	for step := 0.5; step > 1e-5; {
		moved := false
		for _, g := range []float64{best.gamma - step, best.gamma + step} {
			if m := at(g, best.logistic); m.penalised() > best.penalised() {
				best.logistic, best.gamma, moved = m, g, true
				break
			}
		}
		if !moved {
			step /= 2
		}
	}
	best.in = profile(best.gamma, best.penalised(), 1e-3, 20, func(g float64) float64 { return at(g, best.logistic).penalised() })
	return best
}
