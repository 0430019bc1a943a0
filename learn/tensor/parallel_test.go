package tensor

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
)

func TestParallelCoversEachIndexOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 7} {
		withThreads(t, threads)
		for _, n := range []int{-1, 0, 1, 2, 5, 64, 1000} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				seen := make([]atomic.Int32, max(n, 0))
				Parallel(n, grain, func(lo, hi int) {
					if lo >= hi || hi-lo < min(grain, n) {
						t.Errorf("n %d, grain %d: range [%d,%d)", n, grain, lo, hi)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if v := seen[i].Load(); v != 1 {
						t.Fatalf("n %d, grain %d, %d threads: index %d visited %d times", n, grain, threads, i, v)
					}
				}
			}
		}
	}
}

// TestParallelUsesThreads: as many ranges run at once as there are threads.
func TestParallelUsesThreads(t *testing.T) {
	const threads = 4
	withThreads(t, threads)
	var meet sync.WaitGroup
	meet.Add(threads)
	var first atomic.Int32
	Parallel(16, 1, func(lo, hi int) {
		if first.Add(1) <= threads {
			meet.Done()
			meet.Wait() // passes only when all four are inside
		}
	})
}

func TestParallelNestedAndConcurrent(t *testing.T) {
	withThreads(t, 3)
	var all sync.WaitGroup
	for g := range 6 {
		all.Go(func() {
			for range 50 {
				var sum atomic.Int64
				Parallel(10, 1, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						Parallel(10, 2, func(l, h int) {
							for j := l; j < h; j++ {
								sum.Add(int64(10*i + j))
							}
						})
					}
				})
				if got := sum.Load(); got != 4950 { // Σ 0 … 99
					t.Errorf("goroutine %d: sum %d, want 4950", g, got)
				}
			}
		})
	}
	all.Wait()
}

func TestParallelPanicReachesTheCaller(t *testing.T) {
	withThreads(t, 3)
	for range 20 {
		func() {
			defer func() {
				if r := recover(); fmt.Sprint(r) != "at 5" {
					t.Errorf("recovered %v", r)
				}
			}()
			Parallel(9, 1, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					if i == 5 {
						panic("at 5")
					}
				}
			})
		}()
	}
	// The recycled jobs still work.
	var n atomic.Int32
	Parallel(9, 1, func(lo, hi int) { n.Add(int32(hi - lo)) })
	if n.Load() != 9 {
		t.Errorf("visited %d of 9", n.Load())
	}
}

// TestParallelAllocatesNothing counts on all processors, since a helper that
// is not scheduled keeps its job from being used again.
func TestParallelAllocatesNothing(t *testing.T) {
	withThreads(t, 2)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pool
	var meet sync.WaitGroup
	f := func(lo, hi int) { meet.Done(); meet.Wait() } // both ranges at once: the helper has run
	var before, after runtime.MemStats
	const calls = 200
	for i := range 2 * calls {
		if i == calls {
			runtime.ReadMemStats(&before)
		}
		meet.Add(2)
		Parallel(2, 1, f)
	}
	runtime.ReadMemStats(&after)
	// A helper may still hold its job when the next call begins: that call
	// makes another, and there are never more than a few.
	if got := after.Mallocs - before.Mallocs; got > calls/10 {
		t.Errorf("%d allocations in %d calls", got, calls)
	}
}
