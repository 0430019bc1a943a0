package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limits are what one API key may use. 0: see Key; negative: no limit.
type Limits struct {
	Requests   int // a minute; as many may come at once after a minute's rest
	Tokens     int // a minute, prompts included
	Concurrent int // requests that run or wait at once, at this process
	Budget     int // traces of one request
}

// mostPerMinute keeps a unit's share of a minute well above a nanosecond.
const mostPerMinute = 100_000_000

func (l Limits) check() error {
	if max(l.Requests, l.Tokens, l.Concurrent, l.Budget) > mostPerMinute {
		return fmt.Errorf("a limit of more than %d is none; leave it out", mostPerMinute)
	}
	return nil
}

// or fills l's zero fields in.
func (l Limits) or(otherwise Limits) Limits {
	for _, f := range []struct {
		v *int
		d int
	}{{&l.Requests, otherwise.Requests}, {&l.Tokens, otherwise.Tokens}, {&l.Concurrent, otherwise.Concurrent}, {&l.Budget, otherwise.Budget}} {
		defaults(f.v, f.d)
	}
	return l
}

// Rate is a limit over time: Count units per Per, of which all may be used at
// once after a rest.
type Rate struct {
	Count int
	Per   time.Duration
}

// each is the time in which one unit comes back. Count is at most
// mostPerMinute, so that the rounding is less than 1 in 600.
func (r Rate) each() time.Duration { return r.Per / time.Duration(r.Count) }

// span is the time in which n units come back, or the longest there is.
func (r Rate) span(n int) time.Duration {
	each := r.each()
	if int64(n) > int64(math.MaxInt64/4)/max(1, int64(each)) {
		return math.MaxInt64 / 4
	}
	return time.Duration(n) * each
}

// Limiter decides by GCRA, the generic cell rate algorithm (ITU-T I.371): a key
// has one time, TAT, at which all that it has used will have come back. With T
// the time in which one unit does, a request of cost c makes it
//
//	TAT' = max(TAT, now) + c T
//
// and is let through if TAT' - now ≤ Count T. Only then is TAT' kept.
type Limiter interface {
	// Take uses cost units of key. If ok, wait is the time until all of them
	// have come back, TAT' - now; otherwise until this cost fits. A cost of 0
	// asks whether the key is in debt. A negative one uses -cost units in any
	// case, also beyond the limit: the debt of what is known only afterwards.
	Take(ctx context.Context, key string, cost int, r Rate) (ok bool, wait time.Duration, err error)
}

// memory is a Limiter of this process.
type memory struct {
	mu  sync.Mutex
	tat map[string]time.Time
}

func newMemory() *memory { return &memory{tat: map[string]time.Time{}} }

// Take implements [Limiter]. It cannot fail.
func (m *memory) Take(_ context.Context, key string, cost int, r Rate) (bool, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	tat := m.tat[key]
	if tat.Before(now) {
		tat = now
	}
	tat = tat.Add(r.span(max(cost, -cost)))
	wait := tat.Sub(now)
	if over := wait - r.span(r.Count); over > 0 && cost >= 0 {
		return false, over, nil
	}
	m.tat[key] = tat
	return true, wait, nil
}

// standing is what a client has left of one of its rates.
type standing struct {
	what      string // "requests" or "tokens"
	rate      Rate
	remaining int
	reset     time.Duration // until all of it is there again
}

// header writes OpenAI's rate limit headers.
func (st standing) header(h http.Header) {
	h.Set("X-Ratelimit-Limit-"+st.what, strconv.Itoa(st.rate.Count))
	h.Set("X-Ratelimit-Remaining-"+st.what, strconv.Itoa(st.remaining))
	h.Set("X-Ratelimit-Reset-"+st.what, st.reset.Round(time.Millisecond).String())
}

// take uses cost of a client's rate, and reports how it stands. refused is the
// time after which it would be let through; 0: it was.
func (s *Server) take(ctx context.Context, c *client, what string, cost, perMinute int) (st standing, refused time.Duration) {
	st = standing{what: what, rate: Rate{Count: perMinute, Per: time.Minute}}
	ok, wait := s.limiter.take(ctx, what+"/"+c.name, cost, st.rate)
	full := st.rate.span(perMinute)
	if !ok {
		refused = max(wait, time.Millisecond)
		wait += full - st.rate.span(cost)
	}
	st.reset = wait
	st.remaining = max(0, int((full-wait)/st.rate.each()))
	return st, refused
}

// allowance is what a client holds of its limits while its request is there.
type allowance struct {
	s      *Server
	client *client
	x      *exchange
	ended  bool
}

