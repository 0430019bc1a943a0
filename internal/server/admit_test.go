package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// paced is a generator of one token a second, each a word of text.
func paced(text string) *llmtest.Scripted {
	return &llmtest.Scripted{Model: "m", Delay: time.Second, Pick: func(llm.Request) llmtest.Script { return llmtest.Words(20, text) }}
}

// background sends a request and hands its status over when the reply is read.
func (sv *service) background(ctx context.Context, body string) <-chan int {
	out := make(chan int, 1)
	go func() {
		resp, err := sv.do(ctx, "/v1/chat/completions", body)
		if err != nil {
			out <- 0
			return
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		out <- resp.StatusCode
	}()
	return out
}

// One runs, one waits, and the third is told when to come back.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := paced("a b c d e f g h i j")
		sv := serve(t, Config{Generator: g, MaxRequests: 1, MaxQueue: 1})
		first := sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		second := sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		if st := sv.Stats(); st.Running != 1 || st.Waiting != 1 || st.Open != 2 || st.Received != 2 {
			t.Fatalf("one runs and one waits: %+v", st)
		}
		status, body, h := sv.get("/v1/chat/completions", `{`+user+`}`)
		if status != 429 || h.Get("Retry-After") != "1" || !strings.Contains(string(body), `"queue_full"`) {
			t.Errorf("the third gets %d, %v: %s", status, h, body)
		}
		if status, _, _ := sv.get("/v1/models", ""); status != 200 {
			t.Errorf("a full queue holds up the list of models: %d", status)
		}
		if <-first != 200 || <-second != 200 {
			t.Error("those that were let in were not answered")
		}
		if g.Peak() != 1 {
			t.Errorf("%d ran at once", g.Peak())
		}
		// Now a request is known to take 10 s, and the estimate says so.
		third := sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		fourth := sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		_, _, h = sv.get("/v1/chat/completions", `{`+user+`}`)
		if s, _ := strconv.Atoi(h.Get("Retry-After")); s != 20 { // two in front, 10 s each
			t.Errorf("Retry-After: %s, want 20", h.Get("Retry-After"))
		}
		<-third
		<-fourth
		sv.stop()
		sv.want(map[Reason]int{Completed: 5, Rejected: 2})
	})
}

// A client that leaves the queue takes its ticket with it.
func TestLeavingTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: paced("a b c"), MaxRequests: 1, MaxQueue: 1})
		first := sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		second := sv.background(ctx, `{`+user+`}`)
		synctest.Wait()
		leave()
		<-second
		synctest.Wait()
		third := sv.background(t.Context(), `{`+user+`}`)
		if <-first != 200 || <-third != 200 {
			t.Error("the place of the one that left was not given on")
		}
		sv.stop()
		sv.want(map[Reason]int{Completed: 2, ClientCancelled: 1})
	})
}

func TestNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: paced("a b c"), MaxRequests: 2, MaxQueue: -1})
		first, second := sv.background(t.Context(), `{`+user+`}`), sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		if status, _, _ := sv.get("/v1/chat/completions", `{`+user+`}`); status != 429 {
			t.Errorf("the third of two gets %d", status)
		}
		<-first
		<-second
	})
}

// A body that is too large is refused, one that does not come is not waited for.
func TestBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: boxes("4"), MaxBody: 1000, ReadTimeout: 10 * time.Second})
		fits := `{"messages": [{"role": "user", "content": "` + strings.Repeat("x", 1000-len(`{"messages": [{"role": "user", "content": ""}]}`)) + `"}]}`
		if status, body, _ := sv.get("/v1/chat/completions", fits); status != 200 {
			t.Errorf("a body of exactly the limit: %d %s", status, body)
		}
		if status, body, _ := sv.get("/v1/chat/completions", fits+" "); status != 413 || !strings.Contains(string(body), "larger than 1000 bytes") {
			t.Errorf("a byte more: %d %s", status, body)
		}
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://orrery/v1/chat/completions", r)
		began := time.Now()
		resp, err := sv.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		w.Close()
		if resp.StatusCode != 408 || time.Since(began) != 10*time.Second {
			t.Errorf("a body that does not come: %d after %v: %s", resp.StatusCode, time.Since(began), body)
		}
		// The time limit is for the body alone.
		slow := serve(t, Config{Generator: paced(strings.Repeat(" x", 20)), ReadTimeout: 10 * time.Second})
		if status := <-slow.background(t.Context(), `{`+user+`}`); status != 200 {
			t.Errorf("20 s of thinking under a read timeout of 10 s: %d", status)
		}
		sv.stop()
		sv.want(map[Reason]int{Completed: 1, BadRequest: 2})
	})
}

