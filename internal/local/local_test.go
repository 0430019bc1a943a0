package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
	"orrery/learn/token"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a model of random weights: it babbles, which is all that the
// engine's tests need.
func small(t testing.TB) (*nn.Model, *token.Vocab) {
	t.Helper()
	v, err := token.New(token.Pieces([]string{"apples", "Tom", "has"}))
	if err != nil {
		t.Fatal(err)
	}
	m, err := nn.New(nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8,
		Intermediate: 32, MaxPositions: 256, Norm: "layer", BOS: v.BOS(), EOS: v.EOS()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Sharper than at initialisation, so that tokens are not uniform.
	for _, p := range m.Params() {
		if len(p.Val.Shape) == 2 {
			tensor.Scale(p.Val.Data, p.Val.Data, 12)
		}
	}
	// The last hidden dimension is the constant 10, and bytes that are not ASCII
	// are 100 nats unlikelier for it: the babble is valid UTF-8.
	for _, p := range m.Params() {
		switch d := m.Config.HiddenSize; p.Name {
		case "model.norm.weight":
			p.Val.Data[d-1] = 0
		case "model.norm.bias":
			p.Val.Data[d-1] = 10
		case "lm_head.weight":
			for id := range v.Size() {
				p.Val.Data[(id+1)*d-1] = 0
				if b := v.Bytes(id); len(b) == 1 && b[0] >= 0x80 {
					p.Val.Data[(id+1)*d-1] = -10
				}
			}
		}
	}
	return m, v
}

func generator(t testing.TB, o Options) *Generator {
	t.Helper()
	m, v := small(t)
	g, err := New(m, v, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ask(text string, seed uint64, max int) llm.Request {
	return llm.Request{Prompt: text, MaxTokens: max, Temperature: 1, Seed: seed, TopLogprobs: 20}
}

func TestConforms(t *testing.T) {
	llmtest.Conform(t, llmtest.Subject{
		New: func(t *testing.T) llm.Generator { return generator(t, Options{}) },
		K:   20, Seeded: true,
	})
}

func TestTraceDependsOnItsSeedAlone(t *testing.T) {
	alone := map[uint64]llmtest.Trace{}
	for seed := range uint64(12) {
		alone[seed] = llmtest.Collect(t, generator(t, Options{}), t.Context(), ask("Tom has 3 apples.", seed, 40))
	}
	for _, o := range []Options{{}, {MaxParallel: 1}, {MaxParallel: 5, Prompts: 1}} {
		g := generator(t, o)
		var wg sync.WaitGroup
		for seed := range uint64(12) {
			wg.Go(func() {
				got := llmtest.Collect(t, g, t.Context(), ask("Tom has 3 apples.", seed, 40))
				if got.Text != alone[seed].Text || fmt.Sprint(got.Tokens) != fmt.Sprint(alone[seed].Tokens) {
					t.Errorf("%+v: seed %d gave %q beside others and %q alone", o, seed, got.Text, alone[seed].Text)
				}
			})
			// Other prompts push this one out of the prompt cache.
			wg.Go(func() { llmtest.Collect(t, g, t.Context(), ask(fmt.Sprint("other ", seed), seed, 5)) })
		}
		wg.Wait()
	}
}

// TestLogprobsAreTheTrainers holds the server to the training loss: the same
// bits for every token of a trace.
func TestLogprobsAreTheTrainers(t *testing.T) {
	m, v := small(t)
	g, err := New(m, v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	prompt := append([]int{v.BOS()}, v.Encode("Tom has 3 apples.")...)
	j, err := g.job(t.Context(), ask("Tom has 3 apples.", 7, 60))
	if err != nil {
		t.Fatal(err)
	}
	g.e.submit(j)
	ids := slices.Clone(prompt)
	var served []float32
	for it := range j.out {
		if it.err != nil {
			t.Fatal(it.err)
		}
		ids, served = append(ids, it.token.Token), append(served, it.token.Logprob)
	}
	tape := grad.NewTape()
	rows, targets := []int{}, []int{}
	for i := len(prompt); i < len(ids); i++ {
		rows, targets = append(rows, i-1), append(targets, ids[i])
	}
	hidden := m.Hidden(tape, nn.Input{Tokens: ids, Lens: []int{len(ids)}})
	_, trained := tape.CrossEntropy(m.Logits(tape, hidden, rows), targets, nil)
	for i := range served {
		if math.Float32bits(served[i]) != math.Float32bits(trained[i]) {
			t.Fatalf("token %d: served %v, trained %v", i, served[i], trained[i])
		}
	}
	if len(served) < 10 {
		t.Fatalf("the trace ended after %d tokens: too short to show anything", len(served))
	}
}

// TestStalledReaderKeepsNoPlace: there is one place, and its reader takes one
// token and then nothing until the others are done.
func TestStalledReaderKeepsNoPlace(t *testing.T) {
	g := generator(t, Options{MaxParallel: 1})
	others := func() {
		for seed := range uint64(4) {
			if tr := llmtest.Collect(t, g, t.Context(), ask("Tom has", seed, 150)); tr.End.Finish == llm.FinishCancelled {
				t.Error("a quick reader's trace was cut")
			}
		}
	}
	want := llmtest.Collect(t, g, t.Context(), ask("Tom", 1, 200))
	text, first := "", true
	for ev := range g.Generate(t.Context(), ask("Tom", 1, 200)) {
		switch {
		case first && ev.Kind == llm.KindToken:
			others()
			first = false
		case ev.Kind == llm.KindText:
			text += string(ev.Text)
		}
	}
	if text != want.Text[llm.Answer] {
		t.Errorf("the stalled trace is %q, alone it was %q", text, want.Text[llm.Answer])
	}
}

// TestFailingModelEndsEveryTrace: logits that are not numbers end each trace
// with one error, and the engine serves on.
func TestFailingModelEndsEveryTrace(t *testing.T) {
	m, v := small(t)
	for _, p := range m.Params() {
		if p.Name == "model.norm.weight" {
			p.Val.Data[0] = float32(math.NaN())
		}
	}
	g, err := New(m, v, Options{MaxParallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for seed := range uint64(5) {
		wg.Go(func() {
			tr := llmtest.Collect(t, g, t.Context(), ask("Tom", seed, 20))
			if e, ok := tr.End.Err.(*llm.Error); !ok || e.Kind != llm.StreamError || !errors.Is(e, sample.ErrNotFinite) {
				t.Errorf("seed %d ended %s with %v, want a stream error", seed, tr.End.Finish, tr.End.Err)
			}
		})
	}
	wg.Wait()
}

// TestCancelInTheQueue: a trace that waits for a place leaves at once.
func TestCancelInTheQueue(t *testing.T) {
	g := generator(t, Options{MaxParallel: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tr := llmtest.Collect(t, g, ctx, ask("Tom", 1, 200)); tr.End.Finish != llm.FinishCancelled {
		t.Errorf("ended %s, want cancelled", tr.End.Finish)
	}
	if tr := llmtest.Collect(t, g, t.Context(), ask("Tom", 2, 4)); tr.End.Tokens == 0 {
		t.Error("the next trace got nothing")
	}
}

func TestCancelFreesTheTrace(t *testing.T) {
	g := generator(t, Options{MaxParallel: 1})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for ev := range g.Generate(ctx, ask("Tom", 1, 200)) {
			if ev.Kind == llm.KindToken {
				if n++; n == 3 {
					cancel()
				}
			}
		}
		cancel()
		if n < 3 {
			t.Fatalf("only %d tokens came", n)
		}
	}
	// All caches but the kept prompt's are free again: one more trace runs.
	if tr := llmtest.Collect(t, g, t.Context(), ask("Tom", 2, 4)); tr.End.Tokens == 0 {
		t.Error("no place was left after cancelled traces")
	}
	runtime.KeepAlive(g)
}

// TestFingerprintIsTheWeights: one bit of one weight makes another model, its
// name makes none.
func TestFingerprintIsTheWeights(t *testing.T) {
	a, b := generator(t, Options{}).Fingerprint(), generator(t, Options{Name: "other", MaxParallel: 3}).Fingerprint()
	m, v := small(t)
	w := m.Params()[3].Val.Data
	w[len(w)-1] = math.Float32frombits(math.Float32bits(w[len(w)-1]) ^ 1)
	g, err := New(m, v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := g.Fingerprint(); a != b || a == c {
		t.Errorf("the same model twice: %s and %s; another: %s", a, b, c)
	}
}

func TestBadRequests(t *testing.T) {
	g := generator(t, Options{})
	long := make([]byte, 1<<20)
	for i := range long {
		long[i] = 'x'
	}
	for name, c := range map[string]struct {
		r    llm.Request
		kind llm.ErrorKind
	}{
		"no length":    {llm.Request{Prompt: "x"}, llm.BadRequest},
		"both":         {llm.Request{Prompt: "x", Messages: []llm.Message{{Role: "user", Content: "x"}}, MaxTokens: 1}, llm.BadRequest},
		"no user":      {llm.Request{Messages: []llm.Message{{Role: "system", Content: "x"}}, MaxTokens: 1}, llm.BadRequest},
		"temperature":  {llm.Request{Prompt: "x", MaxTokens: 1, Temperature: -1}, llm.BadRequest},
		"enormous":     {llm.Request{Prompt: string(long), MaxTokens: 1}, llm.ContextOverflow},
		"just too big": {llm.Request{Prompt: string(long[:255]), MaxTokens: 1}, llm.ContextOverflow},
	} {
		tr := llmtest.Collect(t, g, t.Context(), c.r)
		e, ok := tr.End.Err.(*llm.Error)
		if tr.End.Finish != llm.FinishError || !ok || e.Kind != c.kind || e.Remedy == "" {
			t.Errorf("%s: ended %s with %v, want a %s that names a remedy", name, tr.End.Finish, tr.End.Err, c.kind)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("traces=%d", n), func(b *testing.B) {
			g := generator(b, Options{})
			tokens := 0
			for b.Loop() {
				var wg sync.WaitGroup
				counts := make([]int, n)
				for i := range n {
					wg.Go(func() {
						for ev := range g.Generate(b.Context(), ask("Tom has 3 apples.", uint64(i), 64)) {
							if ev.Kind == llm.KindToken {
								counts[i]++
							}
						}
					})
				}
				wg.Wait()
				for _, c := range counts {
					tokens += c
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
