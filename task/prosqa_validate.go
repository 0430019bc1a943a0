package task

import (
	"errors"
	"fmt"
	"slices"
)

// ValidateProsQA checks that a problem, its graph and its solution agree:
//
//   - ids are in range, names differ, no edge is listed twice, there is no cycle;
//   - the question's sentences are the edges, each once, "N is a c." exactly for
//     parentless sources, and its query names the root and the two candidates;
//   - the target can be reached from the root, the negative target can't
//     (ErrUnanswerable if neither can); the answer is the target;
//   - every node has an edge, and neighbor_k, if given, is Optimal;
//   - the steps are edges and lead from root to target by a shortest way.
//
// The error is a *FieldError with Item -1.
func ValidateProsQA(p Problem) error {
	g, ok := p.Data.(*Graph)
	if !ok || g == nil {
		return &FieldError{Task: ProsQA{}.Name(), Item: -1, Err: fmt.Errorf("validate: Data is a %T, not the *Graph that generated and published problems have", p.Data)}
	}
	// The order matters: later checks index by ids that earlier ones vouch for.
	for _, check := range []func() *FieldError{
		g.check,
		func() *FieldError { return g.checkQuestion(p.Question) },
		g.checkReach,
		func() *FieldError {
			if p.Answer != g.IdxToSymbol[g.Target] {
				return fieldf("answer", "is %q, but the target is %q", p.Answer, g.IdxToSymbol[g.Target])
			}
			return nil
		},
		func() *FieldError { return g.checkPersons(p.Question) },
		g.checkCover,
		func() *FieldError { return g.checkSteps(p.Steps) },
	} {
		if err := check(); err != nil {
			err.Task = ProsQA{}.Name()
			return err
		}
	}
	return nil
}

// check vouches for ids, names and the absence of cycles and double edges.
func (g *Graph) check() *FieldError {
	n := g.Nodes()
	seen := map[string]bool{}
	for i, name := range g.IdxToSymbol {
		if seen[name] {
			return fieldf("idx_to_symbol", "node %d repeats the name %q", i, name)
		}
		seen[name] = true
	}
	for _, id := range []struct {
		field string
		id    int
	}{{"root", g.Root}, {"target", g.Target}, {"neg_target", g.NegTarget}} {
		if id.id < 0 || id.id >= n {
			return fieldf(id.field, "is %d; ids run from 0 to %d", id.id, n-1)
		}
	}
	edges := map[[2]int]bool{}
	for i, e := range g.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= n {
			return fieldf("edges", "edge %d is %v; ids run from 0 to %d", i, e, n-1)
		}
		if edges[e] {
			return fieldf("edges", "edge %d, %v, is listed twice", i, e)
		}
		edges[e] = true
	}
	if v := g.onCycle(); v >= 0 {
		return fieldf("edges", "node %d lies on a cycle or below one", v)
	}
	return nil
}

// onCycle returns a node that never runs out of parents when parentless nodes are
// taken away one by one, -1 if all do (Kahn's test).
func (g *Graph) onCycle() int {
	children := g.Children()
	parents := make([]int, g.Nodes())
	for _, e := range g.Edges {
		parents[e[1]]++
	}
	var free []int
	for v, n := range parents {
		if n == 0 {
			free = append(free, v)
		}
	}
	for len(free) > 0 {
		v := free[len(free)-1]
		free = free[:len(free)-1]
		for _, w := range children[v] {
			if parents[w]--; parents[w] == 0 {
				free = append(free, w)
			}
		}
	}
	return slices.IndexFunc(parents, func(n int) bool { return n > 0 })
}

