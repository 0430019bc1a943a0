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
	limit := record.Limit{Rate: 2, Burst: 3}
	take := func(key string, cost int) (bool, time.Duration) {
		t.Helper()
		ok, wait, err := s.Take(t.Context(), key, cost, limit)
		b.must(err)
		return ok, wait
	}
	for i := range 3 {
		if ok, wait := take("a", 1); !ok || wait != 0 {
			t.Fatalf("taking %d of a burst of 3: wait %s", i, wait)
		}
	}
	if ok, wait := take("a", 1); ok || wait != 500*time.Millisecond {
		t.Errorf("the fourth: %v, wait %s", ok, wait)
	}
	if ok, wait := take("a", 3); ok || wait != 1500*time.Millisecond {
		t.Errorf("three more: %v, wait %s", ok, wait)
	}
	if ok, _ := take("b", 3); !ok {
		t.Error("another key pays for the first")
	}
	b.clock.Move(500*time.Millisecond - time.Microsecond)
	if ok, wait := take("a", 1); ok || wait != time.Microsecond {
		t.Errorf("a microsecond too soon: %v, wait %s", ok, wait)
	}
	b.clock.Move(time.Microsecond)
	if ok, _ := take("a", 1); !ok {
		t.Error("after the wait that was named it is refused")
	}
	b.clock.Move(time.Hour) // what is not used does not pile up
	if ok, _ := take("a", 3); !ok {
		t.Error("an hour later no burst is there")
	}
	if ok, _ := take("a", 1); ok {
		t.Error("an hour later more than a burst is there")
	}
	for _, c := range []struct {
		cost int
		l    record.Limit
	}{{4, limit}, {-1, limit}, {1, record.Limit{Rate: 0, Burst: 1}}, {1, record.Limit{Rate: 1}}, {1, record.Limit{Rate: 1e-9, Burst: 1}}} {
		if _, _, err := s.Take(t.Context(), "c", c.cost, c.l); err == nil {
			t.Errorf("cost %d of %+v is no error", c.cost, c.l)
		}
	}
}

// testLimitShared: two processes together get what one would.
func testLimitShared(t *testing.T, b *bench) {
	stores := []*record.Store{b.open(), b.open()}
	limit := record.Limit{Rate: 1, Burst: 20}
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

// testLimitBound: over no interval more than Burst + Rate·t is taken, and who asks
// one unit at a time without end gets at least Rate·t of it.
func testLimitBound(t *testing.T, b *bench) {
	stores := []*record.Store{b.open(), b.open()}
	r := rand.New(rand.NewPCG(1, 2))
	limit := record.Limit{Rate: 3, Burst: 5} // a third of a second is no whole number of nanoseconds
	type taken struct {
		at   time.Time
		cost int
	}
	var log []taken
	start := b.clock.Now()
	for range 300 {
		b.clock.Move(time.Duration(r.IntN(400)) * time.Millisecond)
		cost := 1 + r.IntN(5)
		ok, wait, err := stores[r.IntN(2)].Take(b.t.Context(), "k", cost, limit)
		b.must(err)
		if ok {
			log = append(log, taken{b.clock.Now(), cost})
		} else if wait <= 0 || wait > 5*time.Second/3+time.Microsecond {
			t.Fatalf("refused, and told to wait %s", wait)
		}
	}
	for i := range log {
		sum := 0
		for j := i; j < len(log); j++ {
			sum += log[j].cost
			if most := float64(limit.Burst) + limit.Rate*log[j].at.Sub(log[i].at).Seconds(); float64(sum) > most {
				t.Fatalf("%d were taken within %s, and %g are allowed", sum, log[j].at.Sub(log[i].at), most)
			}
		}
	}
	if len(log) == 0 || log[len(log)-1].at.Sub(start) < 30*time.Second {
		t.Errorf("%d takings: too few to mean anything", len(log))
	}
}
