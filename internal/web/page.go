package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery/internal/server"
	"orrery/record"
	"orrery/think/llm"
	"orrery/think/reason"
)

// Config sets a Page up.
type Config struct {
	Model    llm.Generator // whose Info is shown
	Defaults reason.Params // of the server: what the form's empty fields mean
	Version  string

	MaxBytes int // of texts, groups and tokens kept of all requests. 0: 256 MiB
	MaxAsks  int // requests kept. 0: 200
}

const (
	defaultBytes = 256 << 20
	defaultAsks  = 200
)

// Page is the page: a handler for everything that is not the API for programs, and the
// observer through which it sees requests. It is safe for concurrent use.
type Page struct {
	cfg     Config
	hub     *hub
	mux     *http.ServeMux
	foreign *http.CrossOriginProtection
	places  places        // held by event streams
	replays chan struct{} // held by every replay
	bytes   atomic.Int64  // kept of all requests
	store   atomic.Pointer[record.Store]

	api        http.Handler                     // the server's
	openFolder func(dir string) (folder, error) // of a run

	running sync.WaitGroup // requests of the page
	ctx     context.Context
	cancel  context.CancelFunc
	closed  chan struct{}
	once    sync.Once

	mu    sync.Mutex
	shows map[string]*show
	order []string // of asking

	tickets map[string]ticket // of reports
	reading map[string]bool   // runs whose folders are being read
}

var _ server.Observer = (*Page)(nil)

// New makes a Page. Use must be called before it serves.
func New(cfg Config) *Page {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultBytes
	}
	if cfg.MaxAsks == 0 {
		cfg.MaxAsks = defaultAsks
	}
	p := &Page{cfg: cfg, openFolder: openFolder, reading: map[string]bool{}, mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection(),
		replays: make(chan struct{}, mostReplays), closed: make(chan struct{}), shows: map[string]*show{}, tickets: map[string]ticket{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.hub = newHub(p.ctx)
	p.mux.HandleFunc("GET /api/events", p.streams)
	p.mux.HandleFunc("GET /api/about", p.about)
	p.mux.HandleFunc("POST /api/asks", p.ask)
	p.mux.HandleFunc("POST /api/asks/{id}/stop", p.stopAsk)
	p.mux.HandleFunc("GET /api/asks/{id}/tokens", p.tokens)
	p.mux.HandleFunc("GET /api/history", p.history)
	p.mux.HandleFunc("GET /api/history/{id}", p.pastRequest)
	p.mux.HandleFunc("GET /api/history/{id}/traces/{n}", p.pastTraceText)
	p.mux.HandleFunc("GET /api/history/{id}/tokens", p.pastTokens)
	p.mux.HandleFunc("POST /api/history/{id}/replay", p.replay)
	p.mux.HandleFunc("GET /api/runs", operator(p.runs))
	p.mux.HandleFunc("GET /api/runs/{id}", operator(p.run))
	p.mux.HandleFunc("GET /api/runs/{id}/weights/{epoch}", operator(p.weights))
	p.mux.HandleFunc("POST /api/runs/{id}/report", operator(p.openReport))
	p.mux.HandleFunc("GET /report/{ticket}", p.report)
	p.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is no such thing under /api/; docs/page.md lists what there is")
	})
	p.mux.Handle("/", files())
	return p
}

// Use gives the page the server's handler, through which its own questions go.
func (p *Page) Use(api http.Handler) { p.api = api }

// Close ends the page's event streams and requests. It waits for none of them.
func (p *Page) Close() {
	p.once.Do(func() {
		p.cancel()
		close(p.closed)
	})
}

// Wait waits until the page's own requests have ended. Close comes first.
func (p *Page) Wait() { p.running.Wait() }

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if err := p.foreign.Check(r); err != nil {
		fail(w, http.StatusForbidden, "the request comes from a page of another origin, which may not use this one")
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readerTime))
	p.mux.ServeHTTP(w, r)
}

// secure sets what every reply says. The page runs its own modules and style sheets
// and nothing else; it talks to its own server alone and may not be framed.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
		"frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
}

