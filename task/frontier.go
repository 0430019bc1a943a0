package task

// Class is what a node, or an edge by its source, is to a breadth-first search
// that has taken i steps from the root (arXiv 2505.12514, section 5). A later class is
// part of each earlier one but Absent and NotReachable: the nodes that are reachable
// are those of class Reachable or more.
type Class int

const (
	Absent       Class = iota // in no edge, so not in the question
	NotReachable              // in no F_j with j ≤ i
	Reachable                 // in some F_j with j ≤ i
	Frontier                  // in F_i, the end points of walks of exactly i edges
	Optimal                   // in O_i, see Graph.Optimal; of edges: from F_i into O_{i+1}
)

func (c Class) String() string {
	return [...]string{"absent", "not reachable", "reachable", "frontier", "optimal"}[c]
}

// Frontiers returns F_0…F_n, ascending: F_i holds the end points of walks of
// exactly i edges from Root. A node may be in several; one without edges may end
// the walks, after which the sets are empty.
func (g *Graph) Frontiers(n int) [][]int {
	children := g.Children()
	sets := [][]int{{g.Root}}
	for range n {
		next := make([]bool, g.Nodes())
		for _, v := range sets[len(sets)-1] {
			for _, w := range children[v] {
				next[w] = true
			}
		}
		sets = append(sets, members(next))
	}
	return sets
}

// Within returns V_i, ascending: the nodes at most i edges from Root.
func (g *Graph) Within(i int) []int { return g.atDistance(0, i) }

// FirstReached returns the nodes whose shortest path from Root has i edges,
// ascending: those that breadth-first search meets in step i.
func (g *Graph) FirstReached(i int) []int { return g.atDistance(i, i) }

func (g *Graph) atDistance(from, to int) []int {
	in := make([]bool, g.Nodes())
	for v, d := range g.Distances(g.Root) {
		in[v] = d >= from && d <= to
	}
	return members(in)
}

// NodeClasses is every node's class after i steps.
func (g *Graph) NodeClasses(i int) []Class {
	c := make([]Class, g.Nodes())
	for _, e := range g.Edges {
		c[e[0]], c[e[1]] = NotReachable, NotReachable
	}
	mark := func(nodes []int, as Class) {
		for _, v := range nodes {
			c[v] = as
		}
	}
	mark(g.Within(i), Reachable)
	mark(g.Frontiers(i)[i], Frontier)
	if o := g.Optimal(); i < len(o) {
		mark(o[i], Optimal)
	}
	return c
}

// EdgeClasses is every edge's class after i steps, in the order of Edges: that
// of its source, except that it is Optimal only if it leads on into O_{i+1}.
func (g *Graph) EdgeClasses(i int) []Class {
	nodes := g.NodeClasses(i)
	next := make([]bool, g.Nodes())
	if o := g.Optimal(); i+1 < len(o) {
		for _, v := range o[i+1] {
			next[v] = true
		}
	}
	c := make([]Class, len(g.Edges))
	for k, e := range g.Edges {
		c[k] = nodes[e[0]]
		switch {
		case c[k] == Optimal && !next[e[1]]:
			c[k] = Frontier
		case c[k] == Frontier && next[e[1]]:
			c[k] = Optimal
		}
	}
	return c
}

// members lists what is in a set, ascending.
func members(in []bool) []int {
	var out []int
	for v, is := range in {
		if is {
			out = append(out, v)
		}
	}
	return out
}
