package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/internal/upstream"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// behind makes a generator of a fake server, over HTTP in memory.
func behind(t testing.TB, f *llmtest.Fake) llm.Generator {
	t.Helper()
	c, err := upstream.New(upstream.Config{URL: "http://fake", Transport: f.Transport(t), Dialect: f.Dialect, Model: "fake", MaxParallel: 4096})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func playing(reply llmtest.Reply) *llmtest.Fake {
	return &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: reply}}}
}

// Everything that can go wrong behind us: each ends in one reason, with an
// error that says what it was: by status if the reply had not begun, as the
// last event if it had.
func TestUpstreamFaults(t *testing.T) {
	words := llmtest.Words(20, `so it is \boxed{4} .`)
	for _, tt := range []struct {
		name   string
		reply  llmtest.Reply
		body   string
		status int
		code   llm.ErrorKind
		text   string // what had come before
	}{
		{"killed in mid-stream", llmtest.Reply{Script: words, Fault: llmtest.Fault{CutAfter: 500}}, ``, 200, llm.StreamTruncated, "so"},
		{"killed before the first token", llmtest.Reply{Script: words, Fault: llmtest.Fault{CutAfter: 1}}, ``, 502, llm.Unreachable, ""},
		{"an error event", llmtest.Reply{Script: words, Fault: llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 2}}, ``, 200, llm.StreamError, "so it"},
		{"a silent end", llmtest.Reply{Script: words, Fault: llmtest.Fault{Error: llmtest.ErrorNone, ErrorAfter: 3}}, ``, 200, llm.StreamTruncated, "so it is"},
		{"no finish reason", llmtest.Reply{Script: words, Fault: llmtest.Fault{NoFinish: true}}, ``, 200, llm.StreamTruncated, `so it is \boxed{4} .`},
		{"silence", llmtest.Reply{Script: words, Fault: llmtest.Fault{HangAfter: 2}}, ``, 200, llm.IdleTimeout, "so it"},
		{"no first token", llmtest.Reply{Script: words, Fault: llmtest.Fault{HangAfter: -1}}, ``, 504, llm.FirstTokenTimeout, ""},
		{"a malformed event", llmtest.Reply{Recorded: []byte("data: {\"choices\": [{\"delta\": {\"content\": \"so\"}}]}\n\ndata: {\"choices\": nonsense}\n\n")}, ``, 200, llm.MalformedEvent, "so"},
		{"a malformed first event", llmtest.Reply{Recorded: []byte("data: <html>\n\n")}, ``, 502, llm.MalformedEvent, ""},
		{"a page", llmtest.Reply{Fault: llmtest.Fault{Body: "<html>welcome</html>"}}, ``, 502, llm.NotStreaming, ""},
		{"its key is wrong", llmtest.Reply{Fault: llmtest.Fault{Status: 401}}, ``, 502, llm.Auth, ""},
		{"too many requests", llmtest.Reply{Fault: llmtest.Fault{Status: 429}}, ``, 429, llm.RateLimited, ""},
		{"overloaded", llmtest.Reply{Fault: llmtest.Fault{Status: 503}}, ``, 503, llm.Overloaded, ""},
		{"broken", llmtest.Reply{Fault: llmtest.Fault{Status: 500}}, ``, 502, llm.StreamError, ""},
		{"too long a prompt", llmtest.Reply{Fault: llmtest.Fault{Status: 400, Body: `{"error": {"message": "This model's maximum context length is 10 tokens"}}`}}, ``, 400, "context_length_exceeded", ""},
		{"no log-probabilities", llmtest.Reply{Script: words, Fault: llmtest.Fault{NoLogprobs: true}}, `"model": "fake@deepconf-high", "orrery": {"budget": 2}, `, 400, llm.NoTopLogprobs, ""},
		{"a vote whose traces are all killed", llmtest.Reply{Script: words, Fault: llmtest.Fault{CutAfter: 500}}, `"model": "fake@majority", "orrery": {"budget": 3}, `, 502, llm.StreamTruncated, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, streamed := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					sv := serve(t, Config{Generator: behind(t, playing(tt.reply))})
					status, body, _ := sv.get("/v1/chat/completions", fmt.Sprintf(`{%s"stream": %v, %s}`, tt.body, streamed, user))
					sv.stop()
					sv.want(map[Reason]int{UpstreamError: 1})
					if status == 200 {
						got, bad := collect(bytes.NewReader(body))
						if tt.status != 200 || !streamed || bad != "" || got.err != string(tt.code) || got.text != tt.text || !got.done || got.finish != "" {
							t.Errorf("%s; the stream says %+v", bad, got)
						}
						return
					}
					var r reply
					if err := json.Unmarshal(body, &r); err != nil || r.Error == nil || *r.Error.Code != string(tt.code) {
						t.Fatalf("stream %v: %d %s", streamed, status, body)
					}
					if want := max(tt.status, statuses[tt.code]); status != want {
						t.Errorf("stream %v: status %d, want %d", streamed, status, want)
					}
				})
			}
		})
	}
}

