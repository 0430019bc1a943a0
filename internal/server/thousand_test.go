package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"orrery/think/llm/llmtest"
)

// peak is the most memory in use while f runs, sampled every few milliseconds:
// heap objects, the dead ones that are not collected yet included, and stacks.
func peak(f func()) (heap, stacks uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	runtime.GC()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(samples)
			heap, stacks = max(heap, samples[0].Value.Uint64()), max(stacks, samples[1].Value.Uint64())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return heap, stacks
}

// crowd is one client's request of many, and what must come back.
type crowd struct {
	method string
	budget int
	k      int // alternatives a token that are asked for
}

var crowds = []crowd{{"single", 1, 0}, {"majority", 3, 0}, {"single", 1, 0}, {"deepconf-high", 4, 2}}

func (c crowd) body(i int) string {
	options := ""
	switch {
	case c.k > 0:
		options = fmt.Sprintf(`, "orrery": {"budget": %d, "warmup": 2, "k": %d, "consensus": false}`, c.budget, c.k)
	case c.budget > 1:
		options = fmt.Sprintf(`, "orrery": {"budget": %d}`, c.budget)
	}
	return fmt.Sprintf(`{"model": "fake@%s", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "question %d"}]%s}`, c.method, i, options)
}

// atOnce is how many of its traces run before the first has ended.
func (c crowd) atOnce() int {
	if c.k > 0 {
		return 2 // the warm-up
	}
	return c.budget
}

// says is what every trace of question i says: 12 tokens.
func says(i int) string {
	return fmt.Sprintf(`question %d is`, i) + strings.Repeat(" hard", 7) + fmt.Sprintf(` so \boxed{%d}`, i)
}

const sayTokens = 12

// check compares what came back with what was said: nothing is lost, nothing
// is another's.
func (c crowd) check(i int, got told) error {
	var o struct {
		Method string
		Answer *string
		Traces []struct {
			Tokens     int
			StopReason string `json:"stop_reason"`
		}
		Tokens struct{ Used int }
	}
	if err := json.Unmarshal(got.orrery, &o); err != nil {
		return err
	}
	switch {
	case got.err != "" || !got.done || got.finish != "stop":
		return fmt.Errorf("error %q, done %v, finish %q", got.err, got.done, got.finish)
	case got.text != says(i):
		return fmt.Errorf("the text is %q", got.text)
	case o.Answer == nil || *o.Answer != fmt.Sprint(i) || o.Method != c.method || len(o.Traces) != c.budget:
		return fmt.Errorf("the result is %s", got.orrery)
	case o.Tokens.Used != c.budget*sayTokens || got.usage == nil || got.usage.Completion != c.budget*sayTokens:
		return fmt.Errorf("%+v, and %d tokens in %s", got.usage, o.Tokens.Used, got.orrery)
	}
	return nil
}

