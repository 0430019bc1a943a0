package answer

import (
	"math/big"
)

// trialLimit is the last number tried as a divisor when a radicand is split
// into primes. A part without divisors up to it is a prime if it is below
// trialLimit²; a larger one that is not a perfect power is kept whole, which
// can only hide an equality between roots of numbers over 2^45.
const trialLimit = 1 << 15

// maxRadicandBits bounds the numbers whose roots are taken.
const maxRadicandBits = 128

// primePower is p^e.
type primePower struct {
	p *big.Int
	e int
}

// primes splits n > 0.
func (g *algebra) primes(n *big.Int) []primePower {
	if n.BitLen() > maxRadicandBits {
		panic(unreadable("radicand too large"))
	}
	var out []primePower
	rest := new(big.Int).Set(n)
	for d := uint64(2); ; d += 1 + d&1 {
		if rest.IsUint64() {
			return append(out, g.smallPrimes(rest.Uint64(), d)...)
		}
		if d > trialLimit {
			break
		}
		g.spend(1)
		div, e := new(big.Int).SetUint64(d), 0
		for {
			q, r := new(big.Int).QuoRem(rest, div, new(big.Int))
			if r.Sign() != 0 {
				break
			}
			rest, e = q, e+1
		}
		if e > 0 {
			out = append(out, primePower{div, e})
		}
	}
	return append(out, perfectPower(rest))
}

// smallPrimes splits n, which has no divisors below d, in machine arithmetic.
func (g *algebra) smallPrimes(n, d uint64) []primePower {
	var out []primePower
	for ; d <= trialLimit && d*d <= n; d += 1 + d&1 {
		if d&63 == 1 {
			g.spend(2) // 32 divisions
		}
		e := 0
		for n%d == 0 {
			n, e = n/d, e+1
		}
		if e > 0 {
			out = append(out, primePower{new(big.Int).SetUint64(d), e})
		}
	}
	if n == 1 {
		return out
	}
	return append(out, perfectPower(new(big.Int).SetUint64(n)))
}

// perfectPower writes n > 1 as p^e with the greatest e. Its factors are above
// trialLimit, so e ≤ maxRadicandBits/15.
func perfectPower(n *big.Int) primePower {
	for e := n.BitLen() / 15; e > 1; e-- {
		if r := intRoot(n, e); new(big.Int).Exp(r, big.NewInt(int64(e)), nil).Cmp(n) == 0 {
			return primePower{r, e}
		}
	}
	return primePower{new(big.Int).Set(n), 1}
}

// intRoot is ⌊n^(1/e)⌋, by bisection.
func intRoot(n *big.Int, e int) *big.Int {
	if e == 2 {
		return new(big.Int).Sqrt(n)
	}
	r, k := new(big.Int), big.NewInt(int64(e))
	for bit := n.BitLen()/e + 1; bit >= 0; bit-- {
		r.SetBit(r, bit, 1)
		if new(big.Int).Exp(r, k, nil).Cmp(n) > 0 {
			r.SetBit(r, bit, 0)
		}
	}
	return r
}

// rootRat is c^(num/den) for c ≠ 0 and den > 1. Roots of negative numbers are
// the real one for odd den and the principal one for den = 2; ok is false for
// other even den.
func (g *algebra) rootRat(c *big.Rat, num, den int) (t term, ok bool) {
	t = term{new(big.Rat).SetInt64(1), mono{}}
	if c.Sign() < 0 {
		switch {
		case den%2 == 1:
			if num%2 != 0 {
				t.c.Neg(t.c)
			}
		case den == 2:
			f := g.appendFactor(nil, factor{radical, "-1", num, 2}, t.c)
			t.m = makeMono(f)
		default:
			return term{}, false
		}
	}
	part := func(n *big.Int, num int) {
		for _, q := range g.primes(new(big.Int).Abs(n)) {
			c := new(big.Rat).SetInt64(1)
			f := g.appendFactor(nil, factor{radical, q.p.String(), num * q.e, den}, c)
			t = g.mulTerm(t, term{c, makeMono(f)})
		}
	}
	part(c.Num(), num)
	part(c.Denom(), -num)
	return t, true
}

// root is p^(num/den), den > 1, for a polynomial of one term; ok is false where
// it cannot be simplified soundly: √(x²) is not x.
func (g *algebra) root(p poly, num, den int) (poly, bool) {
	t, ok := p.single()
	if !ok {
		return nil, false
	}
	for _, f := range t.m.f {
		switch f.kind {
		case variable, function:
			if f.num%2 == 0 {
				return nil, false
			}
		case radical:
			if f.name == "-1" {
				return nil, false
			}
		}
	}
	if t.c.Sign() < 0 && len(t.m.f) > 0 && den%2 == 0 {
		return nil, false
	}
	c, ok := g.rootRat(t.c, num, den)
	if !ok {
		return nil, false
	}
	u := g.mulTerm(c, g.powFactors(t.m, num, den))
	return poly{u.m.key: u}, true
}