// Some traces of a vote fail and the others answer: that is a reply, with a
// warning in it.
func TestVoteSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{
			{Times: 1, Reply: llmtest.Reply{Script: llmtest.Words(20, "so it is"), Fault: llmtest.Fault{CutAfter: 400}}},
			{Reply: llmtest.Play(llmtest.Words(20, `so \boxed{4}`))},
		}}
		sv := serve(t, Config{Generator: behind(t, f)})
		got := sv.stream(`{"model": "fake@majority", "stream": true, "stream_options": {"include_usage": true}, "orrery": {"budget": 3}, ` + user + `}`)
		if got.text != `so \boxed{4}` || got.finish != "stop" || got.err != "" || !strings.Contains(string(got.orrery), `"code":"upstream_error"`) {
			t.Errorf("the stream says %+v\n%s", got, got.orrery)
		}
		sv.stop()
		sv.want(map[Reason]int{Completed: 1})
	})
}

// A deadline gives the answer so far, or an error if there is none.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &llmtest.Scripted{Model: "m", Delay: time.Second, Pick: func(r llm.Request) llmtest.Script {
			if r.Label == "trace 0" {
				return llmtest.Words(20, `so \boxed{4}`)
			}
			return llmtest.Words(20, strings.Repeat(" hm", 1000))
		}}
		sv := serve(t, Config{Generator: g})
		began := time.Now()
		status, body, _ := sv.get("/v1/chat/completions", `{"orrery": {"budget": 3, "deadline_seconds": 7.5}, `+vote+`}`)
		if after := time.Since(began); status != 200 || after != 7500*time.Millisecond || !bytes.Contains(body, []byte(`"answer":"4"`)) || !bytes.Contains(body, []byte(`"stopped_by":"deadline"`)) {
			t.Errorf("after %v: %d %s", after, status, body)
		}
		status, body, _ = sv.get("/v1/chat/completions", `{"orrery": {"budget": 3, "deadline_seconds": 1.5}, `+vote+`}`)
		if status != 504 || !bytes.Contains(body, []byte(`"deadline_exceeded"`)) {
			t.Errorf("%d %s", status, body)
		}
		sv.stop()
		sv.want(map[Reason]int{Deadline: 2})
	})
}

// A client that leaves ends its traces at once, wherever the request is.
func TestClientLeaves(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"whole", `{` + user + `}`},
		{"stream", `{"stream": true, ` + user + `}`},
		{"vote", `{"orrery": {"budget": 8}, ` + vote + `}`},
		{"streamed vote", `{"stream": true, "orrery": {"budget": 8, "progress": true}, ` + vote + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := paced(strings.Repeat(" hm", 1000))
				sv := serve(t, Config{Generator: g})
				ctx, leave := context.WithCancel(t.Context())
				done := sv.background(ctx, tt.body)
				time.Sleep(3500 * time.Millisecond)
				leave()
				<-done
				synctest.Wait()
				if st := sv.Stats(); st.Open != 0 || st.Ended[ClientCancelled] != 1 {
					t.Errorf("the moment after: %+v", st)
				}
				for _, end := range g.Ends() {
					if end.Finish != llm.FinishCancelled || end.Tokens != 3 {
						t.Errorf("a trace ended with %+v", end)
					}
				}
				if len(g.Ends()) != len(g.Requests()) {
					t.Errorf("%d of %d traces ended", len(g.Ends()), len(g.Requests()))
				}
			})
		})
	}
}