// Limits cut what is left open and refuse what is asked for beyond them.
func TestLimits(t *testing.T) {
	g := boxes("4", "5", "6", "7", "8", "9", "1", "2")
	sv := serve(t, Config{Generator: g, MaxTokens: 100, MaxBudget: 4, Defaults: reason.Params{Warmup: 8}})
	ask := func(body string) (int, int) { // status, traces
		before := len(g.Requests())
		status, _, _ := sv.get("/v1/chat/completions", body)
		return status, len(g.Requests()) - before
	}
	if status, n := ask(`{` + vote + `}`); status != 200 || n != 4 {
		t.Errorf("a budget that is left open: %d, %d traces; want 4", status, n)
	}
	if status, n := ask(`{"model": "m@deepconf-high", ` + user + `}`); status != 200 || n != 4 {
		t.Errorf("a default warm-up beyond the largest budget: %d, %d traces; want 4", status, n)
	}
	if status, _ := ask(`{"orrery": {"budget": 5}, ` + vote + `}`); status != 400 {
		t.Errorf("a budget beyond the limit: %d", status)
	}
	if status, _ := ask(`{` + user + `}`); status != 200 || g.Requests()[len(g.Requests())-1].MaxTokens != 100 {
		t.Errorf("a length that is left open: %d, %d", status, g.Requests()[len(g.Requests())-1].MaxTokens)
	}
	if status, _ := ask(`{"max_tokens": 101, ` + user + `}`); status != 400 {
		t.Errorf("a length beyond the limit: %d", status)
	}
	open := serve(t, Config{Generator: g, MaxTokens: -1, MaxBudget: -1})
	if status, _, _ := open.get("/v1/chat/completions", `{"max_tokens": 5000000, `+user+`}`); status != 200 {
		t.Errorf("without limits: %d", status)
	}
	// All traces together may use no more than the limit: 8 words each, 20 in all.
	few := serve(t, Config{Generator: &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script {
		return llmtest.Words(20, `1 2 3 4 5 6 7 \boxed{8}`)
	}}, MaxTokens: 20})
	_, body, _ := few.get("/v1/chat/completions", `{"orrery": {"concurrency": 1}, `+vote+`}`)
	var r struct {
		Usage  usage
		Orrery struct {
			StoppedBy string `json:"stopped_by"`
		}
	}
	if json.Unmarshal(body, &r); r.Usage.Completion != 20 || r.Orrery.StoppedBy != "token_budget" {
		t.Errorf("32 traces under a limit of 20 tokens: %s", body)
	}
}

// What a request says wins over a server's default, and drops those that
// contradict it.
func TestDefaultsYield(t *testing.T) {
	half, no := 0.5, false
	for _, tt := range []struct {
		name     string
		defaults reason.Params
		body     string
	}{
		{"threshold over warm-up and η", reason.Params{Warmup: 4, Eta: 50, Window: reason.Auto}, `"threshold": 3`},
		{"warm-up over threshold", reason.Params{Threshold: &half}, `"warmup": 4`},
		{"η over threshold", reason.Params{Threshold: &half}, `"eta": 40`},
		{"automatic window over threshold", reason.Params{Threshold: &half}, `"window": "auto"`},
		{"budget over warm-up and voters", reason.Params{Warmup: 16, MinVotes: 8}, `"budget": 4`},
		{"warm-up over budget", reason.Params{Budget: 4}, `"warmup": 8`},
		{"no consensus over τ", reason.Params{Tau: 0.9, MinVotes: 3}, `"consensus": false`},
		{"τ over no consensus", reason.Params{Consensus: &no}, `"tau": 0.9`},
	} {
		sv := serve(t, Config{Generator: boxes("4"), Defaults: tt.defaults})
		status, body, _ := sv.get("/v1/chat/completions", `{"model": "m@deepconf", "orrery": {`+tt.body+`}, `+user+`}`)
		if status != 200 {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
		if status, body, _ = sv.get("/v1/chat/completions", `{"model": "m@majority", "orrery": {"budget": 1}, `+user+`}`); status != 200 {
			t.Errorf("%s: defaults that majority does not use: %d %s", tt.name, status, body)
		}
	}
	cold := 0.0
	g := boxes("4")
	sv := serve(t, Config{Generator: g, Defaults: reason.Params{Temperature: &cold, TopP: 0.3, Seed: 5, MaxTokens: 77}})
	sv.get("/v1/chat/completions", `{`+user+`}`)
	sv.get("/v1/chat/completions", `{"temperature": 1, "seed": 6, "top_p": 1, "max_tokens": 7, `+user+`}`)
	sv.get("/v1/chat/completions", `{`+user+`}`)
	q := g.Requests()
	if q[0].Temperature != 0 || q[0].TopP != 0.3 || q[0].MaxTokens != 77 || q[0].Seed != reason.TraceSeed(5, 0) {
		t.Errorf("the defaults give %+v", q[0])
	}
	if q[1].Temperature != 1 || q[1].TopP != 1 || q[1].MaxTokens != 7 || q[1].Seed != reason.TraceSeed(6, 0) {
		t.Errorf("the request gives %+v", q[1])
	}
	if q[2].Temperature != 0 || q[2].MaxTokens != 77 {
		t.Errorf("a request has changed the defaults of the next: %+v", q[2])
	}
	free := boxes("4")
	sv = serve(t, Config{Generator: free})
	sv.get("/v1/chat/completions", `{`+user+`}`)
	sv.get("/v1/chat/completions", `{`+user+`}`)
	if q := free.Requests(); q[0].Seed == q[1].Seed {
		t.Error("two requests without a seed have the same one")
	}
}
