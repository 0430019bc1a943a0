package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

const key = "sk-test-1234567890"

var program string // the built orrery

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orrery-clients")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "orrery")
	build := exec.Command("go", "build", "-o", program, "./cmd/orrery")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building orrery: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// patience is how long anything here may take; nothing takes a tenth of it.
const patience = 30 * time.Second

// served is a running `orrery serve`.
type served struct {
	URL   string // up to /v1
	lines *lines
}

// start runs `orrery serve` until the test ends. It must then end by itself, on
// SIGTERM, with 0.
func start(t *testing.T, args ...string) *served {
	t.Helper()
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--json", "--log", "--drain", "1s"}, args...)...)
	cmd.Env = append(os.Environ(), "ORRERY_API_KEYS="+key, "XDG_DATA_HOME="+t.TempDir())
	s := &served{lines: newLines()}
	cmd.Stderr = s.lines
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer force.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("orrery serve ended with %v:\n%s", err, s.lines.text())
		}
	})
	var hello struct{ Address string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		t.Fatalf("orrery serve does not say where it is: %v\n%s", err, s.lines.text())
	}
	s.URL = "http://" + hello.Address + "/v1"
	return s
}

var ended = regexp.MustCompile(`msg=request .*?request=(\S+) .*?reason=(\S+) status=(\d+)`)

// reason waits for a request's line in the log, which is its end.
func (s *served) reason(ctx context.Context, id string) string {
	return s.lines.wait(ctx, func(line string) string {
		if m := ended.FindStringSubmatch(line); m != nil && m[1] == id {
			return m[2]
		}
		return ""
	})
}

// lines collects a log, and lets tests wait for one of them.
type lines struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wakes chan struct{} // closed at each write
}

func newLines() *lines { return &lines{wakes: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	close(l.wakes)
	l.wakes = make(chan struct{})
	return len(p), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// wait waits until f finds something in a line; "" if ctx ended first.
func (l *lines) wait(ctx context.Context, f func(line string) string) string {
	for {
		l.mu.Lock()
		all, wake := l.buf.String(), l.wakes
		l.mu.Unlock()
		for line := range strings.Lines(all) {
			if found := f(line); found != "" && strings.HasSuffix(line, "\n") {
				return found
			}
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ""
		}
	}
}

// scripted is a model server that plays by the last words of the question.
type scripted struct {
	*llmtest.Fake
	news *lines // a line whenever a request has come or has ended
}

func newScripted() *scripted {
	news := newLines()
	thinking := llmtest.Say(20, "let me think", "", " so ", `\boxed{4}`)
	thinking.Tokens = append(thinking.Tokens[:1], thinking.Tokens[2:]...)
	thinking.Tokens[0].Channel = llm.Reasoning
	fault := func(f llmtest.Fault) llmtest.Reply {
		return llmtest.Reply{Script: llmtest.Words(20, `so it is \boxed{4} .`), Fault: f}
	}
	ends := func(words string, r llmtest.Reply) llmtest.Rule {
		return llmtest.Rule{Reply: r, When: func(c *llmtest.Call) bool {
			fmt.Fprintln(news, "come")
			return strings.HasSuffix(c.Prompt, words)
		}}
	}
	return &scripted{news: news, Fake: &llmtest.Fake{Dialect: "vllm", Model: "scripted", Rules: []llmtest.Rule{
		ends("slowly", llmtest.Reply{Script: llmtest.Words(20, strings.Repeat(" hm", 5000)), Wire: llmtest.Wire{Delay: 5 * time.Millisecond}}),
		ends("in silence", fault(llmtest.Fault{HangAfter: -1})),
		ends("aloud", llmtest.Play(thinking)),
		ends("in pieces", fault(llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 2})),
		ends("at length", fault(llmtest.Fault{Status: 400, Body: `{"error": {"message": "This model's maximum context length is 10 tokens"}}`})),
		ends("unreachably", fault(llmtest.Fault{Status: 501})),
		ends("in foreign letters", llmtest.Play(llmtest.Say(20, "π", " 三", " 🪐", "\"\\", "\u2028", "\n"))),
		{Reply: llmtest.Play(llmtest.Words(20, `so it is \boxed{4}`))},
	}}}
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer fmt.Fprintln(s.news, "done") // it may panic, to break off
	s.Fake.ServeHTTP(w, r)
}

// until waits until f is content with the calls about a prompt.
func (s *scripted) until(ctx context.Context, prompt string, f func([]llmtest.Call) bool) {
	s.news.wait(ctx, func(string) string {
		calls := slices.DeleteFunc(s.Calls(), func(c llmtest.Call) bool { return !strings.Contains(c.Prompt, prompt) })
		if len(calls) > 0 && f(calls) {
			return "so"
		}
		return ""
	})
}

// asked waits until the model's server has been asked.
func (s *scripted) asked(ctx context.Context, prompt string) {
	s.until(ctx, prompt, func([]llmtest.Call) bool { return true })
}

// left waits until the server's calls about a prompt have ended, and reports
// whether the other side hung up on all of them, and the most tokens it was sent.
func (s *scripted) left(ctx context.Context, prompt string) (left bool, sent int) {
	s.until(ctx, prompt, func(calls []llmtest.Call) bool {
		left = true
		for _, c := range calls {
			left, sent = left && c.Left, max(sent, c.Sent)
			if !c.Ended {
				return false
			}
		}
		return true
	})
	return left, sent
}

// behind serves the scripted model.
func behind(t *testing.T, args ...string) (*served, *scripted) {
	t.Helper()
	model := newScripted()
	hs := httptest.NewServer(model)
	t.Cleanup(hs.Close)
	return start(t, append([]string{"--upstream", hs.URL, "--dialect", "vllm"}, args...)...), model
}
