package probe

import (
	"context"
	"math"
	"slices"
	"testing"

	"orrery/task"
)

// TestStandIns: what takes a thought's place, against sums written out: the set that
// its name says, at the length that it says, and nothing of the item itself where
// theory says chance.
func TestStandIns(t *testing.T) {
	s, err := NewTrained("small", small(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	items := generated(t, 5, 6, task.Easy)
	r := newRunner(s, items, Options{})
	for i := range items {
		if err := r.item(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.interventions(context.Background()); err != nil {
		t.Fatal(err)
	}
	sum := func(set []int, length float64) []float64 {
		v := make([]float64, s.Width())
		for _, node := range set {
			v = plus(v, s.Embedding(node))
		}
		return scaleTo(v, length)
	}
	others := func(item int, of func(k int) []float64) []float64 {
		v := make([]float64, s.Width())
		for k := range items {
			if k != item {
				v = plus(v, scaled(of(k), 1/float64(len(items)-1)))
			}
		}
		return v
	}
	for item, it := range items {
		for i := 1; i <= it.Hops; i++ {
			own := r.thoughts[item][i-1]
			exact := func(k int) []float64 { return sum(items[k].within[i], norm(r.thoughts[k][i-1])) }
			thought := func(k int) []float64 { return r.thoughts[k][i-1] }
			frontier := func(k int) []float64 { return sum(items[k].frontier[i], norm(r.thoughts[k][i-1])) }
			mean := others(item, thought)
			centred := func(of func(k int) []float64) []float64 {
				return plus(mean, scaleTo(minus(of(item), others(item, of)), norm(minus(own, mean))))
			}
			want := map[string][]float64{
				"own":              own,
				"exact":            exact(item),
				"centred":          centred(exact),
				"frontier":         frontier(item),
				"centred frontier": centred(frontier),
				"swapped":          r.thoughts[(item+1)%len(items)][i-1],
				"mean":             mean,
				"zero":             make([]float64, s.Width()),
			}
			for _, in := range standIns {
				got := in.make(r, item, i)
				if in.name == "noise" {
					if again := in.make(r, item, i); math.Abs(norm(got)-norm(own)) > 1e-9*norm(own) || !slices.Equal(got, again) {
						t.Errorf("noise of length %v for a thought of %v", norm(got), norm(own))
					}
					continue
				}
				// Sums of a few dozen float64, in another order.
				if d := norm(minus(got, want[in.name])); want[in.name] == nil || d > 1e-9*(1+norm(own)) {
					t.Errorf("item %d, thought %d, %s: %v away from what it is said to be", item, i, in.name, d)
				}
			}
		}
	}
}

func scaled(a []float64, by float64) []float64 {
	out := slices.Clone(a)
	for i := range out {
		out[i] *= by
	}
	return out
}
