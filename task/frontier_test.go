package task

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// walks counts, by writing all of them out, the walks from a node: visit gets each,
// as the list of its nodes.
func walks(g *Graph, edges int, visit func(path []int)) {
	var extend func(path []int)
	extend = func(path []int) {
		if len(path) == edges+1 {
			visit(path)
			return
		}
		for _, e := range g.Edges {
			if e[0] == path[len(path)-1] {
				extend(append(slices.Clone(path), e[1]))
			}
		}
	}
	extend([]int{g.Root})
}

// brute is the sets of a graph by the words of their definitions.
type brute struct {
	frontier, within, first, optimal []map[int]bool
	hops                             int
}

func bruteSets(g *Graph, steps int) brute {
	b := brute{hops: -1}
	seen := map[int]bool{}
	for i := range steps + 1 {
		f := map[int]bool{}
		walks(g, i, func(path []int) { f[path[i]] = true })
		first, within := map[int]bool{}, map[int]bool{}
		for v := range f {
			if !seen[v] {
				first[v] = true
			}
			seen[v] = true
		}
		for v := range seen {
			within[v] = true
		}
		b.frontier, b.first, b.within = append(b.frontier, f), append(b.first, first), append(b.within, within)
		if b.hops < 0 && f[g.Target] {
			b.hops = i
		}
	}
	b.optimal = make([]map[int]bool, steps+2)
	for i := range b.optimal {
		b.optimal[i] = map[int]bool{}
	}
	if b.hops >= 0 {
		walks(g, b.hops, func(path []int) {
			for i, v := range path {
				if path[b.hops] == g.Target {
					b.optimal[i][v] = true
				}
			}
		})
	}
	return b
}

func keys(m map[int]bool) []int {
	var out []int
	for v := range m {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

func (b brute) node(g *Graph, v, i int) Class {
	inEdge := slices.ContainsFunc(g.Edges, func(e [2]int) bool { return e[0] == v || e[1] == v })
	switch {
	case b.optimal[i][v]:
		return Optimal
	case b.frontier[i][v]:
		return Frontier
	case b.within[i][v]:
		return Reachable
	case inEdge:
		return NotReachable
	}
	return Absent
}

func (b brute) edge(e [2]int, i int) Class {
	switch {
	case b.frontier[i][e[0]] && b.optimal[i+1][e[1]]:
		return Optimal
	case b.frontier[i][e[0]]:
		return Frontier
	case b.within[i][e[0]]:
		return Reachable
	}
	return NotReachable
}

func checkSets(t *testing.T, g *Graph) {
	t.Helper()
	steps := g.Nodes()
	b := bruteSets(g, steps)
	frontiers := g.Frontiers(steps)
	o := g.Optimal()
	if b.hops != g.Hops() || len(o) != b.hops+1 {
		t.Fatalf("%v: %d hops and %d layers, by enumeration %d", g.Edges, g.Hops(), len(o), b.hops)
	}
	for i := range steps {
		if !slices.Equal(frontiers[i], keys(b.frontier[i])) {
			t.Fatalf("%v from %d: F_%d is %v, want %v", g.Edges, g.Root, i, frontiers[i], keys(b.frontier[i]))
		}
		if got := g.Within(i); !slices.Equal(got, keys(b.within[i])) {
			t.Fatalf("%v from %d: V_%d is %v, want %v", g.Edges, g.Root, i, got, keys(b.within[i]))
		}
		if got := g.FirstReached(i); !slices.Equal(got, keys(b.first[i])) {
			t.Fatalf("%v from %d: first reached at %d are %v, want %v", g.Edges, g.Root, i, got, keys(b.first[i]))
		}
		if i < len(o) && !slices.Equal(o[i], keys(b.optimal[i])) {
			t.Fatalf("%v from %d to %d: O_%d is %v, want %v", g.Edges, g.Root, g.Target, i, o[i], keys(b.optimal[i]))
		}
		for v, c := range g.NodeClasses(i) {
			if want := b.node(g, v, i); c != want {
				t.Fatalf("%v from %d to %d: node %d is %v after %d steps, want %v", g.Edges, g.Root, g.Target, v, c, i, want)
			}
		}
		for k, c := range g.EdgeClasses(i) {
			if want := b.edge(g.Edges[k], i); c != want {
				t.Fatalf("%v from %d to %d: edge %v is %v after %d steps, want %v", g.Edges, g.Root, g.Target, g.Edges[k], c, i, want)
			}
		}
	}
}

// TestSetsOnAllSmallGraphs goes through all 1,024 acyclic graphs of 5 nodes
// whose edges lead to larger ids, with every target.
func TestSetsOnAllSmallGraphs(t *testing.T) {
	const n = 5
	var pairs [][2]int
	for a := range n {
		for b := a + 1; b < n; b++ {
			pairs = append(pairs, [2]int{a, b})
		}
	}
	for bits := range 1 << len(pairs) {
		g := &Graph{IdxToSymbol: make([]string, n)}
		for k, e := range pairs {
			if bits>>k&1 == 1 {
				g.Edges = append(g.Edges, e)
			}
		}
		for target := 1; target < n; target++ {
			g.Target = target
			checkSets(t, g)
		}
	}
}

// TestSetsOnRandomGraphs adds graphs of 8 nodes with any root, and order of edges.
func TestSetsOnRandomGraphs(t *testing.T) {
	rng := source(21)
	for range 300 {
		checkSets(t, randomGraph(rng, 8))
	}
}

// randomGraph has each edge from a smaller to a larger rank with probability 0.3.
func randomGraph(rng *rand.Rand, n int) *Graph {
	g := &Graph{IdxToSymbol: make([]string, n), Root: rng.IntN(n), Target: rng.IntN(n), NegTarget: rng.IntN(n)}
	rank := rng.Perm(n)
	for a := range n {
		for b := range n {
			if rank[a] < rank[b] && rng.Float64() < .3 {
				g.Edges = append(g.Edges, [2]int{a, b})
			}
		}
	}
	rng.Shuffle(len(g.Edges), func(i, j int) { g.Edges[i], g.Edges[j] = g.Edges[j], g.Edges[i] })
	return g
}
