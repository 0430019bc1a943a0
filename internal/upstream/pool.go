package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"orrery/think/llm"
)

// Pool is a Generator over several servers of one model. A trace goes to the
// one with the least traces in flight for its weight; the traces of one
// [Pool.Group] stay with one server, whose prefix cache then has their prompt.
// A server that fails is left alone for a while (circuit.go), and asked now and
// then whether it is back (health.go). A trace of which nothing has been handed
// on yet goes to another server instead; one that has begun never does.
type Pool struct {
	cfg    PoolConfig
	cancel context.CancelFunc // of the health checks
	checks sync.WaitGroup

	mu      sync.Mutex
	rng     *rand.Rand
	members []*member
}

var (
	_ llm.Generator = (*Pool)(nil)
	_ llm.Renderer  = (*Pool)(nil)
	_ llm.Grouper   = (*Pool)(nil)
	_ io.Closer     = (*Pool)(nil)
)

// PoolConfig sets a Pool up. The zero value is a sound choice.
type PoolConfig struct {
	// Retries bounds the times that all servers are tried again after all have
	// failed a trace. 0: 3; negative: none. A single server's Client does its own.
	Retries int
	// CheckInterval is the time between health checks of a server. 0: 10 s.
	CheckInterval time.Duration
	// CheckTimeout is what a check may take. 0: 5 s.
	CheckTimeout time.Duration
	// Seed is of the jitter. 0: a random one.
	Seed uint64
	// Changed is told when a server begins to be left alone, and why, and when it
	// is back. It must not block or call the Pool. nil: nobody is.
	Changed func(name string, healthy bool, why string)
}

// Member is one server of a Pool.
type Member struct {
	// Name is how logs and metrics call it; each has its own.
	Name string
	// Weight is its share of the traces. 0: 1.
	Weight float64
	// Drained: it gets no request that has not begun there.
	Drained bool

	Generator llm.Generator
	// Check asks whether it works and has the model, without making a token.
	// nil: it is taken to.
	Check func(context.Context) error
	// Unchecked: it is not asked before a Check has gone well.
	Unchecked bool
	// Close is called when it has left the pool and its last trace has ended;
	// may be nil.
	Close func() error
}

// member is a Member with what the pool knows of it. The pool's lock guards it.
type member struct {
	Member
	circuit  circuit
	running  int // traces
	started  int
	failures int
	moved    int // traces that went elsewhere
	removed  bool
	last     string // error
	recheck  chan struct{}
	down     bool // as Changed was told
}

// NewPool makes a Pool and begins its health checks, which Close ends.
func NewPool(cfg PoolConfig, members ...Member) (*Pool, error) {
	cfg.Retries = max(0, or(cfg.Retries, 3))
	cfg.CheckInterval = or(cfg.CheckInterval, 10*time.Second)
	cfg.CheckTimeout = or(cfg.CheckTimeout, 5*time.Second)
	p := &Pool{cfg: cfg, rng: rand.New(rand.NewPCG(or(cfg.Seed, rand.Uint64()), 0))}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	names := map[string]bool{}
	for _, m := range members {
		switch {
		case m.Name == "" || m.Generator == nil:
			return nil, errors.New("open upstreams: one has no name or no generator")
		case names[m.Name]:
			return nil, fmt.Errorf("open upstreams: %s is named twice; drop one", m.Name)
		case m.Weight < 0 || !finite(m.Weight):
			return nil, fmt.Errorf("open upstreams: the weight of %s is %v; give one above 0, or drain it", m.Name, m.Weight)
		}
		names[m.Name] = true
		m.Weight = or(m.Weight, 1)
		p.members = append(p.members, &member{Member: m, recheck: make(chan struct{}, 1), down: m.Unchecked})
	}
	if len(p.members) == 0 {
		return nil, errors.New("open upstreams: there are none; name one")
	}
	for _, m := range p.members {
		p.checks.Go(func() { p.watch(ctx, m) })
	}
	return p, nil
}

// Close ends the health checks and frees idle connections. Streams in progress
// are not touched.
func (p *Pool) Close() error {
	p.cancel()
	p.checks.Wait()
	var errs []error
	for _, m := range p.members {
		if m.Close != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// Info implements [llm.Generator]: what holds for all servers. A request's
// traces are at one of them, so that they may be as many at once as the
// roomiest takes.
func (p *Pool) Info() llm.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.members[0].Generator.Info()
	for _, m := range p.members {
		info := m.Generator.Info()
		if m.Unchecked {
			continue // it says what it was told
		}
		out.Model, out.Backend = info.Model, info.Backend
		out.MaxParallel = max(out.MaxParallel, info.MaxParallel)
		switch {
		case out.Basis == llm.BasisUnknown:
			out.Basis = info.Basis
		case info.Basis != llm.BasisUnknown && info.Basis != out.Basis:
			out.Basis = llm.BasisUnknown
		}
		if info.TopLogprobs > 0 && (out.TopLogprobs == 0 || info.TopLogprobs < out.TopLogprobs) {
			out.TopLogprobs = info.TopLogprobs
		}
	}
	return out
}

// group is a Pool as one request sees it.
type group struct {
	p     *Pool
	bound *member // where its traces go; nil: not chosen yet. The pool's lock guards it.
}

// Group implements [llm.Grouper].
func (p *Pool) Group() llm.Generator { return &group{p: p} }

func (g *group) Info() llm.Info { return g.p.Info() }

func (g *group) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return g.p.generate(ctx, r, g)
}

