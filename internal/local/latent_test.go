package local

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
	"orrery/learn/grad"
	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
	"orrery/task"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// folder writes a model of random weights, sharper than at initialisation, so that
// what is fed matters, and the files that go with it.
func folder(t testing.TB, c nn.Config, files map[string][]byte) (string, *nn.Model) {
	t.Helper()
	c.HiddenSize, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Intermediate, c.MaxPositions, c.Norm = 16, 2, 2, 2, 8, 32, 160, "layer"
	m, err := nn.New(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		if len(p.Val.Shape) == 2 {
			tensor.Scale(p.Val.Data, p.Val.Data, 8)
		}
	}
	dir := t.TempDir()
	if err := m.Save(dir, checkpoint.F32); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, m
}

// inWords is a latent model of ProsQA's sentences.
func inWords(t testing.TB, m latent.Method) (*Generator, latent.Thinker) {
	t.Helper()
	ts, err := task.Lookup("prosqa-tiny")
	if err != nil {
		t.Fatal(err)
	}
	v, err := latent.Vocabulary(ts, latent.Words)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	dir, net := folder(t, nn.Config{VocabSize: v.Size(), BOS: v.BOS(), EOS: v.EOS()},
		map[string][]byte{"tokenizer.json": tok, latent.FileName: latent.NewInfo(m, 3, "prosqa-tiny").Bytes()})
	g, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g, latent.Thinker{Layout: latent.Layout{Vocab: v, Method: m}, Decoder: nn.NewDecoder(net), MaxTokens: 12}
}

func inSymbols(t testing.TB, r latent.Reach) (*Generator, *nn.Model) {
	t.Helper()
	dir, net := folder(t, nn.Config{VocabSize: task.SymbolCount, BOS: task.SymbolEOS, EOS: task.SymbolEOS},
		map[string][]byte{latent.SymbolsFile: latent.NewSymbolsInfo(r, reach).Bytes()})
	g, err := Open(dir, Options{Name: "reach"})
	if err != nil {
		t.Fatal(err)
	}
	return g, net
}

const (
	reach = 4 // thoughts of inSymbols' models
	graph = "3 7 | 7 9 | 4 2 [Q] 9 2 [R] 3"
	story = "Alex is a wumpus. Every wumpus is a gorpus. Every lempus is a yumpus. Is Alex a gorpus or yumpus?"
)

func greedy(text string, thoughts *int) llm.Request {
	return llm.Request{Messages: []llm.Message{{Role: "user", Content: text}}, MaxTokens: 40, TopLogprobs: 3, Thoughts: thoughts}
}

func TestLatentModelsConform(t *testing.T) {
	for _, m := range []latent.Method{latent.Coconut, latent.PauseAsThought, latent.CoT} {
		t.Run(string(m), func(t *testing.T) {
			llmtest.Conform(t, llmtest.Subject{New: func(t *testing.T) llm.Generator { g, _ := inWords(t, m); return g },
				Prompt: story, K: 20, Seeded: true, Tokens: 16, Short: true})
		})
	}
	for _, r := range latent.Reaches {
		t.Run("symbols "+string(r), func(t *testing.T) {
			llmtest.Conform(t, llmtest.Subject{New: func(t *testing.T) llm.Generator { g, _ := inSymbols(t, r); return g },
				Prompt: graph, K: 20, Seeded: true, Tokens: 16, Short: true})
		})
	}
}

// Greedy replies are those of package latent, token for token, with the same
// count, and the readings of thought n are softmax(W h) of the vector fed as it.
func TestWordsAreTheThinkers(t *testing.T) {
	for _, m := range latent.Methods {
		g, thinker := inWords(t, m)
		p := task.Problem{Question: story, Task: "prosqa-tiny"}
		for _, k := range []int{0, 1, 3} {
			if m.Fill() == latent.Nothing && k > 0 {
				continue
			}
			want, err := thinker.Answer(t.Context(), []task.Problem{p}, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := greedy(story, &k)
			r.MaxTokens = len(want[0].Thoughts) + thinker.MaxTokens
			got := llmtest.Collect(t, g, t.Context(), r)
			text := strings.ToValidUTF8(want[0].Text, "\ufffd")
			if strings.ToValidUTF8(got.Text[llm.Answer], "\ufffd") != text || got.End.Tokens != want[0].Tokens || len(got.Thoughts) != len(want[0].Thoughts) {
				t.Errorf("%s, %d thoughts: %q with %d tokens, want %q with %d", m, k, got.Text[llm.Answer], got.End.Tokens, want[0].Text, want[0].Tokens)
			}
			if first := sample.Top(nil, want[0].First, 3); float64(first[0].Logprob) != got.Tokens[0].Top[0] {
				t.Errorf("%s, %d thoughts: log-probability %v, want %v", m, k, got.Tokens[0].Top[0], first[0].Logprob)
			}
		}
	}
}

func TestSymbolsAreReachs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, r := range latent.Reaches {
		g, net := inSymbols(t, r)
		dec := nn.NewDecoder(net)
		for range 4 {
			p := task.SymbolTask{}.Generate(rng, task.Easy)
			q, err := task.ParseSymbols(p.Question)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []int{0, 2, 4} {
				want, err := r.Answer(t.Context(), dec, q, k, nil)
				if err != nil {
					t.Fatal(err)
				}
				asked := &k
				if k == 4 && r == latent.ReachPause {
					asked = nil // the default
				}
				if len(r.Fill(1)) == 0 {
					asked = nil
				}
				got := llmtest.Collect(t, g, t.Context(), greedy(p.Question, asked))
				words := strings.Fields(got.Text[llm.Answer])
				if want.Answer >= 0 && want.Answer != task.SymbolEOS && (len(words) == 0 || words[len(words)-1] != symbolName(want.Answer)) {
					t.Errorf("%s, %d thoughts: %q, want %s", r, k, got.Text[llm.Answer], symbolName(want.Answer))
				}
				if len(got.Thoughts) != len(want.Thoughts) {
					t.Errorf("%s: %d thoughts of %d", r, len(got.Thoughts), len(want.Thoughts))
				}
				for n, h := range want.Thoughts {
					checkLens(t, net, h, got.Thoughts[n])
				}
			}
		}
	}
}

