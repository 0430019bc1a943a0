package confidence

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// close9 is the tolerance against the brute-force twin: the specification's
// 1e-9. Values are at most 100, windows at most a few hundred, so rounding
// stays below 1e-12.
const close9 = 1e-9

// naiveToken is the definition, read aloud: drop, clamp, sort, cut, average.
func naiveToken(top []float64, k int, floor float64) (float64, bool) {
	var e []float64
	for _, v := range top {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			continue
		}
		e = append(e, math.Min(0, math.Max(floor, v)))
	}
	if len(e) == 0 {
		return 0, false
	}
	slices.SortFunc(e, func(a, b float64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	e = e[:min(k, len(e))]
	s := 0.0
	for _, v := range e {
		s += v
	}
	return math.Abs(s / float64(len(e))), true
}

// naiveMeasures is O(n·W): every group is averaged from scratch.
func naiveMeasures(lists [][]float64, cfg Config) (Measures, []float64) {
	cfg = cfg.Resolved()
	var c []float64
	for _, l := range lists {
		if v, ok := naiveToken(l, cfg.K, cfg.Floor); ok {
			c = append(c, v)
		}
	}
	m := Measures{Tokens: len(lists), Scored: len(c)}
	if len(c) == 0 {
		return m, nil
	}
	avg := func(x []float64) float64 {
		s := 0.0
		for _, v := range x {
			s += v
		}
		return s / float64(len(x))
	}
	var groups []float64
	for i := cfg.Window; i <= len(c); i++ {
		groups = append(groups, avg(c[i-cfg.Window:i]))
	}
	if len(groups) == 0 {
		groups = []float64{avg(c)}
	}
	sorted := slices.Sorted(slices.Values(groups))
	m.Mean, m.Tail = avg(c), avg(c[len(c)-min(len(c), cfg.Tail):])
	m.Lowest, m.Highest = sorted[0], sorted[len(sorted)-1]
	m.Bottom10 = avg(sorted[:max(1, len(sorted)/10)])
	return m, groups
}

// randomList draws a top list with everything that servers have been seen to
// send: nulls, infinities, stand-ins for log 0, positive rounding errors.
func randomList(rng *rand.Rand, unscored float64) []float64 {
	if rng.Float64() < unscored {
		return [][]float64{nil, {math.NaN()}, {math.Inf(1), math.NaN()}}[rng.IntN(3)]
	}
	l := make([]float64, 1+rng.IntN(25))
	for i := range l {
		switch rng.IntN(12) {
		case 0:
			l[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), -9999, -3.4e38, 1e-7, 0, math.Copysign(0, -1)}[rng.IntN(8)]
		default:
			l[i] = -20 * rng.Float64()
		}
	}
	if rng.IntN(2) == 0 {
		slices.SortFunc(l, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
	}
	return l
}

func TestTrackerEqualsBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 400 {
		cfg := Config{Window: 1 + rng.IntN(40), Tail: rng.IntN(50), K: rng.IntN(24), Floor: []float64{0, -100, -5}[rng.IntN(3)]}
		unscored := []float64{0, 0.1, 0.9, 1}[rng.IntN(4)]
		lists := make([][]float64, rng.IntN(300))
		for i := range lists {
			lists[i] = randomList(rng, unscored)
		}
		want, groups := naiveMeasures(lists, cfg)

		tr := New(cfg)
		var got []float64
		for _, l := range lists {
			before := slices.Clone(l)
			if g, ok := tr.Add(l); ok {
				got = append(got, g)
			}
			if !slices.EqualFunc(l, before, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
				t.Fatal("Add changed its argument")
			}
		}
		m := tr.Measures()
		if m.Scored >= tr.Config().Window {
			if len(got) != len(groups) {
				t.Fatalf("trial %d: %d groups, want G = n-W+1 = %d", trial, len(got), len(groups))
			}
			for i := range got {
				if math.Abs(got[i]-groups[i]) > close9 {
					t.Fatalf("trial %d: group %d is %v, want %v", trial, i, got[i], groups[i])
				}
			}
		} else if len(got) != 0 {
			t.Fatalf("trial %d: a group was defined before the window was full", trial)
		}
		if again := slices.Collect(tr.Groups); m.Scored >= tr.Config().Window && !slices.Equal(again, got) {
			t.Fatalf("trial %d: Groups differ from what Add returned", trial)
		}
		if m.Tokens != want.Tokens || m.Scored != want.Scored {
			t.Fatalf("trial %d: counts %d/%d, want %d/%d", trial, m.Tokens, m.Scored, want.Tokens, want.Scored)
		}
		for _, name := range AllMeasures {
			g, ok1 := m.Get(name)
			w, ok2 := want.Get(name)
			if ok1 != ok2 || math.Abs(g-w) > close9 {
				t.Fatalf("trial %d %+v: %s is %v (%v), want %v (%v)", trial, cfg, name, g, ok1, w, ok2)
			}
		}
		if !(0 <= m.Lowest && m.Lowest <= m.Bottom10 && m.Bottom10 <= m.Highest) {
			t.Fatalf("trial %d: want 0 ≤ %v ≤ %v ≤ %v", trial, m.Lowest, m.Bottom10, m.Highest)
		}
		if low, ok := tr.Lowest(); ok != (m.Scored > 0) || ok && low != m.Lowest {
			t.Fatalf("trial %d: Lowest() %v, Measures %v", trial, low, m.Lowest)
		}
	}
}

func TestTokenIsBitIdenticalInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		l, k := randomList(rng, 0), 1+rng.IntN(22)
		tr := New(Config{K: k})
		want, wantOK := naiveToken(l, k, DefaultFloor)
		for range 20 {
			rng.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
			got, ok := tr.token(l)
			if ok != wantOK || math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("%v, k %d: C = %v (%v), want %v (%v)", l, k, got, ok, want, wantOK)
			}
		}
	}
}

func TestTokenClosedForms(t *testing.T) {
	tr := New(Config{K: 3})
	for _, c := range []struct {
		name string
		top  []float64
		want float64
	}{
		{"mean of the three greatest", []float64{-1, -2, -3, -50}, 2},
		{"the entry beyond k is dropped by the sort, wherever it stands", []float64{-50, -3, -2, -1}, 2},
		{"fewer than k: divided by their own number", []float64{-1, -2}, 1.5},
		{"certain", []float64{0, 0, 0}, 0},
		{"positive is rounding", []float64{1e-9}, 0},
		{"log 0 as servers write it", []float64{math.Inf(-1), -9999, -3.4e38}, 100},
		{"nulls and +Inf are no entries", []float64{math.NaN(), -4, math.Inf(1)}, 4},
	} {
		if got, ok := tr.token(c.top); !ok || got != c.want || math.Signbit(got) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// A uniform distribution over V words has C = log V at any k.
	l := slices.Repeat([]float64{-math.Log(32)}, 20)
	if got, _ := New(Config{}).token(l); math.Abs(got-math.Log(32)) > 1e-15*20 { // 20 roundings
		t.Errorf("uniform over 32: C = %v, want log 32", got)
	}
}

// A trace of equal tokens must have equal groups to the last bit however long
// it is: its lowest group is compared with thresholds made from such groups.
func TestConstantTraceHasNoDrift(t *testing.T) {
	for _, c := range []float64{0.1, 1.0 / 3, 17.3, 99.999} {
		tr := New(Config{Window: 7})
		var first float64
		for i := range 1000 {
			g, ok := tr.Push(c)
			if i == 6 {
				first = g
			}
			if ok && g != first {
				t.Fatalf("c %v: group at token %d is %v, the first was %v", c, i+1, g, first)
			}
		}
		if m := tr.Measures(); m.Lowest != first || m.Bottom10 != first || m.Highest != first {
			t.Fatalf("c %v: %+v, want %v throughout", c, m, first)
		}
	}
}

// Adversarial for a running sum: huge values leave the window and small ones
// stay. The regular re-summing bounds what is left behind.
func TestDriftIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const w = 64
	tr := New(Config{Window: w})
	var c []float64
	for range 20000 {
		v := 100 * rng.Float64()
		if rng.IntN(2) == 0 {
			v = 1e-9 * rng.Float64()
		}
		c = append(c, v)
		g, ok := tr.Push(v)
		if !ok {
			continue
		}
		if want := mean(c[len(c)-w:]); math.Abs(g-want) > 1e-12 { // W·ulp(W·100)/W
			t.Fatalf("token %d: group %v, afresh %v", len(c), g, want)
		}
	}
}

func TestRewindowIsTheSameCode(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		first, second := Config{Window: 1 + rng.IntN(30)}, Config{Window: 1 + rng.IntN(30), Tail: 1 + rng.IntN(30)}
		a, b := New(first), New(second)
		for range rng.IntN(200) {
			l := randomList(rng, 0.2)
			a.Add(l)
			b.Add(l)
		}
		r := a.Rewindow(second.Window, second.Tail)
		if r.Measures() != b.Measures() {
			t.Fatalf("rewindowed %+v, live %+v", r.Measures(), b.Measures())
		}
		if !slices.Equal(slices.Collect(r.Groups), slices.Collect(b.Groups)) {
			t.Fatal("rewindowed groups differ from live ones")
		}
		l := randomList(rng, 0) // and it goes on like the live one
		g1, ok1 := r.Add(l)
		g2, ok2 := b.Add(l)
		if g1 != g2 || ok1 != ok2 {
			t.Fatalf("after rewindowing the next group is %v (%v), live %v (%v)", g1, ok1, g2, ok2)
		}
	}
}

