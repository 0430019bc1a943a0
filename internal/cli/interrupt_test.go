package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/internal/eval"
	"orrery/record"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// errSignal is a cause like the one that a signal gives.
var errSignal = errors.New("interrupt signal received")

// trigger cancels when a text has been written to it.
type trigger struct {
	strings.Builder
	on     string
	cancel context.CancelCauseFunc
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	if w.on != "" && strings.Contains(w.String(), w.on) {
		w.cancel(errSignal)
	}
	return n, err
}

// interruptedRun runs a command against a server that answers the first calls
// and lets the others hang after two tokens. It is interrupted when stderr holds
// a text, or with none, when a call hangs.
func interruptedRun(t *testing.T, finish int, on string, args ...string) (code int, out, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	words := llmtest.Words(20, `so it must be \boxed{7}`)
	fake := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{
		{Times: finish, When: asked, Reply: llmtest.Play(words)},
		{When: asked, Make: func(*llmtest.Call) llmtest.Reply {
			if on == "" {
				cancel(errSignal)
			}
			return llmtest.Reply{Script: words, Fault: llmtest.Fault{HangAfter: 2}}
		}},
		{Reply: llmtest.Play(words)},
	}}
	server := httptest.NewServer(fake)
	defer server.Close()
	// A display that never comes must fail the test, not hang it.
	defer time.AfterFunc(2*time.Minute, func() { cancel(errors.New("nothing was shown")) }).Stop()
	errw, outw := &trigger{on: on, cancel: cancel}, &strings.Builder{}
	args = append(args, "--upstream", server.URL, "--dialect", "vllm")
	code = run(ctx, args, strings.NewReader(""), outw, errw)
	if !errors.Is(context.Cause(ctx), errSignal) {
		t.Fatalf("stderr never held %q:\n%s", on, errw)
	}
	return code, outw.String(), errw.String()
}

// asked tells a question from the probe's own requests.
func asked(c *llmtest.Call) bool { return strings.Contains(c.Prompt, reason.BoxInstruction) }

