package server

import (
	"maps"
	"sync"
	"time"
)

// Reason says why a request ended. Each request under /v1/ ends in exactly
// one, written down where it was decided; what happens later does not change
// it. The names are stable: they appear in logs.
type Reason string

const (
	Completed       Reason = "completed"        // the whole reply was handed over
	Deadline        Reason = "deadline"         // its deadline passed; it answered with what it had
	Drained         Reason = "drained"          // the server ended; it answered with what it had
	ClientCancelled Reason = "client_cancelled" // the client left
	SlowReader      Reason = "slow_reader"      // the client did not take its reply in time
	UpstreamError   Reason = "upstream_error"   // the generator failed
	BadRequest      Reason = "bad_request"      // what was asked for makes no sense or does not exist
	Unauthorized    Reason = "unauthorized"     // no key, a wrong one, or a foreign web page
	Rejected        Reason = "rejected"         // the queue was full, or the server was ending
	ServerError     Reason = "server_error"     // a fault of our own
)

// Stats counts the requests under /v1/ since the server was made. Received is
// Open plus the sum over Ended.
type Stats struct {
	Received int
	Open     int // received and not ended; of these
	Waiting  int // wait for a place
	Running  int // have one
	Ended    map[Reason]int

	MaxWaiting, MaxRunning int // what there is room for
	LimiterErrors          int // failures of the shared Limiter
}

// counters are what Stats shows.
type counters struct {
	mu      sync.Mutex
	stats   Stats
	served  int           // requests that had a place
	seconds float64       // for which they had it, all together
	idle    chan struct{} // closed when Open falls to 0; nil: nobody waits for that
}

func (c *counters) change(f func(s *Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

func (c *counters) received() { c.change(func(s *Stats) { s.Received++; s.Open++ }) }

func (c *counters) ended(r Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats.Ended == nil {
		c.stats.Ended = map[Reason]int{}
	}
	c.stats.Ended[r]++
	if c.stats.Open--; c.stats.Open == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// released notes that a request gave its place back after d.
func (c *counters) released(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Running--
	c.served++
	c.seconds += d.Seconds()
}

// patience estimates when a place will be free for one more request: the work
// that is in front of it, at the mean time a request has taken so far.
func (c *counters) patience(places int) time.Duration {
	const least, most = time.Second, time.Minute
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served == 0 {
		return least
	}
	mean := c.seconds / float64(c.served)
	wait := time.Duration(mean * float64(c.stats.Waiting+1) / float64(places) * float64(time.Second))
	return min(max(wait, least), most)
}

// whenIdle is closed as soon as no request is open.
func (c *counters) whenIdle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats.Open == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	return c.idle
}

// Stats is a consistent copy of the counts.
func (s *Server) Stats() Stats {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	out := s.counters.stats
	out.Ended = maps.Clone(out.Ended)
	out.MaxWaiting, out.MaxRunning = s.cfg.MaxQueue, s.cfg.MaxRequests
	if out.Ended == nil {
		out.Ended = map[Reason]int{}
	}
	return out
}
