package answer

import (
	"math/big"
	"slices"
)

// quotient is num/den in lowest terms as far as this package reduces: den = 1
// unless the denominator has several terms that num cannot be divided by. Then
// no exponent is negative, the two share no monomial factor, and den has no
// square root, coprime integer coefficients and a positive leading one.
type quotient struct{ num, den poly }

func whole(p poly) quotient { return quotient{p, integer(1)} }

func (q quotient) isWhole() bool {
	c, ok := q.den.constantOf()
	return ok && c.Cmp(ratOne) == 0
}

// rational returns the value of a quotient that is a rational number.
func (q quotient) rational() (*big.Rat, bool) {
	if !q.isWhole() {
		return nil, false
	}
	return q.num.constantOf()
}

func (g *algebra) addQ(a, b quotient) quotient {
	if equalPoly(a.den, b.den) {
		if a.isWhole() {
			return whole(g.add(a.num, b.num))
		}
		return g.reduce(g.add(a.num, b.num), a.den)
	}
	return g.reduce(g.add(g.mul(a.num, b.den), g.mul(b.num, a.den)), g.mul(a.den, b.den))
}

func (g *algebra) negQ(a quotient) quotient { return quotient{g.neg(a.num), a.den} }

func (g *algebra) mulQ(a, b quotient) quotient {
	if a.isWhole() && b.isWhole() {
		return whole(g.mul(a.num, b.num))
	}
	return g.reduce(g.mul(a.num, b.num), g.mul(a.den, b.den))
}

func (g *algebra) divQ(a, b quotient) quotient {
	return g.reduce(g.mul(a.num, b.den), g.mul(a.den, b.num))
}

// powQ is a^n for any integer n.
func (g *algebra) powQ(a quotient, n int) quotient {
	if n < 0 {
		if len(a.num) == 0 {
			panic(unreadable("division by zero"))
		}
		a, n = g.divQ(whole(integer(1)), a), -n
	}
	if a.isWhole() {
		return whole(g.powInt(a.num, n))
	}
	return g.reduce(g.powInt(a.num, n), g.powInt(a.den, n))
}

// reduce brings num/den into the form described at quotient.
func (g *algebra) reduce(num, den poly) quotient {
	if len(den) == 0 {
		panic(unreadable("division by zero"))
	}
	if len(num) == 0 {
		return whole(num)
	}
	if len(den) > 1 {
		num, den = g.rationalise(num, den)
	}
	if len(den) > 1 {
		if c := content(num, den); len(c.f) > 0 {
			inv := g.inverse(term{ratOne, c})
			by := poly{inv.m.key: inv}
			num, den = g.mul(num, by), g.mul(den, by)
		}
	}
	if t, ok := den.single(); ok {
		inv := g.inverse(t)
		return whole(g.mul(num, poly{inv.m.key: inv}))
	}
	if q, ok := g.divide(num, den); ok {
		return whole(q)
	}
	if v, ok := commonVariable(num, den); ok {
		if d := g.euclid(num, den, v); len(d) > 1 {
			num, _ = g.divide(num, d)
			den, _ = g.divide(den, d)
			return g.reduce(num, den) // den may be a single term now
		}
	} else if q, ok := g.divide(den, num); ok && len(num) > 1 {
		return g.reduce(integer(1), q)
	}
	c := primitive(den)
	return quotient{g.scale(num, c), g.scale(den, c)}
}

// rationalise multiplies both by conjugates until the denominator has no square
// root: (A + B√p)(A − B√p) = A² − pB².
func (g *algebra) rationalise(num, den poly) (poly, poly) {
	isRoot := func(f factor) bool { return f.kind == radical && f.den == 2 }
	for den.has(isRoot) {
		var name string
		for _, t := range den {
			for _, f := range t.m.f {
				// The last in order, so that the result is the same whatever
				// the order of the map.
				if isRoot(f) && (name == "" || compareBase(f, factor{radical, name, 1, 2}) > 0) {
					name = f.name
				}
			}
		}
		conjugate := make(poly, len(den))
		for k, t := range den {
			if slices.ContainsFunc(t.m.f, func(f factor) bool { return isRoot(f) && f.name == name }) {
				t.c = new(big.Rat).Neg(t.c)
			}
			conjugate[k] = t
		}
		num, den = g.mul(num, conjugate), g.mul(den, conjugate)
		if len(den) == 0 {
			panic(unreadable("division by zero"))
		}
	}
	return num, den
}

