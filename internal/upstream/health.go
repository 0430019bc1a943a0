package upstream

import (
	"context"
	"time"
)

// watch asks a server now and then whether it works, until ctx ends. While its
// circuit is open it is asked when a probe is due.
func (p *Pool) watch(ctx context.Context, m *member) {
	if m.Check == nil {
		return
	}
	for {
		t := time.NewTimer(p.pause(m))
		select {
		case <-t.C:
		case <-m.recheck: // there is another time to wait for
			t.Stop()
			continue
		case <-ctx.Done():
			t.Stop()
			return
		}
		p.check(ctx, m)
	}
}

// pause is how long to wait before the next check of a server: jittered, so that
// replicas do not all check at once.
func (p *Pool) pause(m *member) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch now := time.Now(); {
	case m.circuit.open && m.circuit.until.After(now):
		return m.circuit.until.Sub(now)
	case m.circuit.open || m.Unchecked || m.circuit.failures > 0:
		return circuitBase // soon: it matters what comes of it
	}
	d := p.cfg.CheckInterval
	return d - d/10 + time.Duration(p.rng.Int64N(int64(d/5)+1))
}

// check asks a server once.
func (p *Pool) check(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.CheckTimeout)
	defer cancel()
	err := m.Check(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.tell(m)
	now := time.Now()
	if err == nil {
		m.Unchecked = false
		m.circuit.answered(now)
		if !m.circuit.open {
			m.last = ""
		}
		return
	}
	if context.Cause(ctx) == context.Canceled {
		return // the pool closes
	}
	m.last = brief(err)
	m.circuit.bad(now, p.rng)
}
