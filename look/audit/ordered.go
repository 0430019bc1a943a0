package audit

import (
	"context"
	"sync"
	"sync/atomic"
)

// ordered runs work on 0 … n-1, each worker with a W of its own, and commit on
// each of them in ascending order, one at a time, so that what commit makes
// doesn't depend on the workers. It returns the workers' Ws. The first error ends it.
func ordered[W any](ctx context.Context, workers, n int, start func() *W, work func(w *W, i int) error, commit func(w *W, i int)) ([]*W, error) {
	var (
		next  atomic.Int64
		mu    sync.Mutex
		turn  = sync.NewCond(&mu)
		ready int // whose turn it is
		fail  error
		wg    sync.WaitGroup
		all   []*W
	)
	step := func(w *W, i int) bool {
		err := ctx.Err()
		if err == nil {
			err = work(w, i)
		}
		mu.Lock()
		defer mu.Unlock()
		for fail == nil && err == nil && ready != i {
			turn.Wait()
		}
		if fail == nil {
			fail = err
		}
		if fail == nil && commit != nil {
			commit(w, i)
		}
		ready++
		turn.Broadcast()
		return fail == nil
	}
	for range max(1, min(workers, n)) {
		w := start()
		all = append(all, w)
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || !step(w, i) {
					return
				}
			}
		})
	}
	wg.Wait()
	return all, fail
}
