package li2

import (
	"math"
	"slices"
)

// logistic is logit Pr = κx − b_g, κ shared, at the largest penalised
// likelihood ℓ − ½·ridge·κ².
type logistic struct {
	kappa float64
	b     []float64 // by group
	ll    float64   // ℓ, without the penalty
}

func (m logistic) c(g int) float64 { return m.b[g] / m.kappa }

func (m logistic) aic() float64 { return 2*float64(1+len(m.b)) - 2*m.ll }

func (m logistic) penalised() float64 { return m.ll - ridge*m.kappa*m.kappa/2 }

// fit is by iteratively reweighted least squares, with halved steps where the
// likelihood would fall. Groups that have only successes or only failures have
// no finite b and stop at the limit.
func fit(cells []cell, groups int) logistic {
	return newton(cells, begin(cells, groups), -1, math.NaN())
}

// newton maximises over κ and b from m on; if fixed ≥ 0, under b_fixed = κ·c.
func newton(cells []cell, m logistic, fixed int, c float64) logistic {
	m.b = slices.Clone(m.b)
	if fixed >= 0 {
		m.b[fixed] = m.kappa * c
	}
	m.ll = likelihood(cells, m)
	for range 100 {
		step := m.direction(cells, fixed, c)
		next, t := logistic{b: make([]float64, len(m.b))}, 1.0
		better := false
		for range 30 {
			next.kappa = m.kappa + t*step[0]
			for g := range next.b {
				next.b[g] = min(max(m.b[g]+t*step[1+g], -limit), limit)
			}
			if fixed >= 0 {
				next.b[fixed] = next.kappa * c
			}
			next.ll = likelihood(cells, next)
			if next.penalised() > m.penalised() {
				better = true
				break
			}
			t /= 2
		}
		if !better {
			break
		}
		gain := next.penalised() - m.penalised()
		m = next
		if gain < 1e-10 {
			break
		}
	}
	return m
}

// limit on |b|: e^-1000 is no probability any more.
const limit = 1000

// begin is κ = 0 with the share of successes of each group.
func begin(cells []cell, groups int) logistic {
	m := logistic{b: make([]float64, groups)}
	for g := range m.b {
		wins, n := 0.5, 1.0
		for _, c := range cells {
			if c.which == g {
				wins += c.wins
				n += c.n
			}
		}
		m.b[g] = -math.Log(wins / (n - wins))
	}
	return m
}

func likelihood(cells []cell, m logistic) float64 {
	ll := 0.0
	for _, c := range cells {
		z := m.kappa*c.x - m.b[c.which]
		ll -= c.wins*softplus(-z) + (c.n-c.wins)*softplus(z)
	}
	return ll
}

// softplus is ln(1+e^z).
func softplus(z float64) float64 { return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z))) }

// direction is Newton's step. The Hessian has an arrow's shape, κ against
// every b, and is solved by taking the b out.
func (m logistic) direction(cells []cell, fixed int, c float64) []float64 {
	groups := len(m.b)
	gk, hk := -ridge*m.kappa, ridge
	gb, hb, cross := make([]float64, groups), make([]float64, groups), make([]float64, groups)
	for _, e := range cells {
		p := 1 / (1 + math.Exp(m.b[e.which]-m.kappa*e.x))
		r, w := e.wins-e.n*p, e.n*p*(1-p)
		x := e.x
		if e.which == fixed {
			x -= c // the logit is κ(x−c): b is no free parameter
		}
		gk += r * x
		hk += w * x * x
		if e.which != fixed {
			gb[e.which] -= r
			hb[e.which] += w
			cross[e.which] -= w * x
		}
	}
	for g := range groups {
		hb[g] += 1e-9 // a group at its limit has no weight left
		gk -= cross[g] * gb[g] / hb[g]
		hk -= cross[g] * cross[g] / hb[g]
	}
	step := make([]float64, 1+groups)
	step[0] = gk / hk
	for g := range groups {
		if g != fixed {
			step[1+g] = (gb[g] - cross[g]*step[0]) / hb[g]
		}
	}
	return step
}

// profileC is where the penalised likelihood, maximised over all else, is
// within 1.92 of its maximum.
func profileC(cells []cell, m logistic, g int) Interval {
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range cells {
		least, most = min(least, c.x), max(most, c.x)
	}
	width := most - least
	return profile(m.c(g), m.penalised(), 1e-4*width+1e-9, 4*width+1e-6, func(c float64) float64 {
		return newton(cells, m, g, c).penalised()
	})
}

// profile walks from the best value, in growing steps and then by halving, to
// where f is 1.92 below top. Further off than far there is no bound.
func profile(best, top, step, far float64, f func(float64) float64) Interval {
	end := func(sign float64) float64 {
		in, out := 0.0, step
		for f(best+sign*out) > top-quarter {
			in = out
			if out *= 2; out > far {
				return sign * math.Inf(1)
			}
		}
		for range 40 {
			if mid := (in + out) / 2; f(best+sign*mid) > top-quarter {
				in = mid
			} else {
				out = mid
			}
		}
		return best + sign*out
	}
	return Interval{end(-1), end(1)}
}
