package answer

import (
	"slices"
	"strings"
)

// value is what an answer can be. Its rendering is canonical: equal values,
// equal renderings, and the parser reads the rendering as the same value.
type value interface{ render() string }

type (
	// infinite is ∞ or -∞.
	infinite struct{ negative bool }

	// symbolic is a named set: ℤ, ℕ, ℚ, ℂ.
	symbolic string

	// tuple is ordered: a point, a vector, an interval. Brackets are "()",
	// "[]", "[)" or "(]".
	tuple struct {
		brackets string
		items    []value
	}

	// list is unordered: a set or several solutions. Sorted, without
	// duplicates, never of one element; no elements is ∅.
	list struct{ items []value }

	// alternatives are several assignments: "x=1, y=2 or x=2, y=1". Sorted,
	// at least two, not necessarily all assignments.
	alternatives struct{ items []value }

	// assignment maps names to values: "x=1, y=2".
	assignment map[string]value

	// relation is a chain: values[0] ops[0] values[1] …; ops are "=", "≠", "<"
	// and "≤".
	relation struct {
		values []value
		ops    []string
	}

	// matrix holds rows of equal length.
	matrix [][]quotient

	// ratio is 3:4. It is not reduced: it may be a time or a score.
	ratio []quotient

	// union is of intervals, sets and numbers; sorted, at least two.
	union struct{ items []value }
)

func (v infinite) render() string {
	if v.negative {
		return "-∞"
	}
	return "∞"
}

func (v symbolic) render() string { return string(v) }

func (v tuple) render() string { return v.brackets[:1] + renderAll(v.items, ", ") + v.brackets[1:] }

func (v list) render() string {
	if len(v.items) == 0 {
		return "∅"
	}
	return `\{` + renderAll(v.items, ", ") + `\}`
}

func (v alternatives) render() string { return renderAll(v.items, " or ") }

func (v assignment) render() string {
	names := make([]string, 0, len(v))
	for n := range v {
		names = append(names, n)
	}
	slices.Sort(names)
	for i, n := range names {
		names[i] = n + "=" + v[n].render()
	}
	return strings.Join(names, ", ")
}

func (v relation) render() string {
	var b strings.Builder
	b.WriteString(v.values[0].render())
	for i, op := range v.ops {
		b.WriteString(op)
		b.WriteString(v.values[i+1].render())
	}
	return b.String()
}

func (v matrix) render() string {
	var b strings.Builder
	b.WriteString(`\begin{pmatrix}`)
	for i, row := range v {
		if i > 0 {
			b.WriteString(`\\`)
		}
		for j, q := range row {
			if j > 0 {
				b.WriteByte('&')
			}
			b.WriteString(q.render())
		}
	}
	b.WriteString(`\end{pmatrix}`)
	return b.String()
}

func (v ratio) render() string {
	parts := make([]string, len(v))
	for i, q := range v {
		parts[i] = q.render()
	}
	return strings.Join(parts, ":")
}

func (v union) render() string { return renderAll(v.items, " ∪ ") }

func renderAll(items []value, sep string) string {
	var b strings.Builder
	for i, v := range items {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(v.render())
		if b.Len() > maxBytes {
			panic(unreadable("rendering too long"))
		}
	}
	return b.String()
}

// sorted orders values, numbers by size before everything else, and drops
// duplicates.
func sorted(items []value) []value {
	type keyed struct {
		v value
		s string
	}
	all := make([]keyed, len(items))
	total := 0
	for i, v := range items {
		all[i] = keyed{v, v.render()}
		if total += len(all[i].s); total > 4*maxBytes {
			panic(unreadable("rendering too long"))
		}
	}
	slices.SortFunc(all, func(a, b keyed) int {
		x, okX := rationalOf(a.v)
		y, okY := rationalOf(b.v)
		switch {
		case okX && okY:
			return x.Cmp(y)
		case okX:
			return -1
		case okY:
			return 1
		}
		return strings.Compare(a.s, b.s)
	})
	all = slices.CompactFunc(all, func(a, b keyed) bool { return a.s == b.s })
	out := make([]value, len(all))
	for i, k := range all {
		out[i] = k.v
	}
	return out
}

// makeList is the set of the items; nested sets are flattened, and a set of one
// is its element, since "the solutions are {3}" and "3" say the same.
func makeList(items []value) value {
	var flat []value
	for _, v := range items {
		if l, ok := v.(list); ok {
			flat = append(flat, l.items...)
		} else {
			flat = append(flat, v)
		}
	}
	flat = sorted(flat)
	if len(flat) == 1 {
		return flat[0]
	}
	return list{flat}
}

// makeUnion merges what finite parts there are into single elements.
func makeUnion(items []value) value {
	var flat []value
	for _, v := range items {
		switch v := v.(type) {
		case list:
			flat = append(flat, v.items...)
		case union:
			flat = append(flat, v.items...)
		default:
			flat = append(flat, v)
		}
	}
	flat = sorted(flat)
	finite := !slices.ContainsFunc(flat, func(v value) bool {
		switch v.(type) {
		case tuple, symbolic:
			return true
		}
		return false
	})
	switch {
	case len(flat) == 1:
		return flat[0]
	case finite:
		return list{flat}
	}
	return union{flat}
}
