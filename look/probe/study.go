package probe

import (
	"context"
	"fmt"

	"orrery/task"
)

// Study is what was measured of one subject on a set of items.
type Study struct {
	Subject string `json:"subject"`

	// Attention is, for i thoughts present, the mass that the last position gives in
	// layer 2, summed over heads, to the three tokens of an edge: source, target
	// and bar. Items with i < hops; the last edge, which has no bar, is left out.
	Attention []ByClass `json:"attention"`

	// Inner is ⟨thought i, u_v⟩ for i ≥ 1, on items with hops ≥ i.
	Inner []ByClass `json:"inner"`

	Thoughts  []ThoughtStep  `json:"thoughts"`
	Copying   []CopyHead     `json:"copying"`
	Match     []MatchStep    `json:"match"`
	Accuracy  []Share        `json:"accuracy"` // with 0, 1, 2 … thoughts, the same for each item
	Oracle    Share          `json:"oracle"`   // as many thoughts as the item has hops, which no user would know
	StandIns  []Intervention `json:"interventions"`
	Orderings []Ordering     `json:"orderings"`
	Theory    *Theory        `json:"theory"` // of the constructed model, else null

	values   [][5][]float64 // inner products by step and class, each node in its last class
	examples []example
}

// ThoughtStep is about thought i itself.
type ThoughtStep struct {
	Step int  `json:"step"`
	Norm Mean `json:"norm"`
	// Cosine is between the thought and the exact superposition of V_i in the
	// subject's own embeddings.
	Cosine Mean `json:"cosine"`
}

// CopyHead is where a head of layer 1 looks from the bars: at the source and the
// target in front of it, at <eos>, or elsewhere.
type CopyHead struct {
	Head      int  `json:"head"`
	Source    Mean `json:"source"`
	Target    Mean `json:"target"`
	First     Mean `json:"first"`
	Elsewhere Mean `json:"elsewhere"`
}

// MatchStep is layer 2's logit, mean over heads, from the last position with i thoughts
// to the bars of edges whose source is in V_i, and of the others. Their
// difference is the index-matching logit μ of arXiv 2509.23365.
type MatchStep struct {
	Step    int  `json:"step"`
	Inside  Mean `json:"inside"`
	Outside Mean `json:"outside"`
}

// Difference is μ.
func (m MatchStep) Difference() float64 { return m.Inside.Value() - m.Outside.Value() }

// Theory is how far the constructed model is from its closed form.
type Theory struct {
	MostInvalid float64 `json:"most_invalid_mass"` // on one edge that is not reachable
	Unequal     float64 `json:"edges_unequal"`     // largest minus smallest mass of reachable edges of one item and step
	InnerOff    float64 `json:"inner_off"`         // an inner product from 1/√|V_i| or 0
}

// Options set a study up. The zero value is a valid configuration.
type Options struct {
	Seed     uint64 // of the noise
	Examples int    // graphs that are drawn; 0: 3
	Brief    bool   // nothing takes the thoughts' place
	// Progress is told of the items done, of two rounds.
	Progress func(done, total int)
}

// Run studies a subject. It ends with the context's error.
func Run(ctx context.Context, s Subject, items []Item, o Options) (*Study, error) {
	if len(items) == 0 {
		return nil, fmt.Errorf("probe %s: there are no items", s.Name())
	}
	r := newRunner(s, items, o)
	for i := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.item(i); err != nil {
			return nil, fmt.Errorf("probe %s: item %d: %w", s.Name(), i, err)
		}
		r.progress()
	}
	if !o.Brief {
		if err := r.interventions(ctx); err != nil {
			return nil, err
		}
	}
	r.study.Orderings = orderings(r.study)
	return r.study, nil
}

// runner is one call of Run.
type runner struct {
	s         Subject
	items     []Item
	o         Options
	study     *Study
	thoughts  [][][]float64 // own thoughts of each item, mostThoughts of them
	sums      [][]float64   // of thought i over the items
	exacts    [][]float64   // of the exact superposition at its length, likewise
	frontiers [][]float64   // and of the frontier's
	done      int
}

