package latent

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/task"
)

// symbolModel is a small GPT-2 block with weights that make everything matter.
func symbolModel(t *testing.T) *nn.Model {
	t.Helper()
	m, err := nn.New(nn.Config{VocabSize: task.SymbolCount, HiddenSize: 16, Layers: 2, Heads: 4, MaxPositions: 200,
		Positions: "learned", Norm: "layer", MLP: "gelu", Bias: true, Tied: true}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		tensor.Scale(p.Val.Data, p.Val.Data, 8)
	}
	return m
}

func symbolQuestion(t *testing.T, seed uint64) task.Symbols {
	t.Helper()
	s, err := task.ParseSymbols(task.SymbolTask{}.Generate(rand.New(rand.NewPCG(seed, 0)), task.Easy).Question)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReachIsTraining: what answers is, to the bit, what the training sequence
// supervises: prompt, thoughts or pauses, [A].
func TestReachIsTraining(t *testing.T) {
	m := symbolModel(t)
	d := nn.NewDecoder(m)
	for seed := range uint64(5) {
		q := symbolQuestion(t, seed)
		for _, r := range []Reach{ReachThoughts, ReachPause, ReachNoCoT} {
			for k := range 4 {
				got, err := r.Answer(context.Background(), d, q, k, nil)
				if err != nil {
					t.Fatal(err)
				}
				tokens := append(append(q.Prompt(), r.Fill(k)...), task.SymbolAnswer)
				tape := &grad.Tape{NoGrad: true}
				h := m.Think(tape, []nn.Thread{{Tokens: tokens, From: -1, Want: []int{len(tokens) - 1}}}, nn.ThinkOptions{})
				want := m.Logits(tape, h, nil).Val.Data
				if !slices.Equal(got.Logits, want) {
					t.Fatalf("%s, %d thoughts: logits %v, training has %v", r, k, got.Logits[:4], want[:4])
				}
				cost := k + 1
				if r != ReachThoughts {
					cost = 1
				}
				if got.Answer != argmax(want) || got.Tokens != cost {
					t.Errorf("%s, %d thoughts: answer %d at %d tokens, want %d at %d", r, k, got.Answer, got.Tokens, argmax(want), cost)
				}
			}
		}
		hops, err := ReachThoughts.Answer(context.Background(), d, q, Hops, nil)
		if err != nil || len(hops.Thoughts) != q.Graph().Hops() {
			t.Errorf("asked for as many thoughts as %d hops: %d (%v)", q.Graph().Hops(), len(hops.Thoughts), err)
		}
	}
}

// TestFeedIsFed: zeros in the place of thoughts change the answer's logits, and a
// thought fed back unchanged does not.
func TestFeedIsFed(t *testing.T) {
	d, q := nn.NewDecoder(symbolModel(t)), symbolQuestion(t, 1)
	answer := func(feed func(int, []float32) []float32) []float32 {
		r, err := ReachThoughts.Answer(context.Background(), d, q, 2, feed)
		if err != nil {
			t.Fatal(err)
		}
		return r.Logits
	}
	own := answer(nil)
	if !slices.Equal(own, answer(func(_ int, h []float32) []float32 { return h })) {
		t.Error("a thought fed back as it is changes the logits")
	}
	if slices.Equal(own, answer(func(_ int, h []float32) []float32 { return make([]float32, len(h)) })) {
		t.Error("zeros in the place of thoughts change nothing")
	}
}

// TestWrittenPath: a model that always says the same node never comes to [A] and
// is cut off; one that says [A] at once answers without a path.
func TestWrittenPath(t *testing.T) {
	q := symbolQuestion(t, 2)
	for _, says := range []int{5, task.SymbolAnswer} {
		m := symbolModel(t)
		table := m.Params()[0].Val // the tied head
		for _, p := range m.Params() {
			switch p.Name {
			case "model.norm.weight":
				clear(p.Val.Data)
			case "model.norm.bias": // the hidden state everywhere: the token's own row, ten times as long as others
				tensor.Scale(table.Data[says*16:(says+1)*16], table.Data[says*16:(says+1)*16], 10)
				copy(p.Val.Data, table.Data[says*16:(says+1)*16])
			}
		}
		r, err := ReachCoT.Answer(context.Background(), nn.NewDecoder(m), q, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		written, answer, tokens := slices.Repeat([]int{5}, longestPath), -1, longestPath
		if says == task.SymbolAnswer {
			written, answer, tokens = nil, task.SymbolAnswer, 1
		}
		if !slices.Equal(r.Written, written) || r.Answer != answer || r.Tokens != tokens || r.Text() != "" {
			t.Errorf("always %d: %+v, want %v written and %d for an answer", says, r, written, answer)
		}
	}
}

// TestRelabelling: node ids are names. Another numbering, with the rows of the
// embeddings permuted alike, gives the same logits in the other order: no
// sum runs over ids.
func TestRelabelling(t *testing.T) {
	m, q := symbolModel(t), symbolQuestion(t, 4)
	r, err := ReachThoughts.Answer(context.Background(), nn.NewDecoder(m), q, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := rand.New(rand.NewPCG(5, 5)).Perm(task.SymbolNodes)
	other := q
	other.Edges = slices.Clone(q.Edges)
	for i, e := range q.Edges {
		other.Edges[i] = [2]int{names[e[0]], names[e[1]]}
	}
	other.Root, other.Candidates = names[q.Root], [2]int{names[q.Candidates[0]], names[q.Candidates[1]]}
	table := m.Params()[0].Val
	if table.Dim(0) != task.SymbolCount {
		t.Fatal("the first parameter is not the embeddings")
	}
	rows, width := slices.Clone(table.Data), table.Dim(1)
	for v, to := range names {
		copy(table.Data[to*width:(to+1)*width], rows[v*width:(v+1)*width])
	}
	relabelled, err := ReachThoughts.Answer(context.Background(), nn.NewDecoder(m), other, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for v, to := range names {
		if r.Logits[v] != relabelled.Logits[to] {
			t.Fatalf("node %d has logit %g, %g under its other name", v, r.Logits[v], relabelled.Logits[to])
		}
	}
}

func TestReachRefuses(t *testing.T) {
	d, q := nn.NewDecoder(symbolModel(t)), symbolQuestion(t, 1)
	for name, run := range map[string]func() error{
		"-2 thoughts": func() error {
			_, err := ReachThoughts.Answer(context.Background(), d, q, -2, nil)
			return err
		},
		"guess": func() error {
			_, err := Reach("guess").Answer(context.Background(), d, q, 1, nil)
			return err
		},
		"fewer thoughts": func() error {
			_, err := ReachThoughts.Answer(context.Background(), d, q, 500, nil)
			return err
		},
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want an error with %q", err, name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ReachThoughts.Answer(ctx, d, q, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSymbolsInfo(t *testing.T) {
	for _, r := range Reaches {
		want := NewSymbolsInfo(r, 4)
		got, err := ReadSymbols(fstest.MapFS{SymbolsFile: {Data: want.Bytes()}})
		if err != nil || got != want {
			t.Errorf("%+v came back as %+v (%v)", want, got, err)
		}
	}
	if _, err := ReadSymbols(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	good := string(NewSymbolsInfo(ReachThoughts, 4).Bytes())
	for _, bad := range []string{"", good + "{}", strings.Replace(good, "thoughts", "thinks", 1), strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		strings.Replace(good, ": 4", ": -4", 1), strings.Replace(good, "task", "tusk", 1), strings.Replace(good, `"thoughts",`, `"cot",`, 1)} {
		if i, err := ReadSymbols(fstest.MapFS{SymbolsFile: {Data: []byte(bad)}}); err == nil {
			t.Errorf("%q was read as %+v", bad, i)
		}
	}
	if NewSymbolsInfo(ReachCoT, 4).Thoughts != 0 {
		t.Error("a written path has thoughts")
	}
}
