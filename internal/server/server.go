package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"orrery/think/reason"
)

// Server is the HTTP API. It is safe for concurrent use.
type Server struct {
	cfg      Config
	keys     atomic.Pointer[keyring]
	limiter  steady
	present  presence
	mux      *http.ServeMux
	handler  http.Handler // mux, in Config.Middleware
	foreign  *http.CrossOriginProtection
	counters counters
	created  int64 // Unix time, as the models' date

	tickets chan struct{} // held by every request that runs or waits
	places  chan struct{} // held by every request that runs

	notReady atomic.Bool
	serving  atomic.Bool
	closing  chan struct{} // closed when no more requests are taken in

	cut      context.Context // ends when running requests must
	cutShort context.CancelFunc
	pages    context.Context // ends when the page's requests must
	endPages context.CancelFunc
}

// New checks cfg and makes a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	keys, err := newKeyring(cfg.Keys, cfg.Limits)
	if err != nil {
		return nil, fmt.Errorf("open a server: %w", err)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection(),
		created: time.Now().Unix(),
		tickets: make(chan struct{}, cfg.MaxRequests+cfg.MaxQueue), places: make(chan struct{}, cfg.MaxRequests),
		closing: make(chan struct{})}
	s.keys.Store(keys)
	s.limiter.shared, s.limiter.own = cfg.Limiter, newMemory()
	s.limiter.failed = func(err error) {
		s.counters.change(func(st *Stats) { st.LimiterErrors++ })
		cfg.Logger.Error("the shared limiter failed; limits are this process's own for a while", "error", err.Error(), "seconds", limiterRest.Seconds())
	}
	s.cut, s.cutShort = context.WithCancel(context.Background())
	s.pages, s.endPages = context.WithCancel(context.Background())
	s.mux.Handle("/v1/chat/completions", s.api(http.MethodPost, func(x *exchange) { x.ask(chat) }))
	s.mux.Handle("/v1/completions", s.api(http.MethodPost, func(x *exchange) { x.ask(completions) }))
	s.mux.Handle("/v1/models", s.api(http.MethodGet, (*exchange).models))
	s.mux.Handle("/v1/models/{id...}", s.api(http.MethodGet, (*exchange).modelByID))
	s.mux.Handle("/v1/", s.api("", func(x *exchange) { x.fail(noRoute(x.r)) }))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.plain(w, http.StatusOK, "ok\n") })
	s.mux.HandleFunc("GET /readyz", s.ready)
	if cfg.Metrics != nil {
		s.mux.Handle("GET /metrics", s.metrics())
	}
	s.mountPage()
	s.handler = s.mux
	if cfg.Middleware != nil {
		s.handler = cfg.Middleware(s.mux)
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// api makes a handler of a route under /v1/: keys and verbs are checked first.
func (s *Server) api(verb string, f func(*exchange)) http.Handler {
	return s.exchange(func(x *exchange) {
		if x.cors() {
			return
		}
		r, bad := s.guard(x.r)
		if bad != nil {
			x.fail(bad)
			return
		}
		x.r = r
		x.client = r.Context().Value(clientKey{}).(*client)
		if verb != "" && x.r.Method != verb && (verb != http.MethodGet || x.r.Method != http.MethodHead) {
			x.w.Header().Set("Allow", verb)
			x.fail(&apiError{Status: http.StatusMethodNotAllowed, Reason: BadRequest, Type: typeInvalid, Code: "method_not_allowed",
				Message: fmt.Sprintf("%s does not take %s; use %s", x.r.URL.Path, x.r.Method, verb)})
			return
		}
		f(x)
	})
}

func noRoute(r *http.Request) *apiError {
	return &apiError{Status: http.StatusNotFound, Reason: BadRequest, Type: typeInvalid, Code: "unknown_url",
		Message: fmt.Sprintf("there is no route %.100q here; there are /v1/chat/completions, /v1/completions and /v1/models", r.URL.Path)}
}

// plain answers the routes that are not the API.
func (s *Server) plain(w http.ResponseWriter, status int, text string) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write([]byte(text))
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.notReady.Load() {
		s.plain(w, http.StatusServiceUnavailable, "ending\n")
		return
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			s.plain(w, http.StatusServiceUnavailable, "not ready: "+oneLine(err.Error())+"\n")
			return
		}
	}
	s.plain(w, http.StatusOK, "ready\n")
}

const hint = `This is orrery: an OpenAI-compatible API that makes a reasoning model think
with fewer tokens.

    curl $THIS/v1/models
    curl $THIS/v1/chat/completions -d '{
      "model": "MODEL@deepconf-high",
      "messages": [{"role": "user", "content": "How many primes are below 100?"}]
    }'

MODEL alone answers with a single trace; the models' list names the others.
`

