package answer

import "math/big"

// named is an item of a list: "x=3" has the name x.
type named struct {
	name string
	v    value
}

// answer reads everything: alternatives divided by "or", each a row of items
// divided by commas, semicolons or "and".
func (p *parser) answer() value {
	var rows [][]named
	for {
		rows = append(rows, p.row())
		if !p.accept("or") {
			break
		}
	}
	if p.peek().kind != tokEnd {
		panic(unreadable("unexpected " + p.peek().s))
	}
	names := make(map[string]bool)
	var all []named
	for _, row := range rows {
		for _, it := range row {
			if it.name != "" {
				names[it.name] = true
			}
		}
		all = append(all, row...)
	}
	if len(names) <= 1 || len(rows) == 1 {
		return p.assemble(all, true)
	}
	// "x=1, y=2 or x=2, y=1"
	out := make([]value, len(rows))
	for i, row := range rows {
		a := make(assignment)
		for _, it := range row {
			if it.name == "" || a[it.name] != nil {
				panic(unreadable("alternatives of different kinds"))
			}
			a[it.name] = it.v
		}
		out[i] = a
	}
	if out = sorted(out); len(out) == 1 {
		return p.assemble(rows[0], true)
	}
	return alternatives{out}
}

// row reads items up to "or" or the end, each twice if it has a ±.
func (p *parser) row() []named {
	var row []named
	for {
		from := p.i
		p.sign, p.doubled = 1, false
		row = append(row, p.item())
		if p.doubled {
			p.i, p.sign = from, -1
			row = append(row, p.item())
		}
		if !p.accept(",") && !p.accept(";") && !p.accept("and") {
			return row
		}
		if p.accept("and") || p.peek().is("or") { // "1, 2, or 3"
			if p.peek().is("or") {
				return row
			}
		}
	}
}

// item reads one member of a list: an expression or a relation, with the name
// in front taken off.
func (p *parser) item() named {
	defer p.enter()()
	if t := p.peek(); t.kind == tokUnit && !isCurrency(t) {
		panic(unreadable("a unit without a number"))
	}
	var it named
	for {
		n, name := p.name()
		if n == 0 {
			break
		}
		if it.name != "" { // x = y = 2
			panic(unreadable("two names"))
		}
		p.i += n
		it.name = name
	}
	values := []value{p.unionOf()}
	var ops []string
	for {
		t := p.peek()
		if t.kind != tokOp || t.s != "=" && t.s != "≠" && t.s != "<" && t.s != "≤" && t.s != ">" && t.s != "≥" {
			break
		}
		p.i++
		ops = append(ops, t.s)
		values = append(values, p.unionOf())
	}
	if len(ops) == 0 {
		it.v = values[0]
		return it
	}
	return p.relate(it, values, ops)
}

// name finds a name with its sign at the next token: x=, AB=, x_1=, f(x)=, x∈.
// It returns the number of tokens, 0 if there is none.
func (p *parser) name() (n int, name string) {
	toks := p.toks[p.i:]
	if toks[0].kind != tokVar {
		return 0, ""
	}
	name = toks[0].s
	n = 1
	switch {
	case toks[1].kind == tokVar && !toks[1].blank:
		name += toks[1].s
		n = 2
	case toks[1].is("(") && toks[2].kind == tokVar && toks[3].is(")"):
		name += "(" + toks[2].s + ")"
		n = 4
	}
	if toks[n].is("=") || toks[n].is("∈") {
		return n + 1, name
	}
	return 0, ""
}

// relate makes one value of a chain of relations.
func (p *parser) relate(it named, values []value, ops []string) named {
	equations := true
	for _, op := range ops {
		equations = equations && op == "="
	}
	switch {
	case equations:
		same := true
		for _, v := range values[1:] {
			same = same && v.render() == values[0].render()
		}
		if same { // 1+1=2
			it.v = values[0]
			return it
		}
		if it.name != "" || len(values) > 2 {
			panic(unreadable("a chain of different values"))
		}
		if name, ok := plainName(values[1]); ok { // 5=x
			return named{name, values[0]}
		}
		if allNames(values[0]) { // (x,y)=(1,2)
			if t, ok := values[1].(tuple); ok && len(t.items) == len(values[0].(tuple).items) {
				return named{"", t}
			}
		}
		return p.equation(scalar(values[0]), scalar(values[1]))
	case it.name != "":
		panic(unreadable("a name and an inequality"))
	}
	// All signs are turned towards <.
	turned := 0
	for i, op := range ops {
		if less := map[string]string{">": "<", "≥": "≤"}[op]; less != "" {
			ops[i] = less
			turned++
		} else if op != "<" && op != "≤" {
			if len(ops) > 1 {
				panic(unreadable("a chain of different relations"))
			}
			if values[0].render() > values[1].render() { // a≠b is b≠a
				turned = 1
			}
		}
	}
	if turned != 0 && turned != len(ops) {
		panic(unreadable("a chain of different relations"))
	}
	if turned != 0 {
		for i, j := 0, len(values)-1; i < j; i, j = i+1, j-1 {
			values[i], values[j] = values[j], values[i]
		}
		for i, j := 0, len(ops)-1; i < j; i, j = i+1, j-1 {
			ops[i], ops[j] = ops[j], ops[i]
		}
	}
	return named{"", relation{values, ops}}
}

