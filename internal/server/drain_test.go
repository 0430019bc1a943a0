package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// answered is a reply that is read in the background.
type answered struct {
	status int
	body   []byte
	err    error
	after  time.Duration
}

func (sv *service) later(body string) <-chan answered {
	out := make(chan answered, 1)
	began := time.Now()
	go func() {
		var a answered
		resp, err := sv.do(sv.t.Context(), "/v1/chat/completions", body)
		if a.err = err; err == nil {
			a.status = resp.StatusCode
			a.body, a.err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		a.after = time.Since(began)
		out <- a
	}()
	return out
}

// ending ends a server in the background.
func (sv *service) ending() <-chan error {
	out := make(chan error, 1)
	go func() { out <- sv.stop() }()
	return out
}

// The whole of a gentle end, second by second: a token a second, 10 tokens.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: paced("a b c d e f g h i j"), MaxRequests: 1, Notice: 3 * time.Second, Drain: 20 * time.Second})
		running := sv.later(`{` + user + `}`)
		synctest.Wait()
		began := time.Now()
		ended := sv.ending()
		synctest.Wait()
		if status, body, _ := sv.get("/readyz", ""); status != 503 {
			t.Errorf("readiness comes first: %d %s", status, body)
		}
		if status, _, _ := sv.get("/healthz", ""); status != 200 {
			t.Errorf("a server that ends is alive until it has: %d", status)
		}
		noticed := sv.later(`{` + user + `}`) // let in during the notice, to wait
		synctest.Wait()
		if st := sv.Stats(); st.Waiting != 1 {
			t.Errorf("during the notice requests are still let in: %+v", st)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if a := <-noticed; a.status != 503 || a.after != 3*time.Second || !strings.Contains(string(a.body), `"draining"`) {
			t.Errorf("what waits when the notice is over: %+v %s", a, a.body)
		}
		if _, err := sv.do(t.Context(), "/readyz", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a new connection after the notice: %v", err)
		}
		if a := <-running; a.status != 200 || a.after != 10*time.Second {
			t.Errorf("the running request: %+v", a)
		}
		if err := <-ended; err != nil || time.Since(began) > 11*time.Second {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
		sv.want(map[Reason]int{Completed: 1, Rejected: 1})
	})
}

func TestDrainOfAnIdleServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: boxes("4")})
		began := time.Now()
		if err := sv.stop(); err != nil || time.Since(began) != 0 {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
		if err := sv.Serve(t.Context(), newPipes()); err == nil {
			t.Error("a server that has ended serves again")
		}
	})
}

// What does not finish in time is cut short, and answers with what it has.
func TestCutShort(t *testing.T) {
	// Traces 0 and 1 end in time, the others think for ever.
	slow := &llmtest.Scripted{Model: "m", Delay: time.Second, Pick: func(r llm.Request) llmtest.Script {
		if r.Label == "trace 0" || r.Label == "trace 1" {
			return llmtest.Words(20, `so \boxed{4}`)
		}
		return llmtest.Words(20, strings.Repeat(" hm", 1000))
	}}
	for _, tt := range []struct {
		name   string
		body   string
		drain  time.Duration
		status int
		text   string
		finish string
	}{
		{"a vote", `{"orrery": {"budget": 4}, ` + vote + `}`, 30 * time.Second, 200, `so \boxed{4}`, "stop"},
		{"a single", `{` + user + `}`, 3 * time.Second, 200, " hm hm hm", "length"},
		{"nothing yet", `{"orrery": {"budget": 4}, ` + vote + `}`, -1, 503, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := slow
				if tt.name != "a vote" {
					g = paced(strings.Repeat(" hm", 1000))
				}
				sv := serve(t, Config{Generator: g, Drain: tt.drain})
				asked := sv.later(tt.body)
				time.Sleep(time.Millisecond) // between two tokens, so that the order is certain
				began := time.Now()
				if err := sv.stop(); err != nil {
					t.Error(err)
				}
				a := <-asked
				var r reply
				if err := json.Unmarshal(a.body, &r); err != nil || a.status != tt.status {
					t.Fatalf("%d %s: %v, %v", a.status, a.body, err, a.err)
				}
				if after := time.Since(began); after < tt.drain || after > max(0, tt.drain)+time.Second {
					t.Errorf("ended after %v of %v", after, tt.drain)
				}
				sv.want(map[Reason]int{Drained: 1})
				if tt.status != 200 {
					if *r.Error.Code != "draining" {
						t.Errorf("the reply is %s", a.body)
					}
					return
				}
				var o struct {
					StoppedBy string `json:"stopped_by"`
				}
				json.Unmarshal(r.Orrery, &o)
				if c := r.Choices[0]; c.Message.Content != tt.text || *c.FinishReason != tt.finish || o.StoppedBy != "deadline" {
					t.Errorf("the reply is %s", a.body)
				}
			})
		})
	}
}

// A stream that is cut short still comes to an orderly end.
func TestCutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: paced(strings.Repeat(" hm", 1000)), Drain: 5 * time.Second})
		asked := sv.later(`{"stream": true, ` + user + `}`)
		time.Sleep(time.Millisecond)
		if err := sv.stop(); err != nil {
			t.Error(err)
		}
		got, bad := collect(strings.NewReader(string((<-asked).body)))
		if bad != "" || !got.done || got.text != " hm hm hm hm hm" || got.finish != "length" || !strings.Contains(string(got.orrery), `"stopped_by":"deadline"`) {
			t.Errorf("%s; the stream says %+v", bad, got)
		}
		sv.want(map[Reason]int{Drained: 1})
	})
}

// deaf is a generator that does not obey its context.
type deaf struct {
	*llmtest.Scripted
	release chan struct{}
}

func (g *deaf) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		<-g.release
		yield(llm.Event{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishCancelled}})
	}
}

// A generator that cannot be stopped does not keep the server from ending; it
// is told.
func TestDrainOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &deaf{boxes("4"), make(chan struct{})}
		s, err := New(Config{Generator: g, Drain: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe()
		done := make(chan error)
		go func() { done <- s.Serve(ctx, l) }()
		l.conns <- server
		client.Write([]byte("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 52\r\n\r\n" + `{"messages": [{"role": "user", "content": "2+2?"}] }`))
		synctest.Wait()
		if s.Stats().Running != 1 {
			t.Fatalf("the request does not run: %+v", s.Stats())
		}
		began := time.Now()
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "1 requests did not end") {
			t.Errorf("Serve says %v", err)
		}
		if after := time.Since(began); after > time.Second+2*cutGrace+time.Second {
			t.Errorf("it took %v", after)
		}
		close(g.release)
		synctest.Wait()
		if st := s.Stats(); st.Ended[Drained] != 1 || st.Open != 0 {
			t.Errorf("counted %+v", st)
		}
		client.Close()
	})
}

// A listener that fails ends the server, with its requests.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Generator: boxes("4")})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		l.Close()
		if err := s.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "the listener failed") {
			t.Errorf("Serve says %v", err)
		}
		if status := s.notReady.Load(); !status {
			t.Error("a server without a listener is ready")
		}
	})
}
