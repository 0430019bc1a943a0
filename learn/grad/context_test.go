package grad

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"orrery/learn/tensor"
)

// TestContextIsAttention cuts the keys of causal sequences into pieces of
// several sources: values, weights and gradients are those of Attention, to the bit.
func TestContextIsAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	lens := []int{1, attnBlock, 0, attnBlock + 9, 5}
	n, heads, kvHeads, hd := 143, 4, 2, 6
	q, k, v := random(r, n, heads*hd), random(r, n, kvHeads*hd), random(r, n, kvHeads*hd)
	spec := ContextSpec{Heads: heads, KVHeads: kvHeads, Lens: lens}
	cut := 80 // rows before it come from source 0, the others from source 1
	at := 0
	for _, l := range lens {
		var keys []Span
		for _, p := range [][2]int{{at, at + l/3}, {at + l/3, at + l}} {
			if lo, hi := p[0], min(p[1], cut); lo < hi {
				keys = append(keys, Span{0, lo, hi})
			}
			if lo, hi := max(p[0], cut), p[1]; lo < hi {
				keys = append(keys, Span{1, lo - cut, hi - cut})
			}
		}
		spec.Keys = append(spec.Keys, keys)
		at += l
	}
	run := func(f func(t *Tape, probs *[]*tensor.Tensor) *Var) (out []float32) {
		for _, p := range []*Var{q, k, v} {
			p.ZeroGrad()
		}
		tape := NewTape()
		var probs []*tensor.Tensor
		y := f(tape, &probs)
		loss, _ := project(tape, y)
		if err := tape.Backward(loss); err != nil {
			t.Fatal(err)
		}
		for _, p := range probs {
			out = append(out, p.Data...)
		}
		out = append(out, y.Val.Data...)
		for _, p := range []*Var{q, k, v} {
			out = append(out, p.Grad.Data...)
		}
		return out
	}
	want := run(func(tape *Tape, probs *[]*tensor.Tensor) *Var {
		return tape.Attention(q, k, v, AttnSpec{Lens: lens, Heads: heads, KVHeads: kvHeads, Causal: true, Probs: probs})
	})
	got := run(func(tape *Tape, probs *[]*tensor.Tensor) *Var {
		parts := func(x *Var) []*Var { return []*Var{tape.Slice(x, 0, 0, cut), tape.Slice(x, 0, cut, n)} }
		at := spec
		at.Probs = probs
		return tape.Context(q, parts(k), parts(v), at)
	})
	if len(got) != len(want) {
		t.Fatalf("%d numbers, Attention has %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("number %d is %g, Attention's %g", i, got[i], want[i])
		}
	}
}

func TestSharing(t *testing.T) {
	for _, c := range []struct {
		keys [][]Span
		want [][]int
	}{
		{nil, nil},
		{[][]Span{{{0, 0, 3}}, {{1, 0, 3}}, {{0, 3, 4}}}, [][]int{{0}, {1}, {2}}},
		{[][]Span{{{0, 0, 3}}, {{1, 0, 3}}, {{0, 2, 4}}}, [][]int{{0, 2}, {1}}},
		{[][]Span{{{0, 0, 9}}, {{0, 1, 2}}, {{0, 5, 6}, {1, 0, 1}}, {{1, 0, 2}}, {}}, [][]int{{0, 1, 2, 3}, {4}}},
		{[][]Span{{{0, 0, 2}}, {{0, 2, 4}}, {{0, 1, 3}}}, [][]int{{0, 1, 2}}},
		{[][]Span{{{0, 4, 4}}, {{0, 0, 9}}}, [][]int{{0}, {1}}},
	} {
		if got := sharing(c.keys); !reflect.DeepEqual(got, c.want) {
			t.Errorf("sharing(%v) = %v, want %v", c.keys, got, c.want)
		}
	}
}
