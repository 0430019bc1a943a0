package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// boxes is a generator whose traces say the answers in turn, by trace number.
func boxes(answers ...string) *llmtest.Scripted {
	return &llmtest.Scripted{Model: "m", Pick: func(r llm.Request) llmtest.Script {
		n := strings.TrimPrefix(r.Label, "trace ")
		i := 0
		for _, c := range n {
			i = 10*i + int(c-'0')
		}
		return llmtest.Words(20, `so it is \boxed{`+answers[i%len(answers)]+`} .`)
	}}
}

// pipes is a listener whose connections are pipes, which block durably in a
// testing/synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

// service is a server that serves, and a client of it.
type service struct {
	*Server
	t      testing.TB
	client *http.Client
	l      *pipes
	stop   func() error // ends it and waits until it has drained
}

func serve(t testing.TB, cfg Config) *service {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	tr := &http.Transport{DialContext: l.dial, DisableCompression: true, MaxIdleConnsPerHost: 4096}
	sv := &service{Server: s, t: t, client: &http.Client{Transport: tr}, l: l}
	sv.stop = sync.OnceValue(func() error {
		cancel()
		tr.CloseIdleConnections()
		return <-done
	})
	t.Cleanup(func() {
		if err := sv.stop(); err != nil {
			t.Error(err)
		}
		st := s.Stats()
		sum := 0
		for _, n := range st.Ended {
			sum += n
		}
		if st.Open != 0 || st.Waiting != 0 || st.Running != 0 || sum != st.Received {
			t.Errorf("a server that has ended says %+v: not every request has one reason", st)
		}
	})
	return sv
}

// do sends a request; body "" is a GET.
func (sv *service) do(ctx context.Context, path, body string, header ...string) (*http.Response, error) {
	method, r := "GET", io.Reader(nil)
	if body != "" {
		method, r = "POST", strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://orrery"+path, r)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return sv.client.Do(req)
}

// get is do with the whole reply.
func (sv *service) get(path, body string, header ...string) (status int, reply []byte, h http.Header) {
	sv.t.Helper()
	resp, err := sv.do(sv.t.Context(), path, body, header...)
	if err != nil {
		sv.t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(resp.Body)
	if err != nil {
		sv.t.Fatal(err)
	}
	return resp.StatusCode, reply, resp.Header
}

// reply is a reply or an event of one, as a client reads it.
type reply struct {
	ID      string
	Object  string
	Created int64
	Model   string
	Choices []struct {
		Index   int
		Message *struct {
			Role, Content    string
			ReasoningContent *string `json:"reasoning_content"`
		}
		Delta *struct {
			Role             string
			Content          *string
			ReasoningContent *string `json:"reasoning_content"`
		}
		Text         *string
		Logprobs     json.RawMessage
		FinishReason *string `json:"finish_reason"`
	}
	Usage  *usage
	Orrery json.RawMessage
	Error  *struct {
		Message, Type string
		Param, Code   *string
	}
}

// told is a stream put together again.
type told struct {
	status    int
	text      string
	reasoning string
	finish    string
	events    []reply
	usage     *usage
	orrery    json.RawMessage
	err       string // code of an error event
	done      bool   // [DONE] came, and nothing after it
	comments  int
}

// collect reads a stream to its end. It reports what breaks its form.
func collect(r io.Reader) (out told, bad string) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		line := sc.Bytes()
		data, isData := bytes.CutPrefix(line, []byte("data: "))
		switch {
		case len(line) == 0:
		case out.done:
			return out, "after [DONE]: " + string(line)
		case line[0] == ':':
			out.comments++
		case !isData:
			return out, "not an event: " + string(line)
		case string(data) == "[DONE]":
			out.done = true
		default:
			var ev reply
			if err := json.Unmarshal(data, &ev); err != nil {
				return out, err.Error() + ": " + string(data)
			}
			out.add(ev)
		}
	}
	if err := sc.Err(); err != nil {
		return out, err.Error()
	}
	return out, ""
}

func (out *told) add(ev reply) {
	out.events = append(out.events, ev)
	if ev.Error != nil {
		out.err = *ev.Error.Code
	}
	for _, c := range ev.Choices {
		if c.Delta != nil {
			if c.Delta.Content != nil {
				out.text += *c.Delta.Content
			}
			if c.Delta.ReasoningContent != nil {
				out.reasoning += *c.Delta.ReasoningContent
			}
		}
		if c.Text != nil {
			out.text += *c.Text
		}
		if c.FinishReason != nil {
			out.finish += *c.FinishReason
		}
	}
	if ev.Usage != nil {
		out.usage = ev.Usage
	}
	if ev.Orrery != nil {
		out.orrery = ev.Orrery
	}
}

// stream asks and reads the whole stream.
func (sv *service) stream(body string) told {
	sv.t.Helper()
	path := "/v1/chat/completions"
	if strings.Contains(body, `"prompt"`) {
		path = "/v1/completions"
	}
	resp, err := sv.do(sv.t.Context(), path, body)
	if err != nil {
		sv.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		text, _ := io.ReadAll(resp.Body)
		sv.t.Fatalf("status %d: %s", resp.StatusCode, text)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		sv.t.Fatalf("a stream of type %q", ct)
	}
	out, bad := collect(resp.Body)
	if bad != "" {
		sv.t.Fatal(bad)
	}
	out.status = resp.StatusCode
	return out
}

// want checks the reasons that were recorded.
func (sv *service) want(reasons map[Reason]int) {
	sv.t.Helper()
	got := sv.Stats().Ended
	for r, n := range reasons {
		if got[r] != n {
			sv.t.Errorf("%d requests ended in %s, want %d; all: %v", got[r], r, n, got)
		}
	}
	for r, n := range got {
		if reasons[r] != n {
			sv.t.Errorf("%d requests ended in %s, want %d; all: %v", n, r, reasons[r], got)
		}
	}
}

func TestVoteStreamed(t *testing.T) {
	sv := serve(t, Config{Generator: boxes("4", "5", "4")})
	got := sv.stream(`{"model": "m@majority", "stream": true, "orrery": {"budget": 3}, "messages": [{"role": "user", "content": "2+2?"}]}`)
	if got.text != `so it is \boxed{4} .` || got.reasoning != "" || got.finish != "stop" || got.usage != nil || !got.done {
		t.Errorf("the stream says %+v", got)
	}
	sv.stop()
	sv.want(map[Reason]int{Completed: 1})
}
