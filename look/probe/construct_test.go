package probe

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"orrery/task"
)

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// questions are generated graphs of a level in symbols.
func questions(t testing.TB, seed uint64, n int, level task.Level, permute bool) []task.Symbols {
	t.Helper()
	rng := source(seed)
	out := make([]task.Symbols, n)
	for i := range out {
		g := task.SymbolShapeOf(level).Generate(rng).Data.(*task.Graph)
		s, err := task.Symbolize(rng, g, permute)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = s
	}
	return out
}

// superposition is |V|^(−1/2) on the members of a set.
func superposition(set []int) []float64 {
	t := make([]float64, vocab)
	for _, v := range set {
		t[v] = 1 / math.Sqrt(float64(len(set)))
	}
	return t
}

// outcome is what thinking on one question showed.
type outcome struct {
	right  bool    // at every number of thoughts from the hops on
	margin float64 // the least logit of the target over any other token
	error  float64 // the largest distance of a thought's coordinate from the formula
}

// think runs a constructed model with up to 3 thoughts more than hops.
func think(t testing.TB, c Constructed, s task.Symbols) outcome {
	t.Helper()
	g := s.Graph()
	m, err := c.Read(s.Prompt())
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{right: true, margin: math.Inf(1)}
	hops := g.Hops()
	for k := range hops + 4 {
		if k > 0 {
			thought := m.Thought()
			for v, want := range superposition(g.Within(k)) {
				o.error = max(o.error, math.Abs(thought[v]-want))
			}
			if err := m.Feed(thought); err != nil {
				t.Fatal(err)
			}
		}
		if k < hops {
			continue
		}
		logits, err := m.Answer()
		if err != nil {
			t.Fatal(err)
		}
		for v, l := range logits {
			if v != s.Target {
				o.margin = min(o.margin, logits[s.Target]-l)
			}
		}
		o.right = o.right && o.margin > 0
	}
	return o
}

// TestPositionsRotate: the kernel is the inner product of position vectors of
// which R_ℓ makes those ℓ further on, and the gap is the specification's.
func TestPositionsRotate(t *testing.T) {
	position := func(i int) (p [2 * pairs]float64) {
		for k := range pairs {
			s, c := math.Sincos(math.Pow(10000, -float64(k)/pairs) * float64(i))
			p[2*k], p[2*k+1] = c, s
		}
		return p
	}
	turn := func(p [2 * pairs]float64, by int) (q [2 * pairs]float64) {
		r := position(by)
		for k := 0; k < len(p); k += 2 {
			q[k], q[k+1] = p[k]*r[k]-p[k+1]*r[k+1], p[k]*r[k+1]+p[k+1]*r[k]
		}
		return q
	}
	for i := range 40 {
		for j := range 40 {
			for back := range 3 {
				a, b := position(i), turn(position(j), back)
				dot := 0.0
				for k := range a {
					dot += a[k] * b[k]
				}
				if math.Abs(dot-kernel(i-j-back)) > 1e-12*pairs {
					t.Fatalf("⟨p_%d, R_%d p_%d⟩ is %v, the kernel says %v", i, back, j, dot, kernel(i-j-back))
				}
			}
		}
	}
	if math.Abs(gap-1.083) > .0005 {
		t.Errorf("gap %.4f, the specification says 1.083", gap)
	}
}

// TestConstructedIsRight: every graph, whatever its hops and ids, is answered for
// every number of thoughts from the hops on, and every thought is the formula's.
func TestConstructedIsRight(t *testing.T) {
	for _, c := range []struct {
		name    string
		level   task.Level
		permute bool
	}{
		{"3–4 hops", task.Standard, true}, {"3–4 hops, sorted ids", task.Standard, false},
		{"10 slots", task.Easy, true}, {"5–6 hops", task.Hard, true},
	} {
		margin := math.Inf(1)
		for i, s := range questions(t, 51, 60, c.level, c.permute) {
			o := think(t, Constructed{}, s)
			if !o.right || o.error > 1e-12 {
				t.Fatalf("%s, item %d: right %v, margin %v, thoughts off by %v", c.name, i, o.right, o.margin, o.error)
			}
			margin = min(margin, o.margin)
		}
		t.Logf("%s: smallest margin %.3f", c.name, margin)
		// The target leads by its share of the last thought, 1/√|V| with at most 31 nodes.
		if margin < 1/math.Sqrt(nodes)-1e-12 {
			t.Errorf("%s: margin %v, the formula allows no less than %v", c.name, margin, 1/math.Sqrt(nodes))
		}
	}
}

