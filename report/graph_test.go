package report

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomDAG has edges from smaller to larger ranks.
func randomDAG(r *rand.Rand, n int) [][2]int {
	rank := r.Perm(n)
	var edges [][2]int
	for a := range n {
		for b := range n {
			if rank[a] < rank[b] && r.Float64() < 2.2/float64(n) {
				edges = append(edges, [2]int{a, b})
			}
		}
	}
	return edges
}

// TestLayersPointRight: every edge leads to a later layer through one point of each
// layer between, no two points of a layer touch, and equal edges give equal layouts.
func TestLayersPointRight(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		n := 1 + r.IntN(28)
		edges := randomDAG(r, n)
		l, again := arrangeLayers(n, edges), arrangeLayers(n, edges)
		for i, e := range edges {
			route := l.routes[i]
			if len(route) < 2 || route[0] != e[0] || route[len(route)-1] != e[1] {
				t.Fatalf("edge %v goes %v", e, route)
			}
			for k, p := range route[1:] {
				if l.points[p].layer != l.points[route[k]].layer+1 {
					t.Fatalf("edge %v jumps from layer %d to %d", e, l.points[route[k]].layer, l.points[p].layer)
				}
			}
		}
		for _, layer := range l.layers {
			for i := 1; i < len(layer); i++ {
				a, b := l.points[layer[i-1]], l.points[layer[i]]
				if b.y-a.y < (a.room+b.room)/2-1e-9 {
					t.Fatalf("points %v and %v touch", a, b)
				}
			}
		}
		for p := range l.points {
			if l.points[p].y != again.points[p].y || math.IsNaN(l.points[p].y) {
				t.Fatalf("point %d lies at %v and %v", p, l.points[p].y, again.points[p].y)
			}
		}
	}
}

// TestLayersStandCycles: edges in a circle end the layout, and are left out.
func TestLayersStandCycles(t *testing.T) {
	l := arrangeLayers(3, [][2]int{{0, 1}, {1, 2}, {2, 0}, {1, 1}})
	if l.routes[3] != nil || len(l.layers) > 3 {
		t.Errorf("routes %v in %d layers", l.routes, len(l.layers))
	}
}

// TestGraphDrawsEveryNodeAndEdge, whatever its values are.
func TestGraphDrawsEveryNodeAndEdge(t *testing.T) {
	g := sampleGraph()
	var b strings.Builder
	if err := (Page{Blocks: []Block{g, Graph{}, Graph{Nodes: []Node{{Name: "<alone>"}}}, Columns{g}}}).Write(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"NaN", "Inf", "<alone>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if got, want := strings.Count(page, "<circle"), 2*(2*len(g.Nodes)+1); got != want {
		t.Errorf("%d circles, want %d", got, want)
	}
	if got := strings.Count(page, " → "); got != 2*len(g.Edges) {
		t.Errorf("%d edges, want %d", got, 2*len(g.Edges))
	}
}

// sampleGraph has values that are missing, negative, infinite and too large.
func sampleGraph() Graph {
	r := rand.New(rand.NewPCG(7, 8))
	g := Graph{Title: "A search after 2 thoughts", Kinds: []string{"not reachable", "reachable", "frontier", "optimal"},
		Node: Axis{Label: "inner product", Max: 1}, Edge: Axis{Label: "attention", Max: 1}, Caption: "Full nodes are in the thought; strong edges are looked at."}
	for i := range 22 {
		g.Nodes = append(g.Nodes, Node{Name: numbered("", 22)[i], Kind: i % 4, Value: r.Float64()})
	}
	g.Nodes[0].Note, g.Nodes[3].Value, g.Nodes[4].Value = "root", math.NaN(), -1
	for _, e := range randomDAG(r, 22) {
		g.Edges = append(g.Edges, Edge{From: e[0], To: e[1], Kind: e[0] % 4, Value: r.Float64() * 1.3})
	}
	g.Edges[0].Value, g.Edges[1].Value = math.NaN(), math.Inf(1)
	return g
}
