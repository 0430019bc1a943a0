package task

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Graph is the directed acyclic graph behind a ProsQA question: an edge a→b is the
// sentence "a is a b", and exactly one of Target and NegTarget can be reached
// from Root. JSON names are those of the published files.
type Graph struct {
	IdxToSymbol []string `json:"idx_to_symbol"` // node id → name
	Edges       [][2]int `json:"edges"`         // source, target
	Root        int      `json:"root"`
	Target      int      `json:"target"`
	NegTarget   int      `json:"neg_target"`
	NeighborK   Layers   `json:"neighbor_k,omitempty"` // see Optimal; nil where the file has none
}

// Layers lists node ids by depth. In JSON it is an object with the keys "0"…"L".
type Layers [][]int

// MarshalJSON writes the object form.
func (l Layers) MarshalJSON() ([]byte, error) {
	m := make(map[string][]int, len(l))
	for k, nodes := range l {
		m[strconv.Itoa(k)] = nodes
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads the object form; the keys must be 0…L without a gap.
func (l *Layers) UnmarshalJSON(b []byte) error {
	var m map[string][]int
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	if m == nil {
		*l = nil
		return nil
	}
	layers := make(Layers, len(m))
	for k := range layers {
		nodes, ok := m[strconv.Itoa(k)]
		if !ok {
			return fmt.Errorf("depth %d of %d is missing", k, len(m))
		}
		layers[k] = nodes
	}
	*l = layers
	return nil
}

// Nodes is the number of nodes.
func (g *Graph) Nodes() int { return len(g.IdxToSymbol) }

// Children returns each node's successors in the order of Edges.
func (g *Graph) Children() [][]int { return g.neighbours(0) }

// Parents returns each node's predecessors in the order of Edges.
func (g *Graph) Parents() [][]int { return g.neighbours(1) }

func (g *Graph) neighbours(from int) [][]int {
	lists := make([][]int, g.Nodes())
	for _, e := range g.Edges {
		lists[e[from]] = append(lists[e[from]], e[1-from])
	}
	return lists
}

// Distances is the number of edges on a shortest path from a node to every
// other, -1 where there is no path.
func (g *Graph) Distances(from int) []int { return distances(g.Children(), from) }

// distances is a breadth-first search along the lists next.
func distances(next [][]int, from int) []int {
	d := make([]int, len(next))
	for i := range d {
		d[i] = -1
	}
	d[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, v := range next[queue[0]] {
			if d[v] < 0 {
				d[v] = d[queue[0]] + 1
				queue = append(queue, v)
			}
		}
	}
	return d
}

// Hops is the length of a shortest path from Root to Target, -1 without one.
func (g *Graph) Hops() int { return g.Distances(g.Root)[g.Target] }

// Optimal returns O_0…O_L (arXiv 2505.12514): the nodes at depth k on some
// shortest path from Root to Target, ascending; O_0 is the root. It is nil if the
// target can't be reached.
func (g *Graph) Optimal() Layers {
	down, up := distances(g.Children(), g.Root), distances(g.Parents(), g.Target)
	hops := down[g.Target]
	if hops < 0 {
		return nil
	}
	layers := make(Layers, hops+1)
	for v := range down {
		if down[v] >= 0 && up[v] >= 0 && down[v]+up[v] == hops {
			layers[down[v]] = append(layers[down[v]], v)
		}
	}
	return layers
}

// pathCounts is the number of shortest paths from every node to Target, among
// those that continue a shortest path from Root.
func (g *Graph) pathCounts() (counts []int, children [][]int, depth []int) {
	children = g.Children()
	depth = make([]int, g.Nodes())
	for i := range depth {
		depth[i] = -1
	}
	layers := g.Optimal()
	for k, layer := range layers {
		for _, v := range layer {
			depth[v] = k
		}
	}
	counts = make([]int, g.Nodes())
	counts[g.Target] = 1
	for k := len(layers) - 2; k >= 0; k-- {
		for _, v := range layers[k] {
			for _, w := range children[v] {
				if depth[w] == k+1 {
					counts[v] += counts[w]
				}
			}
		}
	}
	return counts, children, depth
}

// ShortestPaths is the number of shortest paths from Root to Target.
func (g *Graph) ShortestPaths() int {
	if g.Hops() < 0 {
		return 0
	}
	counts, _, _ := g.pathCounts()
	return counts[g.Root]
}

// ShortestPath draws one of the shortest paths from Root to Target uniformly.
func (g *Graph) ShortestPath(rng *rand.Rand) []int {
	counts, children, depth := g.pathCounts()
	path := []int{g.Root}
	for v := g.Root; v != g.Target; {
		at := rng.IntN(counts[v])
		for _, w := range children[v] {
			if depth[w] != depth[v]+1 {
				continue
			}
			if at < counts[w] {
				v = w
				break
			}
			at -= counts[w]
		}
		path = append(path, v)
	}
	return path
}

// ancestors is the set of nodes from which v can be reached, v itself excluded,
// as distances to v (-1 for the others, 0 for v).
func (g *Graph) ancestors(v int) []int { return distances(g.Parents(), v) }

// countReached is how many entries of a distance list have a path.
func countReached(d []int) int {
	n := 0
	for _, x := range d {
		if x >= 0 {
			n++
		}
	}
	return n
}

// Reachable is the number of nodes that can be reached from Root, itself included.
func (g *Graph) Reachable() int { return countReached(g.Distances(g.Root)) }

// sentence writes the edge a→b: a parentless node is a person, every other a kind.
func (g *Graph) sentence(a, b int, parentless bool) string {
	if parentless {
		return g.IdxToSymbol[a] + " is a " + g.IdxToSymbol[b] + "."
	}
	return "Every " + g.IdxToSymbol[a] + " is a " + g.IdxToSymbol[b] + "."
}

// isParentless marks the nodes that no edge enters.
func (g *Graph) isParentless() []bool {
	p := slices.Repeat([]bool{true}, g.Nodes())
	for _, e := range g.Edges {
		p[e[1]] = false
	}
	return p
}
