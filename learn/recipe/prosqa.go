package recipe

import (
	"math/rand/v2"
	"slices"
	"strings"

	"orrery/learn/token"
	"orrery/learn/train"
	"orrery/task"
)

// A ProsQA question is some forty sentences about a graph and one short query
// at the end, and only the solution teaches anything. So a training example
// asks several queries about one graph: the sentences are the trunk, every
// query with its solution is a branch that sees the trunk and itself and
// stands at the positions right after the trunk, as if the others weren't
// there. That is the sum of the plain examples, for a fraction of the tokens.

// backward is p with its steps from the answer up to the person. Going forwards,
// a model that has not learnt to search walks into any leaf; going backwards it
// begins at one of the two candidates, so that what it must judge first is the
// question itself, and every step is one look-up of a parent.
func backward(p task.Problem) task.Problem {
	p.Steps = slices.Clone(p.Steps)
	slices.Reverse(p.Steps)
	return p
}

// branched makes one example of a problem and extra queries about its graph.
// write chooses the order of the steps.
func branched(v *token.Vocab, rng *rand.Rand, p task.Problem, extra int, write func(task.Problem) task.Problem) train.Example {
	p = write(p)
	g, ok := p.Data.(*task.Graph)
	at := strings.LastIndex(p.Question, " Is ")
	if !ok || at < 0 || extra == 0 {
		return train.Supervised(v, p, 0)
	}
	e := train.Example{Tokens: append([]int{v.BOS()}, v.Encode(p.Question[:at])...)}
	trunk := len(e.Tokens)
	for range trunk {
		e.Targets = append(e.Targets, -1)
		e.Branch = append(e.Branch, 0)
	}
	add := func(n int, query, solution string) {
		ids := v.Encode(query + "\n")
		asked := len(ids)
		ids = append(append(ids, v.Encode(solution)...), v.EOS())
		for i, id := range ids[:len(ids)-1] {
			target := -1
			if i+1 >= asked {
				target = ids[i+1]
			}
			e.Tokens = append(e.Tokens, id)
			e.Targets = append(e.Targets, target)
			e.Branch = append(e.Branch, n)
		}
	}
	add(1, p.Question[at:], p.Solution())
	for n := range extra {
		if q, other, ok := otherQuery(rng, g); ok {
			add(n+2, q, write(other).Solution())
		}
	}
	return e
}

// smallestGraph is the size, in slots, of the first graphs of a ramp: a few
// sentences, one or two steps. Finding the sentence about a kind is what must
// be learnt first, and the fewer sentences there are, the sooner chance finds
// the way.
const smallestGraph = 7

// growing draws a problem whose graph has, at a step before ramp, fewer slots
// than its level's, down to smallestGraph, and as few steps as such graphs have.
func growing(rng *rand.Rand, step, ramp int, level task.Level) task.Problem {
	full := task.ProsQAShapeOf(level)
	if step >= ramp {
		return task.ProsQA{}.Generate(rng, level)
	}
	most := smallestGraph + (full.Slots-smallestGraph)*step/ramp
	shape := full
	shape.Slots = min(full.Slots, smallestGraph+rng.IntN(most-smallestGraph+1))
	shape.MinHops = max(1, full.MinHops*(shape.Slots-smallestGraph)/(full.Slots-smallestGraph))
	p := shape.Generate(rng)
	p.Level = level
	return p
}

// otherQuery asks about a random person of the graph, a random leaf
// below, and a random leaf that is not below. ok is false where the
// drawn person has no such leaves.
func otherQuery(rng *rand.Rand, g *task.Graph) (query string, p task.Problem, ok bool) {
	children, parents := g.Children(), g.Parents()
	var roots, below, beside []int
	for v := range g.Nodes() {
		if len(parents[v]) == 0 {
			roots = append(roots, v)
		}
	}
	root := roots[rng.IntN(len(roots))]
	dist := g.Distances(root)
	for v := range g.Nodes() {
		switch {
		case len(children[v]) > 0 || len(parents[v]) == 0:
		case dist[v] >= 1:
			below = append(below, v)
		case dist[v] < 0:
			beside = append(beside, v)
		}
	}
	if len(below) == 0 || len(beside) == 0 {
		return "", p, false
	}
	name := g.IdxToSymbol
	target, other := below[rng.IntN(len(below))], beside[rng.IntN(len(beside))]
	a, b := name[target], name[other]
	if rng.IntN(2) == 0 {
		a, b = b, a
	}
	// A shortest path, drawn from the target upwards.
	path := []int{target}
	for v := target; v != root; {
		var up []int
		for _, w := range parents[v] {
			if dist[w] == dist[v]-1 {
				up = append(up, w)
			}
		}
		v = up[rng.IntN(len(up))]
		path = append(path, v)
	}
	p.Answer = name[target]
	about := *g
	about.Root, about.Target, about.NegTarget, about.NeighborK = root, target, other, nil
	p.Data = &about
	for i := len(path) - 1; i > 0; i-- {
		every := "Every "
		if path[i] == root {
			every = ""
		}
		p.Steps = append(p.Steps, every+name[path[i]]+" is a "+name[path[i-1]]+".")
	}
	return " Is " + name[root] + " a " + a + " or " + b + "?", p, true
}