func (g *group) Render(ctx context.Context, messages []llm.Message) (string, error) {
	return g.p.render(ctx, messages, g)
}

// Generate implements [llm.Generator]: a group of one trace.
func (p *Pool) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) { p.generate(ctx, r, &group{p: p})(yield) }
}

// Render implements [llm.Renderer].
func (p *Pool) Render(ctx context.Context, messages []llm.Message) (string, error) {
	return p.render(ctx, messages, &group{p: p})
}

func (p *Pool) render(ctx context.Context, messages []llm.Message, g *group) (string, error) {
	m := p.acquire(g, nil)
	if m == nil {
		return "", p.none(nil)
	}
	defer p.release(m, nil, false)
	r, ok := m.Generator.(llm.Renderer)
	if !ok {
		return "", &llm.Error{Kind: llm.BadRequest, Param: "messages", Words: "upstream " + m.Name + " does not show what its chat template makes of messages"}
	}
	return r.Render(ctx, messages)
}

// generate makes one trace of a group.
func (p *Pool) generate(ctx context.Context, r llm.Request, g *group) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		var tried []*member
		var last llm.End // of the attempt before
		var retries int
		last.Err = p.none(&r)
		last.Finish = llm.FinishError
		for round := 0; ; {
			m := p.acquire(g, tried)
			if m == nil {
				again := round < p.cfg.Retries && len(tried) > 0 && !p.alone() && passing(last.Err)
				if again && !sleep(ctx, backoff(r.Seed, round)) {
					last.Finish, last.Err = llm.FinishCancelled, nil
					again = false
				}
				if !again {
					yield(llm.Event{Kind: llm.KindEnd, End: last})
					return
				}
				round++
				tried = tried[:0]
				continue
			}
			a := attemptAt{p: p, m: m, retries: retries, queued: last.QueueSeconds}
			if a.run(ctx, r, yield) {
				return
			}
			last = a.end
			retries = last.Retries + 1 // if there is another attempt
			tried = append(tried, m)
		}
	}
}

// attemptAt is a trace at one server.
type attemptAt struct {
	p       *Pool
	m       *member
	retries int     // before it
	queued  float64 // seconds, before it

	begun bool    // something was handed on
	end   llm.End // if it may be tried elsewhere
}

// run hands the trace on, and reports whether that is the end of it. It is not
// if the server failed before there was anything to hand on.
func (a *attemptAt) run(ctx context.Context, r llm.Request, yield func(llm.Event) bool) (done bool) {
	var end *llm.End
	defer func() { a.p.release(a.m, end, a.begun) }() // also when the consumer panics
	for ev := range a.m.Generator.Generate(ctx, r) {
		switch ev.Kind {
		case llm.KindText, llm.KindToken, llm.KindThought:
			a.begun = true
		case llm.KindEnd:
			e := ev.End
			end = &e
			ev.End.Upstream = a.m.Name
			ev.End.Retries += a.retries
			ev.End.QueueSeconds += a.queued
			if !a.begun && ctx.Err() == nil && elsewhere(e.Err) {
				a.end = ev.End
				return false
			}
		}
		if !yield(ev) {
			return true
		}
	}
	return true
}

// kind is an error's, "" if it has none.
func kind(err error) llm.ErrorKind {
	e, ok := errors.AsType[*llm.Error](err)
	if !ok {
		return ""
	}
	return e.Kind
}

// brief is an error without a server's own words, which may quote a prompt.
func brief(err error) string {
	e, ok := errors.AsType[*llm.Error](err)
	switch {
	case !ok:
		return err.Error()
	case e.Status != 0:
		return fmt.Sprintf("%s: %s (status %d)", e.Route, e.Kind, e.Status)
	case e.Err != nil && (e.Kind == llm.Unreachable || e.Kind == llm.TLS):
		return fmt.Sprintf("%s: %s: %v", e.Route, e.Kind, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Route, e.Kind)
}

// elsewhere reports whether another server might make the trace that ended so.
func elsewhere(err error) bool { return kind(err) == llm.RateLimited || faulty(err) }

// faulty reports whether an error is a server's own, and not of what it was asked.
func faulty(err error) bool {
	switch kind(err) {
	case llm.Unreachable, llm.TLS, llm.Auth, llm.ModelNotFound, llm.Overloaded, llm.FirstTokenTimeout, llm.IdleTimeout,
		llm.StreamError, llm.StreamTruncated, llm.MalformedEvent, llm.NotStreaming:
		return true
	}
	return false
}

// passing reports whether waiting might help.
func passing(err error) bool {
	switch kind(err) {
	case llm.Unreachable, llm.Overloaded, llm.RateLimited, llm.StreamError, llm.StreamTruncated:
		return true
	}
	return false
}

// none is the error of a trace for which there is no server.
func (p *Pool) none(r *llm.Request) error {
	e := &llm.Error{Kind: llm.Unreachable, Words: "no upstream takes requests: all are drained or not checked yet", Remedy: "bring one back"}
	if r != nil {
		e.Label = r.Label
	}
	return e
}

// alone reports whether there is one server, which does its own retries.
func (p *Pool) alone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.members) == 1
}

