package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// QueueOptions set a [Queue] up; the zero value is sound.
type QueueOptions struct {
	Bytes    int64         // that may wait to be written; what comes when it is full is dropped. 0: 64 MiB
	Patience time.Duration // how long a write is tried again while the store cannot be written. 0: 30 s
	Warn     func(string)  // told when writing begins to fail, and when it works again. nil: nobody
}

// Queue writes to a store from one goroutine of its own. Its methods never wait for
// the store, and never fail: what could not be written is counted, see [Queue.Stats].
type Queue struct {
	o     QueueOptions
	apply func(context.Context, []op) error

	mu      sync.Mutex
	waiting []op
	bytes   int64
	busy    bool // some are being written
	closed  bool
	wake    chan struct{} // there is something to do
	idle    chan struct{} // not nil: closed as soon as there is nothing

	stats Stats
	gone  map[string]string // runs whose beginning was dropped, and why: the rest of them is, too

	quit context.CancelFunc
	done chan struct{}
}

// Stats says what became of what was to be recorded.
type Stats struct {
	Runs, Traces Tally
	Why          map[string]int // of what was dropped, runs and traces: how often for which reason
	Waiting      int            // writes
	Failing      string         // why the last write failed; "": it did not
}

// Tally counts runs or traces. A run counts once, when it has ended: as recorded if
// its beginning and its end were written.
type Tally struct{ Recorded, Dropped int }

// op is one write.
type op struct {
	kind   opKind
	run    Run
	trace  Trace
	traces []Trace
	bytes  int64
	since  time.Time
}

type opKind uint8

const (
	opBegin opKind = iota
	opUpdate
	opPut
	opEnd // Decide and Update
)

func (o *op) id() string {
	if o.kind == opPut {
		return o.trace.Run
	}
	return o.run.ID
}

func (o *op) do(b *Batch) error {
	switch o.kind {
	case opBegin:
		return b.Begin(&o.run)
	case opPut:
		return b.Put(&o.trace)
	case opEnd:
		if err := b.Decide(o.traces); err != nil {
			return err
		}
	}
	return b.Update(&o.run)
}

