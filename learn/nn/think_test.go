package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// recomputed is Think by its definition: every thread's whole sequence goes
// through Hidden once for each of its thoughts, with all thoughts so far as
// embeddings, and once more. feed replaces thoughts as ThinkOptions.Feed does.
func recomputed(m *Model, t *grad.Tape, list []Thread, feed func(h *grad.Var) *grad.Var) *grad.Var {
	var out []*grad.Var
	for i := range list {
		var chain []Thread
		for j := i; j >= 0; j = list[j].From {
			chain = append([]Thread{list[j]}, chain...)
		}
		var tokens []int
		for _, th := range chain {
			tokens = append(tokens, th.Tokens...)
		}
		var thoughts *grad.Var
		upTo := func(n int) *grad.Var { return m.Hidden(t, Input{Tokens: tokens[:n], Embeds: thoughts}) }
		for at, id := range tokens {
			if id != Thought {
				continue
			}
			h := t.Rows(upTo(at), []int{at - 1})
			if feed != nil {
				h = feed(h)
			}
			if thoughts != nil {
				h = t.Concat(0, thoughts, h)
			}
			thoughts = h
		}
		var rows []int
		for _, w := range list[i].Want {
			rows = append(rows, len(tokens)-len(list[i].Tokens)+w)
		}
		if len(rows) > 0 {
			out = append(out, t.Rows(upTo(len(tokens)), rows))
		}
	}
	return t.Concat(0, out...)
}

// threads have no, one and several thoughts, in a row and apart, in a trunk and in what
// branches off, and thoughts on the last row of another thread.
func threads() []Thread {
	const o = Thought
	return []Thread{
		{Tokens: []int{3, 1, 4, 1, 5}, From: -1, Want: []int{1}},
		{Tokens: []int{3, 1, 4, o, o, o, 6, 2}, From: -1, Want: []int{2, 6, 7}},
		{Tokens: []int{7, o, o, 9}, From: 0, Want: []int{1, 3}},
		{Tokens: []int{8}, From: 0, Want: []int{0}},
		{Tokens: []int{o, 2, o}, From: 0, Want: []int{2}},
		{Tokens: []int{1, o, 5, o}, From: 2, Want: []int{0, 3}},
		{Tokens: []int{11, 12}, From: -1},
		{Tokens: []int{2, o}, From: 1, Want: []int{1}},
	}
}

func TestThinkIsRecomputation(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 8)
		tape := &grad.Tape{NoGrad: true}
		want := recomputed(m, tape, threads(), nil)
		sameBits(t, name, m.Think(tape, threads(), ThinkOptions{}).Val.Data, want.Val.Data)

		// Each thread alone, with those that it continues, is the same.
		at := 0
		for _, th := range threads() {
			chain := []Thread{th}
			for j := th.From; j >= 0; j = threads()[j].From {
				more := threads()[j]
				more.Want = nil
				chain = append([]Thread{more}, chain...)
			}
			for j := range chain {
				chain[j].From = j - 1
			}
			n := len(th.Want) * c.HiddenSize
			if n > 0 {
				sameBits(t, name+": alone", m.Think(tape, chain, ThinkOptions{}).Val.Data, want.Val.Data[at:at+n])
			}
			at += n
		}
	}
}

// TestThinkIsDecoder compares with the cache that serves a model.
func TestThinkIsDecoder(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 9)
		h := m.Think(&grad.Tape{NoGrad: true}, []Thread{{Tokens: []int{5, 0, 7, Thought, Thought, 3, 2}, From: -1, Want: []int{2, 3, 4, 5, 6}}}, ThinkOptions{})
		d := NewDecoder(m)
		seq, _, err := d.Prefill([]int{5, 0, 7})
		got := slices.Clone(seq.Hidden())
		for range 2 {
			if err == nil {
				_, err = d.StepEmbeds([]*Seq{seq}, [][]float32{slices.Clone(seq.Hidden())})
			}
			got = append(got, seq.Hidden()...)
		}
		for _, id := range []int{3, 2} {
			if err == nil {
				_, err = d.Step([]*Seq{seq}, []int{id})
			}
			got = append(got, seq.Hidden()...)
		}
		if err != nil {
			t.Fatal(err)
		}
		sameBits(t, name, got, h.Val.Data)
	}
}