// acquire chooses the server of a group's next trace, which must not be one of
// tried: its own if that works; else the least loaded that does; else, as
// nothing is lost by it, the one that has been left alone the longest. nil:
// there is none. The caller releases it.
func (p *Pool) acquire(g *group, tried []*member) *member {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	m := g.bound
	if m == nil || slices.Contains(tried, m) || !m.usable(now) {
		m = p.choose(now, tried)
	}
	if m == nil {
		return nil
	}
	if _, probe := m.circuit.allows(now); probe {
		m.circuit.probing = true
	}
	g.bound = m
	m.running++
	m.started++
	return m
}

func (m *member) usable(now time.Time) bool {
	ok, _ := m.circuit.allows(now)
	return ok && !m.Unchecked && !m.removed
}

func (p *Pool) choose(now time.Time, tried []*member) *member {
	var best, resting *member
	for _, m := range p.members {
		switch {
		case m.Drained || m.Unchecked || m.removed || slices.Contains(tried, m):
		case m.usable(now):
			if best == nil || m.before(best) {
				best = m
			}
		case resting == nil || m.circuit.until.Before(resting.circuit.until):
			resting = m
		}
	}
	if best == nil {
		return resting
	}
	return best
}

// before orders servers by traces in flight over weight; then by all that they
// were given over weight, so that idle ones take turns by weight.
func (m *member) before(o *member) bool {
	a, b := float64(m.running)/m.Weight, float64(o.running)/o.Weight
	if a != b {
		return a < b
	}
	return float64(m.started)/m.Weight < float64(o.started)/o.Weight
}

// release takes note of how a trace came out; nil: its consumer left first.
func (p *Pool) release(m *member, end *llm.End, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.running--
	defer p.tell(m)
	switch {
	case end != nil && faulty(end.Err):
		m.failures++
		m.last = brief(end.Err)
		m.circuit.bad(time.Now(), p.rng)
		select {
		case m.recheck <- struct{}{}: // its watcher has a new time to wait for
		default:
		}
		if !begun {
			m.moved++
		}
	case begun, end != nil && end.Finish != llm.FinishCancelled && kind(end.Err) != llm.RateLimited:
		m.circuit.good()
		m.last = ""
	default: // says nothing about the server
		m.circuit.probing = false
	}
}

// tell tells of a server that is down, or back. The lock is held.
func (p *Pool) tell(m *member) {
	if down := m.circuit.open || m.Unchecked; down != m.down {
		m.down = down
		if p.cfg.Changed != nil {
			p.cfg.Changed(m.Name, !down, m.last)
		}
	}
}

// Status is one server as the pool sees it.
type Status struct {
	Name     string
	Weight   float64
	Healthy  bool   // it is asked for new requests' traces
	Circuit  string // "closed", "open" or "half_open"
	Drained  bool
	Running  int // traces in flight
	Traces   int // begun there, ever
	Failures int // of those, by its own fault
	Moved    int // of those, before anything was handed on
	Error    string
}

// Status is that of each server, in the order of their configuration.
func (p *Pool) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var out []Status
	for _, m := range p.members {
		out = append(out, Status{Name: m.Name, Weight: m.Weight, Healthy: !m.circuit.open && !m.Unchecked && !m.Drained, Circuit: m.circuit.state(now),
			Drained: m.Drained, Running: m.running, Traces: m.started, Failures: m.failures, Moved: m.moved, Error: m.last})
	}
	return out
}

// errNotReady names no server: probes that ask for it have no key.
var errNotReady = errors.New("no upstream is healthy")

// Ready is nil while a server takes new requests. Changed and Status say why
// none does.
func (p *Pool) Ready() error {
	if slices.ContainsFunc(p.Status(), func(s Status) bool { return s.Healthy }) {
		return nil
	}
	return errNotReady
}

// SetDrained says which servers get no more requests; those that have begun there
// stay. A name that there is not is an error, and nothing is changed.
func (p *Pool) SetDrained(names ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if !slices.ContainsFunc(p.members, func(m *member) bool { return m.Name == name }) {
			return fmt.Errorf("drain upstreams: there is no %s", name)
		}
	}
	for _, m := range p.members {
		m.Drained = slices.Contains(names, m.Name)
	}
	return nil
}
