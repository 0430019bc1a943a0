package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"orrery/record"
)

// runKinds are the runs that are not requests.
var runKinds = []string{"train", "eval", "audit", "probe", "sweep", "overlay", "delta"}

const (
	look      = time.Second     // between two looks at a run, or at the list of them
	lookLimit = 5 * time.Second // for one look
	listed    = 200             // runs of the live list
)

// runs answers GET /api/runs.
func (p *Page) runs(w http.ResponseWriter, r *http.Request) { p.list(w, r, runKinds) }

// run answers GET /api/runs/{id}: a run with its settings and its result.
func (p *Page) run(w http.ResponseWriter, r *http.Request) {
	run := p.findRun(w, r)
	if run == nil {
		return
	}
	reply(w, http.StatusOK, map[string]any{"run": p.pastRun(run), "config": orNull(run.Config), "result": orNull(run.Result)})
}

// findRun is the run that a request names by its whole id, or answers that there is none.
func (p *Page) findRun(w http.ResponseWriter, r *http.Request) *record.Run {
	s := p.records(w)
	if s == nil {
		return nil
	}
	id := r.PathValue("id")
	run, err := s.Run(r.Context(), id)
	if errors.Is(err, record.ErrAmbiguous) || errors.Is(err, record.ErrNotFound) || err == nil && run.ID != id {
		err = record.ErrNotFound // of a beginning too: how many there are is not for everybody
	}
	if err != nil {
		failRecord(w, err)
		return nil
	}
	return run
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// polled is a source that has to be looked at to change.
type polled interface {
	source
	// poll looks, and reports whether there is something new. It holds up nobody but
	// its own topic, which nobody else polls.
	poll(ctx context.Context) bool
}

// runList is the topic of the newest runs: small enough to be told whole.
type runList struct {
	p *Page

	mu   sync.Mutex
	body []byte
}

// poll implements [polled].
func (l *runList) poll(ctx context.Context) bool {
	body := l.read(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	news := string(body) != string(l.body)
	l.body = body
	return news
}

func (l *runList) read(ctx context.Context) []byte {
	out := struct {
		Runs  []pastRun `json:"runs"`
		Error string    `json:"error,omitempty"`
	}{Runs: []pastRun{}}
	if s := l.p.store.Load(); s == nil {
		out.Error = noStore
	} else if runs, err := s.List(ctx, record.Filter{Kinds: runKinds, Limit: listed}); err != nil {
		out.Error = err.Error()
	} else {
		for i := range runs {
			r := l.p.pastRun(&runs[i])
			if r.State == record.Running {
				r.Seconds = 0 // the page counts by itself
			}
			out.Runs = append(out.Runs, r)
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // texts and finite numbers
	}
	return body
}

// frame implements [source]. The mark is what was told.
func (l *runList) frame(since any) ([]byte, any) {
	l.mu.Lock()
	body := l.body
	l.mu.Unlock()
	if body == nil { // nobody has looked yet
		return nil, nil
	}
	if since == string(body) {
		return nil, since
	}
	return body, string(body)
}