// checkQuestion compares the sentences with the edges.
func (g *Graph) checkQuestion(question string) *FieldError {
	facts, q, err := readQuestion(question)
	if err != nil {
		return &FieldError{Item: -1, Field: "question", Err: err}
	}
	missing := map[[2]string]bool{}
	for _, e := range g.Edges {
		missing[[2]string{g.IdxToSymbol[e[0]], g.IdxToSymbol[e[1]]}] = true
	}
	for i, f := range facts {
		if edge := [2]string{f.from, f.to}; missing[edge] {
			delete(missing, edge)
			continue
		}
		return fieldf("question", "sentence %d, from %q to %q, isn't an edge or is one for the second time", i+1, f.from, f.to)
	}
	for _, e := range g.Edges {
		if a, b := g.IdxToSymbol[e[0]], g.IdxToSymbol[e[1]]; missing[[2]string{a, b}] {
			return fieldf("question", "no sentence says the edge from %q to %q", a, b)
		}
	}
	if q.name != g.IdxToSymbol[g.Root] {
		return fieldf("root", "is %q, but the question asks about %q", g.IdxToSymbol[g.Root], q.name)
	}
	pair := [2]string{g.IdxToSymbol[g.Target], g.IdxToSymbol[g.NegTarget]}
	if q.kinds != pair && q.kinds != [2]string{pair[1], pair[0]} {
		return fieldf("target", "the candidates are %q and %q, but the question asks for %q or %q", pair[0], pair[1], q.kinds[0], q.kinds[1])
	}
	return nil
}

// checkReach demands that exactly the target can be reached.
func (g *Graph) checkReach() *FieldError {
	d := g.Distances(g.Root)
	switch target, neg := d[g.Target] >= 0, d[g.NegTarget] >= 0; {
	case !target && !neg:
		return &FieldError{Item: -1, Field: "edges", Err: ErrUnanswerable}
	case neg && target:
		return &FieldError{Item: -1, Field: "neg_target", Err: errors.New("both candidates can be reached from the root")}
	case neg:
		return &FieldError{Item: -1, Field: "target", Err: errors.New("only the negative target can be reached from the root")}
	}
	return nil
}

// checkPersons demands "N is a c." of parentless sources and "Every c is a d." of
// the others. It comes after checkReach because derived files that lost the sentence about
// the person leave kinds without parents.
func (g *Graph) checkPersons(question string) *FieldError {
	facts, _, err := readQuestion(question)
	if err != nil {
		return &FieldError{Item: -1, Field: "question", Err: err}
	}
	top := map[string]bool{}
	for v, parentless := range g.isParentless() {
		top[g.IdxToSymbol[v]] = parentless
	}
	for i, f := range facts {
		if f.person != top[f.from] {
			return fieldf("question", "sentence %d takes %q for a person and it has parents, or for a kind and it has none", i+1, f.from)
		}
	}
	return nil
}

// checkCover looks for nodes without an edge, and at the layers.
func (g *Graph) checkCover() *FieldError {
	used := make([]bool, g.Nodes())
	for _, e := range g.Edges {
		used[e[0]], used[e[1]] = true, true
	}
	if v := slices.Index(used, false); v >= 0 {
		return fieldf("idx_to_symbol", "node %d, %q, is in no edge", v, g.IdxToSymbol[v])
	}
	if g.NeighborK == nil {
		return nil
	}
	want := g.Optimal()
	if len(g.NeighborK) != len(want) {
		return fieldf("neighbor_k", "has %d depths; the target is %d edges away, so there must be %d", len(g.NeighborK), len(want)-1, len(want))
	}
	for k, layer := range g.NeighborK {
		if !slices.Equal(slices.Sorted(slices.Values(layer)), want[k]) {
			return fieldf("neighbor_k", "depth %d is %v, but the nodes there on shortest paths are %v", k, layer, want[k])
		}
	}
	return nil
}

// checkSteps follows the steps.
func (g *Graph) checkSteps(steps []string) *FieldError {
	if hops := g.Hops(); len(steps) != hops {
		return fieldf("steps", "there are %d, but the target is %d edges away", len(steps), hops)
	}
	id := map[string]int{}
	for v, name := range g.IdxToSymbol {
		id[name] = v
	}
	top := g.isParentless()
	at := g.Root
	for i, s := range steps {
		f, ok := readFact(s)
		to, known := id[f.to]
		if !ok || !known || f.from != g.IdxToSymbol[at] || f.person != top[at] || !slices.Contains(g.Edges, [2]int{at, to}) {
			return fieldf("steps", "step %d, %q, isn't an edge from %q", i, s, g.IdxToSymbol[at])
		}
		at = to
	}
	if at != g.Target {
		return fieldf("steps", "they end at %q, not at the target %q", g.IdxToSymbol[at], g.IdxToSymbol[g.Target])
	}
	return nil
}

// Answerable reports whether exactly one candidate can be reached from the root.
func (g *Graph) Answerable() bool {
	d := g.Distances(g.Root)
	return (d[g.Target] >= 0) != (d[g.NegTarget] >= 0)
}
