package cli

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery/think/llm/llmtest"
)

// backend is a server of a scripted model.
func backend(t *testing.T, model string) (*httptest.Server, *llmtest.Fake) {
	f := &llmtest.Fake{Dialect: "vllm", Model: model, Rules: []llmtest.Rule{{Reply: llmtest.Play(llmtest.Words(20, `so it is \boxed{7}`))}}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s, f
}

// refuse ends a backend. Its address refuses connections for the rest of the test: were
// its port free, another test's server might get it.
func refuse(t *testing.T, s *httptest.Server) {
	t.Helper()
	at := s.Listener.Addr().(*net.TCPAddr)
	s.CloseClientConnections()
	s.Close()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	// Bound, and not listened on; the connections that were served may still be known.
	if err := errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(fd, &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())})); err != nil {
		t.Fatal(err)
	}
}

// exchanged is the body of a reply, and its status.
func exchanged(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if body == "" {
		resp, err = http.Get(url)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// Two servers share the requests, each request stays with one, and when one is
// gone the other does all of them; when both are, the server is not ready.
func TestServeSeveral(t *testing.T) {
	one, oneFake := backend(t, "m")
	two, twoFake := backend(t, "m")
	url, _, stop := served(t, "--upstream", one.URL, "--upstream", two.URL)
	began := []int{len(oneFake.Calls()), len(twoFake.Calls())}
	ask := func() string {
		status, body := exchanged(t, url+"/v1/chat/completions", `{"model": "m@majority", "messages": [{"role": "user", "content": "?"}], "orrery": {"budget": 4}}`)
		var r struct{ Orrery struct{ Answer string } }
		if err := json.Unmarshal([]byte(body), &r); err != nil || status != 200 || r.Orrery.Answer != "7" {
			t.Fatalf("%d %s", status, body)
		}
		return body
	}
	for range 4 {
		before := []int{len(oneFake.Calls()), len(twoFake.Calls())}
		ask()
		if a, b := len(oneFake.Calls())-before[0], len(twoFake.Calls())-before[1]; a*b != 0 || a+b != 4 {
			t.Errorf("one request's traces went %d to one and %d to the other", a, b)
		}
	}
	if a, b := len(oneFake.Calls())-began[0], len(twoFake.Calls())-began[1]; a != 8 || b != 8 {
		t.Errorf("four requests of four traces were shared %d to %d", a, b)
	}
	refuse(t, one)
	for range 4 {
		ask()
	}
	if status, body := exchanged(t, url+"/readyz", ""); status != 200 {
		t.Errorf("one of two is left: %d %s", status, body)
	}
	_, metrics := exchanged(t, url+"/metrics", "")
	name := strings.TrimPrefix(two.URL, "http://")
	if !strings.Contains(metrics, `orrery_upstream_healthy{upstream="`+name+`"} 1`) || !strings.Contains(metrics, `orrery_trace_duration_seconds_count{upstream="`+name+`"}`) {
		t.Error("the metrics lack what is left")
	}
	refuse(t, two)
	for began := time.Now(); ; {
		status, body := exchanged(t, url+"/v1/chat/completions", `{"messages": [{"role": "user", "content": "?"}]}`)
		if status != 502 || !strings.Contains(body, "unreachable") {
			t.Fatalf("none is left: %d %s", status, body)
		}
		if status, body := exchanged(t, url+"/readyz", ""); status == 503 && strings.Contains(body, "no upstream is healthy") {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatalf("none is left: %d %s", status, body)
		}
	}
	if code := stop(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestServeOneModel(t *testing.T) {
	one, _ := backend(t, "m")
	two, _ := backend(t, "other")
	said := newConsole()
	code := run(t.Context(), []string{"serve", "--listen", "127.0.0.1:0", "--upstream", one.URL, "--upstream", two.URL}, strings.NewReader(""), said, said)
	if code == exitDone || !strings.Contains(said.String(), strings.TrimPrefix(two.URL, "http://")+" serves other: all must serve one model") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
