package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"orrery/internal/upstream"
	"orrery/think/llm"
)

// openGenerator opens what makes the traces. Servers become a pool, also a
// single one: /readyz then says whether it works.
func (sv *serving) openGenerator(ctx context.Context) (llm.Generator, io.Closer, error) {
	if sv.src.upstream == "" {
		return sv.src.open(ctx)
	}
	servers, err := sv.src.pooled()
	if err != nil {
		return nil, nil, err
	}
	if err := sv.traces.begin(ctx); err != nil {
		return nil, nil, err
	}
	for i := range servers {
		servers[i].Wrap = sv.traces.transport()
	}
	p, clients, unreached, err := upstream.OpenPool(ctx, upstream.PoolConfig{Changed: sv.upstreamChanged}, servers...)
	if err != nil {
		return nil, nil, err
	}
	for _, err := range unreached {
		fmt.Fprintf(sv.err, "warning: %s; it joins when it can be reached\n", oneLine(err.Error()))
	}
	if err := sv.measure(ctx, clients); err != nil {
		p.Close()
		return nil, nil, err
	}
	sv.cfg.Ready = p.Ready
	return p, p, nil
}

// upstreamChanged logs that an upstream is down, or back.
func (sv *serving) upstreamChanged(name string, healthy bool, why string) {
	switch log := sv.logger.Load(); {
	case log == nil:
	case healthy:
		log.Info("upstream is back", "upstream", name)
	default:
		log.Warn("upstream is down", "upstream", name, "error", why)
	}
}

// pooled are the servers' configurations.
func (s *source) pooled() ([]upstream.Server, error) {
	base, err := s.config()
	if err != nil {
		return nil, err
	}
	out := s.servers
	if out == nil {
		for _, url := range s.upstreams {
			out = append(out, upstream.Server{Config: upstream.Config{URL: url}})
		}
	}
	for i := range out {
		c := &out[i].Config
		key := base.APIKey
		if c.APIKey != "" {
			key = c.APIKey
		}
		if c.MaxParallel == 0 {
			c.MaxParallel = base.MaxParallel
		}
		c.Model, c.Dialect, c.APIKey = base.Model, base.Dialect, key
	}
	return out, nil
}

// measure finds out what each server that is there can do, so that requests know
// its k and basis. Of several servers one must be measured.
func (sv *serving) measure(ctx context.Context, clients []*upstream.Client) error {
	reports, errs := make([]*upstream.Report, len(clients)), make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		if c.Info().Model == "" {
			continue // not reached
		}
		wg.Go(func() { reports[i], errs[i] = c.Check(ctx) })
	}
	wg.Wait()
	measured := 0
	var bad error
	for i, err := range errs {
		e, ok := errors.AsType[*llm.Error](err)
		if err != nil && (!ok || e.Kind != llm.LogprobsUnsupported && e.Kind != llm.NoTopLogprobs) {
			bad = err
			if len(clients) > 1 && ctx.Err() == nil {
				fmt.Fprintf(sv.err, "warning: what an upstream can do could not be measured: %s\n", oneLine(err.Error()))
			}
			continue
		}
		// Without log-probabilities single and majority still work; DeepConf says so itself.
		r := reports[i]
		if r == nil {
			continue
		}
		measured++
		if !sv.quiet && r.DeepConf.Level != upstream.Exact {
			fmt.Fprintf(sv.err, "DeepConf on %s: %s\n", oneLine(r.URL), oneLine(r.DeepConf.String()))
		}
	}
	if measured == 0 {
		return bad
	}
	return nil
}
