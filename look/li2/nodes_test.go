package li2

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// planted writes nodes w (2M each) to a network.
func planted(m int, nodes ...[]float64) *Net {
	k := len(nodes)
	n := &Net{M: m, K: k, A: make([]float32, m*k), B: make([]float32, m*k), C: make([]float32, m*k), Act: Square}
	for j, w := range nodes {
		for a := range m {
			n.A[a*k+j], n.B[a*k+j] = float32(w[a]), float32(w[m+a])
		}
	}
	return n
}

func TestNodes(t *testing.T) {
	s := samples(t, "S4", nil)
	rng := rand.New(rand.NewPCG(1, 4))
	var nodes [][]float64
	for _, c := range s.Parts {
		w := inside(c, random(rng, 48))
		normalise(w)
		nodes = append(nodes, w)
	}
	parts := len(nodes)
	// One that is dead, one of constants, and one of two components, 3 to 1.
	dead := slices.Clone(nodes[0])
	for i := range dead {
		dead[i] *= 0.1
	}
	constant, mixed := make([]float64, 48), make([]float64, 48)
	for i := range mixed {
		constant[i] = 0.1
		mixed[i] = math.Sqrt(0.75)*nodes[1][i] + math.Sqrt(0.25)*nodes[2][i]
	}
	nodes = append(nodes, dead, constant, mixed)
	net := planted(24, nodes...)
	n := NewNodes(s, net)
	for j := range parts {
		near(t, "purity", n.Purity[j], 1, 1e-6)
		near(t, "norm", n.Norm[j], 1, 1e-6)
		if n.Main[j] != j || !n.Alive[j] {
			t.Errorf("node %d: main component %d, alive %v", j, n.Main[j], n.Alive[j])
		}
	}
	if n.Alive[parts] {
		t.Error("the dead node lives")
	}
	near(t, "mixed purity", n.Purity[parts+2], 0.75, 1e-6)
	near(t, "mixed IPR", n.IPR[parts+2], 0.625, 1e-6)
	near(t, "coverage", n.Coverage(), 1, 0)
	// Without component 0's living node it is not covered.
	few := NewNodes(s, planted(24, nodes[1:parts+1]...))
	near(t, "coverage", few.Coverage(), float64(parts-1)/float64(parts), 1e-12)
	if order := n.Order(); len(order) != parts+3 || order[0] != 0 || order[len(order)-1] != parts {
		t.Errorf("drawn in the order %v", order)
	}

	// On the full table both energies are the same, and those of the planted
	// nodes at most 1.
	whole, sampled := n.Energies(s, s, net)
	for j := range parts {
		near(t, "E/E*", sampled[j], whole[j], 1e-12)
		if !(whole[j] > 0 && whole[j] <= 1+1e-9) {
			t.Errorf("node %d: E/E* = %g", j, whole[j])
		}
	}
	net.Act = Activations[1]
	if whole, _ := n.Energies(s, s, net); !math.IsNaN(whole[0]) {
		t.Error("ReLU has no E*")
	}
}

func TestWeightedPurityIgnoresDeadNodes(t *testing.T) {
	s := samples(t, "Z11", nil)
	rng := rand.New(rand.NewPCG(2, 4))
	var nodes [][]float64
	for _, c := range s.Parts {
		w := inside(c, random(rng, 22))
		normalise(w)
		nodes = append(nodes, w)
	}
	for range 60 {
		w := random(rng, 22)
		normalise(w)
		for i := range w {
			w[i] *= 0.01
		}
		nodes = append(nodes, w)
	}
	n := NewNodes(s, planted(11, nodes...))
	if p := n.Weighted(); p < 0.99 {
		t.Errorf("weighted purity %.3f", p)
	}
	if n.Living() != 5 {
		t.Errorf("%d living nodes, want 5", n.Living())
	}
}

func TestTurned(t *testing.T) {
	a, b := network(5, 4, 1, 1), network(5, 4, 1, 1)
	for i := range b.A {
		b.A[i] *= 3
		b.B[i] *= 3
		b.C[i] *= -1
	}
	w, v := Turned(a, b)
	near(t, "W, longer", w, 0, 1e-12)
	near(t, "V, reversed", v, 2, 1e-12)
}
