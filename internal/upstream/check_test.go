package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// able is a server without faults, for checks: 20 alternatives a token.
func able(dialect string, fault llmtest.Fault) *llmtest.Fake {
	script := llmtest.Random(5, llmtest.Shape{Tokens: 300, K: 21})
	return &llmtest.Fake{Dialect: dialect, Model: "tiny", Rules: []llmtest.Rule{{Reply: llmtest.Reply{
		Script: script, Fault: fault, Wire: llmtest.Wire{Delay: 10 * time.Millisecond},
	}}}}
}

// checked runs check against a fake, all found out by itself.
func checked(t *testing.T, f *llmtest.Fake) (*Report, error) {
	t.Helper()
	return Check(t.Context(), Config{URL: "fake:1234/v1/", Transport: f.Transport(t)})
}

// What check finds out about each server: the figures below are the servers'
// properties as the specification tells them, not our output.
func TestCheckTables(t *testing.T) {
	for _, c := range []struct {
		name  string
		fake  func() *llmtest.Fake
		deep  Level
		weave Level
		basis llm.Basis
		chat  int
		raw   int
	}{
		{"vllm", func() *llmtest.Fake { return able("vllm", llmtest.Fault{}) }, Approximate, Exact, llm.BasisBefore, 19, 20},
		{"vllm_21", func() *llmtest.Fake { return able("vllm", llmtest.Fault{MaxTop: 21}) }, Exact, Exact, llm.BasisBefore, 20, 20},
		{"sglang_scaled", func() *llmtest.Fake { return able("sglang", llmtest.Fault{Scaled: true}) }, Approximate, Exact, llm.BasisAfter, 20, 20},
		{"llamacpp", func() *llmtest.Fake { return able("llamacpp", llmtest.Fault{}) }, Exact, Exact, llm.BasisBefore, 20, 20},
		{"ollama", func() *llmtest.Fake { return able("ollama", llmtest.Fault{}) }, Exact, Approximate, llm.BasisBefore, 20, 20},
		{"openai", func() *llmtest.Fake { return able("openai", llmtest.Fault{}) }, Exact, Approximate, llm.BasisBefore, 20, 5},
		{"openai_none", func() *llmtest.Fake { return able("openai", llmtest.Fault{NoLogprobs: true}) }, Impossible, Approximate, llm.BasisUnknown, 0, 0},
		{"sglang_five", func() *llmtest.Fake { return able("sglang", llmtest.Fault{MaxTop: 5}) }, Approximate, Exact, llm.BasisBefore, 5, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := c.fake()
				r, err := checked(t, f)
				if err != nil {
					t.Fatal(err)
				}
				if r.Backend != f.Dialect || r.Model != "tiny" || !r.Reachable || r.Version != 1 || r.URL != "http://fake:1234" {
					t.Errorf("report %+v", r)
				}
				if r.DeepConf.Level != c.deep || r.ThreadWeaver.Level != c.weave || r.Basis != c.basis || r.ChatK != c.chat || r.RawK != c.raw {
					t.Errorf("DeepConf %v, ThreadWeaver %v, basis %s, k %d and %d; want %s, %s, %s, %d, %d",
						r.DeepConf, r.ThreadWeaver, r.Basis, r.ChatK, r.RawK, c.deep, c.weave, c.basis, c.chat, c.raw)
				}
				if (r.DeepConf.Level == Exact) != (r.DeepConf.Why == "") {
					t.Errorf("DeepConf %+v: the reason is there exactly if something is missing", r.DeepConf)
				}
				shows := f.Dialect != "ollama" && f.Dialect != "openai"
				if (r.CancelSeconds != nil) != shows {
					t.Errorf("time to cancel %v; the server shows its work: %v", r.CancelSeconds, shows)
				}
				// Probes are few and small.
				for _, call := range f.Calls() {
					if call.MaxTokens > 4 && !call.Left {
						t.Errorf("a probe asks for %d tokens and takes them all", call.MaxTokens)
					}
				}
			})
		})
	}
}

