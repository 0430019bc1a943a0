package tensor

// Parallel splits [0, n) into ranges of at least grain and runs f on them, on
// up to Threads() goroutines, and waits. f must not depend on how the range is
// split.
func Parallel(n, grain int, f func(lo, hi int)) {
	if n > 0 {
		f(0, n)
	}
}
