package li2

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRepulsion: the sign of every b_jl is that of the theorem; of two nodes
// that are nearly equal it is negative.
func TestRepulsion(t *testing.T) {
	s := samples(t, "S3", some(6, 25, 2))
	net := network(6, 8, 0.1, 5)
	for a := range 6 { // node 1 is node 0, a little off
		net.A[a*8+1], net.B[a*8+1] = net.A[a*8]+0.01, net.B[a*8]
	}
	f := s.Hidden(net)
	const eta = 0.05
	b, err := Repulsion(f, eta)
	if err != nil {
		t.Fatal(err)
	}
	for j := range 8 {
		for l := range j {
			r, err := Resemblance(f, eta, j, l)
			if err != nil {
				t.Fatal(err)
			}
			if (b.At(j, l) < 0) != (r > 0) {
				t.Errorf("b_%d%d = %g, resemblance %g", j, l, b.At(j, l), r)
			}
		}
	}
	if b.At(0, 1) >= 0 {
		t.Errorf("two nearly equal nodes have b = %g", b.At(0, 1))
	}
}

// TestTopDownModulation: with the components of S explained, ascents of what
// is left end outside S, where E* is untouched; without, some end inside.
func TestTopDownModulation(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	for _, name := range []string{"Z9", "D5"} {
		s := samples(t, name, nil)
		learned := []int{0, len(s.Parts) - 1}
		var nodes [][]float64
		for _, k := range learned {
			// Enough to span the products of the component's functions of x and y,
			// and their squares.
			for range 2 * (s.Parts[k].Dim*s.Parts[k].Dim + 4*s.Parts[k].Dim) {
				nodes = append(nodes, inside(s.Parts[k], random(rng, 2*s.M)))
			}
		}
		left, err := LeftEnergy(s, Square, s.Hidden(planted(s.M, nodes...)), 1e-6)
		if err != nil {
			t.Fatal(err)
		}
		all := Energy{s, Square, nil}
		before := map[int]int{}
		for range 12 {
			start := random(rng, 2*s.M)
			for i, e := range []Energy{all, left} {
				a := e.Ascend(start, 2000, 1e-8)
				n := NewNodes(s, planted(s.M, a.W))
				k := n.Main[0]
				if i == 0 {
					before[k]++
					continue
				}
				if slices.Contains(learned, k) {
					t.Errorf("%s: an ascent ended in component %s, which is learned", name, s.Parts[k].Label)
				}
				near(t, name+" E/E* outside", a.E/s.Parts[k].MaxEnergy(), 1, 1e-3)
			}
		}
		if before[learned[0]]+before[learned[1]] == 0 {
			t.Errorf("%s: before anything is learned no ascent ended in S either: %v", name, before)
		}
		// A node inside S has nothing to climb.
		w := inside(s.Parts[learned[1]], random(rng, 2*s.M))
		normalise(w)
		if e := left.At(w) / all.At(w); e > 1e-6 {
			t.Errorf("%s: a share of %.2g of the energy inside S is left", name, e)
		}
	}
}

// TestLearned: with the best output layer the components of the planted nodes
// are explained, the others not at all.
func TestLearned(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	s := samples(t, "Z7", nil)
	var nodes [][]float64
	for range 30 {
		nodes = append(nodes, inside(s.Parts[1], random(rng, 14)))
	}
	net := planted(7, nodes...)
	v, err := RidgeV(s.Labels(), s.Hidden(net), 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 7 {
		for j := range 30 {
			net.C[k*30+j] = float32(v.At(j, k))
		}
	}
	l := s.Learned(net)
	near(t, "outside", l[0], 0, 1e-3)
	near(t, "inside", l[1], 1, 1e-3)
	near(t, "outside", l[2], 0, 1e-3)
}
