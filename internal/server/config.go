package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"orrery/think/llm"
	"orrery/think/reason"
)

// Config sets a Server up. Only Generator is needed; each other field's zero
// value is a sound choice, named beside it.
type Config struct {
	// Generator makes the traces of every request.
	Generator llm.Generator
	// Ready says why /readyz should say no, such as that no upstream works. nil:
	// it says yes until the server ends.
	Ready func() error
	// Defaults are the parameters of requests that say nothing. Fields that a
	// request's method does not use are left out for it, and so are those that
	// contradict what the request does say. A zero field is the method's own
	// default, except for Seed: a request without one gets a random one.
	Defaults reason.Params

	// Keys are the API keys, any of which opens the routes under /v1/ and /api/.
	// None: whoever can connect may ask. See also [Server.SetKeys].
	Keys []Key
	// Limits are those of keys that say nothing, and, where no keys are needed,
	// of all clients together. Zero fields: no limit.
	Limits Limits
	// Limiter decides on requests and tokens a minute, so that several servers
	// can share them. nil, or while it fails: this process by itself.
	Limiter Limiter

	// Page answers / and /api/: the web page and what it asks. What is under
	// /api/ needs a key as /v1/ does; the rest, which is files, does not. Each
	// piece of its replies has WriteTimeout to be taken, and the contexts of its
	// requests end when the server does. A request that it makes of this Server
	// itself is let in if its context is, or comes from, one of a request under
	// /api/ (see [context.WithoutCancel]). nil: / is a hint.
	Page http.Handler
	// Metrics answers GET /metrics, for those with a key if keys are needed. nil:
	// there is no such route.
	Metrics http.Handler
	// Middleware is put around all routes. nil: nothing is.
	Middleware func(http.Handler) http.Handler
	// Hosts are the names, in lower case, that requests may call this server by
	// in their Host header, besides addresses: what keeps web pages from
	// reaching a server that needs no key by pointing a name of theirs at it.
	// None: any name.
	Hosts []string

	// Origins are web origins, such as "https://example.org", whose pages may use
	// the API from their visitors' browsers (CORS), with a key in a header; "*": any.
	// None: only this server's own page may. AnyOriginWithKeys allows * where keys
	// are needed.
	Origins           []string
	AnyOriginWithKeys bool

	// Proxies are the addresses of proxies, whose X-Forwarded-For is believed when
	// the log names a client's address. None: the header is not looked at.
	Proxies []netip.Prefix
	// TLS encrypts connections, and offers HTTP/2 on them. nil: neither.
	TLS *tls.Config

	MaxBody     int64 // bytes of a request's body. 0: 1 MiB
	MaxRequests int   // requests that run at once. 0: 64
	MaxQueue    int   // requests that wait for a place; more are refused. 0: four times MaxRequests; negative: none wait
	MaxTokens   int   // tokens of one request, all its traces together. 0: 1,048,576, what a default request can use at most; negative: no limit
	MaxBudget   int   // traces of one request. 0: 512, the paper's largest; negative: no limit

	ReadTimeout  time.Duration // for a request's headers, and again for its body. 0: 30 s
	WriteTimeout time.Duration // for a client to take the next 32 KiB or less of its reply. 0: 30 s
	Heartbeat    time.Duration // of silence in a stream before a comment is sent, so that proxies keep it open. 0: 15 s

	// Notice is how long a server that is told to end goes on accepting
	// requests after /readyz has begun to say no, so that a load balancer can
	// notice. 0: not at all.
	Notice time.Duration
	// Drain is how long running requests may then take to finish. When it is
	// over they are cut short and answer with what they have. 0: 30 s;
	// negative: at once.
	Drain time.Duration

	// Observers are told of requests as they think.
	Observers []Observer

	// Logger gets one line a request: never a prompt, an answer or a key.
	// nil: none.
	Logger *slog.Logger
}

// Defaults of Config.
const (
	defaultMaxBody     = 1 << 20
	defaultMaxRequests = 64
	defaultMaxTokens   = reason.DefaultBudget * reason.DefaultMaxTokens
	defaultMaxBudget   = 512
	defaultTimeout     = 30 * time.Second
	defaultHeartbeat   = 15 * time.Second

	// cutGrace is what requests get to write their last words in after they
	// were cut short, and again to notice that their connection is closed.
	cutGrace = 5 * time.Second
)

// resolved checks c and fills its defaults in. Limits that are off are 0 in
// what it returns.
func (c Config) resolved() (Config, error) {
	if c.Generator == nil {
		return c, errors.New("open a server: it has no generator to make traces with; give it a model or an upstream")
	}
	if err := c.Defaults.Validate(); err != nil {
		return c, fmt.Errorf("open a server: its default parameters are wrong: %w", err)
	}
	if err := c.origins(); err != nil {
		return c, err
	}
	defaults(&c.MaxBody, defaultMaxBody)
	defaults(&c.MaxRequests, defaultMaxRequests)
	if c.MaxRequests < 0 || c.MaxBody < 0 {
		return c, fmt.Errorf("open a server: limits of %d requests and %d bytes let nothing in; give positive ones, or 0 for the defaults", c.MaxRequests, c.MaxBody)
	}
	defaults(&c.MaxQueue, 4*c.MaxRequests)
	defaults(&c.MaxTokens, defaultMaxTokens)
	defaults(&c.MaxBudget, defaultMaxBudget)
	c.MaxQueue, c.MaxTokens, c.MaxBudget = max(0, c.MaxQueue), max(0, c.MaxTokens), max(0, c.MaxBudget)
	for _, d := range []*time.Duration{&c.ReadTimeout, &c.WriteTimeout, &c.Drain} {
		defaults(d, defaultTimeout)
	}
	defaults(&c.Heartbeat, defaultHeartbeat)
	if c.ReadTimeout < 0 || c.WriteTimeout < 0 || c.Heartbeat < 0 || c.Notice < 0 {
		return c, errors.New("open a server: a timeout is negative; give a positive one, or 0 for the default")
	}
	c.Drain = max(0, c.Drain)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func defaults[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