// Asked implements [server.Observer].
func (p *Page) Asked(a server.Asked) server.Watch {
	p.mu.Lock()
	s := p.shows[a.ID]
	if s == nil { // asked by a program
		s = p.add(a.ID, a.Client)
	}
	p.mu.Unlock()
	s.mu.Lock()
	h := &s.head
	h.Time, h.Model, h.Method, h.Params, h.State = a.Time, a.Model, a.Method, a.Params, stateRunning
	if !h.Mine { // else it is there as it was typed
		h.Question = clip(asText(a.Question), textShown)
	}
	s.headRev++
	s.running = true
	if s.accepted != nil {
		close(s.accepted)
		s.accepted = nil
	}
	s.mu.Unlock()
	s.touch()
	return s
}

// asText is a question as it is shown: the last turn alone of a simple one.
func asText(q reason.Question) string {
	if len(q.Messages) == 1 {
		return q.Messages[0].Content
	}
	text := q.Prompt
	for _, m := range q.Messages {
		text += m.Role + ": " + m.Content + "\n\n"
	}
	return text
}

// add makes the show of a request. The lock is held.
func (p *Page) add(id, client string) *show {
	s := &show{p: p, id: id, client: client, head: head{ID: id, Time: time.Now(), State: stateWaiting}}
	p.shows[id] = s
	p.order = append(p.order, id)
	return s
}

// find is the show of a request, or nil.
func (p *Page) find(id string) *show {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shows[id]
}

// keep counts n bytes as kept and reports whether there is room for them.
func (p *Page) keep(n int) bool {
	if p.bytes.Add(int64(n)) > int64(p.cfg.MaxBytes) && n > 0 {
		p.bytes.Add(int64(-n))
		return false
	}
	return true
}

// evict forgets the oldest requests that have ended until half the room is free for
// those that run.
func (p *Page) evict() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.order) && (len(p.order) > p.cfg.MaxAsks || p.bytes.Load() > int64(p.cfg.MaxBytes)/2); {
		s := p.shows[p.order[i]]
		s.mu.Lock()
		ended := s.head.Ended != nil || s.head.State == stateFailed
		if ended {
			s.release()
		}
		s.mu.Unlock()
		if !ended {
			i++
			continue
		}
		delete(p.shows, s.id)
		p.order = slices.Delete(p.order, i, i+1)
		s.touch()
	}
}

// method is a way to think, for the form.
type method struct {
	Name  string   `json:"name"`
	About string   `json:"about"`
	Uses  []string `json:"uses"`
	One   bool     `json:"one"` // a single trace
}

// about answers GET /api/about: what can be asked here.
func (p *Page) about(w http.ResponseWriter, r *http.Request) {
	info := p.cfg.Model.Info()
	methods := []method{}
	for _, name := range reason.Names() {
		m, err := reason.Lookup(name)
		if err != nil || m.Suits(info, reason.Params{}) != nil {
			continue
		}
		methods = append(methods, method{name, m.About(), m.Uses(), reason.OneTrace(m)})
	}
	reply(w, http.StatusOK, map[string]any{
		"model": info.Model, "backend": info.Backend, "top_logprobs": info.TopLogprobs, "latent": info.Latent, "version": p.cfg.Version,
		"methods": methods, "defaults": p.cfg.Defaults, "boxed": boxed(info), "measures": info.Backend == "builtin" || info.TopLogprobs > 0,
		"recorded": p.store.Load() != nil, "sees_all": viewerOf(r.Context()).all, "preset": map[string]any{"budget": reason.DefaultBudget, "warmup": reason.DefaultWarmup, "tau": reason.DefaultTau, "min_votes": reason.DefaultMinVotes,
			"temperature": reason.DefaultTemperature, "top_p": reason.DefaultTopP, "max_tokens": reason.DefaultMaxTokens},
	})
}

// boxed says whether a model has to be asked for the form that answers are found in.
func boxed(info llm.Info) bool { return info.Backend != "builtin" && info.Latent == nil }

// reply sends v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the reply could not be written as JSON: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// fail sends an error in the shape of the API's.
func fail(w http.ResponseWriter, status int, message string) { server.Fail(w, status, "", message) }