// raw opens a connection and sends a request, but reads nothing.
func (sv *service) raw(body string) net.Conn {
	sv.t.Helper()
	conn, err := sv.l.dial(sv.t.Context(), "", "")
	if err != nil {
		sv.t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: orrery\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return conn
}

// A client that does not read is let go when its time is over, and has cost
// one event: the model was held back meanwhile.
func TestSlowReaders(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		atOnce     int // tokens that a trace makes before it is held back; 0: all
	}{
		{"a stream", `{"stream": true, "max_tokens": 20000, ` + user + `}`, 2},
		{"a streamed vote", `{"stream": true, "orrery": {"budget": 4, "progress": true}, ` + vote + `}`, 2},
		{"a whole reply", `{` + user + `}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script {
					return llmtest.Say(1, strings.Split(strings.Repeat("hm ,", 5000), ",")...)
				}}
				sv := serve(t, Config{Generator: g, WriteTimeout: 10 * time.Second})
				conn := sv.raw(tt.body)
				defer conn.Close()
				synctest.Wait()
				if ends := g.Ends(); tt.atOnce > 0 && len(ends) > 0 {
					t.Errorf("%d traces ran to their end while nobody read", len(ends))
				}
				time.Sleep(10*time.Second - time.Nanosecond)
				synctest.Wait()
				if st := sv.Stats(); st.Open != 1 {
					t.Errorf("before its time was over: %+v", st)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if st := sv.Stats(); st.Open != 0 || st.Ended[SlowReader] != 1 {
					t.Errorf("when its time was over: %+v", st)
				}
				for _, end := range g.Ends() {
					if tt.atOnce > 0 && end.Tokens > tt.atOnce {
						t.Errorf("a trace made %d tokens ahead of its reader", end.Tokens)
					}
				}
			})
		})
	}
}

// A client that reads slowly but steadily is served to the end.
func TestSteadyReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: boxes("4"), WriteTimeout: 10 * time.Second})
		conn := sv.raw(`{"stream": true, ` + user + `}`)
		defer conn.Close()
		var all []byte
		buf := make([]byte, 300) // the largest piece, with the result, has 1 KB: four reads, 8 s
		for !bytes.Contains(all, []byte("[DONE]\n\n\r\n0\r\n\r\n")) {
			time.Sleep(2 * time.Second)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("after %s: %v", all, err)
			}
			all = append(all, buf[:n]...)
		}
		synctest.Wait()
		sv.want(map[Reason]int{Completed: 1})
	})
}

// Clients that leave a real connection, at every stage and in every way that a
// socket can end.
func TestKilledSockets(t *testing.T) {
	f := playing(llmtest.Reply{Script: llmtest.Words(20, strings.Repeat(" hm", 4000)), Wire: llmtest.Wire{Delay: 2 * time.Millisecond}})
	s, err := New(Config{Generator: behind(t, f), MaxRequests: 64})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	body := `{"stream": true, ` + user + `}`
	const clients = 24
	for i := range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
		half := 0
		if i%4 == 3 {
			half = len(body) / 2 // leaves while it still sends
		}
		io.WriteString(conn, body[:len(body)-half])
		for s.Stats().Received <= i { // its request has been taken in
			runtime.Gosched()
		}
		if half == 0 {
			conn.Read(make([]byte, 1+i*40)) // the reply has begun
		}
		if i%2 == 0 {
			conn.(*net.TCPConn).SetLinger(0) // a reset instead of an orderly end
		}
		conn.Close()
	}
	<-s.counters.whenIdle()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Ended[ClientCancelled] != clients || st.Received != clients {
		t.Errorf("counted %+v", st)
	}
}
