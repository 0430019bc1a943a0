package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/internal/server"
)

// console is a stderr that is written and read at once, and can be waited on.
type console struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newConsole() *console { return &console{more: make(chan struct{}, 1)} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return c.buf.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// wait returns what pattern matches, as soon as it does.
func (c *console) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for limit := time.After(2 * time.Minute); ; {
		if m := re.FindString(c.String()); m != "" {
			return m
		}
		select {
		case <-c.more:
		case <-limit:
			t.Fatalf("%s was not said; there is\n%s", pattern, c)
		}
	}
}

// served runs serve with args on a free port. stop ends it and gives its exit code.
func served(t *testing.T, args ...string) (url string, said *console, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said = newConsole()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), newConsole(), said)
	}()
	stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { stop() })
	return strings.TrimSuffix(said.wait(t, `https?://127\.0\.0\.1:\d+/v1`), "/v1"), said, stop
}

// status is that of a request with an API key.
func status(t *testing.T, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// postAs posts with an API key and returns the status.
func postAs(t *testing.T, url, key, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestHangupEnds: where there is nothing to read again, SIGHUP ends a server as SIGTERM
// does, and does not cut its requests off.
func TestHangupEnds(t *testing.T) {
	// Whoever runs the tests by nohup has the signal ignored, and so would the server.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)
	_, said, stop := served(t)
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "stopped")
	if code := stop(); code != exitDone {
		t.Errorf("it ended with %d", code)
	}
}

func TestKeysReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\nold\n")
	url, said, stop := served(t, "--keys-file", file)
	if status(t, url, "old") != 200 || status(t, url, "new") != 401 {
		t.Error("the file's key is not the one that opens")
	}
	write(fmt.Sprintf("sha256:%x\nother\n", sha256.Sum256([]byte("new"))))
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: API keys read again")
	if status(t, url, "old") != 401 || status(t, url, "new") != 200 {
		t.Error("after SIGHUP the keys are not the file's")
	}
	write("sha256:12\n")
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: the API keys stay as they were: .*entry 1.*64 hexadecimal")
	if status(t, url, "new") != 200 {
		t.Error("a wrong file changed the keys")
	}
	if code := stop(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestKeysFileOfAnEditor: marks that editors leave are no part of a key.
func TestKeysFileOfAnEditor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("\ufeffone\r\n# a comment\r\n  two \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := (&keyFlags{app: &app{}, file: file}).keys()
	if err != nil || len(keys) != 2 || keys[0].Hash != sha256.Sum256([]byte("one")) || keys[1].Hash != sha256.Sum256([]byte("two")) {
		t.Errorf("%+v, %v", keys, err)
	}
}

func TestLimitsFlag(t *testing.T) {
	l, err := (&keyFlags{limits: "requests=60, budget=8,tokens=1000,concurrent=2"}).defaults()
	if err != nil || l != (server.Limits{Requests: 60, Tokens: 1000, Concurrent: 2, Budget: 8}) {
		t.Errorf("%+v %v", l, err)
	}
	for flag, words := range map[string]string{
		"requests": "give a whole number", "request=1": "is not NAME=NUMBER", "tokens=0": "above 0", "budget=-1": "above 0",
		"tokens=x": "whole number", "tokens=1,tokens=2": "said twice", "tokens=1,": "is not NAME=NUMBER",
	} {
		if _, err := (&keyFlags{limits: flag}).defaults(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("--limits %s: %v", flag, err)
		}
	}
}

// The metrics have an address of their own, without keys, if they are given one.
func TestMetricsListen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, said, _ := served(t, "--keys-file", file, "--metrics-listen", "127.0.0.1:0")
	aside := strings.TrimPrefix(said.wait(t, `metrics on http://\S+`), "metrics on ")
	for path, want := range map[string]int{aside: 200, strings.Replace(aside, "/metrics", "/readyz", 1): 200, strings.Replace(aside, "/metrics", "/v1/models", 1): 404, url + "/metrics": 404} {
		resp, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// What a key has used is counted in the store where that is asked for: a server
// that is started anew knows it.
func TestLimitsInStore(t *testing.T) {
	store := filepath.Join(t.TempDir(), "record.sqlite")
	ask := func(in string) int {
		url, _, stop := served(t, "--store", "sqlite:"+store, "--limits", "requests=1", "--limits-in", in)
		defer stop()
		status, _ := exchanged(t, url+"/v1/chat/completions", `{"messages": [{"role": "user", "content": "Compute 1 + 1."}]}`)
		return status
	}
	for i, want := range []int{200, 429} {
		if got := ask("store"); got != want {
			t.Errorf("request %d by the store: %d, want %d", i+1, got, want)
		}
		if got := ask("memory"); got != 200 {
			t.Errorf("request %d by memory: %d", i+1, got)
		}
	}
}
