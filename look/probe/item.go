package probe

import (
	"fmt"
	"math/rand/v2"

	"orrery/task"
)

// mostThoughts is how far the number of thoughts is swept.
const mostThoughts = 6

// Item is a question with the sets of its search.
type Item struct {
	task.Symbols
	Hops int

	prompt   []int
	within   [][]int        // V_i, i = 0…max(Hops, mostThoughts)
	frontier [][]int        // F_i, likewise
	node     [][]task.Class // of each of the 31 ids, after i = 0…Hops steps
	edge     [][]task.Class // of each edge, likewise
}

// NewItem finds the sets. The target must be reachable.
func NewItem(s task.Symbols) (Item, error) {
	g := s.Graph()
	it := Item{Symbols: s, Hops: g.Hops(), prompt: s.Prompt()}
	if it.Hops < 0 {
		return it, fmt.Errorf("target %d can't be reached from %d, so nothing can be learned from how a model searches: drop the item", s.Target, s.Root)
	}
	it.frontier = g.Frontiers(max(it.Hops, mostThoughts))
	for i := range it.frontier {
		it.within = append(it.within, g.Within(i))
	}
	for i := range it.Hops + 1 {
		it.node = append(it.node, g.NodeClasses(i))
		it.edge = append(it.edge, g.EdgeClasses(i))
	}
	return it, nil
}

// Generate draws n items of a level, with random ids.
func Generate(seed uint64, n int, level task.Level) ([]Item, error) {
	rng := rand.New(rand.NewPCG(seed, 0x70726f6265)) // "probe"
	items := make([]Item, n)
	for i := range items {
		s, err := task.ParseSymbols(task.SymbolTask{}.Generate(rng, level).Question)
		if err != nil {
			return nil, err
		}
		if items[i], err = NewItem(s); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// Convert makes items of problems of task.SymbolTask. Random draws new ids and orders
// for them; otherwise ids and order are the problems' own.
func Convert(seed uint64, problems []task.Problem, random bool) ([]Item, error) {
	rng := rand.New(rand.NewPCG(seed, 0x70726f6265))
	items := make([]Item, len(problems))
	for i, p := range problems {
		s, err := task.ParseSymbols(p.Question)
		if err == nil && random {
			s, err = task.Symbolize(rng, s.Graph(), true)
		}
		if err == nil {
			items[i], err = NewItem(s)
		}
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return items, nil
}

// mostHops is the largest number of hops, up to what is swept.
func mostHops(items []Item) int {
	most := 0
	for _, it := range items {
		most = max(most, min(it.Hops, mostThoughts))
	}
	return most
}

// bar is the position of the token behind edge e: its bar, or [Q] behind the last one.
func bar(e int) int { return 3*e + 3 }

// superpose is the exact superposition of a set in a subject's own embeddings,
// Σ_{v∈V} u_v scaled to a norm.
func superpose(s Subject, set []int, size float64) []float64 {
	sum := make([]float64, s.Width())
	for _, v := range set {
		for i, x := range s.Embedding(v) {
			sum[i] += x
		}
	}
	return scaleTo(sum, size)
}
