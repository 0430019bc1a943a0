package cogs

import (
	"bytes"
	"iter"
	"math"
	"strings"
	"testing"

	"orrery/report"
)

// grown is a made-up training: an exact network with a little noise that grows,
// with a spike of loss at the last epoch.
func grown(t *testing.T) []Snapshot {
	t.Helper()
	b, err := Build("F46", 23, Generic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := hidden(b.Spectrum, 0.0005, 7)
	var out []Snapshot
	for i, size := range []float64{0.1, 0.25, 0.5, 0.8, 1, 1, 1.02} {
		w := end.Weights()
		for i := range w.A {
			w.A[i] *= size
			w.B[i] *= size
			w.C[i] *= size
		}
		out = append(out, Snapshot{Epoch: 100 * i, Loss: math.NaN(), Weights: w})
	}
	return out
}

func sequence(s []Snapshot) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		for _, x := range s {
			if !yield(x, nil) {
				return
			}
		}
	}
}

func TestFollow(t *testing.T) {
	s := grown(t)
	h, err := Follow(sequence(s))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Points) != 7 || len(h.Tail) != Late {
		t.Fatalf("%d points, %d factorised", len(h.Points), len(h.Tail))
	}
	for i, p := range h.Points {
		diagonal, others := s[i].Weights.Spectrum().Potentials().Loss()
		near(t, "loss", p.Loss, diagonal+others, 1e-12)
		near(t, "others", p.Others, 23*others, 1e-10)
	}
	near(t, "Σ r", h.Points[4].Diagonal, 22, 0.01)      // noise of 0.0005 on 0.15
	near(t, "Σ r", h.Points[2].Diagonal, 22.0/8, 0.002) // cubic in the size
	if e := h.BestPoint().Epoch; e != 400 {
		t.Errorf("the best is epoch %d, want 400", e)
	}
	// A better one whose orders are not the final ones does not count.
	late := []Snapshot{s[4], s[5], s[6]}
	late[0].Weights = NewWeights(23, s[4].Weights.Q)
	late[0].Loss = 0
	late[2].Epoch++
	if l, err := Follow(sequence(late)); err != nil || l.BestPoint().Epoch != 500 {
		t.Errorf("the best is %+v (%v), want the one with the lowest loss of those that have the final orders", l.BestPoint().Epoch, err)
	}
	near(t, "identity", h.FromPotentials, h.Direct, 1e-12)
	// A node of 0.15 passes the threshold of 0.05 from half its size on.
	if e, ok := h.Settled(); !ok || e != 200 {
		t.Errorf("orders are final from epoch %d (%t), want 200", e, ok)
	}
	if _, err := Follow(sequence(nil)); err == nil {
		t.Error("a training without weights is followed")
	}
	if _, err := Follow(sequence([]Snapshot{s[1], s[0]})); err == nil {
		t.Error("epochs that fall are followed")
	}
	if _, err := Follow(sequence([]Snapshot{s[0], {Epoch: 5, Weights: NewWeights(5, 1)}})); err == nil {
		t.Error("weights of two networks are followed")
	}
}

func TestUnsettled(t *testing.T) {
	s := grown(t)
	for _, some := range [][]Snapshot{s[:1], {s[0], s[3]}} {
		h, err := Follow(sequence(some))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := h.Settled(); ok {
			t.Error("orders that change, or one epoch alone, count as final")
		}
		if page := render(t, h.Blocks()); !strings.Contains(page, "Orders are still changing") {
			t.Error("the page does not say that orders still change")
		}
	}
}

func render(t *testing.T, blocks []report.Block) string {
	t.Helper()
	var b bytes.Buffer
	if err := (report.Page{Title: "t", Blocks: blocks}).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBlocks(t *testing.T) {
	h, err := Follow(sequence(grown(t)))
	if err != nil {
		t.Fatal(err)
	}
	page := render(t, h.Blocks())
	for _, want := range []string{"theory d − 1 = 22", "paper, d = 23", "47.07 %", "k=11, node", "orders final", "agree?", string(Kind6i), "1/√2"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "Orders are still changing") {
		t.Error("the page says that orders still change")
	}
	// Exactly the rows that this made-up network breaks: none.
	if strings.Contains(page, `<td>no</td></tr>`) {
		t.Error("a row of theory disagrees with a network that was planted")
	}
	// A network of nothing has a page as well.
	h, err = Follow(sequence([]Snapshot{{Epoch: 1, Loss: math.NaN(), Weights: NewWeights(5, 3)}}))
	if err != nil {
		t.Fatal(err)
	}
	if page := render(t, h.Blocks()); !strings.Contains(page, "No node is alive") {
		t.Error("a dead network is not called dead")
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ n, most, want, last int }{{3, 12, 3, 2}, {45, 12, 12, 44}, {12, 12, 12, 11}, {1, 12, 1, 0}} {
		got := spread(c.n, c.most)
		if len(got) != c.want || got[len(got)-1] != c.last {
			t.Errorf("of %d: %v", c.n, got)
		}
	}
}
