package circuit

import (
	"fmt"
	"strconv"
	"strings"

	"orrery/look/group"
)

// knownTables says which names parseTable understands.
const knownTables = group.Known + "; ModP (x·y mod a prime P, x from 0, y from 1) and DivP (x/y mod P)"

// table is what a network learns: the pairs (x, y), numbered x·cols+y, and what
// each makes. Elements are tokens 0 … elements−1.
type table struct {
	name       string
	elements   int
	rows, cols int
	first      int // the element of column 0
	answer     []int
	group      *group.Group // whose components the elements' functions have
	groupFrom  int          // the element that is the group's first
}

func (t *table) pairs() int { return t.rows * t.cols }

// pair are the elements of a pair.
func (t *table) pair(p int) (x, y int) { return p / t.cols, t.first + p%t.cols }

func parseTable(name string) (*table, error) {
	low := strings.ToLower(strings.TrimSpace(name))
	for _, kind := range []string{"mod", "div"} {
		if rest, ok := strings.CutPrefix(low, kind); ok {
			p, err := strconv.Atoi(rest)
			if err != nil {
				return nil, fmt.Errorf("table %q: %q is no number: known are %s", name, rest, knownTables)
			}
			return modular(kind, p)
		}
	}
	g, err := group.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("table %q is none of %s", name, knownTables)
	}
	m := g.Order()
	t := &table{name: g.Name(), elements: m, rows: m, cols: m, group: g}
	for x := range m {
		for y := range m {
			t.answer = append(t.answer, g.Mul(x, y))
		}
	}
	return t, nil
}

// modular is x·y or x/y mod a prime p, of x = 0 … p−1 and y = 1 … p−1.
func modular(kind string, p int) (*table, error) {
	units, err := group.Parse(fmt.Sprintf("Mul%d", p))
	if err != nil {
		return nil, err
	}
	t := &table{name: fmt.Sprintf("%s%d", strings.ToUpper(kind[:1])+kind[1:], p), elements: p, rows: p, cols: p - 1, first: 1, group: units, groupFrom: 1}
	for x := range p {
		for y := 1; y < p; y++ {
			z := 0
			switch {
			case x == 0:
			case kind == "mod":
				z = 1 + units.Mul(x-1, y-1)
			default:
				z = 1 + units.Mul(x-1, units.Inverse(y-1))
			}
			t.answer = append(t.answer, z)
		}
	}
	return t, nil
}
