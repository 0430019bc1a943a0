// Package group is finite groups as multiplication tables: made by name,
// checked, and split into their real irreducible components by the table
// alone (arXiv 2509.21519). It knows nothing of networks.
package group

import (
	"fmt"
	"slices"
)

// MaxOrder bounds the groups that are made by name: a table has order² entries
// and the components take about order³ operations.
const MaxOrder = 1024

// Group is a finite group. It is immutable.
type Group struct {
	name     string
	order    int
	table    []int // table[a*order+b] = a·b
	identity int
	inverse  []int
	elements []string // for people; may be nil
}

// New checks a multiplication table, row a holding a·b for b = 0, 1, …: a
// Latin square with an identity that is associative. The table is copied.
func New(name string, table [][]int) (*Group, error) {
	n := len(table)
	flat := make([]int, 0, n*n)
	for a, row := range table {
		if len(row) != n {
			return nil, fmt.Errorf("table of %s: row %d has %d entries, want %d", name, a, len(row), n)
		}
		flat = append(flat, row...)
	}
	g := &Group{name: name, order: n, table: flat}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("table of %s: %w", name, err)
	}
	return g, nil
}

// Name is how Parse makes the group, such as "Z71" or "Z5xZ6".
func (g *Group) Name() string { return g.name }

// Order is the number of elements, which are 0 … Order()−1.
func (g *Group) Order() int { return g.order }

// Mul is a·b.
func (g *Group) Mul(a, b int) int { return g.table[a*g.order+b] }

// Row is a·b for b = 0, 1, …; it may not be changed.
func (g *Group) Row(a int) []int { return g.table[a*g.order : (a+1)*g.order] }

// Identity is the element e with e·a = a·e = a.
func (g *Group) Identity() int { return g.identity }

// Inverse is a⁻¹.
func (g *Group) Inverse(a int) int { return g.inverse[a] }

// Element is what a stands for, such as "r2 s".
func (g *Group) Element(a int) string {
	if g.elements == nil {
		return fmt.Sprint(a)
	}
	return g.elements[a]
}

// Abelian reports whether a·b = b·a throughout.
func (g *Group) Abelian() bool {
	for a := range g.order {
		for b := range a {
			if g.Mul(a, b) != g.Mul(b, a) {
				return false
			}
		}
	}
	return true
}

// IsSum reports whether the table is that of addition modulo the order, so
// that the elements themselves are the indices of the Fourier transform.
func (g *Group) IsSum() bool {
	for a := range g.order {
		for b, ab := range g.Row(a) {
			if ab != (a+b)%g.order {
				return false
			}
		}
	}
	return true
}

// Classes are the conjugacy classes {h a h⁻¹}, each in ascending order and the
// classes by their smallest elements.
func (g *Group) Classes() [][]int {
	var classes [][]int
	seen := make([]bool, g.order)
	for a := range g.order {
		if seen[a] {
			continue
		}
		var class []int
		for h := range g.order {
			if b := g.Mul(g.Mul(h, a), g.inverse[h]); !seen[b] {
				seen[b] = true
				class = append(class, b)
			}
		}
		slices.Sort(class)
		classes = append(classes, class)
	}
	return classes
}

// check fills in identity and inverses, or says what the table violates.
func (g *Group) check() error {
	n := g.order
	if n == 0 {
		return fmt.Errorf("it is empty: a group has an identity")
	}
	for a := range n {
		row, col := make([]bool, n), make([]bool, n)
		for b := range n {
			x, y := g.Mul(a, b), g.Mul(b, a)
			if x < 0 || x >= n {
				return fmt.Errorf("%d·%d is %d, want 0 to %d", a, b, x, n-1)
			}
			if y < 0 || y >= n {
				return fmt.Errorf("%d·%d is %d, want 0 to %d", b, a, y, n-1)
			}
			if row[x] {
				return fmt.Errorf("row %d holds %d twice: not a Latin square", a, x)
			}
			if col[y] {
				return fmt.Errorf("column %d holds %d twice: not a Latin square", a, y)
			}
			row[x], col[y] = true, true
		}
	}
	g.identity = -1
	for e := range n {
		neutral := true
		for a := 0; a < n && neutral; a++ {
			neutral = g.Mul(e, a) == a && g.Mul(a, e) == a
		}
		if neutral {
			g.identity = e
			break
		}
	}
	if g.identity < 0 {
		return fmt.Errorf("no element e has e·a = a·e = a for all a")
	}
	if err := g.checkAssociative(); err != nil {
		return err
	}
	g.inverse = make([]int, n)
	for a := range n {
		g.inverse[a] = slices.Index(g.Row(a), g.identity)
	}
	return nil
}

// checkAssociative is Light's test: (a·x)·b = a·(x·b) for all a and b, with x
// running over generators only, is as good as for all x.
func (g *Group) checkAssociative() error {
	for _, x := range g.generators() {
		for a := range g.order {
			ax := g.Mul(a, x)
			for b := range g.order {
				if l, r := g.Mul(ax, b), g.Mul(a, g.Mul(x, b)); l != r {
					return fmt.Errorf("(%d·%d)·%d is %d, but %d·(%d·%d) is %d: not associative", a, x, b, l, a, x, b, r)
				}
			}
		}
	}
	return nil
}

// generators finds elements whose repeated products reach everything. It does
// not rely on associativity.
func (g *Group) generators() []int {
	reached := make([]bool, g.order)
	var have, gens []int
	for x := range g.order {
		if reached[x] {
			continue
		}
		gens = append(gens, x)
		reached[x] = true
		have = append(have, x)
		for i := 0; i < len(have); i++ { // close under products of what is there
			for j := 0; j <= i; j++ {
				for _, y := range [2]int{g.Mul(have[i], have[j]), g.Mul(have[j], have[i])} {
					if !reached[y] {
						reached[y] = true
						have = append(have, y)
					}
				}
			}
		}
	}
	return gens
}
