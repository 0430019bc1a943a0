package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"orrery/internal/server"
)

const (
	maxQuestion = 1 << 20 // bytes of a question and its parameters
	// settle is how long the form waits to hear that its question makes no sense.
	// After it the question is shown as waiting for its place.
	settle = 500 * time.Millisecond
)

// question is what the form sends.
type question struct {
	Question string                     `json:"question"`
	Method   string                     `json:"method"`
	Boxed    bool                       `json:"boxed"`
	Params   map[string]json.RawMessage `json:"params"` // as the API's "orrery" object, without the method
}

// ask answers POST /api/asks. The question goes through the handler that serves
// programs, with their limits, but not over the browser's connection: a page that is
// reloaded finds its question still being thought about.
func (p *Page) ask(w http.ResponseWriter, r *http.Request) {
	var q question
	if !server.Decode(w, r, maxQuestion, &q) {
		return
	}
	body := q.body()
	s, ctx := p.own(context.WithoutCancel(r.Context()), q) // who asks is known from it
	accepted := s.accepted
	inner, err := http.NewRequestWithContext(server.WithID(ctx, s.id), http.MethodPost, "/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		panic(err) // a constant method and path
	}
	inner.RemoteAddr, inner.Host, inner.RequestURI = r.RemoteAddr, r.Host, inner.URL.Path
	inner.Header.Set("Content-Type", "application/json")
	inner.Header.Set("Authorization", r.Header.Get("Authorization"))
	told := &answer{header: http.Header{}}
	done := make(chan struct{})
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		defer close(done)
		p.api.ServeHTTP(told, inner)
		s.left(told)
	}()
	select {
	case <-accepted:
	case <-time.After(settle):
	case <-done:
		if s.refused() {
			p.forget(s)
			told.copy(w)
			return
		}
	}
	reply(w, http.StatusAccepted, map[string]string{"id": s.id})
}

// body is the question as a program would ask it.
func (q *question) body() []byte {
	params := map[string]json.RawMessage{}
	maps.Copy(params, q.Params)
	if q.Method != "" {
		params["method"], _ = json.Marshal(q.Method) // a string: it cannot fail
	}
	text := q.Question
	if q.Boxed {
		text += boxSuffix
	}
	body, err := json.Marshal(map[string]any{"messages": []map[string]string{{"role": "user", "content": text}}, "orrery": params})
	if err != nil {
		panic(err) // texts, and pieces of JSON that was read
	}
	return body
}

// own makes the show of a question of the page's.
func (p *Page) own(ctx context.Context, q question) (*show, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(p.ctx, cancel)
	p.mu.Lock()
	s := p.add(rand.Text(), server.Client(ctx))
	p.mu.Unlock()
	s.mu.Lock()
	s.head.Mine, s.head.Question, s.head.Method = true, clip(q.Question, textShown), q.Method
	s.stop, s.accepted = func() { detach(); cancel() }, make(chan struct{})
	s.mu.Unlock()
	s.touch()
	return s, ctx
}

// refused reports a question that never ran.
func (s *show) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted != nil
}

// left takes in that the server has answered.
func (s *show) left(a *answer) {
	s.mu.Lock()
	s.stop()
	if s.accepted != nil { // it never ran
		s.head.State, s.head.Error = stateFailed, a.message()
		if errors.Is(s.p.ctx.Err(), context.Canceled) || a.status == 0 {
			s.head.State = stateStopped
		}
		now := time.Now()
		s.head.Ended = &now
		s.headRev++
	}
	s.mu.Unlock()
	s.touch()
}

// forget takes a question back that was refused.
func (p *Page) forget(s *show) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shows, s.id)
	for i, id := range p.order {
		if id == s.id {
			p.order = append(p.order[:i:i], p.order[i+1:]...)
			break
		}
	}
	s.touch()
}

// stopAsk answers POST /api/asks/{id}/stop.
func (p *Page) stopAsk(w http.ResponseWriter, r *http.Request) {
	s := p.findFor(viewerOf(r.Context()), r.PathValue("id"))
	if s == nil {
		fail(w, http.StatusNotFound, "this request is not known here any more; reload the page")
		return
	}
	s.mu.Lock()
	stop, ended := s.stop, s.head.Ended != nil
	s.mu.Unlock()
	switch {
	case ended: // it was quicker
	case stop == nil:
		fail(w, http.StatusConflict, "this request was asked by a program, which alone can stop it")
		return
	default:
		stop()
	}
	w.WriteHeader(http.StatusNoContent)
}

// tokens answers GET /api/asks/{id}/tokens: the winning text, token by token.
func (p *Page) tokens(w http.ResponseWriter, r *http.Request) {
	s := p.findFor(viewerOf(r.Context()), r.PathValue("id"))
	if s == nil {
		fail(w, http.StatusNotFound, "this request is not known here any more; it may be in the history")
		return
	}
	s.mu.Lock()
	m := s.winner
	s.mu.Unlock()
	if m == nil {
		fail(w, http.StatusNotFound, "no tokens are kept of this request: it has not ended with an answer, or its server sent no alternatives")
		return
	}
	reply(w, http.StatusOK, map[string]any{"pieces": pieces(string(m.text), m.all()), "cut": m.cut})
}

// answer is what the server answers the page's own requests. Only errors are read:
// everything else is known from the events.
type answer struct {
	header http.Header
	status int
	body   []byte
}

const mostAnswer = 64 << 10

func (a *answer) Header() http.Header { return a.header }
func (a *answer) Flush()              {}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.status >= http.StatusBadRequest && len(a.body)+len(b) <= mostAnswer {
		a.body = append(a.body, b...)
	}
	return len(b), nil
}

// message is the error that was answered.
func (a *answer) message() string {
	var e struct{ Error struct{ Message string } }
	if json.Unmarshal(a.body, &e) == nil && e.Error.Message != "" {
		return e.Error.Message
	}
	return fmt.Sprintf("the server answered with status %d and no reason", a.status)
}

// copy hands the error on.
func (a *answer) copy(w http.ResponseWriter) {
	status := a.status
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	if after := a.header.Get("Retry-After"); after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(a.body)
}
