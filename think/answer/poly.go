package answer

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A sum is written over monomials: products of factors with rational exponents.
// The kinds are listed in the order in which factors of a monomial are written.
type factorKind uint8

const (
	radical  factorKind = iota // a prime, or -1 for the imaginary unit, with an exponent in (0, 1)
	constant                   // π
	variable                   // a letter
	function                   // anything not simplified further: sin(x), 2^{n}
	unit
)

// factor is base^(num/den) with den ≥ 1 and gcd(num, den) = 1.
type factor struct {
	kind     factorKind
	name     string // of a radical: its base in decimal
	num, den int
}

// maxExponent bounds numerators and denominators of exponents.
const maxExponent = 9999

// mono is a product of factors, sorted by kind and name, each base once.
type mono struct {
	f   []factor
	key string // equal keys, equal monomials
}

type term struct {
	c *big.Rat // never 0, never changed
	m mono
}

// poly is a sum of terms with distinct monomials. The distinct products of
// roots of primes are linearly independent over the rationals, so a sum of
// roots, π and letters has exactly one such form.
type poly map[string]term

// unreadable is the panic that ends a reading which turned out not to be
// mathematics, or too large. KeyOf recovers it.
type unreadable string

// algebra computes with polynomials and counts its work, in units of up to
// half a microsecond.
type algebra struct{ left int }

// workLimit keeps the time for one reading to some milliseconds.
const workLimit = 20_000

func (g *algebra) spend(n int) {
	if g.left -= n; g.left < 0 {
		panic(unreadable("too much work"))
	}
}

// fit refuses numbers over maxBits and charges for the others.
func (g *algebra) fit(c *big.Rat) *big.Rat {
	bits := c.Num().BitLen() + c.Denom().BitLen()
	if c.Num().BitLen() > maxBits || c.Denom().BitLen() > maxBits {
		panic(unreadable("number too large"))
	}
	g.spend(3 + bits/16)
	return c
}

var ratOne = big.NewRat(1, 1)

func number(c *big.Rat) poly {
	if c.Sign() == 0 {
		return poly{}
	}
	return poly{"": {c, mono{}}}
}

func integer(n int64) poly { return number(big.NewRat(n, 1)) }

func symbol(kind factorKind, name string) poly {
	m := makeMono([]factor{{kind, name, 1, 1}})
	return poly{m.key: {ratOne, m}}
}

// makeMono wants f sorted.
func makeMono(f []factor) mono {
	var b strings.Builder
	for _, x := range f {
		b.WriteByte('0' + byte(x.kind))
		b.WriteString(x.name)
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(x.num))
		b.WriteByte('/')
		b.WriteString(strconv.Itoa(x.den))
		b.WriteByte(';')
	}
	return mono{f, b.String()}
}

func compareBase(a, b factor) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	if a.kind == radical { // by size: shorter decimals are smaller
		if c := cmp.Compare(len(a.name), len(b.name)); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.name, b.name)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

// constantOf returns the value of a rational polynomial.
func (p poly) constantOf() (*big.Rat, bool) {
	if len(p) == 0 {
		return new(big.Rat), true
	}
	t, ok := p[""]
	return t.c, ok && len(p) == 1
}

// single returns the term of a polynomial that has just one.
func (p poly) single() (term, bool) {
	for _, t := range p {
		return t, len(p) == 1
	}
	return term{}, false
}

func (p poly) has(test func(factor) bool) bool {
	for _, t := range p {
		if slices.ContainsFunc(t.m.f, test) {
			return true
		}
	}
	return false
}

func equalPoly(a, b poly) bool {
	if len(a) != len(b) {
		return false
	}
	for k, t := range a {
		if u, ok := b[k]; !ok || t.c.Cmp(u.c) != 0 {
			return false
		}
	}
	return true
}

// maxTerms bounds a polynomial; the rendering of more does not fit maxBytes.
const maxTerms = 400

// accumulate adds t to p in place.
func (g *algebra) accumulate(p poly, t term) {
	if old, ok := p[t.m.key]; ok {
		c := g.fit(new(big.Rat).Add(old.c, t.c))
		if c.Sign() == 0 {
			delete(p, t.m.key)
			return
		}
		t.c = c
	}
	p[t.m.key] = t
	if len(p) > maxTerms {
		panic(unreadable("too many terms"))
	}
}

func (g *algebra) add(a, b poly) poly {
	sum := make(poly, len(a)+len(b))
	for k, t := range a {
		sum[k] = t
	}
	for _, t := range b {
		g.accumulate(sum, t)
	}
	g.spend(2 * (len(a) + len(b))) // building the map
	return sum
}

func (g *algebra) neg(a poly) poly { return g.scale(a, big.NewRat(-1, 1)) }

func (g *algebra) scale(a poly, c *big.Rat) poly {
	if c.Sign() == 0 {
		return poly{}
	}
	out := make(poly, len(a))
	for k, t := range a {
		out[k] = term{g.fit(new(big.Rat).Mul(t.c, c)), t.m}
	}
	return out
}

func (g *algebra) mul(a, b poly) poly {
	product := make(poly, max(len(a), len(b)))
	for _, t := range a {
		for _, u := range b {
			g.accumulate(product, g.mulTerm(t, u))
		}
	}
	return product
}

