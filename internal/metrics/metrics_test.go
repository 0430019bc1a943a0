package metrics

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"orrery/internal/server"
	"orrery/internal/upstream"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// measured is a server of a scripted model with everything measured.
func measured(t *testing.T, pick func(llm.Request) llmtest.Script) (*Metrics, *server.Server) {
	t.Helper()
	m := New()
	s, err := server.New(server.Config{Generator: &llmtest.Scripted{Model: "m", Pick: pick}, Observers: []server.Observer{m}, Metrics: m.Handler(),
		Keys: []server.Key{server.NewKey("alice", "a"), server.NewKey("bob", "b")}, MaxRequests: 3, MaxQueue: 5})
	if err != nil {
		t.Fatal(err)
	}
	m.Serving(s.Stats)
	m.Recording(func() float64 { return 7 })
	m.Upstreams(func() []upstream.Status {
		return []upstream.Status{{Name: "gpu1:8000", Healthy: true, Running: 2, Weight: 1, Traces: 9}, {Name: "gpu2:8000", Weight: 0.5, Traces: 4, Failures: 3, Moved: 1}}
	})
	return m, s
}

// ask sends a request; body "" is a GET.
func ask(s *server.Server, key, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://orrery"+path, nil)
	if body != "" {
		r = httptest.NewRequest("POST", "http://orrery"+path, strings.NewReader(body))
	}
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const user = `"messages": [{"role": "user", "content": "2+2?"}]`

func boxed(llm.Request) llmtest.Script { return llmtest.Words(20, `so it is \boxed{4}`) }

func TestCounts(t *testing.T) {
	m, s := measured(t, boxed)
	ask(s, "a", "/v1/chat/completions", `{`+user+`, "model": "m@majority", "orrery": {"budget": 3}}`)
	ask(s, "b", "/v1/completions", `{"prompt": "2+2?"}`)
	ask(s, "b", "/v1/models", "")
	ask(s, "wrong", "/v1/models", "")
	ask(s, "a", "/v1/chat/completions", `{`+user+`, "n": 2}`)
	ask(s, "a", "/v1/elsewhere", "")
	body := ask(s, "a", "/metrics", "").Body.String()
	words := len(strings.Fields(`so it is \boxed{4}`))
	for _, line := range []string{
		`orrery_requests_total{method="majority",reason="completed",route="chat"} 1`,
		`orrery_requests_total{method="single",reason="completed",route="completions"} 1`,
		`orrery_requests_total{method="",reason="completed",route="models"} 1`,
		`orrery_requests_total{method="",reason="unauthorized",route="models"} 1`,
		`orrery_requests_total{method="",reason="bad_request",route="chat"} 1`,
		`orrery_requests_total{method="",reason="bad_request",route="other"} 1`,
		`orrery_client_requests_total{client="alice"} 3`,
		`orrery_client_requests_total{client="bob"} 2`,
		`orrery_client_requests_total{client=""} 1`,
		`orrery_traces_total{method="majority",stop_reason="eos"} 3`,
		`orrery_traces_total{method="single",stop_reason="eos"} 1`,
		fmt.Sprintf(`orrery_tokens_total{kind="used",method="majority"} %d`, 3*words),
		fmt.Sprintf(`orrery_client_tokens_total{client="bob"} %d`, words),
		`orrery_trace_duration_seconds_count{upstream="local"} 4`,
		`orrery_request_duration_seconds_count{route="chat"} 2`,
		`orrery_request_queue_seconds_count 2`,
		`orrery_requests_running 0`, `orrery_requests_waiting 0`, `orrery_requests_open 0`,
		`orrery_requests_running_limit 3`, `orrery_requests_waiting_limit 5`,
		`orrery_upstream_healthy{upstream="gpu1:8000"} 1`, `orrery_upstream_healthy{upstream="gpu2:8000"} 0`,
		`orrery_upstream_failures_total{upstream="gpu2:8000"} 3`, `orrery_upstream_moved_total{upstream="gpu2:8000"} 1`,
		`orrery_record_dropped_total 7`, `orrery_limiter_errors_total 0`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("want %s, have\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(body, -1), "\n"))
		}
	}
	if w := ask(s, "wrong", "/metrics", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without a key /metrics says %d", w.Code)
	}
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// Nothing that a client writes becomes a label: the number of series stays what
// it is, whatever is asked.
func TestNoLabelsFromClients(t *testing.T) {
	m, s := measured(t, boxed)
	storm := func(from, to int) {
		for i := from; i < to; i++ {
			word := fmt.Sprintf("w%d", i)
			ask(s, word, "/v1/"+word, "")
			ask(s, "a", "/v1/"+word, "")
			ask(s, "a", "/v1/models/"+word, "")
			ask(s, "a", "/v1/chat/completions", `{`+user+`, "model": "`+word+`", "seed": `+fmt.Sprint(i)+`}`)
			ask(s, "a", "/v1/chat/completions", `{`+user+`, "orrery": {"method": "`+word+`"}}`)
			ask(s, "a", "/v1/chat/completions", `{`+user+`, "`+word+`": 1}`)
		}
	}
	count := func() int {
		n, err := testutil.GatherAndCount(m.registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	storm(0, 5)
	few := count()
	storm(5, 50)
	if many := count(); many != few {
		t.Errorf("45 more of each kind of request made %d series of %d", many, few)
	}
}

// A trace that fails, and a run that its client leaves, are counted as well.
func TestCountsFailures(t *testing.T) {
	m, s := measured(t, func(llm.Request) llmtest.Script {
		return llmtest.Script{Tokens: llmtest.Words(20, "a b").Tokens, Finish: llm.FinishError, Err: &llm.Error{Kind: llm.StreamTruncated}}
	})
	ask(s, "a", "/v1/chat/completions", `{`+user+`}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "http://orrery/v1/chat/completions", strings.NewReader(`{`+user+`}`)).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer b")
	s.ServeHTTP(httptest.NewRecorder(), r)
	body := ask(s, "a", "/metrics", "").Body.String()
	for _, line := range []string{
		`orrery_requests_total{method="single",reason="upstream_error",route="chat"} 1`,
		`orrery_requests_total{method="single",reason="client_cancelled",route="chat"} 1`,
		`orrery_traces_total{method="single",stop_reason="upstream_error"} 1`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("want %s in\n%s", line, body)
		}
	}
	_ = m
}

// docs/metrics.md has a line for each metric, with its type, labels and help as
// they are exported.
func TestDocs(t *testing.T) {
	m, s := measured(t, boxed)
	ask(s, "a", "/v1/chat/completions", `{`+user+`, "model": "m@majority"}`)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "orrery_") {
			continue
		}
		labels := map[string]bool{}
		for _, p := range f.Metric {
			for _, l := range p.Label {
				labels[l.GetName()] = true
			}
		}
		names := []string{}
		for l := range labels {
			names = append(names, "`"+l+"`")
		}
		slices.Sort(names)
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(names, " "), f.GetHelp()))
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	have := regexp.MustCompile("(?m)^\\| `orrery_.*$").FindAllString(string(doc), -1)
	if !slices.Equal(have, want) {
		t.Errorf("docs/metrics.md differs; its lines should be\n%s", strings.Join(want, "\n"))
	}
	if !bytes.Contains(doc, []byte("--metrics-listen")) {
		t.Error("docs/metrics.md does not say where the metrics are")
	}
}
