package task

import "slices"

// PathClass says what a written path through a ProsQA graph is (arXiv
// 2412.06769, section 5.2). Thoughts may stand for a path's first steps, so it may
// begin at any node below the root.
type PathClass string

const (
	CorrectPath      PathClass = "correct path"      // part of a shortest path, which ends at the target
	LongerPath       PathClass = "longer path"       // part of a longer one that ends there
	HallucinatedEdge PathClass = "hallucinated edge" // a sentence that the question does not have, or a gap
	WrongTarget      PathClass = "wrong target"      // a path in the graph that ends elsewhere
	CorrectLabel     PathClass = "correct label"     // no path, the right answer
	IncorrectLabel   PathClass = "incorrect label"   // no path, another answer or none
)

// PathClasses lists them in the order of the paper's bars.
var PathClasses = []PathClass{CorrectPath, LongerPath, HallucinatedEdge, WrongTarget, CorrectLabel, IncorrectLabel}

// Judge classes the steps that were written about a graph; right says whether
// the answer after them was.
func (g *Graph) Judge(steps []string, right bool) PathClass {
	if len(steps) == 0 {
		if right {
			return CorrectLabel
		}
		return IncorrectLabel
	}
	dist := g.Distances(g.Root)
	first, at := -1, -1
	for _, s := range steps {
		f, ok := readFact(s)
		from, to := slices.Index(g.IdxToSymbol, f.from), slices.Index(g.IdxToSymbol, f.to)
		if !ok || from < 0 || to < 0 || !slices.Contains(g.Edges, [2]int{from, to}) || at >= 0 && from != at || dist[from] < 0 {
			return HallucinatedEdge
		}
		if at < 0 {
			first = from
		}
		at = to
	}
	switch {
	case at != g.Target:
		return WrongTarget
	case dist[first]+len(steps) > dist[g.Target]:
		return LongerPath
	}
	return CorrectPath
}