// TestPasses: n thoughts in a row take n+1 passes, and what does not think takes one.
func TestPasses(t *testing.T) {
	m := lively(t, causalShapes()["gpt2"], 1)
	for thoughts := range 4 {
		passes, rows := 0, 0
		th := Thread{Tokens: append(append([]int{1, 2, 3}, slices.Repeat([]int{Thought}, thoughts)...), 4, 5), From: -1, Want: []int{thoughts + 4}}
		m.Think(&grad.Tape{NoGrad: true}, []Thread{th, {Tokens: []int{6, 7}, From: -1, Want: []int{1}}}, ThinkOptions{Taps: func(pass int) *Taps {
			if pass != passes {
				t.Fatalf("pass %d came as number %d", pass, passes)
			}
			passes++
			return &Taps{Edit: func(name string, v *grad.Var) *grad.Var {
				if name == "embed" {
					rows += v.Val.Dim(0)
				}
				return nil
			}}
		}})
		if passes != thoughts+1 || rows != 7+thoughts {
			t.Errorf("%d thoughts took %d passes over %d rows, want %d over %d", thoughts, passes, rows, thoughts+1, 7+thoughts)
		}
	}
}

// TestThinkGradients: the gradients of every weight are those of recomputing
// all, up to the rounding of sums in another order; finite differences agree; and
// cutting the thoughts off changes them.
func TestThinkGradients(t *testing.T) {
	for name, c := range causalShapes() {
		m := lively(t, c, 12)
		list := threads()
		targets := []int{2, 6, 1, 0, 3, 5, 8, 4, 12, 7, 9}
		run := func(tape *grad.Tape, recompute bool, feed func(*grad.Var) *grad.Var) (*grad.Var, []float32) {
			var hid *grad.Var
			if recompute {
				hid = recomputed(m, tape, list, feed)
			} else {
				o := ThinkOptions{}
				if feed != nil {
					o.Feed = func(_ int, _ []int, h *grad.Var) *grad.Var { return feed(h) }
				}
				hid = m.Think(tape, list, o)
			}
			return tape.CrossEntropy(m.Logits(tape, hid, nil), targets, nil)
		}
		gradients := func(recompute bool, feed func(*grad.Tape, *grad.Var) *grad.Var) [][]float32 {
			tape := grad.NewTape()
			var f func(*grad.Var) *grad.Var
			if feed != nil {
				f = func(h *grad.Var) *grad.Var { return feed(tape, h) }
			}
			loss, _ := run(tape, recompute, f)
			if err := tape.Backward(loss); err != nil {
				t.Fatal(err)
			}
			var out [][]float32
			for _, p := range m.Params() {
				out = append(out, slices.Clone(p.Grad.Data))
				p.ZeroGrad()
			}
			return out
		}
		detach := func(tape *grad.Tape, h *grad.Var) *grad.Var { return tape.StopGrad(h) }
		whole, slow, cut := gradients(false, nil), gradients(true, nil), gradients(false, detach)
		slowCut := gradients(true, detach)
		value := func() float64 {
			_, logp := run(&grad.Tape{NoGrad: true}, false, nil)
			sum := 0.0
			for _, x := range logp {
				sum -= float64(x)
			}
			return sum / float64(len(logp))
		}
		r := rand.New(rand.NewPCG(1, 1))
		differ := 0
		for j, p := range m.Params() {
			largest := float64(max(slices.Max(slow[j]), -slices.Min(slow[j])))
			// Some hundred float32 roundings of sums of up to 50 terms; without
			// the gradient through thoughts the difference is 100 times as large.
			for i := range slow[j] {
				if d := math.Abs(float64(whole[j][i] - slow[j][i])); d > 2e-5*max(largest, 0.01) {
					t.Fatalf("%s: %s element %d: gradient %g, recomputed %g", name, p.Name, i, whole[j][i], slow[j][i])
				}
				if d := math.Abs(float64(cut[j][i] - slowCut[j][i])); d > 2e-5*max(largest, 0.01) {
					t.Fatalf("%s: %s element %d, cut off: gradient %g, recomputed %g", name, p.Name, i, cut[j][i], slowCut[j][i])
				}
			}
			if !slices.Equal(whole[j], cut[j]) {
				differ++
			}
			i := r.IntN(p.Val.Len())
			want := slope(p, i, value)
			// As in TestThoughtGradients; without norms thoughts grow as they are fed
			// back, and h⁴ is no longer small beside the curvature.
			share := 1e-3
			if c.Norm == "none" {
				share = 5e-3
			}
			if got := float64(whole[j][i]); math.Abs(got-want) > 6e-5+share*largest {
				t.Errorf("%s: %s element %d: gradient %g, finite difference %g (largest %g)", name, p.Name, i, got, want, largest)
			}
		}
		if differ < len(m.Params())/2 {
			t.Errorf("%s: cutting the thoughts off changed the gradient of only %d parameters", name, differ)
		}
	}
}

