package upstream

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
)

// Whatever a server says about an error, in a reply or in a stream: it is told
// in few words of valid text, of a known kind, without the key.
func FuzzErrors(f *testing.F) {
	for _, body := range []string{
		`{"error": {"message": "Incorrect API key provided: sk-sec****2345", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}`,
		`{"object": "error", "message": "maximum context length is 10", "type": "BadRequestError", "param": "messages", "code": 400}`,
		`{"error": "model not found"}`, `{"detail": [{"loc": ["body"]}]}`, `"words"`, `<html>`, `{"error": {"error": {"error": {}}}}`, "{\"message\": \"\xff\"}",
	} {
		f.Add(400, body, "3")
	}
	f.Add(429, ``, "Wed, 21 Oct 2099 07:28:00 GMT")
	const key = "sk-secret-0123456789"
	c, err := New(Config{URL: "http://user:password-of-it@fake", APIKey: key, Dialect: "vllm"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, body, after string) {
		body += " " + key + " "
		for _, fault := range []*fault{c.status("GET /", code, http.Header{"Retry-After": {after}}, []byte(body)), c.event("GET /", []byte(body))} {
			e := fault.err
			text := e.Error()
			if e.Kind == "" || len(e.Words) > maxWords || !utf8.ValidString(e.Words) || strings.Contains(text, key) || strings.Contains(text, "password-of-it") {
				t.Fatalf("%q is told as %q, kind %q", body, text, e.Kind)
			}
			if fault.after < 0 {
				t.Fatalf("Retry-After %q waits %v", after, fault.after)
			}
		}
	})
}

// An address is taken apart in one way: what parseAddress makes of it is
// taken for the same again, it has no user, query or /v1, and a refusal does not
// repeat what was given, which may hold a password.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"localhost:8000", "https://u:secret-word@h/v1/?key=k", "http://[::1]:80/a/v1", "ftp://secret-word@x", "http://h/v1/v1", "http://h#f", "http://%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err != nil {
			if strings.Contains(err.Error(), "secret-word") {
				t.Fatalf("%q is refused with %v", raw, err)
			}
			return
		}
		if !strings.HasPrefix(a.root, "http://") && !strings.HasPrefix(a.root, "https://") || strings.ContainsAny(a.root, "?#") {
			t.Fatalf("%q is at %q", raw, a.root)
		}
		again, err := parseAddress(a.root)
		if err != nil || again.user != nil || again.query != "" || len(again.root) > len(a.root) {
			t.Fatalf("%q is at %q, which is %+v, %v", raw, a.root, again, err)
		}
		if _, err := http.NewRequest("GET", a.root+"/v1/models", nil); err != nil {
			t.Fatalf("%q is at %q, where nothing can be asked: %v", raw, a.root, err)
		}
	})
}

// Small replies (model lists, gauges, slots, templates) of any bytes are an
// error or an answer; finding out what a server is always ends.
func FuzzSmallReplies(f *testing.F) {
	f.Add(`{"data": [{"id": "m", "owned_by": "vllm"}]}`)
	f.Add("vllm:num_requests_running{model_name=\"}\"} 1e300\nvllm:num_requests_running NaN\n")
	f.Add(`[{"id": 0, "is_processing": true}]`)
	f.Add(`{"prompt": 1}`)
	f.Fuzz(func(t *testing.T, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if n, err := gauge([]byte(body), "vllm:num_requests_running"); err == nil && body == "" {
			t.Fatalf("nothing is a gauge of %d", n)
		}
		for _, name := range append(names, "auto") {
			c, err := New(Config{URL: "http://fake", Dialect: name, Retries: -1, Transport: &canned{body: []byte(body)}})
			if err != nil {
				t.Fatal(err)
			}
			if target, fl := c.resolve(ctx); fl == nil && (target.model == "" || target.parallel < 1) {
				t.Fatalf("%s: %q is a server of model %q with %d places", name, body, target.model, target.parallel)
			}
			c.list(ctx)
			for _, d := range dialects {
				if d.busy != nil {
					d.busy(ctx, c, &target{dialect: d, model: "m"})
				}
				if d.render != nil {
					d.render(ctx, c, &target{dialect: d, model: "m"}, []llm.Message{{Role: "user", Content: "x"}})
				}
			}
			c.Close()
			if ctx.Err() != nil {
				t.Fatalf("%s: %q keeps the client busy", name, body)
			}
		}
	})
}
