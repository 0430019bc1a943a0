package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Known says which names Parse understands, for help texts and errors.
const Known = "Zn (addition mod n), Dn (dihedral, order 2n), Dicn (dicyclic, order 4n), Q8, S3, S4, " +
	"Mulp (multiplication mod a prime p on 1 … p−1), and products such as Z5xZ6 or S3xZ3"

// Parse makes a group from its name. Factors of a product are separated by x;
// upper and lower case are the same. See Known.
func Parse(name string) (*Group, error) {
	var g *Group
	for _, part := range strings.Split(strings.ToLower(strings.TrimSpace(name)), "x") {
		h, err := parseFactor(part)
		if err == nil && g != nil {
			if h.order > MaxOrder/g.order {
				err = fmt.Errorf("its order is over %d", MaxOrder)
			} else {
				h = product(g, h)
			}
		}
		if err == nil {
			err = h.check()
		}
		if err != nil {
			return nil, fmt.Errorf("group %q: %w: known are %s", name, err, Known)
		}
		g = h
	}
	return g, nil
}

func parseFactor(s string) (*Group, error) {
	switch s {
	case "q8":
		g := dicyclic(2)
		g.name = "Q8"
		return g, nil
	case "s3", "s4":
		return symmetric(int(s[1] - '0')), nil
	}
	at := strings.IndexFunc(s, func(r rune) bool { return r >= '0' && r <= '9' })
	if at < 1 {
		return nil, fmt.Errorf("%q is no name of a group", s)
	}
	n, err := strconv.Atoi(s[at:])
	if err != nil {
		return nil, fmt.Errorf("%q is no number", s[at:])
	}
	least, size := 1, 1
	var make func(int) *Group
	switch s[:at] {
	case "z":
		make = cyclic
	case "d":
		make, size = dihedral, 2
	case "dic":
		make, least, size = dicyclic, 2, 4
	case "mul":
		make, least = multiplicative, 3
		if !prime(n) {
			return nil, fmt.Errorf("%d is no prime, so that some of 1 … %d have no inverse", n, n-1)
		}
	default:
		return nil, fmt.Errorf("%q is no name of a group", s)
	}
	if n < least || n > MaxOrder/size {
		return nil, fmt.Errorf("%s wants a number from %d to %d", s, least, MaxOrder/size)
	}
	return make(n), nil
}

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// build fills a table; name and elements are for people.
func build(name string, n int, mul func(a, b int) int, element func(a int) string) *Group {
	g := &Group{name: name, order: n, table: make([]int, 0, n*n)}
	for a := range n {
		for b := range n {
			g.table = append(g.table, mul(a, b))
		}
		if element != nil {
			g.elements = append(g.elements, element(a))
		}
	}
	return g
}

func cyclic(n int) *Group {
	return build(fmt.Sprintf("Z%d", n), n, func(a, b int) int { return (a + b) % n }, nil)
}

// dihedral is r^i s^e at 2i+e, with rⁿ = s² = 1 and s r = r⁻¹ s.
func dihedral(n int) *Group {
	return build(fmt.Sprintf("D%d", n), 2*n, func(a, b int) int {
		i, e, j, f := a/2, a%2, b/2, b%2
		if e == 1 {
			j = n - j
		}
		return (i+j)%n*2 + (e+f)%2
	}, func(a int) string { return word("r", a/2, "s", a%2) })
}

// dicyclic is a^i b^e at 2i+e, with a²ⁿ = 1, b² = aⁿ and b a = a⁻¹ b.
func dicyclic(n int) *Group {
	m := 2 * n
	return build(fmt.Sprintf("Dic%d", n), 4*n, func(x, y int) int {
		i, e, j, f := x/2, x%2, y/2, y%2
		if e == 1 {
			j = m - j
		}
		return (i+j+e*f*n)%m*2 + (e+f)%2
	}, func(x int) string { return word("a", x/2, "b", x%2) })
}

func word(x string, i int, y string, e int) string {
	var s []string
	switch {
	case i == 1:
		s = append(s, x)
	case i > 1:
		s = append(s, x+strconv.Itoa(i))
	}
	if e == 1 {
		s = append(s, y)
	}
	if len(s) == 0 {
		return "1"
	}
	return strings.Join(s, " ")
}

// multiplicative is 1 … p−1 under multiplication mod p; element i is i+1.
func multiplicative(p int) *Group {
	return build(fmt.Sprintf("Mul%d", p), p-1, func(a, b int) int { return (a+1)*(b+1)%p - 1 },
		func(a int) string { return strconv.Itoa(a + 1) })
}

// symmetric is the permutations of n things in lexicographic order; p·q does q
// first.
func symmetric(n int) *Group {
	var perms [][]int
	var extend func(p []int)
	extend = func(p []int) {
		if len(p) == n {
			perms = append(perms, slices.Clone(p))
			return
		}
		for i := range n {
			if !slices.Contains(p, i) {
				extend(append(p, i))
			}
		}
	}
	extend(make([]int, 0, n))
	return build(fmt.Sprintf("S%d", n), len(perms), func(a, b int) int {
		pq := make([]int, n)
		for i := range n {
			pq[i] = perms[a][perms[b][i]]
		}
		return slices.IndexFunc(perms, func(p []int) bool { return slices.Equal(p, pq) })
	}, func(a int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(perms[a]), " ", ""), "[]") })
}

// product is g × h, the pair (a, b) at a·|h|+b.
func product(g, h *Group) *Group {
	n := h.order
	return build(g.name+"x"+h.name, g.order*n, func(x, y int) int {
		return g.Mul(x/n, y/n)*n + h.Mul(x%n, y%n)
	}, func(x int) string { return "(" + g.Element(x/n) + ", " + h.Element(x%n) + ")" })
}
