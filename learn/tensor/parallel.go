package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

var threadLimit atomic.Int32

// SetThreads limits how many goroutines one call of Parallel uses, its
// caller's included. n < 1 restores the default, runtime.GOMAXPROCS(0).
func SetThreads(n int) { threadLimit.Store(int32(max(n, 0))) }

// Threads is the limit that SetThreads set, or runtime.GOMAXPROCS(0).
func Threads() int {
	if n := threadLimit.Load(); n > 0 {
		return int(n)
	}
	return runtime.GOMAXPROCS(0)
}

// Parallel splits [0, n) into ranges of at least grain and runs f on them, on
// up to Threads() goroutines, and waits. f must not depend on how the range is
// split. Calls may be nested and concurrent. A panic in f reaches the caller
// once every range has ended.
func Parallel(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	threads := Threads()
	// Four ranges a thread even out unequal work and busy processors.
	parts := min(n/max(grain, 1), 4*threads)
	if parts <= 1 || threads == 1 {
		f(0, n)
		return
	}
	j := jobs.Get().(*job)
	j.f, j.n, j.parts = f, n, parts
	j.next.Store(0)
	j.left.Store(int64(parts))
	j.done, j.failure = false, nil
	helpers := min(threads, parts) - 1
	j.refs.Store(int32(helpers + 1))
	for range helpers {
		go j.help()
	}
	j.work()
	if j.left.Load() > 0 {
		j.mu.Lock()
		for !j.done {
			j.ended.Wait()
		}
		j.mu.Unlock()
	}
	failure := j.failure
	j.drop()
	if failure != nil {
		panic(failure)
	}
}

// job is one call of Parallel. Its goroutines live as long as the call, apart
// from a late one that finds nothing left; the last to let go recycles it.
type job struct {
	f        func(lo, hi int)
	n, parts int
	next     atomic.Int64 // next part to take
	left     atomic.Int64 // parts not ended
	refs     atomic.Int32
	help     func() // bound once, so that starting a goroutine allocates nothing

	mu      sync.Mutex
	ended   sync.Cond
	done    bool
	failure any
}

var jobs sync.Pool

func init() {
	jobs.New = func() any {
		j := &job{}
		j.ended.L = &j.mu
		j.help = func() { j.work(); j.drop() }
		return j
	}
}

func (j *job) drop() {
	if j.refs.Add(-1) == 0 {
		j.f = nil
		jobs.Put(j)
	}
}

// work takes parts until none is left.
func (j *job) work() {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= j.parts {
			return
		}
		j.part(i)
	}
}

func (j *job) part(i int) {
	defer j.end()
	j.f(j.n*i/j.parts, j.n*(i+1)/j.parts)
}

// end is deferred around each part: it keeps a panic for the caller and wakes
// the caller after the last part.
func (j *job) end() {
	if r := recover(); r != nil {
		j.mu.Lock()
		if j.failure == nil {
			j.failure = r
		}
		j.mu.Unlock()
	}
	if j.left.Add(-1) == 0 {
		j.mu.Lock()
		j.done = true
		j.mu.Unlock()
		j.ended.Signal()
	}
}