// NewQueue starts a queue. Close it before the store.
func NewQueue(s *Store, o QueueOptions) *Queue {
	return newQueue(o, func(ctx context.Context, ops []op) error {
		return s.Write(ctx, func(b *Batch) error {
			for i := range ops {
				if err := ops[i].do(b); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newQueue(o QueueOptions, apply func(context.Context, []op) error) *Queue {
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	ctx, quit := context.WithCancel(context.Background())
	q := &Queue{o: o, apply: apply, wake: make(chan struct{}, 1), gone: map[string]string{}, quit: quit, done: make(chan struct{}),
		stats: Stats{Why: map[string]int{}}}
	go q.work(ctx)
	return q
}

// Begin, Put, Update and End are the store's, later and in order. A run needs its ID,
// State and times. What is given must not be changed afterwards.
func (q *Queue) Begin(r Run)  { q.add(op{kind: opBegin, run: r}) }
func (q *Queue) Update(r Run) { q.add(op{kind: opUpdate, run: r}) }
func (q *Queue) Put(t Trace)  { q.add(op{kind: opPut, trace: t}) }

// End writes down a run's end, with what was decided of its traces after they had
// ended. It is taken even if the queue is full: there is one for each beginning.
func (q *Queue) End(r Run, traces []Trace) { q.add(op{kind: opEnd, run: r, traces: traces}) }

func (q *Queue) add(o op) {
	o.since = time.Now()
	o.bytes = o.size()
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		q.drop(&o, "the record is closed")
		return
	case q.gone[o.id()] != "":
		q.drop(&o, unbegun+q.gone[o.id()])
		return
	case o.kind != opEnd && q.bytes+o.bytes > q.o.Bytes:
		q.drop(&o, "too much is waiting to be recorded")
		return
	}
	q.waiting, q.bytes = append(q.waiting, o), q.bytes+o.bytes
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// size is about what a write holds in memory.
func (o *op) size() int64 {
	text := func(s *string) int {
		if s == nil {
			return 0
		}
		return len(*s)
	}
	n := 1000 + len(o.run.Config) + len(o.run.Metrics) + len(o.run.Result) + len(o.run.Votes) + text(o.run.Question) + text(o.run.Answer)
	n += 300 * len(o.traces)
	for _, t := range o.traces {
		n += len(t.Detail)
	}
	t := &o.trace
	n += len(t.Detail) + len(t.Text) + len(t.Reasoning) + 8*len(t.Confidences) + 8*len(t.Logprobs)
	for _, top := range t.Top {
		n += 24 + 8*len(top)
	}
	for _, texts := range t.TopTexts {
		n += 24 + 16*len(texts) // the texts themselves are the tokenizer's, mostly
	}
	return int64(n)
}

// drop counts what will not be written. The lock is held.
func (q *Queue) drop(o *op, why string) {
	switch o.kind {
	case opBegin:
		q.gone[o.run.ID] = why // counted when it ends
		return
	case opUpdate:
		return // the next one says more
	case opPut:
		q.stats.Traces.Dropped++
	case opEnd:
		q.stats.Runs.Dropped++
		delete(q.gone, o.run.ID)
	}
	q.stats.Why[why]++
}

// wrote counts what was written. The lock is held.
func (q *Queue) wrote(o *op) {
	switch o.kind {
	case opPut:
		q.stats.Traces.Recorded++
	case opEnd:
		q.stats.Runs.Recorded++
	}
}

// work writes what waits until the queue is closed and empty.
func (q *Queue) work(ctx context.Context) {
	defer close(q.done)
	for {
		q.mu.Lock()
		ops, closed := q.waiting, q.closed
		ops = ops[:min(len(ops), 64)]
		q.busy = len(ops) > 0
		if !q.busy && q.idle != nil {
			close(q.idle)
			q.idle = nil
		}
		q.mu.Unlock()
		if len(ops) > 0 {
			q.writeAll(ctx, ops)
			q.mu.Lock()
			q.waiting = q.waiting[len(ops):]
			for i := range ops {
				q.bytes -= ops[i].bytes
				ops[i] = op{} // its memory is free although the slice is not
			}
			q.mu.Unlock()
			continue
		}
		if closed {
			return
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// writeAll writes some together, or, if one of them cannot be, each by itself.
func (q *Queue) writeAll(ctx context.Context, ops []op) {
	if q.try(ctx, ops) == nil {
		return
	}
	for i := range ops {
		q.mu.Lock()
		o, why := &ops[i], q.gone[ops[i].id()]
		if why != "" && o.kind != opBegin {
			q.drop(o, unbegun+why)
		}
		q.mu.Unlock()
		if why != "" {
			continue
		}
		for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
			err := q.try(ctx, ops[i:i+1])
			if err == nil {
				break
			}
			if e, ok := errors.AsType[*Error](err); ctx.Err() == nil && ok && e.Temporary() && time.Since(o.since) < q.o.Patience {
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
				continue
			}
			q.mu.Lock()
			q.drop(o, reason(err))
			q.mu.Unlock()
			break
		}
	}
}

// unbegun says of a part of a run that the run itself is not there, and is followed by
// the reason for that.
const unbegun = "its run's beginning was not recorded: "

// reason is why something was dropped, in few different words.
func reason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return "its run was deleted"
	case errors.Is(err, ErrExists):
		return ErrExists.Error()
	case errors.Is(err, context.Canceled):
		return "the record was closed before it could be written"
	}
	return err.Error()
}

// try writes some once, and says so when that begins or ceases to fail.
func (q *Queue) try(ctx context.Context, ops []op) error {
	// A server that takes a connection and says nothing must not hold the queue for ever.
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	err := q.apply(limited, ops)
	cancel()
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return err // the store is well
	}
	said := ""
	q.mu.Lock()
	if err == nil {
		for i := range ops {
			q.wrote(&ops[i])
		}
		if q.stats.Failing != "" {
			said = "recording works again, nothing was lost"
			if q.stats.Runs.Dropped+q.stats.Traces.Dropped > 0 {
				said = "recording works again: " + q.lost()
			}
		}
		q.stats.Failing = ""
	} else {
		if q.stats.Failing == "" {
			said = fmt.Sprintf("recording fails, requests go on: %v", err)
		}
		q.stats.Failing = reason(err)
	}
	q.mu.Unlock()
	if said != "" {
		q.o.Warn(said)
	}
	return err
}

// lost says what was dropped so far. The lock is held.
func (q *Queue) lost() string {
	return fmt.Sprintf("%d runs and %d traces were not recorded until now", q.stats.Runs.Dropped, q.stats.Traces.Dropped)
}

// Stats counts.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Why, s.Waiting = maps.Clone(s.Why), len(q.waiting)
	return s
}

// Flush waits until everything that was given before is written or dropped.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	if len(q.waiting) == 0 && !q.busy {
		q.mu.Unlock()
		return nil
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("writing the record: %w", ctx.Err())
	}
}

// Close writes what waits, until ctx ends, and drops the rest.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	select {
	case q.wake <- struct{}{}:
	default:
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		q.quit()
		<-q.done
	}
	q.quit()
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.stats.Runs.Dropped + q.stats.Traces.Dropped; n > 0 {
		return fmt.Errorf("the record: %s, because: %s", q.lost(), most(q.stats.Why))
	}
	return nil
}

// most is the most frequent reason, alphabetically the first of several.
func most(why map[string]int) string {
	best := ""
	for w, n := range why {
		if best == "" || n > why[best] || n == why[best] && w < best {
			best = w
		}
	}
	return best
}
