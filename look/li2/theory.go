package li2

import "math"

// PublishedC is the c of p = c·ln M/M in the authors' code. It is a reference,
// never a fit.
const PublishedC = 2.7482

// PublishedShare is where the authors' code puts the boundary of a group of m
// elements whose irreps have degree at most d: p = f·(ln m/m)·(2.7482−δ), f = 1
// for cyclic groups and their products, d/2 for the others.
func PublishedShare(m, d int, delta float64) float64 {
	f := 1.0
	if d > 1 {
		f = float64(d) / 2
	}
	return f * math.Log(float64(m)) / float64(m) * (PublishedC - delta)
}

// Scaled is x = p·M/ln M, the share of the pairs in the units of the law.
func Scaled(p float64, m int) float64 { return p * float64(m) / math.Log(float64(m)) }

// SamplesNeeded is d²·M·ln(M/δ), the number of samples up to a constant that
// keeps the maxima of E with probability 1−δ (Theorem 4).
func SamplesNeeded(m, d int, delta float64) float64 {
	return float64(d*d*m) * math.Log(float64(m)/delta)
}

// SufficientWidth is 2(M−1), which suffices for an Abelian group over the complex
// numbers; real weights are known to do with RealWidth (arXiv 2410.01779).
func SufficientWidth(m int) int { return 2 * (m - 1) }

// RealWidth is 2M.
func RealWidth(m int) int { return 2 * m }

// Coupons is T₀ = L·Σ_{l=1}^{L} 1/l, how many nodes it takes on average until
// each of L equally likely components has one. (The statement in the paper
// leaves the factor L out, its proof has it.)
func Coupons(l int) float64 {
	sum := 0.0
	for i := 1; i <= l; i++ {
		sum += 1 / float64(i)
	}
	return float64(l) * sum
}

// MuonNodes is T_a = 2^(−a)·T₀ + (1−2^(−a))·L, the nodes needed when Muon
// steers nodes away from components that have one: from coupons (a = 0) to one
// node each (a → ∞).
func MuonNodes(l int, a float64) float64 {
	share := math.Exp2(-a)
	return share*Coupons(l) + (1-share)*float64(l)
}
