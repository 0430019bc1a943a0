package li2

import (
	"math"
	"slices"
)

// Nodes is how the nodes of a network share the components of its group. It is
// read off the weights alone.
type Nodes struct {
	Q       [][]float64 // (K, parts): share q_jk of component k in node j, of what is not trivial
	Norm    []float64   // ‖w_j‖
	Main    []int       // argmax_k q_jk
	Purity  []float64   // π_j = max_k q_jk; NaN for a node of nothing but constants
	IPR     []float64   // Σ_k q_jk²
	Covered []bool      // by component
	Alive   []bool      // ‖w_j‖ > 0.2·max‖w‖
}

const (
	pure  = 0.8 // of a node that covers its component
	alive = 0.2 // of the largest norm
)

// NewNodes measures p_jk = ‖Π_k w_j^top‖² + ‖Π_k w_j^bottom‖².
func NewNodes(s *Samples, net *Net) *Nodes {
	m, k := s.M, net.K
	n := &Nodes{Q: make([][]float64, k), Norm: make([]float64, k), Main: make([]int, k), Purity: make([]float64, k), IPR: make([]float64, k),
		Covered: make([]bool, len(s.Parts)), Alive: make([]bool, k)}
	for j := range k {
		n.Q[j] = make([]float64, len(s.Parts))
	}
	p := make([]float64, k)
	for _, w := range [][]float32{net.A, net.B} {
		for a := range m {
			for j, x := range w[a*k:][:k] {
				n.Norm[j] += float64(x) * float64(x)
			}
		}
		for c, part := range s.Parts {
			for _, b := range part.Basis {
				clear(p)
				for a, x := range b {
					for j, v := range w[a*k:][:k] {
						p[j] += x * float64(v)
					}
				}
				for j, x := range p {
					n.Q[j][c] += x * x
				}
			}
		}
	}
	largest := 0.0
	for j := range k {
		n.Norm[j] = math.Sqrt(n.Norm[j])
		largest = max(largest, n.Norm[j])
		n.share(j)
	}
	for j := range k {
		n.Alive[j] = n.Norm[j] > alive*largest
		if n.Alive[j] && n.Purity[j] > pure {
			n.Covered[n.Main[j]] = true
		}
	}
	return n
}

// share turns the powers of node j into shares.
func (n *Nodes) share(j int) {
	q, sum := n.Q[j], 0.0
	for _, x := range q {
		sum += x
	}
	for c := range q {
		q[c] /= sum // NaN if there is nothing to share
		n.IPR[j] += q[c] * q[c]
		if q[c] > q[n.Main[j]] {
			n.Main[j] = c
		}
	}
	n.Purity[j] = q[n.Main[j]]
}

// Weighted is P_w = Σ‖w_j‖²π_j/Σ‖w_j‖², NaN if all weights are zero. An
// unweighted median falls towards chance in perfect networks, since decay
// kills most of their nodes.
func (n *Nodes) Weighted() float64 { return n.weighted(n.Purity) }

// WeightedIPR is IPR in the same mean.
func (n *Nodes) WeightedIPR() float64 { return n.weighted(n.IPR) }

func (n *Nodes) weighted(x []float64) float64 {
	sum, weight := 0.0, 0.0
	for j, v := range x {
		if w := n.Norm[j] * n.Norm[j]; w > 0 && !math.IsNaN(v) {
			sum += w * v
			weight += w
		}
	}
	return sum / weight
}

// Coverage is the share of components that a pure node which is alive has.
func (n *Nodes) Coverage() float64 {
	count := 0.0
	for _, c := range n.Covered {
		if c {
			count++
		}
	}
	return count / float64(len(n.Covered))
}

// Living counts the nodes that decay has left.
func (n *Nodes) Living() int {
	count := 0
	for _, a := range n.Alive {
		if a {
			count++
		}
	}
	return count
}

// Order sorts the nodes for drawing: by component, within one the purest first,
// and those that are dead last.
func (n *Nodes) Order() []int {
	order := make([]int, len(n.Main))
	for j := range order {
		order[j] = j
	}
	key := func(j int) float64 { // dead, component, impurity
		k := float64(n.Main[j]) - min(n.Purity[j], 1)/2
		if !n.Alive[j] || math.IsNaN(k) {
			k = float64(len(n.Covered)) + 1 - n.Norm[j]
		}
		return k
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := key(a), key(b)
		switch {
		case n.Alive[a] != n.Alive[b]:
			if n.Alive[a] {
				return -1
			}
			return 1
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return order
}

// Energies are E(w_j/‖w_j‖)/E* of every node, E* being that of its main
// component: on the full table, and on the samples over p² of them. The maxima
// are known for x² alone, so that others have no E*: all NaN.
func (n *Nodes) Energies(full, train *Samples, net *Net) (whole, sampled []float64) {
	whole, sampled = make([]float64, net.K), make([]float64, net.K)
	p := train.Share()
	for j := range whole {
		whole[j], sampled[j] = math.NaN(), math.NaN()
		if net.Act.Name != Square.Name || n.Norm[j] == 0 || math.IsNaN(n.Purity[j]) {
			continue
		}
		w := net.Node(j)
		normalise(w)
		most := full.Parts[n.Main[j]].MaxEnergy()
		whole[j] = Energy{full, net.Act, nil}.At(w) / most
		sampled[j] = Energy{train, net.Act, nil}.At(w) / (p * p * most)
	}
	return whole, sampled
}

// Turned is 1 − cos between the weights of two checkpoints: of the hidden layer
// and of the output layer.
func Turned(a, b *Net) (w, v float64) {
	cos := func(pairs ...[]float32) float64 {
		ab, aa, bb := 0.0, 0.0, 0.0
		for i := 0; i < len(pairs); i += 2 {
			for k, x := range pairs[i] {
				x, y := float64(x), float64(pairs[i+1][k])
				ab += x * y
				aa += x * x
				bb += y * y
			}
		}
		return ab / math.Sqrt(aa*bb)
	}
	return 1 - cos(a.A, b.A, a.B, b.B), 1 - cos(a.C, b.C)
}
