package task

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// The published vocabulary of ProsQA: 17 persons and 38 kinds.
var persons = [...]string{"Alex", "Bob", "Carol", "Davis", "Eva", "Fae", "Gabriel", "Jack", "Max", "Oliver",
	"Polly", "Rex", "Sally", "Sam", "Stella", "Tom", "Wren"}

var kinds = [...]string{"bompus", "boompus", "brimpus", "chorpus", "dumpus", "felpus", "fompus", "gerpus", "gorpus",
	"grimpus", "gwompus", "hilpus", "impus", "jelpus", "jompus", "kerpus", "lempus", "lorpus", "numpus",
	"quimpus", "rempus", "rompus", "rorpus", "scrompus", "shumpus", "sterpus", "storpus", "terpus", "timpus",
	"tumpus", "vumpus", "worpus", "wumpus", "yerpus", "yimpus", "yumpus", "zhorpus", "zumpus"}

// ProsQAShape sets the size and the form of generated graphs.
type ProsQAShape struct {
	Slots       int     `json:"slots"`        // nodes before those without an edge are deleted, 4 to 38
	Parents     float64 `json:"parents"`      // Poisson mean of a node's number of parents; 1.5 published, 2.6 dense
	DepthWeight float64 `json:"depth_weight"` // a parent of depth d is drawn with weight 1 + DepthWeight·d

	// Accepted largest distance from a root to a leaf of its own.
	MinHops int `json:"min_hops"`
	MaxHops int `json:"max_hops"`

	// Balanced keeps only graphs whose two candidates have as many parents and
	// as many ancestors, which disarms two shortcut rules.
	Balanced bool `json:"balanced"`
}

// Shares of the ways to draw a node's parents: the first family; else, in a
// second draw, the second family; else all earlier nodes (0.35, 0.455, 0.195).
const (
	firstFamily  = 0.35
	secondFamily = 0.70
)

// Labels are bit sets: a node below node 0, below node 1, or both.
const (
	below0 = 1
	below1 = 2
)

// Generate draws graphs until one has the shape, and asks about it. It doesn't
// return if no graph can have the shape.
func (s ProsQAShape) Generate(rng *rand.Rand) Problem {
	for {
		g, ok := s.draw(rng)
		if !ok {
			continue
		}
		if s.Balanced && !balanced(g) {
			continue
		}
		if nameNodes(rng, g) {
			g.NeighborK = g.Optimal()
			return ask(rng, g)
		}
	}
}

// draw makes an unnamed graph and chooses root and candidates; ok is false if
// the graph has no pair of exclusive leaves at an accepted distance.
func (s ProsQAShape) draw(rng *rand.Rand) (g *Graph, ok bool) {
	label := make([]uint8, s.Slots)
	depth := make([]int, s.Slots)
	label[0], label[1] = below0, below1
	family := [2][]int{{0}, {1}}
	earlier := []int{0, 1}
	var edges [][2]int
	for i := 2; i < s.Slots; i++ {
		k := poisson(rng, s.Parents)
		from := earlier
		if rng.Float64() < firstFamily {
			from = family[0]
		} else if rng.Float64() < secondFamily {
			from = family[1]
		}
		for n, p := range s.parents(rng, from, depth, k) {
			edges = append(edges, [2]int{p, i})
			label[i] |= label[p]
			if n == 0 || depth[p]+1 < depth[i] {
				depth[i] = depth[p] + 1
			}
		}
		// Parentless (0) and mixed (both bits) nodes never join a family.
		if label[i] == below0 || label[i] == below1 {
			family[label[i]-1] = append(family[label[i]-1], i)
		}
		earlier = append(earlier, i)
	}
	g = &Graph{}
	kept := compact(g, edges, s.Slots)
	for id, slot := range kept { // kept ascends, so nothing is read after it is overwritten
		label[id] = label[slot]
	}
	// Nodes 0 and 1 must have kept their edges, or one family is empty.
	if len(kept) < 2 || kept[0] != 0 || kept[1] != 1 {
		return nil, false
	}
	return g, s.choose(rng, g, label)
}

// parents draws min(k, len(from)) nodes without replacement, each draw with
// weight 1 + DepthWeight·depth.
func (s ProsQAShape) parents(rng *rand.Rand, from, depth []int, k int) []int {
	pool := slices.Clone(from)
	var drawn []int
	for len(drawn) < k && len(pool) > 0 {
		total := 0.0
		for _, v := range pool {
			total += 1 + s.DepthWeight*float64(depth[v])
		}
		u := rng.Float64() * total
		at := 0
		for ; at < len(pool)-1; at++ {
			if u -= 1 + s.DepthWeight*float64(depth[pool[at]]); u < 0 {
				break
			}
		}
		drawn = append(drawn, pool[at])
		pool = slices.Delete(pool, at, at+1)
	}
	return drawn
}