// equation brings a=b into the form P=0 with coprime integer coefficients.
func (p *parser) equation(a, b quotient) named {
	d := p.addQ(a, p.negQ(b))
	if _, ok := d.rational(); ok || len(d.num) == 0 {
		panic(unreadable("an equation without unknowns"))
	}
	lhs := whole(p.scale(d.num, primitive(d.num)))
	if !d.isWhole() {
		lhs.den = d.den
	}
	if name, ok := plainName(lhs); ok { // 2x=0
		return named{name, whole(poly{})}
	}
	return named{"", relation{[]value{lhs, whole(poly{})}, []string{"="}}}
}

// unionOf reads expressions joined by ∪ or by colons.
func (p *parser) unionOf() value {
	from := p.i
	v := p.sum()
	if p.peek().is(":") {
		r := ratio{scalar(v)}
		for p.accept(":") {
			r = append(r, scalar(p.sum()))
		}
		for _, t := range p.toks[from:p.i] {
			if len(t.s) > 1 && t.s[0] == '0' {
				panic(unreadable("a time")) // 12:05 is not 12:5
			}
		}
		return r
	}
	if !p.peek().is("∪") {
		return v
	}
	items := []value{v}
	for p.accept("∪") {
		items = append(items, p.sum())
	}
	for _, v := range items {
		switch v.(type) {
		case quotient, tuple, list, symbolic, union:
		default:
			panic(unreadable("a union of no sets"))
		}
	}
	return makeUnion(items)
}

// assemble makes one value of a list of items. One name, however often, is
// dropped; with several, every item needs one. Items without a name take that
// of the item before: "x=1, 2".
func (p *parser) assemble(items []named, bare bool) value {
	last := ""
	byName := make(map[string][]value)
	var values []value
	for i, it := range items {
		if it.name == "" {
			it.name = last
		} else if last == "" && i > 0 {
			panic(unreadable("a name after items without"))
		}
		last = it.name
		byName[last] = append(byName[last], it.v)
		values = append(values, it.v)
		switch it.v.(type) {
		case assignment, alternatives:
			panic(unreadable("an assignment in a list"))
		}
	}
	if len(byName) == 1 {
		if bare {
			p.shareUnit(values)
		}
		return makeList(values)
	}
	a := make(assignment, len(byName))
	for n, vs := range byName {
		a[n] = makeList(vs)
		if _, ok := a[n].(relation); ok {
			panic(unreadable("a relation as a value"))
		}
	}
	return a
}

// shareUnit gives the unit of the last item to all: "5 or 6 cm".
func (p *parser) shareUnit(values []value) {
	n := len(values) - 1
	if n == 0 {
		return
	}
	q, ok := values[n].(quotient)
	if !ok {
		return
	}
	m, ok := commonUnit(q.num)
	if !ok || len(m.f) == 0 {
		return
	}
	for _, v := range values[:n] {
		if q, ok := v.(quotient); !ok || q.num.has(func(f factor) bool { return f.kind == unit }) {
			return
		}
	}
	by := whole(poly{m.key: {big.NewRat(1, 1), m}})
	for i, v := range values[:n] {
		values[i] = p.mulQ(v.(quotient), by)
	}
}

// bracket reads what follows an opening bracket: a group, a tuple, an interval
// or a set.
func (p *parser) bracket(open string) value {
	defer p.enter()()
	if open == `\{` && p.accept(`\}`) {
		return list{}
	}
	abs := p.abs
	p.abs = 0
	var items []named
	for {
		items = append(items, p.item())
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.abs = abs
	end := p.advance()
	if end.kind != tokOp {
		panic(unreadable("a bracket without end"))
	}
	switch open + end.s {
	case "{}", `\{\}`:
		if len(items) == 1 && open == "{" && items[0].name == "" {
			return items[0].v
		}
		return p.assemble(items, false)
	case "()", "[]", "[)", "(]":
	default:
		panic(unreadable("brackets that do not match"))
	}
	if len(items) == 1 {
		if open+end.s == "[)" || open+end.s == "(]" {
			panic(unreadable("an interval of one end"))
		}
		return items[0].v
	}
	values := make([]value, len(items))
	for i, it := range items {
		if it.name != "" {
			panic(unreadable("a name in a tuple"))
		}
		values[i] = it.v
	}
	return tuple{open + end.s, values}
}
