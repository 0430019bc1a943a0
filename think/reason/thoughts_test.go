package reason

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/vote"
)

// latent is a scripted latent model: two thoughts, then words.
func latent(alike string, words ...string) *llmtest.Scripted {
	s := llmtest.Say(3, words...)
	for n, word := range []string{"wumpus", "gorpus"} {
		s.Thoughts = append(s.Thoughts, llm.Thought{Number: n + 1, Holds: []llm.Reading{{Text: word, P: 0.5}, {Text: "lempus", P: 0.25}}})
	}
	return &llmtest.Scripted{Pick: func(llm.Request) llmtest.Script { return s }, K: 3,
		Latent: &llm.Latent{Method: "coconut", Thoughts: 2, Trained: 3, Mark: "### ", Alike: alike}}
}

func lookup(t *testing.T, name string) Method {
	t.Helper()
	m, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Thoughts are told in order before any text, count as tokens whether or not
// confidence is measured, and confidence is of the words alone.
func TestThoughtsAreToldAndCounted(t *testing.T) {
	for _, p := range []Params{{}, {K: 3, Window: 1}} {
		var seen []llm.Thought
		words := false
		g := latent("", "Every", " step", " ###", " Alex is", " a gorpus.")
		res, err := lookup(t, "coconut").Run(context.Background(), g, Ask("?"), p, func(e Event) {
			switch e := e.(type) {
			case Thought:
				if words {
					t.Error("a thought was told after text")
				}
				seen = append(seen, e.Thought)
			case TraceProgress:
				words = words || e.Text != ""
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		tr := res.Traces[0]
		if len(seen) != 2 || !reflect.DeepEqual(seen, tr.Thoughts) || tr.Tokens != 7 || res.Tokens.Used != 7 {
			t.Errorf("k = %d: %v were told, the result has %v and %d tokens; want 2 thoughts and 7 tokens", p.K, seen, tr.Thoughts, tr.Tokens)
		}
		if *res.Answer != "Alex is a gorpus." || *tr.Answer != *res.Answer {
			t.Errorf("the answer is %q, want what follows the mark", *res.Answer)
		}
		if p.K > 0 {
			plain, err := lookup(t, "single").Run(context.Background(), &llmtest.Scripted{Pick: g.Pick, K: 3, Latent: g.Latent}, Ask("?"), Params{K: 3, Window: 1, Thoughts: new(int)}, nil)
			if err != nil || *plain.Traces[0].Mean != *tr.Mean || plain.Traces[0].Tokens != 5 {
				t.Errorf("with no thoughts: %v, mean %v, %d tokens; want the same mean %v and 5 tokens", err, *plain.Traces[0].Mean, plain.Traces[0].Tokens, *tr.Mean)
			}
		}
		if r := g.Requests()[0]; r.Temperature != 0 {
			t.Errorf("coconut asked at temperature %v", r.Temperature)
		}
		if b, _ := json.Marshal(res); !strings.Contains(string(b), `"thoughts":[{"number":1,"holds":[{"text":"wumpus","p":0.5}`) {
			t.Errorf("the JSON has no thoughts: %s", b)
		}
	}
}

// A recording holds what each thought held, as tokens without a score and in words; a
// replay counts the tokens that the run did, and hands the thoughts on.
func TestThoughtsAreRecorded(t *testing.T) {
	var file bytes.Buffer
	g := latent("", "Every", " step", " ###", " Alex is", " a gorpus.")
	rec := NewRecorder(g, &file)
	res, err := lookup(t, "majority").Run(context.Background(), rec, Ask("?"), Params{Budget: 2, Concurrency: 1, K: 3}, nil)
	if err != nil || rec.Err() != nil {
		t.Fatal(err, rec.Err())
	}
	want := res.Traces[0].Thoughts
	n := 0
	for tr, err := range ReadTraces(bytes.NewReader(file.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; len(want) != 2 || !reflect.DeepEqual(tr.Thoughts, want) || len(tr.Tokens) != res.Traces[0].Tokens {
			t.Errorf("trace %s is recorded with %v and %d tokens; the run had %v and %d", tr.ID, tr.Thoughts, len(tr.Tokens), want, res.Traces[0].Tokens)
		}
	}
	rep, err := Replay(context.Background(), bytes.NewReader(file.Bytes()), ReplayParams{Warmup: 1, Window: 1, NoConsensus: true})
	if err != nil || n != 2 {
		t.Fatalf("%d traces, %v", n, err)
	}
	if !reflect.DeepEqual(rep.Traces[1].Thoughts, want) || rep.Online.TokensUsed != res.Tokens.Used {
		t.Errorf("replayed: %v and %d tokens, want %v and %d", rep.Traces[1].Thoughts, rep.Online.TokensUsed, want, res.Tokens.Used)
	}
	for _, bad := range []string{`7`, `[7]`, `[{"number": "one"}]`, `[{"holds": [{"p": "much"}]}]`} {
		_, err := Replay(context.Background(), strings.NewReader(`{"id": 1, "answer": null, "tokens": [], "thoughts": `+bad+`}`), ReplayParams{})
		if err == nil || !strings.Contains(err.Error(), "line 1: field thoughts: it is not a list of objects") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The limit on tokens bounds thoughts too, and an answer that was cut is none.
func TestLimitBoundsThoughts(t *testing.T) {
	g := latent("", "###", " Alex", " is")
	for limit, want := range map[int]int{1: 1, 2: 2, 4: 2} {
		res, err := lookup(t, "single").Run(context.Background(), g, Ask("?"), Params{MaxTokens: limit}, nil)
		if err != nil {
			if limit > 2 {
				t.Error(err)
			}
			continue
		}
		tr := res.Traces[0]
		if tr.Tokens != limit || len(tr.Thoughts) != want || tr.StopReason != vote.Length || tr.Answer != nil {
			t.Errorf("limit %d: %d tokens, %d thoughts, ended %s with %v", limit, tr.Tokens, len(tr.Thoughts), tr.StopReason, tr.Answer)
		}
	}
}

func TestMethodsThatDoNotSuit(t *testing.T) {
	two := 2
	text := llm.Info{Model: "plain"}
	words := llm.Info{Model: "cot", Latent: &llm.Latent{Method: "cot"}}
	thinks := llm.Info{Model: "nut", Latent: &llm.Latent{Method: "coconut", Thoughts: 4, Alike: "they write one token"}}
	for _, c := range []struct {
		method string
		info   llm.Info
		p      Params
		want   string // in the error; "": none
	}{
		{"coconut", text, Params{}, "trained to think in hidden states"},
		{"single", text, Params{Thoughts: &two}, "drop it"},
		{"single", text, Params{}, ""},
		{"deepconf-low", text, Params{}, ""},
		{"coconut", words, Params{Thoughts: &two}, "method cot"},
		{"coconut", words, Params{Thoughts: new(int)}, ""},
		{"deepconf-low", words, Params{}, ""},
		{"deepconf-low", thinks, Params{}, "they write one token"},
		{"deepconf-offline", thinks, Params{}, "use coconut, or single or majority"},
		{"majority", thinks, Params{Thoughts: &two}, ""},
		{"coconut", thinks, Params{Thoughts: &two}, ""},
	} {
		err := lookup(t, c.method).Suits(c.info, c.p)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %s: %v, want %q", c.method, c.info.Model, err, c.want)
		}
	}
	if _, err := lookup(t, "deepconf-high").Run(context.Background(), latent("one token", "9"), Ask("?"), Params{}, nil); err == nil {
		t.Error("DeepConf ran on a model whose traces it cannot tell apart")
	}
	one := slices.DeleteFunc(Names(), func(n string) bool { return !OneTrace(lookup(t, n)) })
	if !slices.Equal(one, []string{"coconut", "single"}) {
		t.Errorf("methods of one trace are %v", one)
	}
}
