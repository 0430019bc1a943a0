package upstream

import (
	"math/rand/v2"
	"time"
)

// circuit decides whether a server is asked, by what became of what it was asked
// before. It has no clock and no lock of its own.
//
//	closed --[threshold failures in a row]--> open --[the wait is over]--> half-open
//	half-open --[one probe: good]--> closed;  --[bad]--> open, twice as long
type circuit struct {
	failures int       // in a row
	openings int       // since the last trace that was good; doubles the wait
	open     bool      // not asked before until
	until    time.Time // then one may probe
	probing  bool      // one does
}

// Waits of an open circuit: doubled from circuitBase to circuitCap, of which the
// second half is jitter, so that replicas do not probe together.
const (
	circuitThreshold = 3
	circuitBase      = time.Second
	circuitCap       = 30 * time.Second
)

// allows reports whether the server may be asked now, and whether that is the
// probe of a half-open circuit.
func (c *circuit) allows(now time.Time) (ok, probe bool) {
	if !c.open {
		return true, false
	}
	ok = !c.probing && !now.Before(c.until)
	return ok, ok
}

// good notes a trace that the server made, or an answer to it that only a
// server that works gives.
func (c *circuit) good() { *c = circuit{} }

// answered notes a health check that went well: it closes a half-open circuit,
// but one more failure of a trace opens it again, for longer than before.
func (c *circuit) answered(now time.Time) {
	c.probing = false
	if c.open && !now.Before(c.until) {
		c.open, c.failures = false, circuitThreshold-1
	}
}

// bad notes a failure.
func (c *circuit) bad(now time.Time, rng *rand.Rand) {
	c.failures++
	if c.failures < circuitThreshold && !c.open || c.open && !c.probing && now.Before(c.until) {
		return // not yet, or of a trace that began before it opened
	}
	wait := min(circuitBase<<min(c.openings, 10), circuitCap)
	c.openings++
	c.open, c.probing = true, false
	c.until = now.Add(wait/2 + time.Duration(rng.Int64N(int64(wait/2)+1)))
}

// state is its name for people and programs.
func (c *circuit) state(now time.Time) string {
	switch {
	case !c.open:
		return "closed"
	case c.probing || !now.Before(c.until):
		return "half_open"
	}
	return "open"
}