// TestConstructedOnSmallGraphs leaves the generator: all graphs of 5 nodes with
// edges to larger ids, in which one of two candidates can be reached.
func TestConstructedOnSmallGraphs(t *testing.T) {
	const n = 5
	var all [][2]int
	for a := range n {
		for b := a + 1; b < n; b++ {
			all = append(all, [2]int{a, b})
		}
	}
	asked := 0
	for bits := 1; bits < 1<<len(all); bits += 3 { // a third of them
		s := task.Symbols{Root: bits % 2}
		for k, e := range all {
			if bits>>k&1 == 1 {
				s.Edges = append(s.Edges, e)
			}
		}
		d := s.Graph().Distances(s.Root)
		for c1 := range n {
			for c2 := range n {
				if d[c1] > 0 && d[c2] < 0 {
					s.Candidates, s.Target = [2]int{c1, c2}, c1
					if o := think(t, Constructed{}, s); !o.right || o.error > 1e-12 {
						t.Fatalf("%v: %+v", s, o)
					}
					asked++
				}
			}
		}
	}
	if asked < 500 {
		t.Errorf("only %d questions were asked", asked)
	}
}

// TestOrderAndIdsDoNotMatter: other orders of edges and candidates and other ids
// give the same thoughts, node by node, to rounding.
func TestOrderAndIdsDoNotMatter(t *testing.T) {
	rng := source(52)
	for _, s := range questions(t, 53, 20, task.Standard, false) {
		other := task.Symbols{Edges: slices.Clone(s.Edges), Candidates: [2]int{s.Candidates[1], s.Candidates[0]}}
		rng.Shuffle(len(other.Edges), func(i, j int) { other.Edges[i], other.Edges[j] = other.Edges[j], other.Edges[i] })
		ids := rng.Perm(nodes)
		for i, e := range other.Edges {
			other.Edges[i] = [2]int{ids[e[0]], ids[e[1]]}
		}
		for i, c := range other.Candidates {
			other.Candidates[i] = ids[c]
		}
		other.Root, other.Target = ids[s.Root], ids[s.Target]
		a, err := Constructed{}.Read(s.Prompt())
		if err != nil {
			t.Fatal(err)
		}
		b, err := Constructed{}.Read(other.Prompt())
		if err != nil {
			t.Fatal(err)
		}
		for k := range 5 {
			x, y := a.Thought(), b.Thought()
			for v := range nodes {
				if math.Abs(x[v]-y[ids[v]]) > 1e-12 {
					t.Fatalf("thought %d: node %d has %v, as %d %v", k+1, v, x[v], ids[v], y[ids[v]])
				}
			}
			if err := errorsOf(a.Feed(x), b.Feed(y)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestNegativeControls: without the clipping MLP, or with soft attention, the
// thoughts leave the formula and answers go wrong.
func TestNegativeControls(t *testing.T) {
	all := questions(t, 54, 60, task.Standard, true)
	for name, c := range map[string]Constructed{"no MLP": {Unclipped: true}, "η = λ = 1": {Eta: 1, Lambda: 1}} {
		wrong, off := 0, 0
		for _, s := range all {
			o := think(t, c, s)
			if !o.right {
				wrong++
			}
			if o.error > .01 {
				off++
			}
		}
		t.Logf("%s: %d of %d wrong, %d thoughts off", name, wrong, len(all), off)
		if off != len(all) {
			t.Errorf("%s: thoughts of only %d of %d items leave the formula", name, off, len(all))
		}
	}
}

// TestConstructedOnPublishedFile: 257 of 257, and the smallest margin.
func TestConstructedOnPublishedFile(t *testing.T) {
	dir := os.Getenv("ORRERY_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, "prosqa_valid_graph_4_coconut.json")
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("skipped: no published file at %s; to run, set ORRERY_DATA to a folder with it", path)
	}
	defer f.Close()
	problems, err := task.SymbolTask{}.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	margin, off := math.Inf(1), 0.0
	for i, p := range problems {
		s, err := task.ParseSymbols(p.Question)
		if err != nil {
			t.Fatal(err)
		}
		o := think(t, Constructed{}, s)
		if !o.right || o.error > 1e-12 {
			t.Errorf("item %d: %+v", i, o)
		}
		margin, off = min(margin, o.margin), max(off, o.error)
	}
	t.Logf("%d items, smallest margin %.3f, thoughts off by at most %g", len(problems), margin, off)
	if len(problems) != 257 {
		t.Errorf("%d items, want 257", len(problems))
	}
}

// TestConstructedRefuses what does not fit it.
func TestConstructedRefuses(t *testing.T) {
	for _, prompt := range [][]int{nil, {1, 2}, {task.SymbolEOS, 40}, {task.SymbolEOS, -1}} {
		if _, err := (Constructed{}).Read(prompt); err == nil {
			t.Errorf("prompt %v is read", prompt)
		}
	}
	m, err := Constructed{}.Read([]int{task.SymbolEOS, 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Feed(make([]float64, 3)); err == nil {
		t.Error("a thought of 3 numbers is fed")
	}
}