func newRunner(s Subject, items []Item, o Options) *runner {
	if o.Examples == 0 {
		o.Examples = 3
	}
	r := &runner{s: s, items: items, o: o, study: &Study{Subject: s.Name(), Accuracy: make([]Share, mostThoughts+1)}}
	hops := mostHops(items)
	r.study.values = make([][5][]float64, hops)
	for i := range hops {
		r.study.Attention = append(r.study.Attention, ByClass{Step: i})
		r.study.Match = append(r.study.Match, MatchStep{Step: i})
		r.study.Inner = append(r.study.Inner, ByClass{Step: i + 1})
		r.study.Thoughts = append(r.study.Thoughts, ThoughtStep{Step: i + 1})
	}
	if _, ok := s.(Constructed); ok {
		r.study.Theory = &Theory{}
	}
	return r
}

func (r *runner) progress() {
	if r.done++; r.o.Progress != nil {
		r.o.Progress(r.done, 2*len(r.items))
	}
}

// item lets the subject think about one item and looks at it.
func (r *runner) item(at int) error {
	it := r.items[at]
	mind, err := r.s.Read(it.prompt)
	if err != nil {
		return err
	}
	var thoughts [][]float64
	for k := range mostThoughts + 1 {
		if k > 0 {
			thoughts = append(thoughts, mind.Thought())
			if err := mind.Feed(thoughts[k-1]); err != nil {
				return err
			}
		}
		logits, err := mind.Answer()
		if err != nil {
			return err
		}
		r.study.Accuracy[k].add(logits, it.Target)
		if k == it.Hops {
			r.study.Oracle.add(logits, it.Target)
		}
	}
	r.thoughts = append(r.thoughts, thoughts)
	steps := min(it.Hops, mostThoughts)
	look, err := r.s.Look(it.prompt, thoughts[:steps-min(1, steps)])
	if err != nil {
		return err
	}
	ex := r.example(it, steps, look.Heads[1])
	for i := range steps {
		r.attend(it, look, i, ex)
		r.inner(it, thoughts[i], i+1, ex)
	}
	r.copying(it, look)
	return nil
}

// attend is probes A and D with i thoughts present.
func (r *runner) attend(it Item, look *Attention, i int, ex *example) {
	from := len(it.prompt) - 1 + i
	a, m := &r.study.Attention[i], &r.study.Match[i]
	least, most := 1e300, 0.0
	for e := range it.Edges {
		b := bar(e)
		mass := look.Second(from, b-2) + look.Second(from, b-1) + look.Second(from, b)
		if ex != nil {
			ex.mass[i] = append(ex.mass[i], mass)
		}
		if e == len(it.Edges)-1 {
			break // it has no bar
		}
		class := it.edge[i][e]
		a.add(class, mass)
		logit := look.Match(from, b)
		if class == task.NotReachable {
			m.Outside.add(logit)
			if t := r.study.Theory; t != nil {
				t.MostInvalid = max(t.MostInvalid, mass)
			}
			continue
		}
		m.Inside.add(logit)
		least, most = min(least, mass), max(most, mass)
	}
	if t := r.study.Theory; t != nil && most > 0 {
		t.Unequal = max(t.Unequal, most-least)
	}
}

// inner is probe B of thought i.
func (r *runner) inner(it Item, thought []float64, i int, ex *example) {
	b, th := &r.study.Inner[i-1], &r.study.Thoughts[i-1]
	for v, class := range it.node[i] {
		x := dot(thought, r.s.Embedding(v))
		if ex != nil {
			ex.inner[i][v] = x
		}
		if class == task.Absent {
			continue
		}
		b.add(class, x)
		r.study.values[i-1][class] = append(r.study.values[i-1][class], x)
		if t := r.study.Theory; t != nil {
			t.InnerOff = max(t.InnerOff, offFormula(it, i, v, x))
		}
	}
	size := norm(thought)
	th.Norm.add(size)
	if size > 0 {
		th.Cosine.add(dot(thought, superpose(r.s, it.within[i], 1)) / size)
	}
}

// copying is probe C.
func (r *runner) copying(it Item, look *Attention) {
	if r.study.Copying == nil {
		for h := range look.Heads[0] {
			r.study.Copying = append(r.study.Copying, CopyHead{Head: h})
		}
	}
	for e := range len(it.Edges) - 1 {
		b := bar(e)
		for h := range r.study.Copying {
			c := &r.study.Copying[h]
			s, t, first := look.Weight(0, h, b, b-2), look.Weight(0, h, b, b-1), look.Weight(0, h, b, 0)
			c.Source.add(s)
			c.Target.add(t)
			c.First.add(first)
			c.Elsewhere.add(max(0, 1-s-t-first))
		}
	}
}