// The table's layout, and the names in the JSON, which are a contract.
func TestReportForms(t *testing.T) {
	entries, events, cancel := 20.0, 1.5, 0.25
	r := &Report{
		Version: 1, Reachable: true, URL: "http://h:1", Backend: "vllm", Model: "m\x1b[2J", Models: []string{"m", "n"}, Routes: []string{"/v1/chat/completions"},
		ChatK: 19, RawK: 20, EntriesPerToken: &entries, TokensPerEvent: &events, Fields: []string{"text", "usage"}, Basis: llm.BasisAfter,
		Stops: "stop_reason", Prefill: "no", MaxParallel: 32, CancelSeconds: &cancel,
		DeepConf: Fitness{Approximate, "k"}, ThreadWeaver: Fitness{Level: Exact}, Warnings: []llm.Warning{llm.WarnKReduced},
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	want := `reachable          yes, http://h:1
backend            vllm
model              m [2J (of 2)
routes             /v1/chat/completions
alternatives (k)   chat 19, raw 20 or more
entries per token  20.0
tokens per event   1.5
fields             text, usage
log-prob basis     after temperature
stop reporting     stop_reason
prefill            no
raw prompt         no
parallel limit     32
cancel takes       0.25 s
DeepConf           approximate: k
ThreadWeaver       exact
warning            k_reduced
`
	if table.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", table.String(), want)
	}
	object, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(fields))
	if got, want := strings.Join(names, " "), "backend basis cancel_seconds chat_k deepconf entries_per_token fields max_parallel model models prefill raw_k raw_prompt reachable routes stop_reporting threadweaver tokens_per_event url version warnings"; got != want {
		t.Errorf("JSON has %s; want %s", got, want)
	}
}

// What a check learns stays with the client: Info and warnings know it.
func TestCheckInformsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := able("sglang", llmtest.Fault{Scaled: true})
		c := dialTo(t, f, func(c *Config) { c.Dialect, c.Model, c.MaxParallel = "", "", 1 })
		if i := c.Info(); i.Basis != llm.BasisUnknown || i.TopLogprobs != 0 || i.Model != "" {
			t.Errorf("before the check: %+v", i)
		}
		if _, err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Basis != llm.BasisAfter || i.TopLogprobs != 20 || i.Model != "tiny" || i.Backend != "sglang" {
			t.Errorf("after the check: %+v", i)
		}
		tr := llmtest.Collect(t, c, t.Context(), request(false, 5))
		if want := []llm.Warning{llm.WarnBasisAfterTemperature, llm.WarnSerialised}; !slices.Equal(tr.End.Warnings, want) {
			t.Errorf("warnings %v; want %v", tr.End.Warnings, want)
		}
	})
}

// A server that goes on after a cancel is told of.
func TestCheckLateAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := checked(t, able("llamacpp", llmtest.Fault{After: 250}))
		if err != nil {
			t.Fatal(err)
		}
		// 250 tokens of 10 ms each; the watch looks every 50 ms.
		if r.CancelSeconds == nil || *r.CancelSeconds < 2.4 || *r.CancelSeconds > 2.6 || !slices.Contains(r.Warnings, llm.WarnLateAbort) {
			t.Errorf("the server stopped %v s after the cancel, warnings %v; want 2.5 and %s", *r.CancelSeconds, r.Warnings, llm.WarnLateAbort)
		}
	})
}

func TestCheckUnreachable(t *testing.T) {
	r, err := Check(context.Background(), Config{URL: "http://fake", Transport: failing{fmt.Errorf("connection refused")}})
	if err == nil || r == nil || r.Reachable || r.DeepConf.Level != Impossible {
		t.Fatalf("report %+v, error %v", r, err)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.HasPrefix(table.String(), "reachable  no: ") {
		t.Errorf("table %q, %v", table.String(), err)
	}
	// A key that is refused: reachable or not, the error says what to do.
	f := able("vllm", llmtest.Fault{})
	f.APIKey = "right"
	_, err = Check(context.Background(), Config{URL: "http://fake", Transport: f.Transport(t), APIKey: "wrong"})
	if err == nil || !strings.Contains(err.Error(), "API key that this server accepts") {
		t.Errorf("with a wrong key: %v", err)
	}
}

// The ratio of list differences decides, whatever noise of low precision is on
// the lists.
func TestBasis(t *testing.T) {
	hot := []float64{-1.2, -0.4, -3, -2.2, -9999}
	scale := func(f, noise float64) (out []float64) {
		for i, v := range hot {
			out = append(out, v*f+noise*float64(i%2*2-1))
		}
		return out
	}
	for _, c := range []struct {
		cold []float64
		want llm.Basis
	}{
		{scale(1, 0), llm.BasisBefore}, {scale(1, 0.1), llm.BasisBefore}, {scale(2, 0), llm.BasisAfter}, {scale(2, 0.1), llm.BasisAfter},
		{scale(6, 0), llm.BasisUnknown}, {nil, llm.BasisUnknown}, {[]float64{-1}, llm.BasisUnknown},
	} {
		if got := basis(c.cold, hot); got != c.want {
			t.Errorf("basis(%v, %v) = %s; want %s", c.cold, hot, got, c.want)
		}
	}
}

func TestAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"localhost:8000": "http://localhost:8000", "http://h/v1": "http://h", "https://h/v1/": "https://h", "http://h/api/v1": "http://h/api",
		"http://h/api/": "http://h/api", "http://u:p@h:1/v1?k=v": "http://h:1", "[::1]:80/v1": "http://[::1]:80",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.root != want {
			t.Errorf("%q is %q, %v; want %q", raw, a.root, err, want)
		}
	}
}