// allow lets a request in by its client's limits, or says why not. What it holds
// is given back by [allowance.end].
func (s *Server) allow(x *exchange, c *client) (*allowance, *apiError) {
	h, l := x.w.Header(), c.limits
	if l.Requests > 0 {
		st, wait := s.take(x.r.Context(), c, "requests", 1, l.Requests)
		st.header(h)
		if wait > 0 {
			return nil, c.overRate("requests", l.Requests, wait)
		}
	}
	if l.Tokens > 0 {
		st, wait := s.take(x.r.Context(), c, "tokens", 0, l.Tokens)
		st.header(h)
		if wait > 0 || st.remaining == 0 {
			return nil, c.overRate("tokens", l.Tokens, max(wait, st.rate.each()))
		}
	}
	if !s.present.enter(c) {
		return nil, &apiError{Status: http.StatusTooManyRequests, Reason: Rejected, Type: typeRateLimit, Code: "concurrency_limit",
			RetryAfter: s.counters.patience(s.cfg.MaxRequests),
			Message:    fmt.Sprintf("%s %d requests running or waiting, which is as many as may be; wait for one to end", c.has(), l.Concurrent)}
	}
	return &allowance{s: s, client: c, x: x}, nil
}

func (c *client) overRate(what string, perMinute int, wait time.Duration) *apiError {
	return &apiError{Status: http.StatusTooManyRequests, Reason: Rejected, Type: typeRateLimit, Code: "rate_limit_exceeded", RetryAfter: wait,
		Message: fmt.Sprintf("%s used the %d %s a minute that there are for it; try again in %v", c.has(), perMinute, what, max(wait.Round(time.Millisecond), time.Millisecond))}
}

// end gives back what is held, once: before the last words of a reply, so that a
// client that asks one thing after the other is never two.
func (a *allowance) end() {
	if !a.ended {
		a.ended = true
		a.s.present.leave(a.client)
	}
}

// charge books what a request has used. The next one waits if it is too much.
func (a *allowance) charge(tokens int) {
	if l := a.client.limits.Tokens; l > 0 && tokens > 0 {
		a.s.take(context.WithoutCancel(a.x.r.Context()), a.client, "tokens", -tokens, l)
	}
}

// has begins a sentence about the client.
func (c *client) has() string {
	if c.name == "" {
		return "the clients of this server, which needs no keys, have"
	}
	return "this API key has"
}

// presence counts each client's requests.
type presence struct {
	mu sync.Mutex
	n  map[string]int
}

func (p *presence) enter(c *client) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if most := c.limits.Concurrent; most > 0 && p.n[c.name] >= most {
		return false
	}
	if p.n == nil {
		p.n = map[string]int{}
	}
	p.n[c.name]++
	return true
}

func (p *presence) leave(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[c.name]--; p.n[c.name] == 0 {
		delete(p.n, c.name)
	}
}

// limiterTimeout is what a shared Limiter may take to decide; after it, or an
// error, it is left alone for limiterRest.
const (
	limiterTimeout = time.Second
	limiterRest    = 5 * time.Second
)

// steady is a Limiter that always decides: by the shared one, and while that
// fails by one of this process, so that a store that is gone neither stops all
// requests nor lifts their limits.
type steady struct {
	shared Limiter // nil: there is none
	own    *memory
	failed func(error) // told of each failure

	mu    sync.Mutex
	until time.Time // the shared one is left alone
}

func (l *steady) take(ctx context.Context, key string, cost int, r Rate) (bool, time.Duration) {
	if l.shared != nil && !l.resting() {
		ctx, cancel := context.WithTimeout(ctx, limiterTimeout)
		ok, wait, err := l.shared.Take(ctx, key, cost, r)
		cancel()
		if err == nil {
			return ok, wait
		}
		if !errors.Is(err, context.Canceled) { // a client that left says nothing about the limiter
			l.mu.Lock()
			l.until = time.Now().Add(limiterRest)
			l.mu.Unlock()
			l.failed(err)
		}
	}
	ok, wait, _ := l.own.Take(ctx, key, cost, r)
	return ok, wait
}

func (l *steady) resting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// permits checks what of a request the client's limits forbid at all.
func (c *client) permits(method string) *apiError {
	if c.allows(method) {
		return nil
	}
	return &apiError{Status: http.StatusForbidden, Reason: Unauthorized, Type: typeAuth, Param: "model", Code: "method_forbidden",
		Message: fmt.Sprintf("this API key may not use method %s; it may use %s", method, words(c.methods))}
}

func words(list []string) string {
	list = slices.Sorted(slices.Values(list))
	if len(list) == 0 {
		return "none"
	}
	out := list[0]
	for i, w := range list[1:] {
		if i == len(list)-2 {
			out += " and " + w
		} else {
			out += ", " + w
		}
	}
	return out
}
