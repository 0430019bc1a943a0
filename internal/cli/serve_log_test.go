package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/think/llm/llmtest"
)

// quoting is a server that quotes what it was sent, headers too, in errors of
// every kind: as a status, in a stream, and as a stream that breaks off.
func quoting(t *testing.T) *httptest.Server {
	words := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Play(llmtest.Words(20, `CANARY-ANSWER \boxed{7}`))}}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		quote, _ := json.Marshal(fmt.Sprint("you sent ", r.Header, r.URL, string(body)))
		switch {
		case strings.Contains(string(body), "fail by status"):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": {"message": %s}}`, quote)
		case strings.Contains(string(body), "fail in the stream"):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"error\": {\"message\": %s}}\n\n", quote)
		case strings.Contains(string(body), "fail by noise"):
			fmt.Fprintf(w, "<html>%s", quote)
		default:
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			words.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Whatever goes wrong, no log holds a key, a password, a question or an answer.
func TestLogsHoldNoSecrets(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			up := quoting(t)
			dir := t.TempDir()
			file := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			url, said, stop := served(t, "--log-format", format, "--keys-file", file("keys", "CANARY-KEY\n"),
				"--upstream", strings.Replace(up.URL, "http://", "http://user:CANARY-PASSWORD@", 1)+"?token=CANARY-QUERY", "--dialect", "vllm",
				"--upstream-key-file", file("up", "CANARY-UPSTREAM\n"))
			ask := func(key, path, body string) int {
				req, err := http.NewRequestWithContext(t.Context(), "POST", url+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+key)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				io.Copy(io.Discard, resp.Body)
				return resp.StatusCode
			}
			asked := 0
			for _, how := range []string{"answer", "fail by status", "fail in the stream", "fail by noise"} {
				for _, more := range []string{"", `, "stream": true`, `, "orrery": {"method": "majority", "budget": 3}`} {
					status := ask("CANARY-KEY", "/v1/chat/completions", `{"messages": [{"role": "user", "content": "CANARY-PROMPT: `+how+`"}]`+more+`}`)
					if (status == 200) != (how == "answer") && more == "" {
						t.Errorf("%s: %d", how, status)
					}
					asked++
				}
			}
			ask("CANARY-WRONG", "/v1/chat/completions", `{}`)
			ask("CANARY-KEY", "/v1/completions", `{"prompt": ["CANARY-PROMPT", 7]}`)
			ask("CANARY-KEY", "/v1/CANARY-PATH?key=CANARY-QUERY", `{"CANARY-PROMPT"`)
			asked += 3
			if code := stop(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			for _, line := range strings.Split(said.String(), "\n") {
				if strings.Contains(line, "CANARY") {
					t.Errorf("a log holds %s", line)
				}
			}
			if n := strings.Count(said.String(), map[string]string{"json": `"msg":"request"`, "text": "msg=request"}[format]); n != asked {
				t.Errorf("%d lines for %d requests", n, asked)
			}
		})
	}
}

// With --log-prompts they are there, under the request's id; keys are not.
func TestLogPrompts(t *testing.T) {
	url, said, stop := served(t, "--log-prompts", "--log-format", "json", "--upstream", quoting(t).URL, "--dialect", "vllm")
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"messages": [{"role": "user", "content": "CANARY-PROMPT"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	stop()
	seen := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(said.String()))
	for sc.Scan() {
		var line struct{ Msg, Request string }
		if json.Unmarshal(sc.Bytes(), &line) == nil && line.Request == resp.Header.Get("X-Request-Id") {
			seen[line.Msg] = sc.Text()
		}
	}
	if !strings.Contains(seen["asked"], "CANARY-PROMPT") || !strings.Contains(seen["answered"], "CANARY-ANSWER") || strings.Contains(seen["request"], "CANARY") || seen["request"] == "" {
		t.Errorf("the log is %v", seen)
	}
}
