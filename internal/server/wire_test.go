package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/reason"
)

// Each file is one request and what must come of it: the request that the
// generator gets for its first trace, and the reply. A case states only what
// it is about. Values are JSON; a seed is the run's.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ask, want, found := strings.Cut(string(data), "\n\n")
			lines := strings.SplitN(ask, "\n", 3)
			if !found || len(lines) != 3 || !strings.HasPrefix(lines[0], "# ") {
				t.Fatal("a case is a comment, a route, a body, a blank line and what is wanted")
			}
			g := boxes("4")
			sv := serve(t, Config{Generator: g})
			status, body, _ := sv.get(strings.TrimPrefix(lines[1], "POST "), lines[2])
			got := map[string]any{"status": status}
			var r reply
			if err := json.Unmarshal(body, &r); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			describe(got, g.Requests(), &r)
			for line := range strings.Lines(want) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				have, known := got[key]
				if !known {
					t.Errorf("nothing is called %q in %s", key, body)
					continue
				}
				if key == "seed" {
					var n uint64
					fmt.Sscan(value, &n)
					value = fmt.Sprint(reason.TraceSeed(n, 0))
				}
				text, _ := json.Marshal(have)
				if text = bytes.TrimSpace(text); string(text) != value {
					t.Errorf("%s is %s, want %s", key, text, value)
				}
			}
		})
	}
}

// describe names what a case can state.
func describe(got map[string]any, requests []llm.Request, r *reply) {
	got["object"], got["model"], got["traces"] = r.Object, r.Model, len(requests)
	var o struct{ Method string }
	json.Unmarshal(r.Orrery, &o)
	got["method"] = o.Method
	for _, c := range r.Choices {
		got["finish"] = c.FinishReason
		if c.Message != nil {
			got["text"] = c.Message.Content
		} else {
			got["text"] = c.Text
		}
	}
	for _, q := range requests {
		if q.Label == "trace 0" {
			got["messages"], got["prompt"], got["stop"] = q.Messages, q.Prompt, q.Stop
			got["max_tokens"], got["temperature"], got["top_p"], got["top_k"] = q.MaxTokens, q.Temperature, q.TopP, q.TopK
			got["seed"], got["k"] = q.Seed, q.TopLogprobs
		}
	}
}

const (
	user = `"messages": [{"role": "user", "content": "2+2?"}]`
	vote = `"model": "m@majority", ` + user
)

