package audit

import "math"

// The precision-only null: what overlaps an update would have that knows
// nothing of the weights, only because weights of small magnitude are stored
// more finely, so that the same step changes their codes more often.
//
// Assume ΔW_ij i.i.d. N(0, σ²), independent of W0, added to stored bfloat16
// weights and rounded to nearest. The code changes when the step passes half
// the distance to a neighbour. Away from zero that is ½ulp; towards zero too,
// but where the mantissa is 0 the neighbour below is of the finer binade, at
// ½ulp, so that ¼ulp is enough:
//
//	P = Φ(−½ulp/σ) + Φ(−h/σ),  h = ½ulp, or ¼ulp where the mantissa is 0 and the exponent > 1
//
// (subnormals and the first binade have one spacing). P depends on exponent and
// "mantissa is 0" alone: counts of these classes are enough.

// classes counts codes by exponent and whether the mantissa is 0.
type classes [512]int64

func classOf(code uint16) int {
	c := int(code>>7&0xff) << 1
	if code&0x7f == 0 {
		c |= 1
	}
	return c
}

// classesOf counts a histogram of magnitudes.
func classesOf(hist []int64) *classes {
	var c classes
	for code, n := range hist {
		c[classOf(uint16(code))] += n
	}
	return &c
}

// changeProbability is P of a class for steps of standard deviation sigma > 0.
func changeProbability(class int, sigma float64) float64 {
	exponent := class >> 1
	half := math.Ldexp(1, max(exponent, 1)-135) // ½ulp = ½·2^(e−127−7)
	h := half
	if class&1 == 1 && exponent > 1 {
		h = half / 2
	}
	return tail(half/sigma) + tail(h/sigma)
}

// tail is Φ(−x).
func tail(x float64) float64 { return math.Erfc(x/math.Sqrt2) / 2 }

// expected is ΣP.
func (c *classes) expected(sigma float64) float64 {
	sum := 0.0
	for class, n := range c {
		if n > 0 {
			sum += float64(n) * changeProbability(class, sigma)
		}
	}
	return sum
}

// sigma is the σ at which the mean of P is the observed density: ΣP = changed.
// ΣP rises with σ from 0 to n. It is 0 for no change at all.
func (c *classes) sigma(changed int64) float64 {
	if changed <= 0 {
		return 0
	}
	// Half a step of the finest code is 2⁻¹³⁴, of the coarsest 2¹¹⁹. At either
	// end P is 0 or 1 to the last bit.
	lo, hi := -144.0, 180.0
	for range 100 {
		mid := (lo + hi) / 2
		if c.expected(math.Exp2(mid)) < float64(changed) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return math.Exp2(hi)
}

// nullOverlap is Σ_{in}P/Σ_{all}P: the share of the changes that would lie in a set.
func nullOverlap(in, all *classes, sigma float64) *float64 {
	if sigma == 0 {
		return nil
	}
	return ratio(in.expected(sigma), all.expected(sigma))
}

// nullJaccard is ΣP_aP_b/Σ(P_a+P_b−P_aP_b): the Jaccard index of two updates
// that are independent of each other and of the weights.
func nullJaccard(all *classes, a, b float64) (both, either float64) {
	if a == 0 || b == 0 {
		return 0, all.expectedOr0(a) + all.expectedOr0(b)
	}
	for class, n := range all {
		if n == 0 {
			continue
		}
		p, q := changeProbability(class, a), changeProbability(class, b)
		both += float64(n) * p * q
		either += float64(n) * (p + q - p*q)
	}
	return both, either
}

func (c *classes) expectedOr0(sigma float64) float64 {
	if sigma == 0 {
		return 0
	}
	return c.expected(sigma)
}