// A thousand streams at once, half of them votes: every one is complete, and
// nothing is left of them.
func TestThousandStreams(t *testing.T) {
	clients := 1000
	if testing.Short() || raceEnabled { // the race detector follows 8,128 goroutines at most
		clients = 100
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // runs last, when the fake is closed too
	began, traces, held := time.Now(), 0, 0
	for i := range clients {
		traces += crowds[i%len(crowds)].budget
		held += crowds[i%len(crowds)].atOnce()
	}
	var arrived atomic.Int64
	all := make(chan struct{})
	f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Make: func(c *llmtest.Call) llmtest.Reply {
		if arrived.Add(1) == int64(held) {
			close(all)
		}
		var i int
		fmt.Sscanf(c.Prompt, "question %d", &i)
		return llmtest.Reply{Script: llmtest.Words(2, says(i)), Wire: llmtest.Wire{Gate: true}}
	}}}}
	s, err := New(Config{Generator: behind(t, f), MaxRequests: clients, MaxQueue: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	tr := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	var wg sync.WaitGroup
	var live uint64
	heap, stacks := peak(func() {
		for i := range clients {
			wg.Go(func() {
				c := crowds[i%len(crowds)]
				resp, err := (&http.Client{Transport: tr}).Post("http://"+l.Addr().String()+"/v1/chat/completions", "application/json", strings.NewReader(c.body(i)))
				if err != nil {
					t.Errorf("client %d: %v (each client takes two file descriptors)", i, err)
					return
				}
				defer resp.Body.Close()
				got, bad := collect(resp.Body)
				if resp.StatusCode != 200 || bad != "" {
					t.Errorf("client %d: status %d, %s", i, resp.StatusCode, bad)
				} else if err := c.check(i, got); err != nil {
					t.Errorf("client %d, %s: %v", i, c.method, err)
				}
			})
		}
		select {
		case <-all:
		case <-time.After(5 * time.Minute): // so that a failure has words
			t.Fatalf("only %d of %d traces have begun: %+v", arrived.Load(), held, s.Stats())
		}
		if st := s.Stats(); st.Running != clients {
			t.Errorf("when every trace has begun, %d of %d requests run", st.Running, clients)
		}
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		live = sample[0].Value.Uint64()
		for n := range traces {
			f.Release(n, sayTokens)
		}
		wg.Wait()
	})
	tr.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Ended[Completed] != clients || st.Received != clients || st.Open != 0 {
		t.Errorf("counted %+v", st)
	}
	if n := len(f.Calls()); n != traces {
		t.Errorf("%d traces were asked for, want %d", n, traces)
	}
	took := time.Since(began)
	perTrace := func(b uint64) uint64 { return b / uint64(held+clients) >> 10 }
	t.Logf("%d clients, %d traces (%d at once), %.1f s; live %d KiB a connection while all wait; peak heap %d MiB (%d KiB), stacks %d MiB (%d KiB)",
		clients, traces, held, took.Seconds(), perTrace(live), heap>>20, perTrace(heap), stacks>>20, perTrace(stacks))
	// Every connection, of a client or of a trace, has both of its ends in this
	// process: four buffers of 4 KiB in net/http, one of 16 KiB for events, the
	// request, its headers, its text: measured 46 KiB. The collector lets the
	// heap grow to twice what lives.
	most := uint64(64<<10*(held+clients) + 8<<20)
	if live > most || heap > 2*most {
		t.Errorf("%d MiB live and %d MiB in all are in use for %d connections, which should need %d at most", live>>20, heap>>20, held+clients, most>>20)
	}
}

// Everything at once that can go wrong, and what goes right beside it: each
// request still ends in the one reason that is its own.
func TestStorm(t *testing.T) {
	each := 40
	if testing.Short() {
		each = 10
	}
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Make: func(c *llmtest.Call) llmtest.Reply {
			var i int
			fmt.Sscanf(c.Prompt, "question %d", &i)
			r := llmtest.Reply{Script: llmtest.Words(2, says(i)), Wire: llmtest.Wire{Delay: time.Second}}
			switch i % 6 {
			case 1:
				r.Fault.CutAfter = 800
			case 2:
				r = llmtest.Reply{Recorded: []byte("data: {\"choices\": [{\"delta\": {\"content\": \"so\"}}]}\n\ndata: {{{\n\n")}
			}
			return r
		}}}}
		sv := serve(t, Config{Generator: behind(t, f), MaxRequests: 6 * each, WriteTimeout: 10 * time.Second})
		var wg sync.WaitGroup
		for i := range 6 * each {
			c := crowd{method: "single", budget: 1}
			switch i % 6 {
			default: // read to the end
				wg.Go(func() {
					resp, err := sv.do(t.Context(), "/v1/chat/completions", c.body(i))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					got, bad := collect(resp.Body)
					if err := c.check(i, got); i%6 == 0 && (err != nil || bad != "") {
						t.Errorf("client %d: %v, %s", i, err, bad)
					}
					if i%6 > 0 && (got.err == "" || got.finish != "") {
						t.Errorf("client %d, whose upstream broke, was told %+v", i, got)
					}
				})
			case 3: // leaves
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
					defer cancel()
					resp, err := sv.do(ctx, "/v1/chat/completions", c.body(i))
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				})
			case 4: // never reads
				conn := sv.raw(c.body(i))
				defer conn.Close()
			case 5: // asks for nonsense
				wg.Go(func() {
					if status, _, _ := sv.get("/v1/chat/completions", `{"n": 2, `+user+`}`); status != 400 {
						t.Errorf("client %d gets %d", i, status)
					}
				})
			}
		}
		wg.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		sv.want(map[Reason]int{Completed: each, UpstreamError: 2 * each, ClientCancelled: each, SlowReader: each, BadRequest: each})
	})
}