// mulTerm adds the exponents of equal bases. What a radical's exponent exceeds
// 1 by goes into the coefficient.
func (g *algebra) mulTerm(a, b term) term {
	c := new(big.Rat).Mul(a.c, b.c)
	g.fit(c)
	if len(a.m.f) == 0 {
		return term{c, b.m}
	}
	if len(b.m.f) == 0 {
		return term{c, a.m}
	}
	f := make([]factor, 0, len(a.m.f)+len(b.m.f))
	x, y := a.m.f, b.m.f
	for len(x) > 0 && len(y) > 0 {
		switch order := compareBase(x[0], y[0]); {
		case order < 0:
			f, x = append(f, x[0]), x[1:]
		case order > 0:
			f, y = append(f, y[0]), y[1:]
		default:
			s := x[0]
			s.num, s.den = s.num*y[0].den+y[0].num*s.den, s.den*y[0].den
			f = g.appendFactor(f, s, c)
			x, y = x[1:], y[1:]
		}
	}
	f = append(append(f, x...), y...)
	g.spend(4 * len(f))
	return term{g.fit(c), makeMono(f)}
}

// appendFactor appends s with its exponent in lowest terms; the integer part
// of a radical's exponent is multiplied into c instead.
func (g *algebra) appendFactor(f []factor, s factor, c *big.Rat) []factor {
	d := gcd(s.num, s.den)
	s.num, s.den = s.num/d, s.den/d
	if s.kind == radical {
		whole := s.num / s.den
		if s.num%s.den < 0 {
			whole--
		}
		s.num -= whole * s.den
		if whole != 0 {
			base, _ := new(big.Rat).SetString(s.name)
			c.Mul(c, g.powRat(base, whole))
		}
	}
	if s.num == 0 {
		return f
	}
	if max(s.num, -s.num, s.den) > maxExponent {
		panic(unreadable("exponent too large"))
	}
	return append(f, s)
}

// powRat is c^n for c ≠ 0.
func (g *algebra) powRat(c *big.Rat, n int) *big.Rat {
	num, den := c.Num(), c.Denom()
	if n < 0 {
		num, den, n = den, num, -n
	}
	// |num|^n has more than (BitLen-1)·n bits.
	if max(num.BitLen()-1, den.BitLen()-1)*n > maxBits {
		panic(unreadable("number too large"))
	}
	e := big.NewInt(int64(n))
	return g.fit(new(big.Rat).SetFrac(new(big.Int).Exp(num, e, nil), new(big.Int).Exp(den, e, nil)))
}

// powTerm is t^(num/den) where every exponent may simply be multiplied.
func (g *algebra) powFactors(m mono, num, den int) term {
	c := new(big.Rat).SetInt64(1)
	f := make([]factor, 0, len(m.f))
	for _, x := range m.f {
		x.num, x.den = x.num*num, x.den*den
		f = g.appendFactor(f, x, c)
	}
	return term{c, makeMono(f)}
}

// powInt is p^n for n ≥ 0.
func (g *algebra) powInt(p poly, n int) poly {
	if t, ok := p.single(); ok && n <= maxExponent {
		u := g.powFactors(t.m, n, 1)
		return poly{u.m.key: {g.fit(new(big.Rat).Mul(u.c, g.powRat(t.c, n))), u.m}}
	}
	if len(p) > 1 && n > maxTerms && !p.isNumeric() {
		panic(unreadable("too many terms"))
	}
	out := integer(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			out = g.mul(out, p)
		}
		if n > 1 {
			p = g.mul(p, p)
		}
	}
	return out
}

// isNumeric reports whether p is made of rationals and roots of them.
func (p poly) isNumeric() bool {
	return !p.has(func(f factor) bool { return f.kind != radical })
}

// inverse is 1/t.
func (g *algebra) inverse(t term) term {
	u := g.powFactors(t.m, -1, 1)
	return term{g.fit(new(big.Rat).Quo(u.c, t.c)), u.m}
}

// compareMono is the lexicographic order of exponents over the sorted bases. It
// respects multiplication as long as no radical is carried, which is what exact
// division needs.
func compareMono(a, b mono) int {
	x, y := a.f, b.f
	for len(x) > 0 || len(y) > 0 {
		var order int
		switch {
		case len(y) == 0:
			order = -1
		case len(x) == 0:
			order = 1
		default:
			order = compareBase(x[0], y[0])
		}
		switch {
		case order < 0: // y lacks x's base: its exponent is 0
			if x[0].num > 0 {
				return 1
			}
			return -1
		case order > 0:
			if y[0].num > 0 {
				return -1
			}
			return 1
		}
		if c := cmp.Compare(x[0].num*y[0].den, y[0].num*x[0].den); c != 0 {
			return c
		}
		x, y = x[1:], y[1:]
	}
	return 0
}

// leading is the term with the greatest monomial of a polynomial that is not 0.
func (p poly) leading() term {
	var best term
	for _, t := range p {
		if best.c == nil || compareMono(t.m, best.m) > 0 {
			best = t
		}
	}
	return best
}