// Every way to ask for what makes no sense: a status, a field and words that
// say what to do, before the generator is asked for anything.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 2000)
	tests := []struct {
		name, body string
		status     int
		param      string
		words      string
	}{
		{"not JSON", `{"model": `, 400, "", "not JSON"},
		{"not UTF-8", "{" + user + `, "user": "` + "\xff" + `"}`, 400, "", "UTF-8"},
		{"no object", `[1]`, 400, "", "JSON array where an object is expected"},
		{"two objects", `{` + user + `} {}`, 400, "", "not JSON"},
		{"unknown model", `{"model": "gpt-4", ` + user + `}`, 404, "model", "there is m, alone or with one of @deepconf"},
		{"unknown method", `{"model": "m@best", ` + user + `}`, 404, "model", "@single"},
		{"model is no text", `{"model": 4, ` + user + `}`, 400, "model", "where a string is expected"},
		{"no messages", `{"model": "m"}`, 400, "messages", "send at least one"},
		{"messages are a text", `{"messages": "2+2?"}`, 400, "messages", "where a list is expected"},
		{"empty question", `{"messages": [{"role": "user", "content": " \n"}]}`, 400, "messages", "the question is empty"},
		{"no content", `{"messages": [{"role": "user"}]}`, 400, "messages", "the question is empty"},
		{"null content", `{"messages": [{"role": "user", "content": null}]}`, 400, "messages[0].content", "no text"},
		{"a picture", `{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}`, 400, "messages[0].content", "image_url"},
		{"role tool", `{"messages": [{"role": "tool", "content": "4"}]}`, 400, "messages[0].role", "tool"},
		{"prompt in a chat", `{"prompt": "2+2=", ` + user + `}`, 400, "prompt", "/v1/completions"},
		{"n", `{"n": 3, ` + user + `}`, 400, "n", "3 times"},
		{"n of nothing", `{"n": 0, ` + user + `}`, 400, "n", "each request has one answer"},
		{"best_of", `{"best_of": 2, ` + user + `}`, 400, "best_of", "majority"},
		{"tools", `{"tools": [{"type": "function"}], ` + user + `}`, 400, "tools", "drop them"},
		{"functions", `{"functions": [{"name": "f"}], ` + user + `}`, 400, "tools", "drop them"},
		{"JSON mode", `{"response_format": {"type": "json_object"}, ` + user + `}`, 400, "response_format", "json_object"},
		{"a penalty", `{"presence_penalty": 0.5, ` + user + `}`, 400, "presence_penalty", "set them to 0"},
		{"logit bias", `{"logit_bias": {"50256": -100}, ` + user + `}`, 400, "logit_bias", "drop it"},
		{"max_tokens 0", `{"max_tokens": 0, ` + user + `}`, 400, "max_tokens", "above 0"},
		{"max_tokens below 0", `{"max_tokens": -5, ` + user + `}`, 400, "max_tokens", "above 0"},
		{"max_tokens of half", `{"max_tokens": 1.5, ` + user + `}`, 400, "max_tokens", "a whole number"},
		{"max_tokens too large", `{"max_tokens": 2000000, ` + user + `}`, 400, "max_tokens", "at most 1048576"},
		{"both names differ", `{"max_tokens": 5, "max_completion_tokens": 6, ` + user + `}`, 400, "max_completion_tokens", "contradict"},
		{"temperature", `{"temperature": 3, ` + user + `}`, 400, "", "temperature"},
		{"temperature is a text", `{"temperature": "hot", ` + user + `}`, 400, "temperature", "a number"},
		{"top_p 0", `{"top_p": 0, ` + user + `}`, 400, "top_p", "above 0"},
		{"top_k", `{"top_k": -2, ` + user + `}`, 400, "", "top_k"},
		{"seed is a text", `{"seed": "x", ` + user + `}`, 400, "seed", "a whole number"},
		{"empty stop", `{"stop": "", ` + user + `}`, 400, "stop", "must have 1 to"},
		{"long stop", `{"stop": "` + long + `", ` + user + `}`, 400, "stop", "2000 bytes"},
		{"many stops", `{"stop": [` + strings.Repeat(`"a",`, 16) + `"a"], ` + user + `}`, 400, "stop", "17 strings"},
		{"stop is a number", `{"stop": 3, ` + user + `}`, 400, "stop", "a list"},
		{"stream options alone", `{"stream_options": {"include_usage": true}, ` + user + `}`, 400, "stream_options", "stream is not true"},
		{"stream is a text", `{"stream": "yes", ` + user + `}`, 400, "stream", "true or false"},
		{"progress without stream", `{"orrery": {"progress": true}, ` + user + `}`, 400, "orrery.progress", "stream is not true"},
		{"top_logprobs alone", `{"top_logprobs": 5, ` + user + `}`, 400, "top_logprobs", "logprobs to be true"},
		{"21 alternatives", `{"logprobs": true, "top_logprobs": 21, ` + user + `}`, 400, "top_logprobs", "0 to 20"},
		{"logprobs in a chat", `{"logprobs": 5, ` + user + `}`, 400, "logprobs", "true or false"},
		{"logprobs of a vote", `{"logprobs": true, ` + vote + `}`, 400, "logprobs", "method majority runs many"},
		{"orrery is a text", `{"orrery": "deepconf", ` + user + `}`, 400, "orrery", "a JSON string where an object"},
		{"unknown parameter", `{"orrery": {"buget": 3}, ` + user + `}`, 400, "orrery.buget", "known are budget, concurrency"},
		{"unknown orrery.method", `{"orrery": {"method": "best"}, ` + user + `}`, 400, "orrery.method", "known are coconut"},
		{"method is a number", `{"orrery": {"method": 3}, ` + user + `}`, 400, "orrery.method", "a string"},
		{"progress is a number", `{"orrery": {"progress": 1}, ` + user + `}`, 400, "orrery.progress", "true or false"},
		{"two methods", `{"orrery": {"method": "single"}, ` + vote + `}`, 400, "orrery.method", "contradict"},
		{"plain and another", `{"model": "m@single", "orrery": {"method": "majority"}, ` + user + `}`, 400, "orrery.method", "contradict"},
		{"budget of a single", `{"orrery": {"budget": 3}, ` + user + `}`, 400, "", "single does not use parameter budget"},
		{"eta of a vote", `{"orrery": {"eta": 30}, ` + vote + `}`, 400, "", "majority does not use parameter eta"},
		{"budget below 0", `{"orrery": {"budget": -3}, ` + vote + `}`, 400, "", "budget"},
		{"budget is a text", `{"orrery": {"budget": "8"}, ` + vote + `}`, 400, "budget", "a whole number"},
		{"budget too large", `{"orrery": {"budget": 513}, ` + vote + `}`, 400, "budget", "at most 512"},
		{"token budget too large", `{"orrery": {"token_budget": 1048577}, ` + vote + `}`, 400, "token_budget", "at most 1048576"},
		{"window", `{"model": "m@deepconf", "orrery": {"window": "wide"}, ` + user + `}`, 400, "", "neither a number of tokens nor auto"},
		{"warm-up beyond budget", `{"model": "m@deepconf", "orrery": {"warmup": 8, "budget": 4}, ` + user + `}`, 400, "", "contradict"},
		{"temperature twice", `{"temperature": 1, "orrery": {"temperature": 0.5}, ` + user + `}`, 400, "temperature", "orrery.temperature (0.5) of the request contradict"},

		{"no prompt", `{"prompt": ""}`, 400, "prompt", "the prompt is empty"},
		{"two prompts", `{"prompt": ["a", "b"]}`, 400, "prompt", "one request for each"},
		{"token numbers", `{"prompt": [1, 2]}`, 400, "prompt", "token numbers"},
		{"messages and prompt", `{"prompt": "2+2=", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}`, 400, "prompt", "/v1/completions"},
		{"echo", `{"prompt": "2+2=", "echo": true}`, 400, "echo", "continuation only"},
		{"suffix", `{"prompt": "2+2=", "suffix": "."}`, 400, "suffix", "not filled in"},
		{"completion logprobs", `{"prompt": "2+2=", "logprobs": true}`, 400, "logprobs", "a whole number"},
		{"completion progress", `{"prompt": "2+2=", "stream": true, "orrery": {"progress": true}}`, 400, "orrery.progress", "only chat"},
	}
	g := boxes("4")
	sv := serve(t, Config{Generator: g})
	for _, tt := range tests {
		path := "/v1/chat/completions"
		if strings.HasPrefix(tt.body, `{"prompt"`) && !strings.Contains(tt.body, "messages") {
			path = "/v1/completions"
		}
		status, body, _ := sv.get(path, tt.body)
		var r reply
		if err := json.Unmarshal(body, &r); err != nil || r.Error == nil {
			t.Errorf("%s: %d, %v: %s", tt.name, status, err, body)
			continue
		}
		param := ""
		if r.Error.Param != nil {
			param = *r.Error.Param
		}
		if status != tt.status || param != tt.param || !strings.Contains(r.Error.Message, tt.words) || r.Error.Type != typeInvalid {
			t.Errorf("%s: status %d, want %d; param %q, want %q; message, want %q in it:\n%s", tt.name, status, tt.status, param, tt.param, tt.words, r.Error.Message)
		}
	}
	if n := len(g.Requests()); n != 0 {
		t.Errorf("the generator was asked %d times", n)
	}
	sv.stop()
	sv.want(map[Reason]int{BadRequest: len(tests)})
}
