package task

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// The tokens of the symbol format (arXiv 2505.12514): node ids come first, so
// that a node's token is its id. Two are never used, but have rows in published models.
const (
	SymbolNodes       = 31 // ids 0…30
	SymbolStartLatent = 31 // not used
	SymbolEndLatent   = 32 // not used
	SymbolThought     = 33 // stands where a thought is; also the pause of baselines
	SymbolBar         = 34 // |  between edges
	SymbolQuery       = 35 // [Q] before the candidates
	SymbolRoot        = 36 // [R] before the root
	SymbolAnswer      = 37 // [A] before the answer
	SymbolEOS         = 38 // first token, end and padding
	SymbolNoAnswer    = 39 // not used
	SymbolCount       = 40 // the vocabulary
)

// Symbols is a graph question with the choices that the symbol format leaves
// open: which id each node has, and in which order edges and candidates stand.
type Symbols struct {
	Edges      [][2]int // source and target ids, in the prompt's order
	Candidates [2]int   // in the prompt's order
	Root       int
	Target     int // the candidate that can be reached
}

// Symbolize writes a graph in symbols, edges and candidates in random order. With
// permute the nodes get random different ids; without they keep their own, which in
// generated and published graphs are sorted topologically, a shortcut for a model.
func Symbolize(rng *rand.Rand, g *Graph, permute bool) (Symbols, error) {
	ids := make([]int, g.Nodes())
	for v := range ids {
		ids[v] = v
	}
	if len(ids) > SymbolNodes {
		return Symbols{}, fmt.Errorf("write a graph in symbols: it has %d nodes, but there are only %d ids: take graphs of fewer nodes", len(ids), SymbolNodes)
	}
	if permute {
		copy(ids, rng.Perm(SymbolNodes))
	}
	s := Symbols{
		Edges:      make([][2]int, len(g.Edges)),
		Candidates: [2]int{ids[g.Target], ids[g.NegTarget]},
		Root:       ids[g.Root], Target: ids[g.Target],
	}
	for i, at := range rng.Perm(len(g.Edges)) {
		s.Edges[i] = [2]int{ids[g.Edges[at][0]], ids[g.Edges[at][1]]}
	}
	if rng.IntN(2) == 0 {
		s.Candidates[0], s.Candidates[1] = s.Candidates[1], s.Candidates[0]
	}
	return s, nil
}

// Prompt is the question's tokens: <eos> s t | s t | … | s t [Q] c1 c2 [R] root,
// 3m+5 for m edges. Thoughts, [A] and the answer follow it.
func (s Symbols) Prompt() []int {
	p := append(make([]int, 0, 3*len(s.Edges)+5), SymbolEOS)
	for i, e := range s.Edges {
		if i > 0 {
			p = append(p, SymbolBar)
		}
		p = append(p, e[0], e[1])
	}
	return append(p, SymbolQuery, s.Candidates[0], s.Candidates[1], SymbolRoot, s.Root)
}

// Graph is the question's graph over all 31 ids, of which some may be in no
// edge, with the edges in the prompt's order.
func (s Symbols) Graph() *Graph {
	g := &Graph{Edges: s.Edges, Root: s.Root, Target: s.Target, NegTarget: s.Candidates[0]}
	if g.NegTarget == s.Target {
		g.NegTarget = s.Candidates[1]
	}
	for v := range SymbolNodes {
		g.IdxToSymbol = append(g.IdxToSymbol, strconv.Itoa(v))
	}
	return g
}
