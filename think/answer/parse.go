package answer

import (
	"math/big"
	"slices"
)

// parser reads tokens by recursive descent. It gives up by panicking with
// unreadable.
type parser struct {
	algebra
	toks  []token
	i     int
	depth int
	abs   int // open |

	// sign is what ± means in the item being read: it is read once with +1 and,
	// if a ± was met, once more with -1.
	sign    int
	doubled bool
}

func (p *parser) peek() token { return p.toks[p.i] }

func (p *parser) advance() token {
	t := p.toks[p.i]
	if t.kind != tokEnd {
		p.i++
	}
	return t
}

func (p *parser) accept(op string) bool {
	if p.peek().is(op) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expect(op string) {
	if !p.accept(op) {
		panic(unreadable("missing " + op))
	}
}

// enter counts nesting; the result is called on the way out.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxDepth {
		panic(unreadable("nested too deeply"))
	}
	p.spend(5)
	return func() { p.depth-- }
}

func scalar(v value) quotient {
	q, ok := v.(quotient)
	if !ok {
		panic(unreadable("no number where one is needed"))
	}
	return q
}

// sum reads terms joined by signs.
func (p *parser) sum() value {
	v := p.signed(true)
	for {
		t := p.peek()
		if t.kind != tokOp || t.s != "+" && t.s != "-" && t.s != "±" && t.s != "∓" {
			return v
		}
		v = p.addQ(scalar(v), scalar(p.signed(false)))
	}
}

// signed reads a term with its signs; the first of a sum needs none.
func (p *parser) signed(first bool) value {
	sign := 1
	for n := 0; ; n++ {
		switch {
		case p.accept("+"):
		case p.accept("-"):
			sign = -sign
		case p.accept("±"):
			sign *= p.sign
			p.doubled = true
		case p.accept("∓"):
			sign *= -p.sign
			p.doubled = true
		default:
			if n == 0 && !first {
				panic(unreadable("missing sign"))
			}
			v := p.term()
			if sign > 0 {
				return v
			}
			if inf, ok := v.(infinite); ok {
				return infinite{!inf.negative}
			}
			return p.negQ(scalar(v))
		}
	}
}

// term reads factors joined by *, / or nothing. All bind alike and to the left,
// so 1/2x is x/2.
func (p *parser) term() value {
	v := p.power()
	for {
		prev, t := p.toks[p.i-1], p.peek()
		switch {
		case p.accept("*"):
			v = p.times(v, p.operand())
		case p.accept("/"):
			v = p.divQ(scalar(v), scalar(p.operand()))
		case t.kind == tokNum && isCurrency(prev):
			v = p.times(v, p.power())
		case p.startsFactor(t):
			if t.blank && isCapital(prev) && isCapital(t) {
				panic(unreadable("a row of names")) // "A B C" is not C B A
			}
			v = p.times(v, p.power())
		default:
			return v
		}
	}
}

// isCurrency recognises the units that are written before their number.
func isCurrency(t token) bool {
	return t.kind == tokUnit && (t.s == "$" || t.s == "€" || t.s == "£" || t.s == "¥")
}

func isCapital(t token) bool {
	return t.kind == tokVar && len(t.s) == 1 && t.s[0] < 'a'
}

// operand is a factor behind an explicit operator: it may have a sign.
func (p *parser) operand() value {
	if p.accept("-") {
		return p.negQ(scalar(p.power()))
	}
	p.accept("+")
	return p.power()
}

// startsFactor reports whether t can follow a factor without an operator.
func (p *parser) startsFactor(t token) bool {
	switch t.kind {
	case tokVar, tokFunc, tokUnit, tokMacro:
		return t.s != "end"
	case tokOp:
		return t.s == "(" || t.s == "[" || t.s == "{" || t.s == "π" || t.s == "⌊" || t.s == "⌈" || t.s == "|" && p.abs == 0
	}
	return false
}

