package answer

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func (q quotient) render() string {
	if q.isWhole() {
		return q.num.render()
	}
	return "(" + q.num.render() + ")/(" + q.den.render() + ")"
}

// render writes the terms by falling degree.
func (p poly) render() string {
	if len(p) == 0 {
		return "0"
	}
	type ranked struct {
		term
		degree *big.Rat
	}
	terms := make([]ranked, 0, len(p))
	for _, t := range p {
		terms = append(terms, ranked{t, t.m.degree()})
	}
	slices.SortFunc(terms, func(a, b ranked) int {
		if c := b.degree.Cmp(a.degree); c != 0 {
			return c
		}
		return compareTerms(a.term, b.term)
	})
	var b strings.Builder
	for i, t := range terms {
		s := t.render()
		if i > 0 && s[0] != '-' {
			b.WriteByte('+')
		}
		b.WriteString(s)
		if b.Len() > maxBytes {
			panic(unreadable("rendering too long"))
		}
	}
	return b.String()
}

// compareTerms orders terms of one degree alphabetically, then by growing
// radicals, so that 1+sqrt(2) and x^2+x*y+1 come out as people write them.
func compareTerms(a, b term) int {
	ra, sa := a.m.split()
	rb, sb := b.m.split()
	if c := compareMono(mono{f: sb}, mono{f: sa}); c != 0 {
		return c
	}
	if c := cmp.Compare(len(ra), len(rb)); c != 0 {
		return c
	}
	for i := range ra {
		if c := compareBase(ra[i], rb[i]); c != 0 {
			return c
		}
	}
	return strings.Compare(a.m.key, b.m.key)
}

// degree is the degree in letters, π and functions.
func (m mono) degree() *big.Rat {
	d := new(big.Rat)
	for _, f := range m.f {
		if f.kind == variable || f.kind == function || f.kind == constant {
			d.Add(d, big.NewRat(int64(f.num), int64(f.den)))
		}
	}
	return d
}

// split separates radicals, which come first, from the other factors.
func (m mono) split() (radicals, rest []factor) {
	n := 0
	for n < len(m.f) && m.f[n].kind == radical {
		n++
	}
	return m.f[:n], m.f[n:]
}

func (t term) render() string {
	parts := t.m.render()
	one := t.c.IsInt() && t.c.Num().IsInt64() && (t.c.Num().Int64() == 1 || t.c.Num().Int64() == -1)
	switch {
	case parts == "":
		return t.c.RatString()
	case one && t.c.Sign() > 0:
		return parts
	case one:
		return "-" + parts
	}
	return t.c.RatString() + "*" + parts
}

// render writes a product of factors, empty for the empty product.
func (m mono) render() string {
	var parts []string
	root := big.NewInt(1)
	imaginary := false
	for _, f := range m.f {
		switch {
		case f.kind == radical && f.name == "-1":
			imaginary = true
		case f.kind == radical && f.den == 2:
			n, _ := new(big.Int).SetString(f.name, 10)
			root.Mul(root, n)
		default:
			parts = append(parts, f.render())
		}
	}
	if root.BitLen() > 1 {
		parts = append([]string{"sqrt(" + root.String() + ")"}, parts...)
	}
	if imaginary {
		parts = append([]string{"i"}, parts...)
	}
	return strings.Join(parts, "*")
}

func (f factor) render() string {
	name := f.name
	switch {
	case f.kind == unit:
		name = unitMacro(name)
	case f.num == 1 && f.den == 1:
	case f.kind == function && strings.ContainsAny(name, "^"):
		name = "(" + name + ")"
	}
	return name + f.exponent()
}

func (f factor) exponent() string {
	switch {
	case f.den != 1:
		return "^{" + strconv.Itoa(f.num) + "/" + strconv.Itoa(f.den) + "}"
	case f.num < 0:
		return "^{" + strconv.Itoa(f.num) + "}"
	case f.num > 1:
		return "^" + strconv.Itoa(f.num)
	}
	return ""
}

func rationalOf(v value) (*big.Rat, bool) {
	if q, ok := v.(quotient); ok {
		return q.rational()
	}
	return nil, false
}

// setAside takes the unit out of a value: the product of units that every
// term, or every member of a tuple or list, has in common. A value whose parts
// have different units keeps them.
func (g *algebra) setAside(v value) (value, string) {
	switch v := v.(type) {
	case quotient:
		m, ok := commonUnit(v.num)
		if !ok || len(m.f) == 0 || v.den.has(func(f factor) bool { return f.kind == unit }) {
			return v, ""
		}
		inv := g.inverse(term{ratOne, m})
		return quotient{g.mul(v.num, poly{inv.m.key: inv}), v.den}, renderUnit(m)
	case tuple:
		items, u := g.setAsideAll(v.items)
		return tuple{v.brackets, items}, u
	case list:
		items, u := g.setAsideAll(v.items)
		if u == "" {
			return v, ""
		}
		return makeList(items), u
	}
	return v, ""
}

func (g *algebra) setAsideAll(items []value) ([]value, string) {
	var common string
	out := make([]value, len(items))
	for i, v := range items {
		w, u := g.setAside(v)
		if u == "" || i > 0 && u != common {
			return items, ""
		}
		out[i], common = w, u
	}
	return out, common
}

// commonUnit is the product of units in the terms of p; ok is false if they
// differ or have fractional exponents.
func commonUnit(p poly) (m mono, ok bool) {
	first := true
	for _, t := range p {
		var f []factor
		for _, x := range t.m.f {
			if x.kind == unit {
				if x.den != 1 {
					return mono{}, false
				}
				f = append(f, x)
			}
		}
		u := makeMono(f)
		if !first && u.key != m.key {
			return mono{}, false
		}
		m, first = u, false
	}
	return m, true
}

// renderUnit writes "kg m/s^2": what is multiplied before what is divided by.
func renderUnit(m mono) string {
	var b strings.Builder
	for _, f := range m.f {
		if f.num > 0 {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(f.name + f.exponent())
		}
	}
	above := b.Len() > 0
	for _, f := range m.f {
		if f.num > 0 {
			continue
		}
		if above {
			f.num = -f.num
			b.WriteByte('/')
		} else if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(f.name + f.exponent())
	}
	return b.String()
}
