package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

// pieceSize is how much of a reply a client must take within one WriteTimeout.
const pieceSize = 32 << 10

// exchange is one request and its reply. It belongs to its handler's goroutine.
type exchange struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	rc    *http.ResponseController
	id    string
	start time.Time

	client    *client    // nil before it was let in
	allowance *allowance // of a request that makes tokens

	reason Reason // set once
	status int    // 0: nothing was sent yet
	broken bool   // the client takes no more
	lost   func() // called once when that happens; may be nil

	ran    bool          // it had a place
	queued time.Duration // it waited for that

	// What the log line says beside.
	model, method  string
	tokens, traces int
	code           string // of the error
}

// exchange makes a handler of f. Whatever f does, the request is counted, ends
// in one reason, and is logged.
func (s *Server) exchange(f func(*exchange)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{s: s, w: w, r: r, rc: http.NewResponseController(w), id: requestID(r.Context()), start: time.Now()}
		s.counters.received()
		defer x.done()
		// A deadline of an earlier request on this connection must not stand.
		x.rc.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
		w.Header().Set("X-Request-Id", x.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		f(x)
	})
}

// end writes the reason down unless there is one.
func (x *exchange) end(r Reason) {
	if x.reason == "" {
		x.reason = r
	}
}

// done closes the books on a request, also of a handler that panicked.
func (x *exchange) done() {
	p, begun := recover(), x.status != 0
	if p != nil {
		x.s.cfg.Logger.Error("panic", "request", x.id, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
		x.end(ServerError)
		x.fail(&apiError{Status: http.StatusInternalServerError, Reason: ServerError, Type: typeServer, Code: "internal",
			Message: "the request hit a fault in this server; report its id " + x.id})
	}
	x.end(ServerError)                                          // a handler that forgot to say: a fault of our own
	x.rc.SetWriteDeadline(time.Now().Add(x.s.cfg.WriteTimeout)) // for the few bytes with which net/http ends the reply
	x.s.counters.ended(x.reason)
	level := slog.LevelInfo
	switch x.reason {
	case UpstreamError, SlowReader:
		level = slog.LevelWarn
	case ServerError:
		level = slog.LevelError
	}
	status := x.status
	if x.reason == ClientCancelled {
		status = statusGone
	}
	f := Finished{ID: x.id, Client: x.client.called(), Remote: x.s.remote(x.r), Route: x.r.Pattern, Model: x.model, Method: x.method, Reason: x.reason, Status: status,
		Code: x.code, Traces: x.traces, Tokens: x.tokens, QueueSeconds: x.queued.Seconds(), Ran: x.ran, Seconds: time.Since(x.start).Seconds()}
	ctx := context.WithoutCancel(x.r.Context())
	for _, o := range x.s.cfg.Observers {
		if a, ok := o.(Accountant); ok {
			a.Finished(ctx, f)
		}
	}
	x.s.cfg.Logger.LogAttrs(ctx, level, "request",
		slog.String("request", f.ID), slog.String("client", f.Client), slog.String("remote", f.Remote), slog.String("route", f.Route), slog.String("model", f.Model), slog.String("method", f.Method),
		slog.String("reason", string(f.Reason)), slog.Int("status", f.Status), slog.String("error", f.Code),
		slog.Int("traces", f.Traces), slog.Int("tokens", f.Tokens), slog.Float64("queued", f.QueueSeconds), slog.Float64("seconds", f.Seconds))
	if p != nil && begun {
		panic(http.ErrAbortHandler) // a reply that breaks off must not look whole
	}
}

// fail ends the exchange with an error: as a reply if there was none yet.
func (x *exchange) fail(e *apiError) {
	x.end(e.Reason)
	x.code = e.Code
	if x.status != 0 || e == errGone {
		return
	}
	if e.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", e.retryAfter())
	}
	if e.Status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	x.json(e.Status, e.body())
}

// json sends a whole reply and reports whether it was taken.
func (x *exchange) json(status int, v any) bool {
	body, err := json.Marshal(v)
	if err != nil {
		if status == http.StatusInternalServerError {
			panic(err)
		}
		x.fail(&apiError{Status: http.StatusInternalServerError, Reason: ServerError, Type: typeServer, Code: "internal",
			Message: "the reply could not be written as JSON: " + err.Error()})
		return false
	}
	x.header(status, "application/json", len(body)+1)
	return x.write(append(body, '\n'))
}

// header begins the reply. A length of -1 is not known.
func (x *exchange) header(status int, contentType string, length int) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	x.status = status
	x.w.WriteHeader(status)
}

// write hands bytes to the client, piece by piece, each within the write
// timeout, and waits until the connection has taken them: this is what bounds
// the memory that a slow reader costs. It reports whether the client is still
// there.
func (x *exchange) write(p []byte) bool {
	for len(p) > 0 && !x.broken {
		n := min(len(p), pieceSize)
		x.rc.SetWriteDeadline(time.Now().Add(x.s.cfg.WriteTimeout))
		_, err := x.w.Write(p[:n])
		if err == nil {
			err = x.rc.Flush()
		}
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			x.broken = true
			if errors.Is(err, os.ErrDeadlineExceeded) {
				x.end(SlowReader)
			} else {
				x.end(ClientCancelled)
			}
			if x.lost != nil {
				x.lost()
			}
		}
		p = p[n:]
	}
	return !x.broken
}