// times multiplies numbers; a unit behind a tuple or a set belongs to each of
// its members.
func (p *parser) times(a, b value) value {
	q := scalar(b)
	t, one := q.num.single()
	isUnit := one && t.c.Cmp(ratOne) == 0 && !q.num.has(func(f factor) bool { return f.kind != unit })
	each := func(items []value) []value {
		out := make([]value, len(items))
		for i, v := range items {
			out[i] = p.times(v, b)
		}
		return out
	}
	switch a := a.(type) {
	case tuple:
		if isUnit {
			return tuple{a.brackets, each(a.items)}
		}
	case list:
		if isUnit && len(a.items) > 0 {
			return makeList(each(a.items))
		}
	}
	if isUnit && len(scalar(a).num) == 0 && q.num.has(func(f factor) bool { return f.name == "°C" || f.name == "°F" }) {
		panic(unreadable("zero of a scale")) // 0 °C is not 0 °F
	}
	return p.mulQ(scalar(a), q)
}

// power reads one factor with its exponents and factorials.
func (p *parser) power() value {
	v := p.primary()
	for {
		switch {
		case p.accept("^"):
			v = p.raise(scalar(v), p.exponent())
		case p.peek().is("!") && !p.toks[p.i+1].is("!"):
			p.i++
			v = p.factorial(scalar(v))
		default:
			return v
		}
	}
}

// exponent reads what follows ^. A number is taken whole: models write 2^10.
func (p *parser) exponent() quotient {
	defer p.enter()()
	if p.accept("-") {
		return p.negQ(p.exponent())
	}
	p.accept("+")
	return scalar(p.primary())
}

// primary reads a factor without exponents.
func (p *parser) primary() value {
	t := p.advance()
	switch t.kind {
	case tokNum:
		return p.numeral(t)
	case tokVar:
		if t.s == "i" {
			f := []factor{{radical, "-1", 1, 2}}
			m := makeMono(f)
			return whole(poly{m.key: {ratOne, m}})
		}
		return whole(symbol(variable, t.s))
	case tokUnit:
		return whole(symbol(unit, t.s))
	case tokFunc:
		return p.function(t.s)
	case tokMacro:
		return p.macro(t.s)
	case tokOp:
		switch t.s {
		case "π":
			return whole(symbol(constant, "pi"))
		case "∞":
			return infinite{}
		case "∅":
			return list{}
		case "ℝ":
			return tuple{"()", []value{infinite{true}, infinite{}}}
		case "ℤ", "ℕ", "ℚ", "ℂ":
			return symbolic(t.s)
		case "(", "[", `\{`, "{":
			return p.bracket(t.s)
		case "|":
			defer p.enter()()
			p.abs++
			arg := scalar(p.sum())
			p.abs--
			p.expect("|")
			return p.apply("abs", arg)
		case "⌊", "⌈":
			defer p.enter()()
			arg := scalar(p.sum())
			if t.s == "⌊" {
				p.expect("⌋")
				return p.apply("floor", arg)
			}
			p.expect("⌉")
			return p.apply("ceil", arg)
		}
	}
	panic(unreadable("unexpected " + t.s))
}

// numeral reads what makes one number of several tokens: a mixed number or a
// base.
func (p *parser) numeral(t token) value {
	v := whole(number(t.r))
	next := p.peek()
	switch {
	case t.s == "":
	case next.is("_"):
		// 1010_2 stays a name of its own: the digits are not decimal.
		p.i++
		base, ok := scalar(p.texArgument()).rational()
		if !ok || !base.IsInt() {
			panic(unreadable("base of a number"))
		}
		return whole(symbol(function, t.s+"_{"+base.RatString()+"}"))
	case next.kind == tokMacro && next.s == "frac":
		from := p.i
		p.i++
		f := p.macro("frac")
		literal := !slices.ContainsFunc(p.toks[from+1:p.i], func(t token) bool {
			return t.kind != tokNum && !t.is("{") && !t.is("}")
		})
		if c, ok := f.(quotient).rational(); ok && literal && c.Sign() > 0 && c.Cmp(ratOne) < 0 {
			return p.addQ(v, f.(quotient)) // 1\frac{1}{2}
		}
		return p.times(v, f)
	case next.kind == tokNum && next.s != "" && next.blank && p.toks[p.i+1].is("/") && p.toks[p.i+2].kind == tokNum:
		den := p.toks[p.i+2]
		if den.s != "" && next.r.Sign() > 0 && next.r.Cmp(den.r) < 0 { // 1 1/2
			p.i += 3
			return whole(number(p.fit(new(big.Rat).Add(t.r, new(big.Rat).Quo(next.r, den.r)))))
		}
	}
	return v
}

