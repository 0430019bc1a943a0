package cogs

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestConstructions(t *testing.T) {
	for _, c := range []struct {
		name  string
		d     []int
		nodes func(d int) int
	}{
		{"F6", []int{3, 5, 9, 11, 15}, func(d int) int { return 3 * (d - 1) }},
		{"F6i", []int{3, 5, 9, 11, 15}, func(d int) int { return 3 * (d - 1) }},
		{"F46", []int{3, 5, 9, 11, 15, 23}, func(d int) int { return 2 * d }},
		{"memorise", []int{3, 5, 9}, func(d int) int { return d * d }},
	} {
		for _, d := range c.d {
			b, err := Build(c.name, d, Generic)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s at d=%d", c.name, d)
			if b.Q != c.nodes(d) || len(b.Frequency) != b.Q {
				t.Errorf("%s has %d nodes, want %d", name, b.Q, c.nodes(d))
			}
			loss, accuracy := b.Weights().Table()
			near(t, name+": loss", loss, 0, 1e-25) // squares of some 1e-15
			near(t, name+": accuracy", accuracy, 1, 0)
		}
	}
}

// F4 is no solution, nor is F4/6 without its bias. Σ aā c = Σ b b̄ c = Σ c over
// four nodes with c = (1, i)·(1, 1), |Σ c| = 2√2, is all that stays, relative to
// |Σabc| = 4: |G_k(0,0)|² = (2·2√2/4)² = 2 at all d−1 frequencies.
func TestWhatStaysOfF4(t *testing.T) {
	for _, d := range []int{5, 7, 9, 11, 13, 23} {
		b, err := Build("F4", d, Generic)
		if err != nil {
			t.Fatal(err)
		}
		loss, _ := b.Weights().Table()
		near(t, fmt.Sprintf("F4 at d=%d: loss", d), loss, 2*(1-1/float64(d)), 1e-12)
		z := b.Element(1, []int{0, 1, 2, 3})
		near(t, "Rn", z.Largest(Rn), math.Sqrt2/2, 1e-12)
		near(t, "Rc", z.Largest(Rc), 0, 1e-12)
		near(t, "R*", z.Largest(RStar), 0, 1e-12)
	}
	b, err := Build("F46-unbiased", 11, Generic)
	if err != nil {
		t.Fatal(err)
	}
	if loss, _ := b.Weights().Table(); loss < 0.1 {
		t.Errorf("F4/6 without bias has loss %g", loss)
	}
}

// Every node is needed, and which monomials say so.
func TestRemovingANodeBreaks(t *testing.T) {
	for _, name := range []string{"F6", "F6i", "F46", "memorise"} {
		b, err := Build(name, 5, Generic)
		if err != nil {
			t.Fatal(err)
		}
		for j := range b.Q {
			r, err := b.Remove(j)
			if err != nil {
				t.Fatal(err)
			}
			// The least is a pair that memorise no longer knows: (1 − 1/d)/d².
			if r.Loss < 0.8/25-1e-9 {
				t.Errorf("%s without node %d has loss %g", name, j, r.Loss)
			}
			if r.Frequency > 0 && len(r.Broken) == 0 {
				t.Errorf("%s without node %d breaks no monomial", name, j)
			}
		}
	}
	b, _ := Build("F6", 5, Generic)
	r, err := b.Remove(4)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "r[k,k,k] of five nodes out of six", real(r.R), 5.0/6, 1e-12)
	if len(r.Broken) != 9 { // all of Rc, Rn and R*
		t.Errorf("one node of F6 breaks %d monomials", len(r.Broken))
	}
	for _, v := range r.Broken {
		near(t, v.Name, v.Relative, 1.0/6, 1e-12)
	}
	if _, err := b.Remove(b.Q); err == nil {
		t.Error("a node that isn't there is removed")
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		d    int
	}{{"F6", 4}, {"F6", 1}, {"F5", 5}, {"memorise", 101}} {
		if _, err := Build(c.name, c.d, Generic); err == nil {
			t.Errorf("%s at d=%d is built", c.name, c.d)
		}
	}
}

func TestBuiltBlocks(t *testing.T) {
	for _, c := range Constructions {
		b, err := Build(c.Name, 5, Generic)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := b.Blocks()
		if err != nil {
			t.Fatal(err)
		}
		page := render(t, blocks)
		if strings.Contains(page, "<td>no</td>") || !strings.Contains(page, "<td>yes</td>") {
			t.Errorf("the page of %s says that theory and measurement disagree, or nothing", c.Name)
		}
		if !strings.Contains(page, "without node 5") || !strings.Contains(page, "z_syn,αβ") {
			t.Errorf("the page of %s removes no node or names no parts", c.Name)
		}
	}
}