// compact renumbers the slots that have an edge, in order, and returns them.
func compact(g *Graph, edges [][2]int, slots int) (kept []int) {
	used := make([]bool, slots)
	for _, e := range edges {
		used[e[0]], used[e[1]] = true, true
	}
	id := make([]int, slots)
	for slot, u := range used {
		if u {
			id[slot] = len(kept)
			kept = append(kept, slot)
		}
	}
	for _, e := range edges {
		g.Edges = append(g.Edges, [2]int{id[e[0]], id[e[1]]})
	}
	g.IdxToSymbol = make([]string, len(kept))
	return kept
}

// choose picks root, target and negative target among the exclusive leaves.
func (s ProsQAShape) choose(rng *rand.Rand, g *Graph, label []uint8) bool {
	children := g.Children()
	var leaves [2][]int
	var dist [2][]int
	far := [2]int{}
	m := 0
	for f := range leaves {
		dist[f] = distances(children, f)
		for v := 2; v < g.Nodes(); v++ {
			if len(children[v]) == 0 && label[v] == uint8(f+1) {
				leaves[f] = append(leaves[f], v)
				far[f] = max(far[f], dist[f][v])
			}
		}
		if len(leaves[f]) == 0 {
			return false
		}
		m = max(m, far[f])
	}
	if m < s.MinHops || m > s.MaxHops {
		return false
	}
	switch {
	case far[0] == far[1]:
		g.Root = rng.IntN(2)
	case far[1] == m:
		g.Root = 1
	}
	var deepest []int
	for _, v := range leaves[g.Root] {
		if dist[g.Root][v] == m {
			deepest = append(deepest, v)
		}
	}
	other := leaves[1-g.Root]
	g.Target = deepest[rng.IntN(len(deepest))]
	g.NegTarget = other[rng.IntN(len(other))]
	return true
}

// nameNodes names parentless nodes after persons and the others after kinds,
// without replacement; false if there are too few names.
func nameNodes(rng *rand.Rand, g *Graph) bool {
	person, kind := rng.Perm(len(persons)), rng.Perm(len(kinds))
	for v, top := range g.isParentless() {
		switch {
		case top && len(person) > 0:
			g.IdxToSymbol[v], person = persons[person[0]], person[1:]
		case !top && len(kind) > 0:
			g.IdxToSymbol[v], kind = kinds[kind[0]], kind[1:]
		default:
			return false
		}
	}
	return true
}

// ask shuffles the sentences, and adds the query and one shortest path as steps.
func ask(rng *rand.Rand, g *Graph) Problem {
	top := g.isParentless()
	sentences := make([]string, len(g.Edges))
	for i, at := range rng.Perm(len(g.Edges)) {
		e := g.Edges[at]
		sentences[i] = g.sentence(e[0], e[1], top[e[0]])
	}
	q := query{g.IdxToSymbol[g.Root], [2]string{g.IdxToSymbol[g.Target], g.IdxToSymbol[g.NegTarget]}}
	if rng.IntN(2) == 0 {
		q.kinds[0], q.kinds[1] = q.kinds[1], q.kinds[0]
	}
	p := Problem{Task: ProsQA{}.Name(), Answer: g.IdxToSymbol[g.Target], Data: g}
	p.Question = strings.Join(append(sentences, q.String()), " ")
	path := g.ShortestPath(rng)
	for i := range path[1:] {
		p.Steps = append(p.Steps, g.sentence(path[i], path[i+1], top[path[i]]))
	}
	return p
}

// balanced reports whether both candidates have as many parents and ancestors.
func balanced(g *Graph) bool {
	parents := g.Parents()
	return len(parents[g.Target]) == len(parents[g.NegTarget]) &&
		countReached(g.ancestors(g.Target)) == countReached(g.ancestors(g.NegTarget))
}

// poisson draws from a Poisson distribution of a small mean: the number of
// uniform factors until their product falls below e^-mean.
func poisson(rng *rand.Rand, mean float64) int {
	n := 0
	for p, stop := rng.Float64(), math.Exp(-mean); p > stop; p *= rng.Float64() {
		n++
	}
	return n
}