// macro reads the arguments of a TeX macro.
func (p *parser) macro(name string) value {
	defer p.enter()()
	switch name {
	case "frac":
		a := scalar(p.texArgument())
		return p.divQ(a, scalar(p.texArgument()))
	case "binom":
		a := scalar(p.texArgument())
		return p.binomial(a, scalar(p.texArgument()))
	case "sqrt":
		n := 2
		if p.accept("[") {
			c, ok := scalar(p.sum()).rational()
			p.expect("]")
			if !ok || !c.IsInt() || c.Sign() <= 0 || c.Cmp(big.NewRat(maxExponent, 1)) > 0 {
				panic(unreadable("index of a root"))
			}
			n = int(c.Num().Int64())
		}
		if p.peek().is("(") {
			return p.raise(scalar(p.primary()), reciprocal(n))
		}
		return p.raise(scalar(p.texArgument()), reciprocal(n))
	case "unit":
		p.expect("{")
		u := scalar(p.term())
		p.expect("}")
		if u.num.has(func(f factor) bool { return f.kind != unit }) || !u.isWhole() {
			panic(unreadable("unit"))
		}
		return u
	case "begin":
		return p.matrix()
	}
	panic(unreadable("macro " + name))
}

func reciprocal(n int) quotient { return whole(number(big.NewRat(1, int64(n)))) }

// texArgument reads an argument as TeX does: a group, or a single token, of a
// number one digit only.
func (p *parser) texArgument() value {
	t := &p.toks[p.i]
	if t.kind == tokNum {
		if len(t.s) < 2 {
			p.i++
			if t.s == "" {
				panic(unreadable("decimal as an argument"))
			}
			return whole(number(t.r))
		}
		// The token is replaced, not changed: the text may be read again for ±.
		digit, rest := int64(t.s[0]-'0'), token{kind: tokNum, s: t.s[1:]}
		rest.r, _ = new(big.Rat).SetString(rest.s)
		p.toks = slices.Concat(p.toks[:p.i], []token{{kind: tokNum, s: t.s[:1], r: big.NewRat(digit, 1), blank: t.blank}, rest}, p.toks[p.i+1:])
		return p.texArgument()
	}
	if t.is("-") || t.is("+") {
		panic(unreadable("sign as an argument"))
	}
	return p.primary()
}

// function reads the argument of a function, with what stands between: \sin^2 x,
// \log_2 8.
func (p *parser) function(name string) value {
	defer p.enter()()
	if (name == "log" || name == "ln") && p.accept("_") {
		name += "_{" + scalar(p.texArgument()).render() + "}"
	}
	var exp quotient
	raised := p.accept("^")
	if raised {
		exp = p.exponent()
		if c, ok := exp.rational(); !ok || c.Sign() < 0 { // sin^{-1} is no power
			panic(unreadable("exponent of a function"))
		}
	}
	var arg value
	if t := p.peek(); t.is("(") || t.is("{") || t.is("[") {
		arg = p.primary()
	} else {
		arg = p.power()
		for p.startsFactor(p.peek()) && p.peek().kind != tokFunc {
			arg = p.times(arg, p.power())
		}
	}
	v := p.apply(name, scalar(arg))
	if raised {
		v = p.raise(v, exp)
	}
	return v
}

// matrix reads the rows of a matrix behind its \begin.
func (p *parser) matrix() value {
	var m matrix
	row := []quotient{scalar(p.sum())}
	for {
		switch {
		case p.accept("&"):
			row = append(row, scalar(p.sum()))
		case p.accept(`\\`):
			m = append(m, row)
			row = nil
			if t := p.peek(); t.kind != tokMacro || t.s != "end" {
				row = []quotient{scalar(p.sum())}
			}
		default:
			if t := p.advance(); t.kind != tokMacro || t.s != "end" {
				panic(unreadable("matrix without end"))
			}
			if row != nil {
				m = append(m, row)
			}
			for _, r := range m {
				if len(r) != len(m[0]) {
					panic(unreadable("rows of different lengths"))
				}
			}
			return m
		}
	}
}
