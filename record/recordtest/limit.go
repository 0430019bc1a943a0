package recordtest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/record"
)

func testLimit(t *testing.T, b *bench) {
	s := b.open()
	limit := record.Limit{Count: 3, Per: 1500 * time.Millisecond} // two a second
	take := func(key string, cost int, wantOK bool, wantWait time.Duration) {
		t.Helper()
		ok, wait, err := s.Take(t.Context(), key, cost, limit)
		b.must(err)
		if ok != wantOK || wait != wantWait {
			t.Errorf("%d of %s: %v and wait %s, want %v and %s", cost, key, ok, wait, wantOK, wantWait)
		}
	}
	const half = 500 * time.Millisecond
	for i := range time.Duration(3) {
		take("a", 1, true, (i+1)*half)
	}
	take("a", 1, false, half)
	take("a", 3, false, 3*half)
	take("a", 0, true, 3*half) // all is used, but no more than that
	take("b", 3, true, 3*half) // another key does not pay for the first
	b.clock.Move(half - time.Microsecond)
	take("a", 1, false, time.Microsecond)
	b.clock.Move(time.Microsecond)
	take("a", 1, true, 3*half) // after the wait that was named
	b.clock.Move(time.Hour)
	take("a", 0, true, 0)
	take("a", 3, true, 3*half) // what is not used does not pile up
	take("a", 1, false, half)

	take("d", -10, true, 10*half) // used, and known only now
	take("d", 0, false, 7*half)
	take("d", -1, true, 11*half)
	b.clock.Move(8 * half)
	take("d", 0, true, 3*half)
	take("d", 1, false, half)

	for _, c := range []struct {
		cost int
		l    record.Limit
	}{{4, limit}, {1, record.Limit{Count: 0, Per: 1}}, {1, record.Limit{Count: 1}}, {1, record.Limit{Count: 1, Per: 1 << 62}}, {-1 << 60, limit}} {
		if _, _, err := s.Take(t.Context(), "c", c.cost, c.l); err == nil {
			t.Errorf("cost %d of %+v is no error", c.cost, c.l)
		}
	}
}

// testLimitShared: two processes together get what one would.
func testLimitShared(t *testing.T, b *bench) {
	stores := []*record.Store{b.open(), b.open()}
	limit := record.Limit{Count: 20, Per: 20 * time.Second}
	var got atomic.Int64
	var all sync.WaitGroup
	for _, s := range stores {
		for range 2 {
			all.Go(func() {
				for range 10 {
					ok, _, err := s.Take(context.Background(), "k", 1, limit)
					if err != nil {
						t.Error(err)
					}
					if ok {
						got.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	if got.Load() != 20 { // of 40 that asked, while the clock stood
		t.Errorf("two processes got %d of a burst of 20", got.Load())
	}
}

// testLimitBound: over no interval t more than Count·(1 + t/Per) is taken.
func testLimitBound(t *testing.T, b *bench) {
	stores := []*record.Store{b.open(), b.open()}
	r := rand.New(rand.NewPCG(1, 2))
	limit := record.Limit{Count: 7, Per: 2 * time.Second} // a unit takes no whole number of nanoseconds
	type taken struct {
		at   time.Time
		cost int
	}
	var log []taken
	start := b.clock.Now()
	for range 300 {
		b.clock.Move(time.Duration(r.IntN(400)) * time.Millisecond)
		cost := 1 + r.IntN(7)
		ok, wait, err := stores[r.IntN(2)].Take(b.t.Context(), "k", cost, limit)
		b.must(err)
		if ok {
			log = append(log, taken{b.clock.Now(), cost})
		} else if wait <= 0 || wait > 2*time.Second+time.Microsecond {
			t.Fatalf("refused, and told to wait %s", wait)
		}
	}
	for i := range log {
		sum := 0
		for j := i; j < len(log); j++ {
			sum += log[j].cost
			if most := float64(limit.Count) * (1 + log[j].at.Sub(log[i].at).Seconds()/limit.Per.Seconds()); float64(sum) > most {
				t.Fatalf("%d were taken within %s, and %g are allowed", sum, log[j].at.Sub(log[i].at), most)
			}
		}
	}
	if len(log) == 0 || log[len(log)-1].at.Sub(start) < 30*time.Second {
		t.Errorf("%d takings: too few to mean anything", len(log))
	}
}