// TestThoughtsSettle: a question that does not say how many thoughts to have
// is answered after the number of them, from 1 on, that gives its two candidates the
// largest probability, and by a model as it is after exactly so many.
func TestThoughtsSettle(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	g, net := inSymbols(t, latent.ReachThoughts)
	dec := nn.NewDecoder(net)
	chosen := map[int]bool{}
	for range 20 {
		p := task.SymbolTask{}.Generate(rng, task.Easy)
		q, err := task.ParseSymbols(p.Question)
		if err != nil {
			t.Fatal(err)
		}
		best, most, at := latent.ReachReply{}, -1.0, 0
		for k := 1; k <= reach; k++ {
			r, err := latent.ReachThoughts.Answer(t.Context(), dec, q, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			if mass := candidatesMass(q.Candidates)(r.Logits); mass > most {
				best, most, at = r, mass, k
			}
		}
		chosen[at] = true
		for range 2 { // the second time from the prompt cache
			got := llmtest.Collect(t, g, t.Context(), greedy(p.Question, nil))
			if text := got.Text[llm.Answer]; best.Answer != task.SymbolEOS && text != symbolName(best.Answer) {
				t.Errorf("settled on %q, want %s after %d thoughts", text, symbolName(best.Answer), at)
			}
			for _, h := range got.Thoughts {
				if h.Answers != (h.Number == at) {
					t.Errorf("thought %d says that it answers: %v; the model settled on %d", h.Number, h.Answers, at)
				}
			}
			if len(got.Thoughts) != reach {
				t.Errorf("%d thoughts are told, want all %d", len(got.Thoughts), reach)
			}
		}
	}
	if len(chosen) < 2 {
		t.Errorf("always settled after %v thoughts: the test shows nothing", chosen)
	}
}

// checkLens reads a thought the slow way: softmax over all tokens in float64.
func checkLens(t *testing.T, m *nn.Model, h []float32, got llm.Thought) {
	t.Helper()
	tape := &grad.Tape{NoGrad: true}
	logits := m.Logits(tape, &grad.Var{Val: tensor.Of(h, 1, len(h))}, nil).Val.Data
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	order := make([]int, task.SymbolNodes)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if logits[a] > logits[b] {
			return -1
		}
		return 1
	})
	for i, r := range got.Holds {
		// 1e-5: float32 log-softmax of 40 logits.
		if p := math.Exp(float64(logits[order[i]])) / sum; r.Text != symbolName(order[i]) || math.Abs(p-r.P) > 1e-5 {
			t.Errorf("reading %d of thought %d is %v, want node %d with %v", i, got.Number, r, order[i], p)
		}
	}
}

// A question in words and the same one in ids are one question; names come back.
func TestNamesComeBack(t *testing.T) {
	g, _ := inSymbols(t, latent.ReachThoughts)
	const same = "0 1 | 1 2 | 3 4 [Q] 2 4 [R] 0"
	words := llmtest.Collect(t, g, t.Context(), greedy(story, nil))
	ids := llmtest.Collect(t, g, t.Context(), greedy(same, nil)) // from the prompt cache
	other, _ := inSymbols(t, latent.ReachThoughts)
	if fresh := llmtest.Collect(t, other, t.Context(), greedy(same, nil)); !reflect.DeepEqual(ids.Thoughts, fresh.Thoughts) {
		t.Errorf("behind a question in words thoughts hold %v, alone %v: one question's names are told to another", ids.Thoughts, fresh.Thoughts)
	}
	names := []string{"Alex", "wumpus", "gorpus", "lempus", "yumpus"}
	rename := func(s string) string {
		for id, name := range names {
			if s == symbolName(id) {
				return name
			}
		}
		if s[0] >= '0' && s[0] <= '9' {
			return "id " + s // of no node in the words
		}
		return s
	}
	if got, want := words.Text[llm.Answer], rename(ids.Text[llm.Answer]); got != want {
		t.Errorf("in words the answer is %q, in ids %q", got, want)
	}
	for n, h := range ids.Thoughts {
		for i := range h.Holds {
			h.Holds[i].Text = rename(h.Holds[i].Text)
		}
		if !reflect.DeepEqual(h, words.Thoughts[n]) {
			t.Errorf("thought %d holds %v in words and %v in ids", n+1, words.Thoughts[n], h)
		}
	}
}

