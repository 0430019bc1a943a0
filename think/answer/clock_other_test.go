//go:build !linux

package answer

import (
	"testing"
	"time"
)

// took is the time that f takes.
func took(t testing.TB, f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
