package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// Whatever a request's body: the reply is one of the API's own, a whole JSON
// object or a stream that ends with [DONE], never the server's fault, and the
// request has one end.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{` + user + `}`,
		`{"model": "m@deepconf-low", "stream": true, "stream_options": {"include_usage": true}, "orrery": {"progress": true, "eta": 50, "budget": 3, "warmup": 2, "window": "auto"}, ` + user + `}`,
		`{"prompt": ["a"], "logprobs": 2, "max_tokens": 5, "stop": "x", "seed": 18446744073709551615}`,
		`{"messages": [{"role": "developer", "content": [{"type": "text", "text": "\ud800"}]}, {"role": "user", "content": ""}], "logprobs": true, "top_logprobs": 3, "temperature": 1e308}`,
		`{"messages": [{}], "n": 2, "tools": [{}], "tool_choice": "none", "response_format": {"type": "json_object"}, "stop": ["a", "b"]}`,
		`[1]`, ``, `{"orrery": {"deadline_seconds": 1e-9, "token_budget": 1, "threshold": -1e999}, ` + user + `}`,
	} {
		f.Add(body, true)
		f.Add(body, false)
	}
	g := &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return llmtest.Words(3, `so \boxed{4}`) }}
	s, err := New(Config{Generator: g, MaxBudget: 8, MaxTokens: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, chats bool) {
		before := s.Stats()
		path := "/v1/completions"
		if chats {
			path = "/v1/chat/completions"
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		reply := w.Body.String()
		if !utf8.ValidString(reply) {
			t.Fatalf("%q is answered with bytes that are no text: %q", body, reply)
		}
		var whole struct {
			Error   *struct{ Message, Type string }
			Choices []json.RawMessage
		}
		switch {
		case strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream"):
			if w.Code != http.StatusOK || !strings.HasSuffix(reply, "data: [DONE]\n\n") {
				t.Fatalf("%q: %d, a stream that ends %q", body, w.Code, reply[max(0, len(reply)-100):])
			}
		case json.Unmarshal([]byte(reply), &whole) != nil:
			t.Fatalf("%q: %d %q is no JSON", body, w.Code, reply)
		case w.Code == http.StatusOK && (whole.Error != nil || len(whole.Choices) != 1), w.Code != http.StatusOK && (whole.Error == nil || whole.Error.Message == "" || whole.Error.Type == ""):
			t.Fatalf("%q: %d %s", body, w.Code, reply)
		}
		after := s.Stats()
		if after.Ended[ServerError] != before.Ended[ServerError] || w.Code == http.StatusInternalServerError {
			t.Fatalf("%q is a fault of the server's: %d %s", body, w.Code, reply)
		}
		if after.Open != 0 || after.Received != before.Received+1 {
			t.Fatalf("%q: %+v after %+v", body, after, before)
		}
	})
}