// Why DeepConf refuses: whatever is drawn, the tokens up to the first that differs
// have the same confidence in every trace of a question, to the bit.
func TestTracesOfOneQuestionAreAlike(t *testing.T) {
	coconut, _ := inWords(t, latent.Coconut)
	reach, _ := inSymbols(t, latent.ReachThoughts)
	for _, g := range []*Generator{coconut, reach} {
		answers, first := map[string]bool{}, map[float64]bool{}
		text := story
		for seed := range uint64(20) {
			r := greedy(text, nil)
			r.Temperature, r.Seed, r.TopLogprobs = 1.5, seed, 20
			tr := llmtest.Collect(t, g, t.Context(), r)
			answers[tr.Text[llm.Answer]] = true
			tracker := confidence.New(confidence.Config{K: 20, Window: 1})
			c, ok := tracker.Add(tr.Tokens[0].Top)
			if !ok {
				t.Fatal("the first token has no confidence")
			}
			first[c] = true
		}
		if len(answers) < 2 || len(first) != 1 {
			t.Errorf("%s: 20 traces gave %d different texts and %d confidences of their first token; want several and one", g.Info().Model, len(answers), len(first))
		}
		for _, name := range []string{"deepconf-low", "deepconf-high", "deepconf", "deepconf-offline"} {
			m, err := reason.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Run(t.Context(), g, reason.Ask(text), reason.Params{}, nil); err == nil || !strings.Contains(err.Error(), "computed and not sampled") {
				t.Errorf("%s on %s: %v, want the reason why not", name, g.Info().Model, err)
			}
		}
	}
}

func TestLatentRequestsThatMakeNoSense(t *testing.T) {
	words, _ := inWords(t, latent.Coconut)
	cot, _ := inWords(t, latent.CoT)
	reach, _ := inSymbols(t, latent.ReachThoughts)
	many, minus, two := 1<<40, -1, 2
	for name, c := range map[string]struct {
		g    *Generator
		r    llm.Request
		kind llm.ErrorKind
		want string
	}{
		"no graph":   {reach, greedy("How many moons has Mars?", nil), llm.BadRequest, `in words "Alex is a x.`},
		"both":       {reach, greedy("3 7 | 3 9 [Q] 7 9 [R] 3", nil), llm.BadRequest, "both can be reached"},
		"bad id":     {reach, greedy("3 77 | 3 9 [Q] 7 9 [R] 3", nil), llm.BadRequest, "77"},
		"many":       {reach, greedy(graph, &many), llm.ContextOverflow, "fewer thoughts"},
		"many words": {words, greedy(story, &many), llm.ContextOverflow, "fewer thoughts"},
		"minus":      {words, greedy(story, &minus), llm.BadRequest, "0 or more"},
		"no filling": {cot, greedy(story, &two), llm.BadRequest, "no hidden thoughts"},
		"long":       {reach, greedy(strings.Repeat("3 7 | ", 80)+"7 9 [Q] 9 2 [R] 3", nil), llm.ContextOverflow, "shorten it"},
	} {
		tr := llmtest.Collect(t, c.g, t.Context(), c.r)
		e, ok := tr.End.Err.(*llm.Error)
		if !ok || e.Kind != c.kind || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%s: %v, want a %s with %q", name, tr.End.Err, c.kind, c.want)
		}
	}
	six := 6
	if tr := llmtest.Collect(t, reach, t.Context(), greedy(graph, &six)); len(tr.Thoughts) != 6 || !slices.Contains(tr.End.Warnings, llm.WarnThoughtsUntrained) {
		t.Errorf("more thoughts than in training: %d, warnings %v", len(tr.Thoughts), tr.End.Warnings)
	}
}

func TestBrokenLatentFolders(t *testing.T) {
	ok := nn.Config{VocabSize: task.SymbolCount, BOS: task.SymbolEOS, EOS: task.SymbolEOS}
	for name, files := range map[string]map[string][]byte{
		"latent":  {latent.FileName: []byte(`{"version": 2}`)},
		"symbols": {latent.SymbolsFile: []byte(`{"version": 1, "method": "telepathy"}`)},
		"cut":     {latent.SymbolsFile: []byte(`{"version": 1,`)},
	} {
		dir, _ := folder(t, ok, files)
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "restore the file") {
			t.Errorf("%s: %v, want an error with place and remedy", name, err)
		}
	}
	small := ok
	small.VocabSize = 39
	dir, _ := folder(t, small, map[string][]byte{latent.SymbolsFile: latent.NewSymbolsInfo(latent.ReachCoT, 0).Bytes()})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "39") {
		t.Errorf("a model of 39 symbols: %v", err)
	}
}
