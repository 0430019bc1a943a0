package probe

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"orrery/task"
)

func generated(t testing.TB, seed uint64, n int, level task.Level) []Item {
	t.Helper()
	items, err := Generate(seed, n, level)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func study(t testing.TB, s Subject, items []Item) *Study {
	t.Helper()
	st, err := Run(context.Background(), s, items, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestProbesOfTheConstructedModel: what theory says of it is what the probes
// measure: no mass on edges that are not reachable, equal mass on the others, inner
// products 1/√|V_c| or 0, thoughts that are the superposition, right for every number
// of thoughts from the hops on.
func TestProbesOfTheConstructedModel(t *testing.T) {
	items := generated(t, 71, 40, task.Standard)
	s := study(t, Constructed{}, items)
	if th := s.Theory; th == nil || th.MostInvalid > 1e-9 || th.Unequal > 1e-12 || th.InnerOff > 1e-12 {
		t.Errorf("theory: %+v", s.Theory)
	}
	for _, th := range s.Thoughts {
		if math.Abs(th.Norm.Value()-1) > 1e-12 || math.Abs(th.Cosine.Value()-1) > 1e-12 {
			t.Errorf("thought %d: norm %v, cosine %v", th.Step, th.Norm.Value(), th.Cosine.Value())
		}
	}
	// Matching edges have logit λ/√|V|, others 0.
	for _, m := range s.Match {
		if m.Outside.Value() > 1e-9 || m.Inside.Value() < 60/sink/math.Sqrt(nodes) {
			t.Errorf("index matching with %d thoughts: %v inside, %v outside", m.Step, m.Inside.Value(), m.Outside.Value())
		}
	}
	// Two heads copy from every bar; the other three idle at <eos>.
	for h, c := range s.Copying {
		source, target, first := 0.0, 0.0, 1.0
		switch h {
		case 0:
			source, first = 1, 0
		case 1:
			target, first = 1, 0
		}
		if math.Abs(c.Source.Value()-source) > 1e-9 || math.Abs(c.Target.Value()-target) > 1e-9 || math.Abs(c.First.Value()-first) > 1e-9 {
			t.Errorf("head %d: %v, %v, %v", h, c.Source.Value(), c.Target.Value(), c.First.Value())
		}
	}
	if s.Oracle.Right != len(items) || s.Oracle.Ties != 0 {
		t.Errorf("oracle %+v", s.Oracle)
	}
	for k, a := range s.Accuracy {
		if k >= 4 && a.Right != len(items) {
			t.Errorf("%d of %d right with %d thoughts", a.Right, a.N, k)
		}
		if k <= 2 && (a.Right == len(items) || a.Ties != len(items)) { // no candidate is reached before 3 hops
			t.Errorf("%d right and %d ties with %d thoughts", a.Right, a.Ties, k)
		}
	}
	for _, i := range s.StandIns {
		all := i.Share.Right == len(items) && i.Share.Ties == 0
		if want := slices.Contains([]string{"own", "exact", "centred", "frontier", "centred frontier"}, i.Name); all != want {
			t.Errorf("thoughts replaced by %s: %+v", i.Name, i.Share)
		}
	}
	for _, o := range s.Orderings {
		if want := o.Rule != "optimal > frontier"; o.Holds != want && o.Probe == "inner" && want {
			t.Errorf("%+v", o)
		}
	}
}

// TestMeansCountEveryNodeAndEdge: each is in one class by itself, nested classes
// count it in all that hold it, and the sums of all are the sums of the definition.
func TestMeansCountEveryNodeAndEdge(t *testing.T) {
	items := generated(t, 72, 20, task.Standard)
	s := study(t, Constructed{}, items)
	for i, b := range s.Inner {
		inEdge, optimal, frontier := 0, 0, 0
		for _, it := range items {
			if it.Hops < i+1 {
				continue
			}
			g := it.Graph()
			for v := range nodes {
				for _, e := range g.Edges {
					if e[0] == v || e[1] == v {
						inEdge++
						break
					}
				}
			}
			optimal += len(g.Optimal()[i+1])
			frontier += len(g.Frontiers(i + 1)[i+1])
		}
		if b.NotReachable.N+b.Reachable.N != inEdge || b.Optimal.N != optimal || b.Frontier.N != frontier {
			t.Errorf("step %d: %d + %d nodes, %d optimal, %d frontier; want %d, %d, %d", b.Step, b.NotReachable.N, b.Reachable.N, b.Optimal.N, b.Frontier.N, inEdge, optimal, frontier)
		}
		n := 0
		for _, v := range s.values[i] {
			n += len(v)
		}
		if n != inEdge {
			t.Errorf("step %d: %d values for the histogram, %d nodes", b.Step, n, inEdge)
		}
	}
	for i, b := range s.Attention {
		edges := 0
		for _, it := range items {
			if i < it.Hops {
				edges += len(it.Edges) - 1
			}
		}
		if b.NotReachable.N+b.Reachable.N != edges {
			t.Errorf("%d thoughts: %d + %d edges, want %d", i, b.NotReachable.N, b.Reachable.N, edges)
		}
	}
	for _, b := range append(slices.Clone(s.Inner), s.Attention...) {
		// Sums of some hundred float64 of at most 1.
		if d := b.Reachable.sum - b.Frontier.sum - b.Left.sum; b.Left.N != b.Reachable.N-b.Frontier.N || math.Abs(d) > 1e-9 {
			t.Errorf("step %d: %d nodes or edges left behind of %d − %d, sums %g apart", b.Step, b.Left.N, b.Reachable.N, b.Frontier.N, d)
		}
	}
	// The constructed model looks at nothing but the bars of edges, the last one's [Q]
	// among them, where its thought has an edge to follow: from the root it always has.
	// Its other logits are smaller by 60 at least.
	for _, ex := range s.examples {
		all := 0.0
		for _, mass := range ex.mass[0] {
			all += mass
		}
		if math.Abs(all-1) > 1e-9 {
			t.Errorf("all edges together have %v of the attention, want 1", all)
		}
	}
}

// TestStudyOfATrainedShape: an untrained model of the trained ones' shape goes
// through all probes, twice with the same result, and its JSON has no gap.
func TestStudyOfATrainedShape(t *testing.T) {
	s, err := NewTrained("small", small(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	items := generated(t, 73, 6, task.Easy)
	var first string
	for range 2 {
		b, err := json.Marshal(study(t, s, items))
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		} else if first != string(b) {
			t.Error("one seed, two results")
		}
	}
	st := study(t, s, items)
	if st.Theory != nil || len(st.Copying) != 4 || len(st.Inner) != mostHops(items) || len(st.Attention) != mostHops(items) {
		t.Errorf("theory %v, %d heads, %d and %d steps", st.Theory, len(st.Copying), len(st.Inner), len(st.Attention))
	}
	for _, c := range st.Copying { // float32 weights of a row add up to 1
		if sum := c.Source.Value() + c.Target.Value() + c.First.Value() + c.Elsewhere.Value(); math.Abs(sum-1) > 1e-5 {
			t.Errorf("head %d: shares add up to %v", c.Head, sum)
		}
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	items := generated(t, 74, 4, task.Easy)
	seen := 0
	_, err := Run(ctx, Constructed{}, items, Options{Progress: func(done, total int) {
		if total != 8 {
			t.Errorf("%d of %d", done, total)
		}
		if seen = done; done == 5 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || seen != 5 {
		t.Errorf("stopped after %d with %v", seen, err)
	}
	if _, err := Run(context.Background(), Constructed{}, nil, Options{}); err == nil {
		t.Error("no items are studied")
	}
}
