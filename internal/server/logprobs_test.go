package server

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// two is a script of two tokens: the first is the second best of three, two of
// which are equally likely; the second ends the text without being in it.
func two() llmtest.Script {
	return llmtest.Script{Tokens: []llmtest.Token{
		{Text: "é", Logprob: -1, Verbatim: true, Top: []llmtest.Alt{{Text: "e", Logprob: -1}, {Text: "x", Logprob: math.Inf(-1)}, {Text: "é", Logprob: -1}, {Text: "a", Logprob: -0.5}}},
		{Text: "!", NoText: true, Logprob: math.NaN(), Top: []llmtest.Alt{{Text: "?", Logprob: -2}}},
	}}
}

// The shapes are OpenAI's, whole and streamed, written out.
func TestLogprobs(t *testing.T) {
	sv := serve(t, Config{Generator: &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return two() }}})
	first := `{"token":"é","logprob":-1,"bytes":[195,169],"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":[97]},{"token":"e","logprob":-1,"bytes":[101]}]}`
	second := `{"token":"","logprob":null,"bytes":null,"top_logprobs":[{"token":"?","logprob":-2,"bytes":[63]}]}`
	chatAsk := `"logprobs": true, "top_logprobs": 2, ` + user
	for _, tt := range []struct{ name, path, body, want string }{
		{"chat", "/v1/chat/completions", `{` + chatAsk + `}`, `{"content":[` + first + `,` + second + `],"refusal":null}`},
		{"chat without alternatives", "/v1/chat/completions", `{"logprobs": true, ` + user + `}`,
			`{"content":[{"token":"é","logprob":-1,"bytes":[195,169],"top_logprobs":[]},{"token":"","logprob":null,"bytes":null,"top_logprobs":[]}],"refusal":null}`},
		{"completion", "/v1/completions", `{"logprobs": 2, "prompt": "x"}`,
			`{"tokens":["é",""],"token_logprobs":[-1,null],"top_logprobs":[{"a":-0.5,"e":-1},{"?":-2}],"text_offset":[0,2]}`},
		{"all alternatives", "/v1/completions", `{"logprobs": 20, "prompt": "x"}`,
			`{"tokens":["é",""],"token_logprobs":[-1,null],"top_logprobs":[{"a":-0.5,"e":-1,"x":-9999,"é":-1},{"?":-2}],"text_offset":[0,2]}`},
		{"none", "/v1/chat/completions", `{` + user + `}`, `null`},
	} {
		_, body, _ := sv.get(tt.path, tt.body)
		var r reply
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatal(err)
		}
		same(t, tt.name, r.Choices[0].Logprobs, tt.want)
	}
	got := sv.stream(`{"stream": true, ` + chatAsk + `}`)
	n := len(got.events)
	same(t, "streamed", got.events[n-2].Choices[0].Logprobs, `{"content":[`+first+`],"refusal":null}`)
	same(t, "streamed end", got.events[n-1].Choices[0].Logprobs, `{"content":[`+second+`],"refusal":null}`)
}

func same(t *testing.T, name string, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	json.Unmarshal(got, &g)
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
	}
}

// Behind a real wire, each token's name is the text it came with: joined, they
// are the reply.
func TestLogprobsOverTheWire(t *testing.T) {
	for seed := range uint64(20) {
		script := llmtest.Random(seed, llmtest.Shape{Tokens: 40})
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Play(script)}}}
		sv := serve(t, Config{Generator: behind(t, f)})
		_, body, _ := sv.get("/v1/chat/completions", `{"logprobs": true, "top_logprobs": 19, `+user+`}`)
		var r reply
		var l chatLogprobs
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatal(err)
		}
		json.Unmarshal(r.Choices[0].Logprobs, &l)
		text := ""
		for i, token := range l.Content {
			text += token.Token
			if math.Abs(*token.Logprob-script.Tokens[i].Logprob) > 1e-9 || len(token.Top) != 19 {
				t.Fatalf("token %d is %+v, and was %v", i, token, script.Tokens[i].Logprob)
			}
		}
		if len(l.Content) != 40 || text != r.Choices[0].Message.Content || text != script.Text(llm.Answer) {
			t.Errorf("seed %d: %d tokens that join to %q of %q", seed, len(l.Content), text, r.Choices[0].Message.Content)
		}
	}
}

// Usage is what the model worked on: every trace reads the prompt, and tokens
// that came after a stop were made as well.
func TestUsage(t *testing.T) {
	f := playing(llmtest.Play(llmtest.Words(20, `so it is \boxed{4} .`)))
	g := behind(t, f)
	sv := serve(t, Config{Generator: g})
	prompt := 0
	for budget := 1; budget <= 3; budget++ {
		got := sv.stream(fmt.Sprintf(`{"model": "fake@majority", "stream": true, "stream_options": {"include_usage": true}, "orrery": {"budget": %d}, %s}`, budget, user))
		if budget == 1 {
			prompt = got.usage.Prompt
		}
		if u := got.usage; prompt == 0 || u.Prompt != budget*prompt || u.Completion != budget*5 || u.Total != u.Prompt+u.Completion {
			t.Errorf("budget %d: %+v", budget, got.usage)
		}
	}
}

// What wraps a generator hides none of what it can do.
func TestTapKeepsRenderer(t *testing.T) {
	plain := newTap(boxes("4"), false).generator()
	if _, is := plain.(llm.Renderer); is {
		t.Error("a generator that cannot render looks as if it could")
	}
	f := playing(llmtest.Play(llmtest.Words(1, "4")))
	r, is := newTap(behind(t, f), false).generator().(llm.Renderer)
	if !is {
		t.Fatal("a generator that can render looks as if it could not")
	}
	if text, err := r.Render(t.Context(), []llm.Message{{Role: "user", Content: "x"}}); err != nil || !strings.Contains(text, "x") {
		t.Errorf("rendered %q, %v", text, err)
	}
}
