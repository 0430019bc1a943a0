package probe

// example is one item with what its drawing shows, by step.
type example struct {
	item  Item
	heads int         // of layer 2
	mass  [][]float64 // of each edge, with 0…Hops−1 thoughts present
	inner [][]float64 // of each of the 31 ids, for thoughts 1…Hops; 0 is the root's embedding
}

// example keeps an item for drawing if it is one of the first with the most hops.
func (r *runner) example(it Item, steps, heads int) *example {
	if len(r.study.examples) == r.o.Examples || steps < mostHops(r.items) {
		return nil
	}
	ex := example{item: it, heads: heads, mass: make([][]float64, steps), inner: make([][]float64, steps+1)}
	for i := range ex.inner {
		ex.inner[i] = make([]float64, nodes)
	}
	for v := range nodes {
		ex.inner[0][v] = dot(r.s.Embedding(it.Root), r.s.Embedding(v))
	}
	r.study.examples = append(r.study.examples, ex)
	return &r.study.examples[len(r.study.examples)-1]
}
