package vote

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"orrery/think/answer"
	"orrery/think/confidence"
)

func ballot(trace int, ans string, w float64) Ballot {
	return Ballot{trace, ans, answer.KeyOf(ans), w}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		name    string
		ballots []Ballot
		want    []string // surface forms, best first
		v       []float64
	}{
		{"nothing", nil, nil, nil},
		{"weight beats number", []Ballot{ballot(0, "1", 1), ballot(1, "1", 1), ballot(2, "2", 3)}, []string{"2", "1"}, []float64{3, 2}},
		{"equal weight: the earliest first voter", []Ballot{ballot(2, "b", 2), ballot(0, "c", 1), ballot(1, "d", 2), ballot(3, "c", 1)}, []string{"c", "d", "b"}, []float64{2, 2, 2}},
		{"all zero: number, then the earliest", []Ballot{ballot(0, "x", 0), ballot(1, "y", 0), ballot(2, "y", 0), ballot(3, "z", 0)}, []string{"y", "x", "z"}, []float64{0, 0, 0}},
		{"one class, the heaviest ballot's surface", []Ballot{ballot(0, "1/2", 1), ballot(1, "0.5", 3), ballot(2, ".50", 3)}, []string{"0.5"}, []float64{7}},
		{"no answer is no vote", []Ballot{ballot(0, "", 9), ballot(1, "1", 1)}, []string{"1"}, []float64{1}},
		{"the unitless join the only unit", []Ballot{ballot(0, "5", 1), ballot(1, `5\text{ cm}`, 1), ballot(2, "6", 1.5)}, []string{"5", "6"}, []float64{2, 1.5}},
		{"but not one of two", []Ballot{ballot(0, "5", 1), ballot(1, `5\text{ cm}`, 1), ballot(2, `5\text{ m}`, 1), ballot(3, "6", 1.5)},
			[]string{"6", "5", `5\text{ cm}`, `5\text{ m}`}, []float64{1.5, 1, 1, 1}},
	} {
		tally := Count(c.ballots)
		var got []string
		var v []float64
		for _, k := range tally.Classes {
			got, v = append(got, k.Answer), append(v, k.V)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(v, c.v) {
			t.Errorf("%s: %v %v, want %v %v", c.name, got, v, c.want, c.v)
		}
	}
	if _, ok := Count([]Ballot{ballot(0, "x", 0)}).Beta(); ok {
		t.Error("β of no weight is defined")
	}
	if b, ok := Count([]Ballot{ballot(0, "1", 3), ballot(1, "2", 1)}).Beta(); !ok || b != 0.75 {
		t.Errorf("β = %v", b)
	}
}

// The order in which traces complete must not matter, to the last bit.
func TestCountIgnoresOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b []Ballot
		for i := range 1 + rng.IntN(30) {
			b = append(b, ballot(i, []string{"1", "2", "1.0", "3 m", "3", "3 cm", ""}[rng.IntN(7)], float64(rng.IntN(3))*rng.Float64()))
		}
		want := Count(b)
		for range 5 {
			rng.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
			if got := Count(b); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v\n%+v", got, want)
			}
		}
		n := 0
		for _, c := range want.Classes {
			n += len(c.Traces)
			if !slices.IsSorted(c.Traces) || !slices.Contains(c.Traces, c.Winner) {
				t.Fatalf("%+v", c)
			}
		}
		if n != want.Ballots {
			t.Fatalf("%d traces in classes of %d ballots", n, want.Ballots)
		}
	}
}

func trace(id int, ans string, c float64) Trace {
	return Trace{id, ans, answer.KeyOf(ans), confidence.Measures{Tokens: 1, Scored: 1, Mean: c, Lowest: c, Bottom10: c, Tail: c}}
}

func TestOffline(t *testing.T) {
	ts := []Trace{trace(0, "1", 5), trace(1, "2", 9), trace(2, "1", 3), trace(3, "", 100), {ID: 4, Answer: "1", Key: answer.KeyOf("1")}}
	if m := Majority(ts); m.Classes[0].Answer != "1" || m.Ballots != 4 {
		t.Errorf("majority, unscored included: %+v", m)
	}
	if w := Weighted(ts, confidence.Tail); w.Classes[0].Answer != "2" || w.Ballots != 3 || w.Total != 17 {
		t.Errorf("weighted, unscored excluded: %+v", w)
	}
	// The percentile is over voters: the answerless 100 must not count.
	thr, kept, ok := Filter(ts, confidence.Tail, 50)
	if !ok || thr != 5 || len(kept) != 2 || kept[0].ID != 0 || kept[1].ID != 1 {
		t.Errorf("η 50: %v %v", thr, kept)
	}
	if _, _, ok := Filter(ts[3:], confidence.Tail, 50); ok {
		t.Error("a filter without voters has a threshold")
	}
	ties := []Trace{trace(0, "1", 2), trace(1, "1", 2), trace(2, "1", 2), trace(3, "2", 1)}
	if thr, kept, _ := Filter(ties, confidence.Tail, 10); thr != 2 || len(kept) != 3 {
		t.Errorf("ties at the threshold stay: %v %d", thr, len(kept))
	}
}

// A random vote's winner has the greatest V, by brute force over classes.
func TestWeightedNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var ts []Trace
		v := map[string]float64{}
		for i := range 1 + rng.IntN(20) {
			ans := []string{"1", "2", "3"}[rng.IntN(3)]
			c := 10 * rng.Float64()
			ts = append(ts, trace(i, ans, c))
			v[ans] += c
		}
		got := Weighted(ts, confidence.Mean)
		for ans, w := range v {
			if w > v[got.Classes[0].Answer] {
				t.Fatalf("%s has %v, %s won with %v", ans, w, got.Classes[0].Answer, got.Classes[0].V)
			}
		}
		for _, c := range got.Classes {
			if c.V != v[c.Answer] { // summed in launch order, as here
				t.Fatalf("V(%s) = %v, want %v", c.Answer, c.V, v[c.Answer])
			}
		}
	}
}