// TestFeed: what replaces a thought is what the next rows see, and earlier
// thoughts do not depend on later rows.
func TestFeed(t *testing.T) {
	m := lively(t, causalShapes()["llama"], 5)
	tape := &grad.Tape{NoGrad: true}
	zero := func(_ int, _ []int, h *grad.Var) *grad.Var { return grad.Const(tensor.New(h.Shape()...)) }
	list := threads()
	got := m.Think(tape, list, ThinkOptions{Feed: zero})
	want := recomputed(m, tape, list, func(h *grad.Var) *grad.Var { return grad.Const(tensor.New(h.Shape()...)) })
	sameBits(t, "zeros fed", got.Val.Data, want.Val.Data)

	thought := func(last int) (seen []float32) {
		m.Think(tape, []Thread{{Tokens: []int{1, 2, Thought, Thought, last}, From: -1, Want: []int{4}}},
			ThinkOptions{Feed: func(_ int, _ []int, h *grad.Var) *grad.Var {
				seen = append(seen, h.Val.Data...)
				return nil
			}})
		return seen
	}
	sameBits(t, "thoughts before another last token", thought(3), thought(9))
}

func TestThinkRefuses(t *testing.T) {
	m := lively(t, causalShapes()["llama"], 5)
	for want, list := range map[string][]Thread{
		"has 0 tokens":          {{From: -1}},
		"continues thread 0":    {{Tokens: []int{1}, From: 0}},
		"after another row":     {{Tokens: []int{Thought, 1}, From: -1}},
		"a vocabulary of 13":    {{Tokens: []int{13}, From: -1}},
		"wants rows [1]":        {{Tokens: []int{1}, From: -1, Want: []int{1}}},
		"wants rows [0 0]":      {{Tokens: []int{1}, From: -1, Want: []int{0, 0}}},
		"the model has 200":     {{Tokens: make([]int, 150), From: -1}, {Tokens: make([]int, 51), From: 0}},
		"continues thread -2":   {{Tokens: []int{1}, From: -2}},
		"want a thought after ": {{Tokens: []int{-2}, From: -1}},
	} {
		func() {
			defer func() {
				if r, _ := recover().(string); !strings.Contains(r, want) {
					t.Errorf("%v: %q, want %q in it", list, r, want)
				}
			}()
			m.Think(&grad.Tape{NoGrad: true}, list, ThinkOptions{})
		}()
	}
}
