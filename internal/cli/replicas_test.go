package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"orrery/record"
	"orrery/think/llm/llmtest"
)

// freshDatabase is the URL of a new database on the server that
// ORRERY_TEST_POSTGRES names.
func freshDatabase(t *testing.T) string {
	t.Helper()
	server := os.Getenv("ORRERY_TEST_POSTGRES")
	if server == "" {
		t.Skip("no PostgreSQL: set ORRERY_TEST_POSTGRES to the URL of a server on which databases may be made, as .ci/run does")
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("replicas_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		admin.Close()
	})
	return strings.Replace(server, "/postgres?", "/"+name+"?", 1)
}

// replica is an `orrery serve` process.
type replica struct {
	cmd *exec.Cmd
	url string
	log bytes.Buffer
}

func startReplica(t *testing.T, store, model string) *replica {
	t.Helper()
	r := &replica{cmd: exec.Command("orrery", "serve", "--listen", "127.0.0.1:0", "--json", "--store", store, "--upstream", model, "--dialect", "vllm",
		"--limits", "requests=5", "--drain", "1s")}
	r.cmd.Env = append(os.Environ(), apiKeysVariable+"=sk-shared")
	r.cmd.Stderr = &r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	var hello struct{ Address string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		r.cmd.Wait()
		t.Fatalf("a replica does not say where it is: %v\n%s", err, r.log.String())
	}
	r.url = "http://" + hello.Address
	return r
}

// call asks a replica, and decodes its reply.
func (r *replica) call(ctx context.Context, t *testing.T, method, path, body string, into any) *http.Response {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer sk-shared")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatalf("%s %s: %s %s", method, path, resp.Status, b)
		}
	}
	return resp
}

// Two replicas over one database: a key's limit is spent at both together, what
// was asked at one is listed and replayed at the other, and when one is killed
// the other marks what it was doing as lost.
func TestTwoReplicas(t *testing.T) {
	url := freshDatabase(t)
	came := make(chan struct{}, 1)
	fake := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{
		{When: llmtest.PromptEnds("for ever"), Make: func(*llmtest.Call) llmtest.Reply {
			select {
			case came <- struct{}{}:
			default:
			}
			return llmtest.Reply{Script: llmtest.Words(20, "hm hm hm"), Fault: llmtest.Fault{HangAfter: 2}}
		}},
		{Reply: llmtest.Play(llmtest.Words(20, `so it is \boxed{4}`))},
	}}
	model := httptest.NewServer(fake)
	defer model.Close()
	a, b := startReplica(t, url, model.URL), startReplica(t, url, model.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const route = "/v1/chat/completions"
	ask := func(r *replica, question string) *http.Response {
		return r.call(ctx, t, "POST", route, `{"orrery": {"method": "deepconf-high", "budget": 4, "warmup": 2}, "messages": [{"role": "user", "content": "`+question+`"}]}`, nil)
	}

	// Five a minute, of which A and B take turns; the one that hangs is the fifth.
	began := time.Now()
	for i, r := range []*replica{a, b, a, b} {
		if resp := ask(r, fmt.Sprintf("What is 2 + 2, the %d. time?", i)); resp.StatusCode != 200 {
			t.Fatalf("request %d: %s\n%s%s", i, resp.Status, a.log.String(), b.log.String())
		}
	}
	hang, err := http.NewRequestWithContext(ctx, "POST", a.url+route, strings.NewReader(`{"messages": [{"role": "user", "content": "Think for ever"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	hang.Header.Set("Authorization", "Bearer sk-shared")
	broke := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(hang)
		if err == nil {
			resp.Body.Close()
		}
		broke <- err
	}()
	<-came
	// A sixth is refused by both, or what is let in came back meanwhile: one in twelve
	// seconds. By itself each would let in five.
	let := 5
	for name, r := range map[string]*replica{"A": a, "B": b} {
		resp := ask(r, "Once more")
		for ; resp.StatusCode == 200; resp = ask(r, "Once more") {
			let++
		}
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("after %d requests at both, %s answers one more with %s", let, name, resp.Status)
		}
	}
	if after := time.Since(began); let > 5+int(after/(12*time.Second)) {
		t.Errorf("%d requests were let in within %v", let, after)
	}

	// A's requests, seen and replayed at B.
	type run struct {
		ID, State, Question, Answer string
	}
	var history struct{ Runs []run }
	eventually(ctx, t, "B lists all requests", func() bool {
		b.call(ctx, t, "GET", "/api/history", "", &history)
		return len(history.Runs) == let
	})
	var first run
	for _, r := range history.Runs {
		if r.Question == "What is 2 + 2, the 0. time?" {
			first = r
		}
	}
	var replayed struct {
		Online struct{ Traces []json.RawMessage }
	}
	if resp := b.call(ctx, t, "POST", "/api/history/"+first.ID+"/replay", `{"eta": 50}`, &replayed); resp.StatusCode != 200 || len(replayed.Online.Traces) == 0 || first.Answer != "4" {
		t.Errorf("a request of A, %+v, is replayed at B with %s: %+v", first, resp.Status, replayed)
	}

	// A is killed. B finds out when A's last sign of life is a minute old; the
	// minute is passed by dating it back.
	a.cmd.Process.Signal(syscall.SIGKILL)
	if <-broke == nil {
		t.Error("a request of a killed replica was answered")
	}
	a.cmd.Wait()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "UPDATE orrery_owner SET beat = beat - 120000000 WHERE pid = $1", a.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "B marks A's request as lost", func() bool {
		b.call(ctx, t, "GET", "/api/history?find=for+ever", "", &history)
		return len(history.Runs) == 1 && history.Runs[0].State == string(record.Lost)
	})
}

// eventually asks again and again, four times a second, until it is so: another
// process does it at a time of its own.
func eventually(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came about that %s", what)
		}
	}
}
