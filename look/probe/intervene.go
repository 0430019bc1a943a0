package probe

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"orrery/task"
)

// Intervention is the accuracy with other vectors in the place of all thoughts,
// as many as the item has hops.
type Intervention struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Share Share  `json:"share"`
	// Pair compares the two candidates alone, whatever else has a larger logit.
	Pair Share `json:"pair"`
}

// standIn makes what is fed in the place of thought i ≥ 1 of an item.
type standIn struct {
	name, about, theory string
	make                func(r *runner, item, i int) []float64
}

var standIns = []standIn{
	{"own", "the model's own thoughts, which nothing is done to", "right", func(r *runner, item, i int) []float64 {
		return r.thoughts[item][i-1]
	}},
	{"exact", "the uniform superposition of the nodes within i edges, in the model's own embeddings and at the length of its own thought", "right", func(r *runner, item, i int) []float64 {
		return r.exact(item, i)
	}},
	{"centred", "the mean over all other items, and on it what sets the exact superposition apart from their mean, at the length of what sets the own thought apart", "right", func(r *runner, item, i int) []float64 {
		return r.centred(r.exacts, item, i, r.exact(item, i))
	}},
	{"frontier", "the uniform superposition of the ends of walks of exactly i edges, at the length of the own thought", "right", func(r *runner, item, i int) []float64 {
		return r.frontier(item, i)
	}},
	{"centred frontier", "as centred, of the frontier's superposition", "right", func(r *runner, item, i int) []float64 {
		return r.centred(r.frontiers, item, i, r.frontier(item, i))
	}},
	{"swapped", "the thoughts that the model had about the next item", "chance", func(r *runner, item, i int) []float64 {
		return r.thoughts[(item+1)%len(r.items)][i-1]
	}},
	{"mean", "the mean of thought i over all other items", "chance", func(r *runner, item, i int) []float64 {
		return r.others(r.sums, item, i, r.thoughts[item][i-1])
	}},
	{"noise", "normal noise at the length of the own thought", "chance", func(r *runner, item, i int) []float64 {
		rng := rand.New(rand.NewPCG(r.o.Seed, uint64(item)<<8|uint64(i)))
		v := make([]float64, r.s.Width())
		for k := range v {
			v[k] = rng.NormFloat64()
		}
		return scaleTo(v, norm(r.thoughts[item][i-1]))
	}},
	{"zero", "zeros", "chance", func(r *runner, _, _ int) []float64 { return make([]float64, r.s.Width()) }},
}

// exact is the uniform superposition of V_i at the length of the own thought i.
func (r *runner) exact(item, i int) []float64 {
	return superpose(r.s, r.items[item].within[i], norm(r.thoughts[item][i-1]))
}

// frontier is the uniform superposition of F_i at that length.
func (r *runner) frontier(item, i int) []float64 {
	return superpose(r.s, r.items[item].frontier[i], norm(r.thoughts[item][i-1]))
}

// centred is the mean thought i of all other items, and on it what sets a superposition
// apart from their mean one, at the length of what sets the own thought apart. sums are
// the superpositions' over all items.
func (r *runner) centred(sums [][]float64, item, i int, set []float64) []float64 {
	own := r.thoughts[item][i-1]
	mean := r.others(r.sums, item, i, own)
	return plus(mean, scaleTo(minus(set, r.others(sums, item, i, set)), norm(minus(own, mean))))
}

// others is the mean over all items but one, whose own share of 1/n would decide between
// candidates that are else equal.
func (r *runner) others(sums [][]float64, item, i int, own []float64) []float64 {
	mean := minus(sums[i-1], own)
	for k := range mean {
		mean[k] /= float64(max(1, len(r.items)-1))
	}
	return mean
}

// interventions feeds every item each kind of stand-in.
func (r *runner) interventions(ctx context.Context) error {
	sums := func(of func(item, i int) []float64) [][]float64 {
		all := make([][]float64, mostThoughts)
		for i := range all {
			all[i] = make([]float64, r.s.Width())
			for item := range r.items {
				for k, x := range of(item, i+1) {
					all[i][k] += x
				}
			}
		}
		return all
	}
	r.sums = sums(func(item, i int) []float64 { return r.thoughts[item][i-1] })
	r.exacts, r.frontiers = sums(r.exact), sums(r.frontier)
	r.study.StandIns = make([]Intervention, len(standIns))
	for k, s := range standIns {
		r.study.StandIns[k] = Intervention{Name: s.name, About: s.about}
	}
	for at, it := range r.items {
		if err := ctx.Err(); err != nil {
			return err
		}
		read, err := r.s.Read(it.prompt)
		if err != nil {
			return fmt.Errorf("probe %s: item %d: %w", r.s.Name(), at, err)
		}
		for k, s := range standIns {
			if it.Hops > mostThoughts {
				continue
			}
			logits, err := r.intervene(read.Fork(), s, at)
			if err != nil {
				return fmt.Errorf("probe %s: item %d with %s thoughts: %w", r.s.Name(), at, s.name, err)
			}
			in := &r.study.StandIns[k]
			in.Share.add(logits, it.Target)
			low, high := min(it.Candidates[0], it.Candidates[1]), max(it.Candidates[0], it.Candidates[1])
			want := 0
			if it.Target == high {
				want = 1
			}
			in.Pair.add([]float64{logits[low], logits[high]}, want)
		}
		r.progress()
	}
	return nil
}

func (r *runner) intervene(mind Mind, s standIn, at int) ([]float64, error) {
	for i := 1; i <= r.items[at].Hops; i++ {
		if err := mind.Feed(s.make(r, at, i)); err != nil {
			return nil, err
		}
	}
	return mind.Answer()
}

// offFormula is how far an inner product of the constructed model is from
// 1/√|V_i| inside V_i and 0 outside.
func offFormula(it Item, i, v int, x float64) float64 {
	if it.node[i][v] >= task.Reachable {
		x -= 1 / math.Sqrt(float64(len(it.within[i])))
	}
	return math.Abs(x)
}
