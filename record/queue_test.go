package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// disk is what a queue writes to, in a test: it can be broken.
type disk struct {
	mu      sync.Mutex
	broken  error
	hang    bool
	slow    time.Duration
	tries   int
	written []string
}

func (d *disk) apply(ctx context.Context, ops []op) error {
	d.mu.Lock()
	broken, hang, slow := d.broken, d.hang, d.slow
	d.tries++
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return &Error{Err: ctx.Err(), temp: true}
	}
	time.Sleep(slow)
	if broken != nil {
		return broken
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ops {
		d.written = append(d.written, fmt.Sprint(ops[i].kind, ops[i].id()))
	}
	return nil
}

func (d *disk) set(broken error) {
	d.mu.Lock()
	d.broken = broken
	d.mu.Unlock()
}

var (
	away  = &Error{Store: "x", Op: "writing", Hint: "it is away", Err: errors.New("away"), temp: true}
	wrong = &Error{Store: "x", Op: "writing", Hint: "it is broken", Err: errors.New("broken")}
)

// request queues a run with n traces of so many bytes.
func request(q *Queue, id string, n, size int) {
	q.Begin(Run{ID: id})
	for i := range n {
		q.Put(Trace{Run: id, Number: i, Text: strings.Repeat("x", size)})
	}
	q.End(Run{ID: id}, nil)
}

// accounted checks that nothing is lost without being counted.
func accounted(t *testing.T, q *Queue, runs, traces int) Stats {
	t.Helper()
	s := q.Stats()
	why := 0
	for _, n := range s.Why {
		why += n
	}
	if s.Runs.Recorded+s.Runs.Dropped != runs || s.Traces.Recorded+s.Traces.Dropped != traces || s.Waiting != 0 || why != s.Runs.Dropped+s.Traces.Dropped {
		t.Errorf("of %d runs and %d traces: %+v", runs, traces, s)
	}
	return s
}

func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{slow: time.Millisecond}
		q := newQueue(QueueOptions{}, d.apply)
		var want []string
		for i := range 100 { // more than are written together
			id := fmt.Sprint("r", i)
			request(q, id, 2, 10)
			want = append(want, "0"+id, "2"+id, "2"+id, "3"+id)
		}
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.written, want) {
			t.Errorf("written %v", d.written)
		}
		if s := accounted(t, q, 100, 200); s.Runs.Dropped != 0 || s.Traces.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
		request(q, "late", 1, 1)
		accounted(t, q, 101, 201)
	})
}

// TestQueueWaits: while a store is away nothing is lost that fits, nobody waits, and
// it is said once that it fails and once that it works again.
func TestQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{broken: away}
		var said []string
		q := newQueue(QueueOptions{Warn: func(s string) { said = append(said, s) }}, d.apply)
		begun := time.Now()
		for i := range 20 {
			request(q, fmt.Sprint(i), 3, 1000)
		}
		if took := time.Since(begun); took != 0 { // on the bubble's clock
			t.Errorf("who records waited %s", took)
		}
		time.Sleep(20 * time.Second)
		if s := q.Stats(); s.Waiting != 100 || s.Failing != "it is away" {
			t.Errorf("%+v", s)
		}
		if d.tries > 40 { // pauses double up to 2 s
			t.Errorf("%d tries in 20 s", d.tries)
		}
		d.set(nil)
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s := accounted(t, q, 20, 60); s.Runs.Dropped+s.Traces.Dropped != 0 || s.Failing != "" {
			t.Errorf("%+v", s)
		}
		if len(said) != 2 || !strings.HasPrefix(said[0], "recording fails") || !strings.HasPrefix(said[1], "recording works again") {
			t.Errorf("said %q", said)
		}
	})
}

// TestQueueGivesUp: after its patience, or at once where nothing will change.
func TestQueueGivesUp(t *testing.T) {
	for _, broken := range []error{away, wrong, errors.New("something else"), fmt.Errorf("x: %w", ErrNotFound)} {
		synctest.Test(t, func(t *testing.T) {
			d := &disk{broken: broken}
			q := newQueue(QueueOptions{Patience: 5 * time.Second}, d.apply)
			begun := time.Now()
			request(q, "a", 3, 10)
			request(q, "b", 2, 10)
			if err := q.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(begun)
			if broken == away && (took < 5*time.Second || took > 9*time.Second) || broken != away && took != 0 {
				t.Errorf("%v: it took %s", broken, took)
			}
			if s := accounted(t, q, 2, 5); s.Runs.Recorded+s.Traces.Recorded != 0 || s.Why["its run's beginning was not recorded: "+reason(broken)] != 7 {
				t.Errorf("%v: %+v", broken, s)
			}
			d.set(nil)
			request(q, "c", 1, 10)
			if err := q.Close(t.Context()); err == nil {
				t.Error("Close says nothing of what was lost")
			}
			if s := accounted(t, q, 3, 6); s.Runs.Recorded != 1 || s.Traces.Recorded != 1 {
				t.Errorf("%v, then well: %+v", broken, s)
			}
		})
	}
}

// TestQueueBounded: what does not fit is dropped and counted, ends never, and memory
// stays within the bound.
func TestQueueBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hang: true}
		q := newQueue(QueueOptions{Bytes: 1 << 20, Patience: time.Minute}, d.apply)
		for i := range 50 {
			request(q, fmt.Sprint(i), 10, 10_000)
		}
		if q.bytes > 1<<20+50*2000 {
			t.Errorf("%d bytes wait", q.bytes)
		}
		time.Sleep(30 * time.Second) // three tries, each cut off
		if s := q.Stats(); s.Traces.Dropped < 300 || s.Waiting == 0 {
			t.Errorf("%+v", s)
		}
		d.mu.Lock()
		d.hang = false
		d.mu.Unlock()
		q.Close(t.Context())
		s := accounted(t, q, 50, 500)
		if s.Traces.Recorded < 80 || s.Runs.Recorded < 8 || q.bytes != 0 || len(q.gone) != 0 {
			t.Errorf("%+v, %d bytes, %d gone", s, q.bytes, len(q.gone))
		}
	})
}

// TestQueueClosedInTime: a store that is away does not keep a program from ending.
func TestQueueClosedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hang: true}
		q := newQueue(QueueOptions{Patience: time.Hour}, d.apply)
		request(q, "a", 3, 10)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if err := q.Close(ctx); err == nil || time.Since(begun) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		accounted(t, q, 1, 3)
	})
}