// content is the greatest monomial, radicals aside, that divides every term of
// the polynomials; exponents may be negative.
func content(polys ...poly) mono {
	least := make(map[string]factor)
	count := make(map[string]int)
	id := func(f factor) string { return string('0'+rune(f.kind)) + f.name }
	terms := 0
	for _, p := range polys {
		terms += len(p)
		for _, t := range p {
			for _, f := range t.m.f {
				if f.kind == radical {
					continue
				}
				old, seen := least[id(f)]
				if !seen || f.num*old.den < old.num*f.den {
					least[id(f)] = f
				}
				count[id(f)]++
			}
		}
	}
	var out []factor
	for k, f := range least {
		// A term without the base has exponent 0.
		if count[k] == terms || f.num < 0 {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, compareBase)
	return makeMono(out)
}

// divide is num/den if den divides num. Terms may have negative exponents; den
// has no radical, so that those of num are carried along unchanged.
func (g *algebra) divide(num, den poly) (poly, bool) {
	if den.has(func(f factor) bool { return f.kind == radical }) {
		return nil, false
	}
	// Both are shifted to ordinary polynomials, where division ends.
	shift := content(num)
	up := poly{shift.key: {ratOne, shift}}
	down := g.inverse(term{ratOne, shift})
	rest := g.mul(num, poly{down.m.key: down})
	if low := content(den); len(low.f) > 0 {
		inv := g.inverse(term{ratOne, low})
		by := poly{inv.m.key: inv}
		den, up = g.mul(den, by), g.mul(up, by)
	}
	lead := den.leading()
	inv := g.inverse(lead)
	q := poly{}
	for len(rest) > 0 {
		g.spend(len(rest))
		t := g.mulTerm(rest.leading(), inv)
		if slices.ContainsFunc(t.m.f, func(f factor) bool { return f.num < 0 }) {
			return nil, false
		}
		g.accumulate(q, t)
		rest = g.add(rest, g.neg(g.mul(den, poly{t.m.key: t})))
	}
	return g.mul(q, up), true
}

// commonVariable finds the one base, with integer exponents ≥ 0, that both
// polynomials are made of.
func commonVariable(a, b poly) (factor, bool) {
	var v factor
	for _, p := range []poly{a, b} {
		for _, t := range p {
			if len(t.m.f) > 1 {
				return v, false
			}
			for _, f := range t.m.f {
				if f.kind == radical || f.den != 1 || f.num < 0 || v.name != "" && compareBase(v, f) != 0 {
					return v, false
				}
				v = f
			}
		}
	}
	return v, v.name != ""
}

// euclid is the greatest common divisor of two polynomials in one variable, up
// to a rational factor.
func (g *algebra) euclid(a, b poly, v factor) poly {
	for len(b) > 0 {
		a, b = b, g.remainder(a, b, v)
	}
	return a
}

// remainder of a divided by b; made primitive to keep its numbers small.
func (g *algebra) remainder(a, b poly, v factor) poly {
	lead := b.leading()
	inv := g.inverse(lead)
	for len(a) > 0 {
		g.spend(len(a))
		t := g.mulTerm(a.leading(), inv)
		if len(t.m.f) > 0 && t.m.f[0].num < 0 {
			break
		}
		a = g.add(a, g.neg(g.mul(b, poly{t.m.key: t})))
	}
	if len(a) == 0 {
		return a
	}
	return g.scale(a, primitive(a))
}

// primitive is the number that makes the coefficients of p coprime integers,
// the leading one positive.
func primitive(p poly) *big.Rat {
	n, d := new(big.Int), big.NewInt(1)
	for _, t := range p {
		n.GCD(nil, nil, n, new(big.Int).Abs(t.c.Num()))
		common := new(big.Int).GCD(nil, nil, d, t.c.Denom())
		if d.Mul(d, new(big.Int).Quo(t.c.Denom(), common)); d.BitLen() > maxBits {
			panic(unreadable("number too large"))
		}
	}
	if p.leading().c.Sign() < 0 {
		n.Neg(n)
	}
	return new(big.Rat).SetFrac(d, n)
}