// Which of several models cannot be guessed.
func TestModelChoice(t *testing.T) {
	for body, want := range map[string]string{
		`{"data":[{"id":"a"}]}`: "", `{"data":[{"id":"a"},{"id":"b"}]}`: "name one of a, b", `{"data":[]}`: "load a model",
		`<html>`: "inference server", `{"data":3}`: "inference server",
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) })
		c, err := Open(context.Background(), Config{URL: "http://fake", Transport: llmtest.Serve(t, h), Dialect: "openai"})
		if want == "" {
			if err != nil || c.Info().Model != "a" {
				t.Errorf("%s: %v", body, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", body, err, want)
		}
	}
}

// The chat template's text, where a server shows it, goes back as a prompt.
func TestRender(t *testing.T) {
	m := []llm.Message{{Role: "system", Content: "é"}, {Role: "user", Content: "q"}}
	for _, dialect := range names {
		c := playing(t, dialect, func(uint64) llmtest.Script { return llmtest.Say(0, "x") })
		got, err := c.Render(context.Background(), m)
		if dialect == "vllm" || dialect == "llamacpp" {
			if err != nil || got != llmtest.Rendered(m) {
				t.Errorf("%s renders %q, %v", dialect, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "template") {
			t.Errorf("%s renders %q, %v", dialect, got, err)
		}
	}
}

// Prompts of traces share their bytes, so that prefix caches work.
func TestPromptsAreIdentical(t *testing.T) {
	for _, dialect := range names {
		f := &llmtest.Fake{Dialect: dialect, Rules: rules(llmtest.Play(llmtest.Say(2, "x")))}
		c := dialTo(t, f)
		for seed := range uint64(4) {
			r := request(seed%2 == 0, 2)
			r.Seed = seed
			llmtest.Collect(t, c, context.Background(), r)
		}
		for _, call := range f.Calls()[1:] {
			if call.Prefix != len(call.Prompt) {
				t.Errorf("%s: %d of %d bytes of the prompt are shared", dialect, call.Prefix, len(call.Prompt))
			}
			if call.Header.Get("X-Conversation-Id") != "" {
				t.Error("X-Conversation-Id is sent: it would keep cancelled streams alive")
			}
		}
	}
}

func TestGauge(t *testing.T) {
	text := "# HELP a_b x\na_b{m=\"} 7\",k=\"1\"} 2.0\na_b{m=\"y\"} 1\na_bc 9\na 4\n"
	for name, want := range map[string]int{"a_b": 3, "a": 4, "a_bc": 9} {
		if n, err := gauge([]byte(text), name); err != nil || n != want {
			t.Errorf("%s is %d, %v; want %d", name, n, err, want)
		}
	}
	if _, err := gauge([]byte(text), "zz"); err == nil {
		t.Error("a gauge that is not there has a value")
	}
}

func TestDialectsAreDetected(t *testing.T) {
	if got := Dialects(); len(got) != 5 || got[4] != "openai" {
		t.Errorf("dialects %v; openai, which recognises everything, must be asked last", got)
	}
	for _, name := range names {
		f := &llmtest.Fake{Dialect: name, Model: "m"}
		c, err := Open(context.Background(), Config{URL: "http://fake", Transport: f.Transport(t)})
		if err != nil || c.Info().Backend != name || c.Info().Model != "m" {
			t.Errorf("%s is taken for %+v, %v", name, c.Info(), err)
		}
	}
	if _, err := New(Config{URL: "http://x", Dialect: "vlm"}); err == nil || !strings.Contains(err.Error(), "vllm") {
		t.Errorf("a dialect that is none: %v", err)
	}
}