func TestInterruptedAskGivesWhatItHas(t *testing.T) {
	ask := []string{"ask", "--method", "majority", "--budget", "3", "--max-tokens", "50", "How many?"}
	code, out, stderr := interruptedRun(t, 2, "✓ 7", ask...)
	if code != exitInterrupted || !strings.Contains(out, "\n7\n") || !strings.Contains(stderr, "✂ client cancelled") ||
		!strings.Contains(stderr, "orrery: ask: interrupt signal received") {
		t.Errorf("exit code %d\n%s\n%s", code, out, stderr)
	}
	code, out, _ = interruptedRun(t, 2, "✓ 7", append(ask, "--json")...)
	var result struct {
		Answer    string
		StoppedBy string `json:"stopped_by"`
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitInterrupted || result.Answer != "7" || result.StoppedBy != "client_cancelled" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

// TestInterruptedIsRecorded: what was interrupted is stopped, not failed and not lost.
func TestInterruptedIsRecorded(t *testing.T) {
	store := "sqlite:" + filepath.Join(t.TempDir(), "record.sqlite")
	t.Setenv(storeVariable, store)
	interruptedRun(t, 2, "✓ 7", "ask", "--method", "majority", "--budget", "3", "--max-tokens", "50", "How many?")
	interruptedRun(t, 2, "", "eval", "--task", "arithmetic", "--method", "single", "--n", "5", "--max-tokens", "50")
	s, err := record.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs, err := s.List(t.Context(), record.Filter{})
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, r := range runs {
		if r.State != record.Stopped || r.Error != "" {
			t.Errorf("%s: %s, %s", r.Kind, r.State, r.Error)
		}
	}
	ask := runs[1]
	if ask.Kind != "ask" || *ask.Question != "How many?" || *ask.Answer != "7" || ask.Traces != 3 {
		t.Errorf("%+v", ask)
	}
}

// TestInterruptedEvalKeepsWhatIsDone: two problems are finished, the third hangs.
func TestInterruptedEvalKeepsWhatIsDone(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.jsonl")
	code, out, stderr := interruptedRun(t, 2, "", "eval", "--task", "arithmetic", "--method", "single", "--n", "5",
		"--max-tokens", "50", "--out", log, "--json")
	var result eval.JSON
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitInterrupted || !result.Partial || result.Results[0].N != 2 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if !strings.Contains(stderr, "is in "+log+", and the same command goes on") {
		t.Errorf("stderr does not say how to go on:\n%s", stderr)
	}
	kept, err := eval.OpenLog(log)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if kept.Len() != 2 {
		t.Errorf("the log holds %d problems, want 2", kept.Len())
	}
}

// TestEvalWithoutLogprobs: a server that has none is good for methods that need
// none, and the one that needs them says so.
func TestEvalWithoutLogprobs(t *testing.T) {
	fake := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Reply{
		Script: llmtest.Words(20, `so it must be \boxed{7}`), Fault: llmtest.Fault{NoLogprobs: true}}}}}
	server := httptest.NewServer(fake)
	defer server.Close()
	for methods, want := range map[string]int{"single,majority": exitDone, "deepconf-low": exitFailed, "single,deepconf-low": exitFailed} {
		before := len(fake.Calls())
		var out, stderr strings.Builder
		code := run(t.Context(), []string{"eval", "--task", "arithmetic", "--method", methods, "--n", "2", "--max-tokens", "50",
			"--json", "--upstream", server.URL, "--dialect", "vllm"}, strings.NewReader(""), &out, &stderr)
		if code != want || !strings.Contains(stderr.String(), "DeepConf on this server: not possible") {
			t.Errorf("%s: exit code %d, want %d\n%s", methods, code, want, stderr.String())
		}
		questions := 0
		for _, c := range fake.Calls()[before:] {
			if asked(&c) {
				questions++
			}
			if asked(&c) && c.TopLogprobs > 0 {
				t.Errorf("%s: a question asks for alternatives that the server does not give", methods)
			}
		}
		if want == exitFailed {
			if questions > 0 || out.Len() > 0 || !strings.Contains(stderr.String(), "method deepconf-low needs the log-probabilities") {
				t.Errorf("%s: %d questions were asked\n%s%s", methods, questions, out.String(), stderr.String())
			}
			continue
		}
		var result eval.JSON
		if err := json.Unmarshal([]byte(out.String()), &result); err != nil || len(result.Results) != 2 || result.Results[0].TokensMean != 5 {
			t.Errorf("%s: %v: %s", methods, err, out.String())
		}
	}
}

// TestAskMeasuresTheServer: what a server lacks for DeepConf is said before the
// question is asked; what makes thresholds incomparable, with the answer.
func TestAskMeasuresTheServer(t *testing.T) {
	words := llmtest.Words(20, `so it must be \boxed{7}`)
	for name, c := range map[string]struct {
		fault          llmtest.Fault
		method         string
		code           int
		stdout, stderr string
	}{
		"no log-probabilities":             {llmtest.Fault{NoLogprobs: true}, "deepconf-high", exitFailed, "", "method deepconf-high needs the log-probabilities"},
		"no log-probabilities, none asked": {llmtest.Fault{NoLogprobs: true}, "majority", exitDone, "\n7\n", ""},
		"after the temperature":            {llmtest.Fault{Scaled: true}, "deepconf-high", exitDone, "log-probabilities after the temperature", ""},
		"a server that breaks off":         {llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 2}, "deepconf-high", exitFailed, "", "stream_error"},
	} {
		fake := &llmtest.Fake{Dialect: "sglang", Rules: []llmtest.Rule{{Reply: llmtest.Reply{Script: words, Fault: c.fault}}}}
		server := httptest.NewServer(fake)
		var out, stderr strings.Builder
		code := run(t.Context(), []string{"ask", "--method", c.method, "--budget", "3", "--max-tokens", "50", "--upstream", server.URL, "How many?"},
			strings.NewReader(""), &out, &stderr)
		server.Close()
		if code != c.code || !strings.Contains(out.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", name, code, c.code, out.String(), stderr.String())
		}
		if c.code == exitFailed && slices.ContainsFunc(fake.Calls(), func(c llmtest.Call) bool { return asked(&c) }) {
			t.Errorf("%s: the question was asked", name)
		}
	}
}
