package group

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var several = []string{"Z1", "Z2", "Z5", "Z12", "Z3xZ4", "Z2xZ2xZ9", "D3", "D4", "D7", "Dic2", "Dic3", "Dic5", "Q8", "S3", "S4", "S3xZ3", "Mul7", "Mul13"}

func parse(t *testing.T, name string) *Group {
	t.Helper()
	g, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestAxioms checks every axiom by brute force, apart from check.
func TestAxioms(t *testing.T) {
	for _, name := range several {
		g := parse(t, name)
		n, e := g.Order(), g.Identity()
		for a := range n {
			if g.Mul(a, e) != a || g.Mul(e, a) != a || g.Mul(a, g.Inverse(a)) != e || g.Mul(g.Inverse(a), a) != e {
				t.Fatalf("%s: identity or inverse of %d", name, a)
			}
			for b := range n {
				for c := range n {
					if g.Mul(g.Mul(a, b), c) != g.Mul(a, g.Mul(b, c)) {
						t.Fatalf("%s: (%d·%d)·%d", name, a, b, c)
					}
				}
			}
		}
	}
}

func TestOrdersAndRelations(t *testing.T) {
	for name, want := range map[string]struct {
		order, classes int
		abelian        bool
	}{
		"Z12": {12, 12, true}, "Z3xZ4": {12, 12, true}, "Z2xZ2xZ9": {36, 36, true},
		"D4": {8, 5, false}, "D7": {14, 5, false}, "Dic3": {12, 6, false}, "Q8": {8, 5, false},
		"S3": {6, 3, false}, "S4": {24, 5, false}, "S3xZ3": {18, 9, false}, "Mul13": {12, 12, true},
	} {
		g := parse(t, name)
		if g.Order() != want.order || len(g.Classes()) != want.classes || g.Abelian() != want.abelian {
			t.Errorf("%s: order %d, %d classes, abelian %v; want %+v", name, g.Order(), len(g.Classes()), g.Abelian(), want)
		}
	}
	d, r, s := parse(t, "D7"), 2, 1
	if d.Mul(s, r) != d.Mul(d.Inverse(r), s) || d.Mul(s, s) != d.Identity() {
		t.Error("D7: s r = r⁻¹ s or s² = 1 does not hold")
	}
	q, a, b := parse(t, "Dic3"), 2, 1
	if q.Mul(b, a) != q.Mul(q.Inverse(a), b) || q.Mul(b, b) != q.Mul(a, q.Mul(a, a)) {
		t.Error("Dic3: b a = a⁻¹ b or b² = a³ does not hold")
	}
	m := parse(t, "Mul7") // 3·5 = 15 = 1 mod 7
	if m.Element(m.Mul(2, 4)) != "1" {
		t.Errorf("Mul7: 3·5 = %s", m.Element(m.Mul(2, 4)))
	}
}

// TestCheckFinds breaks tables in each way.
func TestCheckFinds(t *testing.T) {
	for want, table := range map[string][][]int{
		"empty":         {},
		"row 1 has 1":   {{0, 1}, {1}},
		"want 0 to 1":   {{0, 2}, {1, 0}},
		"Latin square":  {{0, 1}, {0, 1}},
		"e·a = a·e = a": {{1, 0, 2}, {0, 2, 1}, {2, 1, 0}},
		// The smallest loop that is not a group: every element but the identity is
		// its own inverse, and 5 is odd.
		"not associative": {{0, 1, 2, 3, 4}, {1, 0, 3, 4, 2}, {2, 4, 0, 1, 3}, {3, 2, 4, 0, 1}, {4, 3, 1, 2, 0}},
	} {
		if _, err := New("x", table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want one with %q", table, err, want)
		}
	}
	if _, err := New("x", [][]int{{0, 1}, {1, 0}}); err != nil {
		t.Error(err)
	}
}

func TestParseErrors(t *testing.T) {
	for name, want := range map[string]string{
		"": "no name", "Z": "no name", "Z0": "from 1 to", "Z99999": "from 1 to", "Q9": "no name", "S5": "no name",
		"Dic1": "from 2 to", "Mul9": "no prime", "Z5x": "no name", "Z5*Z6": "no number", "Z500xZ500": "over 1024",
	} {
		if _, err := Parse(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "known are") {
			t.Errorf("%q: error %v, want one with %q", name, err, want)
		}
	}
	if g := parse(t, " z5XZ6 "); g.Name() != "Z5xZ6" {
		t.Errorf("name %q", g.Name())
	}
}

// TestComponents: dimensions add up to the order, projectors are idempotent,
// add up to the identity, and commute with the group on either side.
func TestComponents(t *testing.T) {
	for _, name := range several {
		g := parse(t, name)
		n := g.Order()
		cs, err := g.Components()
		if err != nil {
			t.Fatal(err)
		}
		sum, total := 0, make([]float64, n*n)
		for i, c := range cs {
			if c.Trivial() != (i == 0) {
				t.Errorf("%s: component %d trivial: %v", name, i, c.Trivial())
			}
			sum += c.Dim
			p := c.Projector()
			for j, x := range p {
				total[j] += x
			}
			for a := range n {
				for b := range n {
					pp := 0.0
					for k := range n {
						pp += p[a*n+k] * p[k*n+b]
					}
					if math.Abs(pp-p[a*n+b]) > 1e-9 { // Jacobi leaves about 1e-14·n
						t.Fatalf("%s, component %d: Π² differs from Π by %g", name, i, pp-p[a*n+b])
					}
					for h := range n {
						if math.Abs(p[g.Mul(h, a)*n+g.Mul(h, b)]-p[a*n+b]) > 1e-9 || math.Abs(p[g.Mul(a, h)*n+g.Mul(b, h)]-p[a*n+b]) > 1e-9 {
							t.Fatalf("%s, component %d: Π does not commute with %d", name, i, h)
						}
					}
				}
			}
		}
		if sum != n {
			t.Errorf("%s: dimensions add up to %d, want %d", name, sum, n)
		}
		for i, x := range total {
			want := 0.0
			if i%(n+1) == 0 {
				want = 1
			}
			if math.Abs(x-want) > 1e-9 {
				t.Fatalf("%s: ΣΠ is not the identity at %d: %g", name, i, x)
			}
		}
	}
}

// TestTypes holds types and degrees to the character tables.
func TestTypes(t *testing.T) {
	for name, want := range map[string]string{
		"Z5":    "1r 1c 1c",
		"Z6":    "1r 1c 1c 1r",
		"Z2xZ3": "1r 1r 1c 1c",
		"D4":    "1r 1r 1r 1r 2r",
		"D5":    "1r 1r 2r 2r",
		"Q8":    "1r 1r 1r 1r 2q",
		"Dic3":  "1r 1r 1c 2r 2q",
		"S3":    "1r 1r 2r",
		"S4":    "1r 1r 2r 3r 3r",
		"S3xZ3": "1r 1r 1c 1c 2r 2c",
		"Mul7":  "1r 1r 1c 1c",
	} {
		cs, err := parse(t, name).Components()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cs {
			got = append(got, string(rune('0'+c.Degree))+string(c.Type[0]))
			dim := c.Degree * c.Degree
			if c.Type == ComplexPair {
				dim *= 2
			}
			if c.Dim != dim {
				t.Errorf("%s: degree %d, %s, dimension %d", name, c.Degree, c.Type, c.Dim)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", name, s, want)
		}
	}
}

// TestSplitFindsFourier: the general way, forced upon Z_n, finds the
// frequencies.
func TestSplitFindsFourier(t *testing.T) {
	g := parse(t, "Z12")
	cs, err := g.split(0)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	w := make([]float64, 12)
	for i := range w {
		w[i] = rng.NormFloat64()
	}
	powers := func(cs []Component) (p []float64) {
		for _, c := range cs {
			p = append(p, c.Power(w))
		}
		slices.Sort(p)
		return p
	}
	for i, p := range powers(g.fourier()) {
		if q := powers(cs)[i]; math.Abs(p-q) > 1e-10 {
			t.Errorf("power %d: %g by frequencies, %g by eigenspaces", i, p, q)
		}
	}
}

func TestMaxEnergy(t *testing.T) {
	for name, want := range map[string][]float64{"Z6": {3, 1.5, 1.5, 3}, "Q8": {4, 4, 4, 4, 1}, "S3": {3, 3, 1.5}} {
		cs, _ := parse(t, name).Components()
		for i, c := range cs {
			if c.MaxEnergy() != want[i] {
				t.Errorf("%s, component %d: %g, want %g", name, i, c.MaxEnergy(), want[i])
			}
		}
	}
}