func (s *Server) draining() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Serve answers requests that come over l until ctx ends, and then drains:
// /readyz says no; after Config.Notice no more requests are taken in, and those
// that wait are refused; running ones have Config.Drain to finish; what still
// runs then is cut short and answers with what it has. It returns nil when the
// last request has ended, and an error if l fails or a request cannot be ended.
// It can be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.serving.CompareAndSwap(false, true) {
		return errors.New("serve: this server has served already; make another")
	}
	hs := &http.Server{
		Handler: s, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		// Of headers and of bodies that no handler reads; one that does sets its own.
		ReadTimeout: s.cfg.ReadTimeout,
		ErrorLog:    slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug), // clients' broken connections
	}
	address := l.Addr()
	if s.cfg.TLS != nil {
		t := s.cfg.TLS.Clone()
		t.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, t)
		// A stream that a client opens is memory: fewer than net/http's 250.
		hs.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 128, SendPingTimeout: s.cfg.WriteTimeout, PingTimeout: s.cfg.WriteTimeout, WriteByteTimeout: s.cfg.WriteTimeout}
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	var cause error
	select {
	case err := <-failed:
		cause = fmt.Errorf("serve on %s: the listener failed: %w", address, err)
		failed <- nil // for the receive below
	case <-ctx.Done():
		s.notReady.Store(true)
		s.cfg.Logger.Info("ending", "notice", s.cfg.Notice, "drain", s.cfg.Drain)
		select {
		case <-time.After(s.cfg.Notice):
		case err := <-failed:
			failed <- err
		}
	}
	s.notReady.Store(true)
	close(s.closing)
	err := s.drain(hs)
	<-failed
	return errors.Join(cause, err)
}

// drain ends what runs: gently, then firmly. Requests that this process asked
// itself have no connection that [http.Server.Shutdown] could wait for; they are
// waited for here. The page's event streams end after the last of them.
func (s *Server) drain(hs *http.Server) error {
	gentle, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	defer s.cutShort()
	defer s.endPages()
	if s.cfg.Drain > 0 && s.shutdown(gentle, hs) {
		return nil
	}
	s.cfg.Logger.Warn("cutting requests short", "open", s.Stats().Open)
	s.cutShort()
	firm, cancel := context.WithTimeout(context.Background(), cutGrace)
	defer cancel()
	if s.shutdown(firm, hs) {
		return nil
	}
	hs.Close()
	select {
	case <-s.counters.whenIdle():
		return nil
	case <-time.After(cutGrace):
		return fmt.Errorf("serve: %d requests did not end within %v of being cut; the generator does not obey its context", s.Stats().Open, 2*cutGrace)
	}
}

// shutdown waits until nothing runs, and reports whether that was before ctx ended.
func (s *Server) shutdown(ctx context.Context, hs *http.Server) bool {
	closed := make(chan error, 1)
	go func() { closed <- hs.Shutdown(ctx) }() // no more connections from here on
	select {
	case <-s.counters.whenIdle():
		s.endPages()
	case <-ctx.Done():
	}
	return <-closed == nil && s.Stats().Open == 0
}

// models answers GET /v1/models: the plain name and one for each method that
// suits the model.
func (x *exchange) models() {
	type list struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}
	out := list{Object: "list", Data: []model{}}
	for _, id := range x.s.modelNames(x.client) {
		out.Data = append(out.Data, x.s.model(id))
	}
	if x.json(http.StatusOK, out) {
		x.end(Completed)
	}
}

// modelByID answers GET /v1/models/{id}.
func (x *exchange) modelByID() {
	name, method, err := x.s.resolveModel(x.r.PathValue("id"))
	if err != nil {
		x.fail(err)
		return
	}
	if method != "" {
		name += "@" + method
	}
	if x.json(http.StatusOK, x.s.model(name)) {
		x.end(Completed)
	}
}

// model is OpenAI's model object, with what the method does.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	Method  string `json:"method"`
	About   string `json:"about"`
}

func (s *Server) model(id string) model {
	_, method, _ := s.resolveModel(id)
	if method == "" {
		method = plainMethod
	}
	m := model{ID: id, Object: "model", Created: s.created, OwnedBy: "orrery", Method: method}
	if found, err := reason.Lookup(method); err == nil {
		m.About = found.About()
	}
	return m
}

// modelNames are those that a client may ask for.
func (s *Server) modelNames(c *client) []string {
	base := s.cfg.Generator.Info().Model
	var names []string
	if c.allows(plainMethod) {
		names = append(names, base)
	}
	for _, method := range s.Methods() {
		if c.allows(method) {
			names = append(names, base+"@"+method)
		}
	}
	return names
}

// Methods are those that suit the model.
func (s *Server) Methods() []string {
	return slices.DeleteFunc(reason.Names(), func(name string) bool {
		m, err := reason.Lookup(name)
		return err != nil || m.Suits(s.cfg.Generator.Info(), reason.Params{}) != nil
	})
}
