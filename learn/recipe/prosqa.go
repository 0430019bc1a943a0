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

// writer writes the steps of a solution: why root is a target.
type writer func(rng *rand.Rand, g *task.Graph, root, target int) []string

// shortest writes a shortest path, drawn from the target upwards.
func shortest(rng *rand.Rand, g *task.Graph, root, target int) []string {
	dist, parents := g.Distances(root), g.Parents()
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
	slices.Reverse(path)
	return sentences(g, path)
}

// search writes down how the target, a leaf, is found without knowing the way:
// walks from the root to a leaf, one after the other, each step to a random
// child under which there is a leaf that was not reached yet, an unvisited one
// if there is any, until a walk ends at the target. Every step is one look-up in
// the question, where the next step of a shortest path is a search that the
// model would have to do without writing.
func search(rng *rand.Rand, g *task.Graph, root, target int) []string {
	children := g.Children()
	visited := make([]bool, g.Nodes())
	var open func(v int) bool // a leaf that was not reached is below v, or is v
	open = func(v int) bool {
		if len(children[v]) == 0 {
			return !visited[v]
		}
		return slices.ContainsFunc(children[v], open)
	}
	var steps []string
	for {
		path := []int{root}
		v := root
		for len(children[v]) > 0 {
			var fresh, again []int
			for _, c := range children[v] {
				switch {
				case !open(c):
				case visited[c]:
					again = append(again, c)
				default:
					fresh = append(fresh, c)
				}
			}
			if len(fresh) == 0 {
				fresh = again
			}
			v = fresh[rng.IntN(len(fresh))]
			path = append(path, v)
		}
		steps = append(steps, sentences(g, path)...)
		if v == target {
			return steps
		}
		for _, v := range path {
			visited[v] = true
		}
	}
}

// sentences writes the edges of a path that begins at a person.
func sentences(g *task.Graph, path []int) []string {
	var steps []string
	for i, v := range path[1:] {
		every := "Every "
		if i == 0 {
			every = ""
		}
		steps = append(steps, every+g.IdxToSymbol[path[i]]+" is a "+g.IdxToSymbol[v]+".")
	}
	return steps
}

// branched makes one example of a problem, extra queries about its graph, and a
// recital of it.
func branched(v *token.Vocab, rng *rand.Rand, p task.Problem, extra int, write writer) train.Example {
	g, ok := p.Data.(*task.Graph)
	at := strings.LastIndex(p.Question, " Is ")
	if !ok || at < 0 {
		return train.Supervised(v, p, 0)
	}
	e := trunk(v, p.Question[:at])
	ask := func(n int, query string, root, target int) {
		ids := v.Encode(query + "\n")
		asked := len(ids)
		solved := task.Problem{Steps: write(rng, g, root, target), Answer: g.IdxToSymbol[target]}
		ids = append(append(ids, v.Encode(solved.Solution())...), v.EOS())
		e.add(n, ids, func(i int) bool { return i >= asked })
	}
	ask(1, p.Question[at:], g.Root, g.Target)
	for n := range extra {
		if q, root, target, ok := otherQuery(rng, g); ok {
			ask(n+2, q, root, target)
		}
	}
	e.recite(v, rng, extra+2, g)
	return e.Example
}

// tree is an example in the making: a trunk, and branches that all stand right
// after it.
type tree struct {
	train.Example
	trunk int
}

// trunk begins an example with a text that is only read.
func trunk(v *token.Vocab, text string) *tree {
	e := &tree{}
	e.Tokens = append([]int{v.BOS()}, v.Encode(text)...)
	e.trunk = len(e.Tokens)
	for i := range e.trunk {
		e.Targets = append(e.Targets, -1)
		e.Positions = append(e.Positions, i)
		e.Branch = append(e.Branch, 0)
	}
	return e
}

// add appends branch n; wanted tells which of the ids are targets.
func (e *tree) add(n int, ids []int, wanted func(i int) bool) {
	for i, id := range ids[:len(ids)-1] {
		next := -1
		if wanted(i + 1) {
			next = ids[i+1]
		}
		e.Tokens = append(e.Tokens, id)
		e.Targets = append(e.Targets, next)
		e.Positions = append(e.Positions, e.trunk+i)
		e.Branch = append(e.Branch, n)
	}
}

// recitals is how often a recited graph is said again.
const recitals = 3

// recited makes an example of nothing but look-ups: the sentences of a question,
// and the same sentences again in other orders.
func recited(v *token.Vocab, rng *rand.Rand, p task.Problem) train.Example {
	e := trunk(v, p.Question[:strings.LastIndex(p.Question, " Is ")])
	for n := range recitals {
		e.recite(v, rng, n+1, p.Data.(*task.Graph))
	}
	return e.Example
}

// aside is the weight of what a recital says between its look-ups. Nothing tells
// which sentence comes next, and learning the words' frequencies at full weight
// drowned the look-ups; but where only those were targets, the first solutions
// came as a shock that undid them.
const aside = 0.05

// recite appends a branch of all sentences of a graph in random order, a line
// each, as solutions write them.
func (e *tree) recite(v *token.Vocab, rng *rand.Rand, n int, g *task.Graph) {
	for len(e.Weights) < len(e.Tokens) {
		e.Weights = append(e.Weights, 1)
	}
	ids := v.Encode("\n")
	lookUp := map[int]bool{}
	parents := g.Parents()
	for _, i := range rng.Perm(len(g.Edges)) {
		from, to := g.Edges[i][0], g.Edges[i][1]
		every := "Every "
		if len(parents[from]) == 0 {
			every = ""
		}
		ids = append(ids, v.Encode(every+g.IdxToSymbol[from]+" is a")...)
		lookUp[len(ids)] = true
		ids = append(ids, v.Encode(" "+g.IdxToSymbol[to]+".\n")...)
	}
	ids = append(ids, v.EOS())
	e.add(n, ids, func(i int) bool { return i > 0 })
	for i := range ids[1:] {
		if lookUp[i+1] {
			e.Weights = append(e.Weights, 1)
		} else {
			e.Weights = append(e.Weights, aside)
		}
	}
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
func otherQuery(rng *rand.Rand, g *task.Graph) (query string, root, target int, ok bool) {
	children, parents := g.Children(), g.Parents()
	var roots, below, beside []int
	for v := range g.Nodes() {
		if len(parents[v]) == 0 {
			roots = append(roots, v)
		}
	}
	root = roots[rng.IntN(len(roots))]
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
		return "", 0, 0, false
	}
	name := g.IdxToSymbol
	target = below[rng.IntN(len(below))]
	a, b := name[target], name[beside[rng.IntN(len(beside))]]
	if rng.IntN(2) == 0 {
		a, b = b, a
	}
	return " Is " + name[root] + " a " + a + " or " + b + "?", root, target, true
}
