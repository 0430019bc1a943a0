package tracing

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"orrery/internal/server"
	"orrery/internal/upstream"
	"orrery/think/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP/HTTP receiver.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	refuse  int // as many posts, with 503
	posts   int
	headers http.Header
	spans   []*wire.Span
	raw     bytes.Buffer
	service string
}

func collect(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.posts++
		if c.refuse > 0 {
			c.refuse--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var data wire.TracesData
		if err := proto.Unmarshal(body, &data); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %v: %v", r.URL, r.Header, err)
		}
		c.headers = r.Header
		c.raw.Write(body)
		for _, rs := range data.ResourceSpans {
			c.service = valueOf(rs.Resource.Attributes, "service.name").GetStringValue()
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b, x-key=CANARY-COLLECTOR")
	return c
}

func valueOf(list []*common.KeyValue, key string) *common.AnyValue {
	for _, a := range list {
		if a.Key == key {
			return a.Value
		}
	}
	return &common.AnyValue{}
}

// A request of three traces is one span in its caller's trace, three below it,
// and below each the request to the model's server, which is told of it. What is
// sent holds no prompt, answer or key.
func TestSpans(t *testing.T) {
	c := collect(t)
	tr, err := Open(t.Context(), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	fake := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Times: 4, Reply: llmtest.Play(llmtest.Words(20, `CANARY-ANSWER \boxed{7}`))},
		{Reply: llmtest.Reply{Fault: llmtest.Fault{Status: 400, Body: `{"error": {"message": "CANARY-WORDS"}}`}}}}}
	inner := fake.Transport(t)
	up, err := upstream.New(upstream.Config{URL: "http://fake:1234", Dialect: "vllm", Model: "fake", APIKey: "CANARY-UPSTREAM", Wrap: tr.Transport,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			told = append(told, r.Header.Get("Traceparent"))
			mu.Unlock()
			return inner.RoundTrip(r)
		})})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Generator: up, Observers: []server.Observer{tr}, Middleware: tr.Middleware, Keys: []server.Key{server.NewKey("alice", "CANARY-KEY")}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(body string) int {
		r := httptest.NewRequest("POST", "http://orrery/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer CANARY-KEY")
		r.Header.Set("Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	const question = `"messages": [{"role": "user", "content": "CANARY-PROMPT"}]`
	if status := ask(`{` + question + `, "model": "fake@majority", "orrery": {"budget": 3}}`); status != 200 {
		t.Fatal(status)
	}
	ask(`{` + question + `}`)
	if status := ask(`{` + question + `}`); status != 400 {
		t.Fatal(status)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if c.headers.Get("X-Team") != "a b" || c.service != "orrery" {
		t.Errorf("%v, service %s", c.headers, c.service)
	}
	if strings.Contains(c.raw.String(), "CANARY") {
		t.Error("a span holds what it must not")
	}
	children := map[string][]*wire.Span{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) != "0123456789abcdef0123456789abcdef" {
			t.Errorf("%s is not in its caller's trace", s.Name)
		}
		children[string(s.ParentSpanId)] = append(children[string(s.ParentSpanId)], s)
	}
	caller, _ := hex.DecodeString("0123456789abcdef")
	requests := children[string(caller)]
	if len(requests) != 3 || len(c.spans) != 3+5+5 {
		t.Fatalf("%d requests in %d spans", len(requests), len(c.spans))
	}
	for i, r := range requests {
		want := []struct {
			name, reason string
			traces       int
		}{{"chat fake@majority", "completed", 3}, {"chat fake", "completed", 1}, {"chat fake", "upstream_error", 1}}[i]
		if r.Name != want.name || r.Kind != wire.Span_SPAN_KIND_SERVER || valueOf(r.Attributes, "orrery.reason").GetStringValue() != want.reason ||
			valueOf(r.Attributes, "orrery.client").GetStringValue() != "alice" {
			t.Errorf("request %d is %v", i, r)
		}
		if failed := r.Status.Code == wire.Status_STATUS_CODE_ERROR; failed != (want.reason != "completed") {
			t.Errorf("request %d has status %v", i, r.Status)
		}
		traces := children[string(r.SpanId)]
		if len(traces) != want.traces {
			t.Fatalf("request %d has %d traces", i, len(traces))
		}
		for _, s := range traces {
			stop := valueOf(s.Attributes, "orrery.stop_reason").GetStringValue()
			if s.Name != "trace" || (stop == "eos") != (want.reason == "completed") || s.EndTimeUnixNano < s.StartTimeUnixNano || s.EndTimeUnixNano > r.EndTimeUnixNano {
				t.Errorf("a trace of request %d is %v", i, s)
			}
			posts := children[string(s.SpanId)]
			if len(posts) != 1 || posts[0].Kind != wire.Span_SPAN_KIND_CLIENT || valueOf(posts[0].Attributes, "server.address").GetStringValue() != "fake" {
				t.Fatalf("a trace of request %d asked %v", i, posts)
			}
			header := "00-0123456789abcdef0123456789abcdef-" + hex.EncodeToString(posts[0].SpanId) + "-01"
			if !strings.Contains(strings.Join(told, " "), header) {
				t.Errorf("the server was told %v, not %s", told, header)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env   map[string]string
		url   string // "": off
		words string // of an error
	}{
		{nil, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/x"}, "https://c/x", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317"}, "", "not a web address"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", "http/protobuf alone"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "1s"}, "", "milliseconds"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "", "NAME=VALUE"},
	} {
		t.Run("", func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			e, err := fromEnvironment()
			switch {
			case tt.words != "":
				if err == nil || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v: %v", tt.env, err)
				}
			case err != nil, (e == nil) != (tt.url == ""), e != nil && e.url != tt.url:
				t.Errorf("%v: %+v, %v", tt.env, e, err)
			}
		})
	}
}

// A collector that is away for a moment loses nothing.
func TestExportAgain(t *testing.T) {
	c := collect(t)
	c.refuse = 1
	e, err := fromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if wait, err := e.send(t.Context(), nil); err == nil || wait == 0 {
		t.Errorf("after 503: %v %v", wait, err)
	}
	if wait, err := e.send(t.Context(), nil); err != nil || wait != 0 || c.posts != 2 {
		t.Errorf("then: %v %v", wait, err)
	}
	e.client.CloseIdleConnections()
}
