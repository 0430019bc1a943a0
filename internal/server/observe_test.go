package server

import (
	"context"
	"iter"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// notes is an Observer that writes everything down.
type notes struct {
	mu    sync.Mutex
	asked []Asked
	runs  []*noted
}

type noted struct {
	events []string
	traces int
	ended  []Ended
}

func (n *notes) Asked(a Asked) Watch {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked, n.runs = append(n.asked, a), append(n.runs, &noted{})
	return n.runs[len(n.runs)-1]
}

func (n *noted) Tap(g llm.Generator) llm.Generator { return counting{g, n} }
func (n *noted) Event(e reason.Event)              { n.events = append(n.events, e.Type()) }
func (n *noted) Ended(e Ended)                     { n.ended = append(n.ended, e) }

// counting counts the traces that are asked for, in launch order: one goroutine.
type counting struct {
	llm.Generator
	n *noted
}

func (c counting) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	c.n.traces++
	return c.Generator.Generate(ctx, r)
}

// Every run is watched from its first event to its one end; what is refused before
// it runs is not.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{}
		sv := serve(t, Config{Generator: paced("it is \\boxed{4} ."), Observers: []Observer{n}})
		_, _, h := sv.get("/v1/chat/completions", `{`+user+`, "model": "m@majority", "orrery": {"budget": 3}}`)
		sv.get("/v1/chat/completions", `{`+user+`, "n": 2}`)
		ctx, leave := context.WithTimeout(t.Context(), 2*time.Second)
		defer leave()
		<-sv.background(ctx, `{`+user+`}`)
		sv.stop()
		if len(n.asked) != 2 {
			t.Fatalf("%d requests were watched, want the two that ran", len(n.asked))
		}
		a, r := n.asked[0], n.runs[0]
		if a.ID != h.Get("X-Request-Id") || a.Method != "majority" || a.Model != "m" || a.Route != "/v1/chat/completions" || a.Params.Budget != 3 {
			t.Errorf("asked: %+v", a)
		}
		if len(r.events) == 0 || r.events[0] != "run_started" || r.events[len(r.events)-1] != "answer" || r.traces != 3 {
			t.Errorf("%d traces, events %v", r.traces, r.events)
		}
		if len(r.ended) != 1 || r.ended[0].Reason != Completed || r.ended[0].Result == nil || *r.ended[0].Result.Answer != "4" || r.ended[0].Error != "" {
			t.Errorf("ended: %+v", r.ended)
		}
		left := n.runs[1]
		if len(left.ended) != 1 || left.ended[0].Reason != ClientCancelled || left.ended[0].Error == "" {
			t.Errorf("a client that left: %+v", left.ended)
		}
	})
}

// A caller in the same process may name its request.
func TestWithID(t *testing.T) {
	n := &notes{}
	s, err := New(Config{Generator: &llmtest.Scripted{Pick: func(llm.Request) llmtest.Script { return llmtest.Words(5, "\\boxed{4}") }}, Observers: []Observer{n}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(WithID(t.Context(), "MINE"), "POST", "/v1/chat/completions", strings.NewReader(`{`+user+`}`))
	s.ServeHTTP(w, r)
	if got := w.Header().Get("X-Request-Id"); got != "MINE" || len(n.asked) != 1 || n.asked[0].ID != "MINE" {
		t.Errorf("the reply is of request %q, watched as %+v", got, n.asked)
	}
}
