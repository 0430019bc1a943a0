package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// handler serves any POST with what play sends.
func handler(play func(send func([]byte), gone <-chan struct{})) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		play(func(b []byte) {
			w.Write(b)
			w.(http.Flusher).Flush()
		}, r.Context().Done())
	})
}

// Servers' own words for their refusals, each with its kind.
func TestClassify(t *testing.T) {
	c := cannedClient(t, "vllm", nil)
	for _, x := range []struct {
		code int
		body string
		kind llm.ErrorKind
	}{
		{400, `{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","code":400}}`, llm.ContextOverflow},
		{400, `{"error":{"code":400,"message":"the request exceeds the available context size. try increasing it","type":"exceed_context_size_error","n_ctx":512}}`, llm.ContextOverflow},
		{400, `{"object":"error","message":"The input (5000 tokens) is longer than the model's context length (4096 tokens).","code":400}`, llm.ContextOverflow},
		{400, `{"error":{"message":"too long","code":"context_length_exceeded"}}`, llm.ContextOverflow},
		{400, `{"message":"Requested sample logprobs of 30, which is greater than max allowed: 20"}`, llm.TopLogprobsTooLarge},
		{400, `{"error":{"message":"Invalid value for 'top_logprobs': must be less than or equal to 20.","param":"top_logprobs"}}`, llm.TopLogprobsTooLarge},
		{400, `{"error":{"message":"top_logprobs must be between 0 and 20"}}`, llm.TopLogprobsTooLarge},
		{422, `{"detail":"logprobs are not supported with this model"}`, llm.LogprobsUnsupported},
		{403, `{"error":{"message":"You are not allowed to request logprobs from this model."}}`, llm.LogprobsUnsupported},
		{400, `{"error":{"message":"logprobs is not supported with tools + stream"}}`, llm.LogprobsUnsupported},
		{404, `{"error":{"message":"The model 'x' does not exist.","code":404}}`, llm.ModelNotFound},
		{404, `{"error":{"message":"model 'x' not found, try pulling it first"}}`, llm.ModelNotFound},
		{404, `404 page not found`, llm.BadRequest},
		{400, `{"error":{"message":"temperature must be non-negative","param":"temperature"}}`, llm.BadRequest},
		{401, `{"error":"unauthorized"}`, llm.Auth},
		{429, ``, llm.RateLimited},
		{529, `overloaded`, llm.StreamError},
		{302, ``, llm.NotStreaming},
	} {
		f := c.status("POST /v1/x", x.code, http.Header{}, []byte(x.body))
		if f.err.Kind != x.kind || f.err.Remedy == "" || f.err.Status != x.code {
			t.Errorf("%d %s: %+v; want %s", x.code, x.body, f.err, x.kind)
		}
		if want := x.code == 429; f.retry != want {
			t.Errorf("%d: tried again %v", x.code, f.retry)
		}
	}
	if f := c.status("", 400, nil, []byte(`{"error":{"message":"m","param":"top_p"}}`)); f.err.Param != "top_p" {
		t.Errorf("the parameter is lost: %+v", f.err)
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "0.5": time.Second / 2, "-1": 0, "soon": 0, "Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0, "1e300": 0, "NaN": 0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("Retry-After %q is %v; want %v", v, got, want)
		}
	}
}

// A secret is in no error, whoever repeats it, whole or in part.
func TestSecretsStayOut(t *testing.T) {
	const key, password, query = "sk-verysecretkey-0123456789", "hunter2hunter2", "querysecret99"
	leaks := func(what string, text string) {
		t.Helper()
		for _, s := range []string{key, password, query, base64.StdEncoding.EncodeToString([]byte("user:" + password))} {
			for i := 0; i+8 <= len(s); i++ {
				if strings.Contains(text, s[i:i+8]) {
					t.Errorf("%s: %q holds %q of a secret", what, text, s[i:i+8])
					return
				}
			}
		}
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(401)
		auth := r.Header.Get("Authorization")
		user, pass, _ := r.BasicAuth()
		fmt.Fprintf(w, `{"error":{"message":"bad key %s (%s), url %s, user %s %s, param"}}`, auth, auth[min(len(auth), 12):], r.URL, user, pass)
	})
	for what, cfg := range map[string]Config{
		"echo":     {URL: "http://fake/v1?key=" + query, APIKey: key, Transport: llmtest.Serve(t, echo), Dialect: "vllm", Model: "m"},
		"password": {URL: "http://user:" + password + "@fake", Transport: llmtest.Serve(t, echo), Dialect: "vllm", Model: "m"},
		"auto":     {URL: "http://fake?key=" + query, APIKey: key, Transport: llmtest.Serve(t, echo)},
		"dial":     {URL: "http://user:" + password + "@fake?key=" + query, APIKey: key, Transport: failing{errors.New("no route with " + key)}, Dialect: "vllm", Model: "m", Retries: -1},
	} {
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tr := llmtest.Collect(t, c, context.Background(), request(false, 0))
		if tr.End.Err == nil {
			t.Fatalf("%s: End %+v", what, tr.End)
		}
		leaks(what, tr.End.Err.Error())
		for err := tr.End.Err; err != nil; err = errors.Unwrap(err) {
			leaks(what+", chain", fmt.Sprintf("%+v %#v", err, err))
		}
		r, err := c.Check(context.Background())
		leaks(what+", check", fmt.Sprintf("%+v %v", r, err))
	}
	for _, url := range []string{"", "ftp://u:" + password + "@x", "http://u:" + password + "@:bad port/" + query, "::" + password} {
		_, err := New(Config{URL: url})
		if err == nil {
			t.Fatalf("URL %q is taken", url)
		}
		leaks("URL", err.Error())
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestWordsAreCut(t *testing.T) {
	c := cannedClient(t, "vllm", nil)
	got := c.scrub(strings.Repeat("ä", 5000))
	if len(got) > maxWords || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid %v; want at most %d", len(got), utf8.ValidString(got), maxWords)
	}
}

// Connection failures by kind, over real sockets.
func TestConnectionErrors(t *testing.T) {
	plain := httptest.NewServer(&llmtest.Fake{Dialect: "vllm"})
	defer plain.Close()
	secure := httptest.NewUnstartedServer(&llmtest.Fake{Dialect: "vllm"})
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for name, x := range map[string]struct {
		url  string
		kind llm.ErrorKind
	}{
		"refused":             {"http://127.0.0.1:1", llm.Unreachable}, // not a port that was free a moment ago: another test may have it by now
		"unknown authority":   {secure.URL, llm.TLS},
		"TLS to a plain port": {strings.Replace(plain.URL, "http:", "https:", 1), llm.TLS},
	} {
		c, err := New(Config{URL: x.url, Dialect: "vllm", Model: "m", Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		tr := llmtest.Collect(t, c, context.Background(), request(false, 0))
		if kindOf(tr.End) != x.kind {
			t.Errorf("%s: %v; want %s", name, tr.End.Err, x.kind)
		}
		c.Close()
	}
}
