package answer

import (
	"math/big"
	"slices"
)

// raise is base^exp.
func (g *algebra) raise(base, exp quotient) quotient {
	c, ok := exp.rational()
	if !ok {
		return g.exponential(base, exp)
	}
	if !c.Num().IsInt64() || !c.Denom().IsInt64() || c.Denom().Int64() > maxExponent {
		panic(unreadable("exponent too large"))
	}
	num, den := c.Num().Int64(), int(c.Denom().Int64())
	if b, ok := base.rational(); ok && (b.Cmp(ratOne) == 0 || b.Sign() == 0 && num > 0) {
		return base
	}
	switch {
	case len(base.num) == 0:
		panic(unreadable("zero to a power that is not positive"))
	case max(num, -num) > maxExponent:
		panic(unreadable("exponent too large"))
	case den == 1:
		return g.powQ(base, int(num))
	}
	if base.isWhole() {
		if r, ok := g.root(base.num, int(num), den); ok {
			return whole(r)
		}
	}
	return g.opaqueRoot(base, int(num), den)
}

// opaqueRoot is base^(num/den) for a base whose root does not simplify: a sum.
// Rational factors are taken out, so that √(4x+4) = 2√(x+1).
func (g *algebra) opaqueRoot(base quotient, num, den int) quotient {
	outside := integer(1)
	if len(base.num) > 1 {
		c := primitive(base.num)
		c = c.Abs(c)
		var ok bool
		if outside, ok = g.root(number(new(big.Rat).Inv(c)), num, den); !ok {
			panic(unreadable("root of a sum"))
		}
		base.num = g.scale(base.num, c)
	}
	name := "sqrt(" + g.name(base) + ")"
	if den != 2 {
		name = `\sqrt[` + big.NewInt(int64(den)).String() + "](" + g.name(base) + ")"
	}
	return g.mulQ(whole(outside), g.powQ(whole(symbol(function, name)), num))
}

// exponential is base^exp for an exponent with letters: 2^{n+1} = 2·2^{n}.
func (g *algebra) exponential(base, exp quotient) quotient {
	if c, ok := base.rational(); ok && c.Sign() == 0 {
		panic(unreadable("power of zero"))
	} else if ok && c.Cmp(ratOne) == 0 {
		return base
	}
	out := whole(integer(1))
	power := 1
	if exp.isWhole() {
		if c, ok := exp.num[""]; ok {
			out = g.raise(base, whole(number(c.c)))
			exp = whole(g.add(exp.num, number(new(big.Rat).Neg(c.c))))
		}
		if exp.num.leading().c.Sign() < 0 {
			exp, power = g.negQ(exp), -1
		}
	}
	name := g.name(base)
	if t, ok := base.num.single(); !ok || !base.isWhole() || t.render() != name || !isAtom(t) {
		name = "(" + name + ")"
	}
	return g.mulQ(out, g.powQ(whole(symbol(function, name+"^{"+g.name(exp)+"}")), power))
}

// isAtom reports whether a term needs no brackets as a base: a natural number
// or a single letter.
func isAtom(t term) bool {
	if len(t.m.f) == 0 {
		return t.c.IsInt() && t.c.Sign() > 0
	}
	f := t.m.f[0]
	return len(t.m.f) == 1 && t.c.Cmp(ratOne) == 0 && f.num == 1 && f.den == 1 && (f.kind == variable || f.kind == constant)
}

// name renders an argument and charges for it.
func (g *algebra) name(q quotient) string {
	s := q.render()
	g.spend(20 * len(s))
	return s
}

// apply is a function of one argument: its value where that is rational and
// plain, else a symbol of its own.
func (g *algebra) apply(name string, arg quotient) quotient {
	c, isRational := arg.rational()
	switch name {
	case "exp":
		return g.raise(whole(symbol(variable, "e")), arg)
	case "abs":
		if isRational {
			return whole(number(new(big.Rat).Abs(c)))
		}
		if arg.num.leading().c.Sign() < 0 {
			arg = g.negQ(arg)
		}
	case "floor", "ceil":
		if isRational {
			n := new(big.Int).Div(c.Num(), c.Denom()) // Euclidean, hence the floor
			if name == "ceil" && !c.IsInt() {
				n.Add(n, big.NewInt(1))
			}
			return whole(number(new(big.Rat).SetInt(n)))
		}
	case "log", "ln", "lg":
		if isRational && c.Cmp(ratOne) == 0 {
			return whole(poly{})
		}
	case "factorial":
		return g.factorial(arg)
	}
	return whole(symbol(function, name+"("+g.name(arg)+")"))
}

// maxFactorial is the last whose value has at most maxBits bits.
const maxFactorial = 536

func (g *algebra) factorial(arg quotient) quotient {
	c, ok := arg.rational()
	switch {
	case !ok:
		return whole(symbol(function, "factorial("+g.name(arg)+")"))
	case !c.IsInt() || c.Sign() < 0 || c.Cmp(big.NewRat(maxFactorial, 1)) > 0:
		panic(unreadable("factorial"))
	}
	n := c.Num().Int64()
	g.spend(int(n))
	return whole(number(g.fit(new(big.Rat).SetInt(new(big.Int).MulRange(1, n)))))
}

func (g *algebra) binomial(a, b quotient) quotient {
	n, ok := a.rational()
	k, okK := b.rational()
	limit := big.NewRat(maxBits, 1)
	if !ok || !okK || !n.IsInt() || !k.IsInt() || k.Sign() < 0 || n.Cmp(k) < 0 || n.Cmp(limit) > 0 {
		panic(unreadable("binomial"))
	}
	g.spend(int(n.Num().Int64()))
	return whole(number(g.fit(new(big.Rat).SetInt(new(big.Int).Binomial(n.Num().Int64(), k.Num().Int64())))))
}

// plainName returns the letter that a value consists of, if it does.
func plainName(v value) (string, bool) {
	q, ok := v.(quotient)
	if !ok || !q.isWhole() {
		return "", false
	}
	t, ok := q.num.single()
	if !ok || t.c.Cmp(ratOne) != 0 || len(t.m.f) != 1 {
		return "", false
	}
	f := t.m.f[0]
	switch {
	case f.kind == radical && f.name == "-1":
		return "i", true
	case f.kind == variable && f.num == 1 && f.den == 1:
		return f.name, true
	}
	return "", false
}

// allNames reports whether a value is a tuple of letters.
func allNames(v value) bool {
	t, ok := v.(tuple)
	return ok && !slices.ContainsFunc(t.items, func(v value) bool { _, ok := plainName(v); return !ok })
}
