package probe

// example is one item with what its drawing shows, by step.
type example struct {
	item  Item
	mass  [][]float64 // of each edge, with 0…Hops−1 thoughts present
	inner [][]float64 // of each of the 31 ids, for thoughts 1…Hops; that of thought 0 is empty
}

// example keeps an item for drawing if it is one of the first with the most hops.
func (r *runner) example(it Item, steps int) *example {
	if len(r.study.examples) == r.o.Examples || steps < mostHops(r.items) {
		return nil
	}
	ex := example{item: it, mass: make([][]float64, steps), inner: make([][]float64, steps+1)}
	for i := 1; i <= steps; i++ {
		ex.inner[i] = make([]float64, nodes)
	}
	r.study.examples = append(r.study.examples, ex)
	return &r.study.examples[len(r.study.examples)-1]
}