func TestPercentile(t *testing.T) {
	x := []float64{40, 10, 20, 30}
	for _, c := range []struct{ p, want float64 }{{0, 10}, {100, 40}, {50, 25}, {90, 37}, {10, 13}, {100.0 / 3, 20}} {
		if got := Percentile(x, c.p); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("P%v = %v, want %v", c.p, got, c.want)
		}
	}
	if x[0] != 40 {
		t.Error("Percentile sorted its argument in place")
	}
	if got := Percentile([]float64{3}, 17); got != 3 {
		t.Errorf("of one value: %v", got)
	}
	if !math.IsNaN(Percentile(nil, 50)) {
		t.Error("of nothing: want NaN")
	}
	// 16 untied warm-ups: η = 10 admits 2, η = 90 admits 14.
	var u []float64
	for i := range 16 {
		u = append(u, float64(i*i)/7)
	}
	for eta, want := range map[float64]int{10: 2, 90: 14, 100: 16} {
		s, n := Percentile(u, 100-eta), 0
		for _, v := range u {
			if v >= s {
				n++
			}
		}
		if n != want {
			t.Errorf("η %v admits %d of 16, want %d", eta, n, want)
		}
	}
}

func TestPercentileIsMonotoneAndKeepsOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		x := make([]float64, 1+rng.IntN(20))
		for i := range x {
			x[i] = 10 + float64(rng.IntN(5))/3 // many ties
		}
		last := math.Inf(-1)
		for p := 0.0; p <= 100; p += 0.37 {
			v := Percentile(x, p)
			if v < last {
				t.Fatalf("%v: P%v = %v falls below %v", x, p, v, last)
			}
			if last = v; v > slices.Max(x) {
				t.Fatalf("%v: P%v = %v keeps nothing", x, p, v)
			}
		}
	}
}

func TestAutoWindow(t *testing.T) {
	for _, c := range []struct {
		lengths []int
		want    int
	}{
		{nil, 2048}, {[]int{8}, 32}, {[]int{800}, 100}, {[]int{1 << 20}, 2048},
		{[]int{400, 800, 80000}, 100}, {[]int{400, 816}, 76}, {[]int{815, 400}, 75},
	} {
		if got := AutoWindow(c.lengths); got != c.want {
			t.Errorf("%v: %d, want %d", c.lengths, got, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	if got, want := (Config{}).Resolved(), (Config{2048, 2048, 20, -100}); got != want {
		t.Errorf("zero value is %+v, want the paper's %+v", got, want)
	}
	if got := (Config{Window: 64}).Resolved().Tail; got != 64 {
		t.Errorf("tail of window 64 is %d", got)
	}
	for _, c := range []Config{{Window: -1}, {Tail: -1}, {K: -1}, {K: MaxK + 1}, {Floor: 1}, {Floor: math.NaN()}, {Floor: math.Inf(-1)}} {
		if c.Validate() == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	if _, err := ParseMeasure("best"); err == nil {
		t.Error("an unknown measure was accepted")
	}
	for _, m := range AllMeasures {
		if got, err := ParseMeasure(string(m)); err != nil || got != m {
			t.Errorf("%s: %v, %v", m, got, err)
		}
		if _, ok := (Measures{Tokens: 3}).Get(m); ok {
			t.Errorf("%s of an unscored trace is defined", m)
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	tr := New(Config{})
	l := randomList(rand.New(rand.NewPCG(1, 1)), 0)
	tr.Grow(5000)
	if n := testing.AllocsPerRun(4000, func() { tr.Add(l) }); n != 0 {
		t.Errorf("%v allocations a token", n)
	}
}

// One token at k = 20 of 21 entries: in the two orders that servers send,
// shuffled, and the sort of the definition beside them.
func BenchmarkToken(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	lists := make([][]float64, 256)
	for i := range lists {
		for range 21 {
			lists[i] = append(lists[i], -15*rng.Float64())
		}
	}
	run := func(name string, add func([]float64)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				add(lists[i&255])
				i++
			}
		})
	}
	fresh := func() func([]float64) {
		tr := New(Config{})
		tr.Grow(1 << 23)
		return func(l []float64) {
			tr.Add(l)
			if len(tr.conf) == cap(tr.conf) {
				tr.conf, tr.sum = tr.conf[:0], 0
			}
		}
	}
	run("shuffled", fresh())
	run("naive", func(l []float64) { naiveToken(l, 20, DefaultFloor) })
	for _, l := range lists {
		slices.Sort(l[:20])
		slices.Reverse(l[:20])
	}
	run("descending", fresh())
	for i, l := range lists { // the sampled token, of rank 1 to 4, then the others
		first := l[i%4]
		copy(l[1:i%4+1], l[:i%4])
		l[0] = first
	}
	run("sampled first", fresh())
}
