package task

// Shortcut is a rule that guesses a ProsQA answer without following a path
// to its end. A model does no better than a shortcut unless its accuracy is above
// the shortcut's on the same problems.
type Shortcut struct {
	Name string
	// Score rates a candidate; the rule picks the higher, and tosses a coin on
	// equal ones.
	Score func(g *Graph, candidate int) int
}

// Shortcuts are the known rules, with their accuracy on the published test file
// (500 items, spec coconut.md): 0.66, 0.71, 0.70, 0.92.
func Shortcuts() []Shortcut {
	return []Shortcut{
		{"fewer in-edges", func(g *Graph, c int) int { return -len(g.Parents()[c]) }},
		{"more ancestors", func(g *Graph, c int) int { return countReached(g.ancestors(c)) }},
		{"parent or self within 2 of root", func(g *Graph, c int) int { return meets(g, 2, c, 1) }},
		{"ancestor within 2 is within 2 of root", func(g *Graph, c int) int { return meets(g, 2, c, 2) }},
	}
}

// meets is 1 if some node lies within down edges of the root and has the
// candidate within up edges, else 0.
func meets(g *Graph, down, candidate, up int) int {
	below, above := g.Distances(g.Root), g.ancestors(candidate)
	for v := range below {
		if below[v] >= 0 && below[v] <= down && above[v] >= 0 && above[v] <= up {
			return 1
		}
	}
	return 0
}

// Correct is the probability that the rule picks the target: 0, ½ or 1.
func (s Shortcut) Correct(g *Graph) float64 {
	target, neg := s.Score(g, g.Target), s.Score(g, g.NegTarget)
	switch {
	case target > neg:
		return 1
	case target < neg:
		return 0
	}
	return 0.5
}
