package cli

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/spf13/pflag"

	"orrery/internal/server"
	"orrery/internal/tracing"
)

func init() {
	servePart(func(a *app) part {
		a.traces = &tracingPart{app: a}
		return a.traces
	})
}

// tracingPart sends spans to an OpenTelemetry collector, if the environment
// names one.
type tracingPart struct {
	*app
	once   sync.Once
	t      *tracing.Tracing // nil: off
	failed error

	mu  sync.Mutex
	log func(error) // of spans that could not be sent; nil: see lost
	say sync.Once
}

func (p *tracingPart) flags(*pflag.FlagSet) {}
func (p *tracingPart) check() error         { return nil }

// begin sets tracing up, once: the upstreams' clients are made before parts are opened.
func (p *tracingPart) begin(ctx context.Context) error {
	p.once.Do(func() {
		p.t, p.failed = tracing.Open(ctx, p.lost)
		if p.failed != nil {
			p.failed = usageError{p.failed}
		}
	})
	return p.failed
}

// lost is told of spans that could not be sent. Whoever has no log to look into is
// told once.
func (p *tracingPart) lost(err error) {
	p.mu.Lock()
	log := p.log
	p.mu.Unlock()
	if log != nil {
		log(err)
		return
	}
	p.say.Do(func() {
		fmt.Fprintf(p.err, "warning: spans are lost: %s: see to the collector; --log says it each time\n", oneLine(err.Error()))
	})
}

// transport wraps what carries requests to upstreams; nil: it is left alone.
func (p *tracingPart) transport() func(http.RoundTripper) http.RoundTripper {
	if p.t == nil {
		return nil
	}
	return p.t.Transport
}

func (p *tracingPart) open(ctx context.Context, cfg *server.Config) error {
	if err := p.begin(ctx); err != nil || p.t == nil {
		return err
	}
	if logger := cfg.Logger; logger != nil {
		p.mu.Lock()
		p.log = func(err error) { logger.Warn("spans are lost", "error", err.Error()) }
		p.mu.Unlock()
	}
	cfg.Observers = append(cfg.Observers, p.t)
	cfg.Middleware = p.t.Middleware
	return nil
}

func (p *tracingPart) start(*server.Server) error { return nil }

func (p *tracingPart) close() {
	if p.t == nil {
		return
	}
	if err := p.t.Close(); err != nil {
		p.lost(err)
	}
}
