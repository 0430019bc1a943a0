package upstream

import (
	"net/http"
	"sync/atomic"
)

// away is a server that is not there.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) { return nil, errAway }

// door is a way to a server that can be shut.
type door struct {
	inner http.RoundTripper
	open  atomic.Bool
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	if !d.open.Load() {
		return nil, errAway
	}
	return d.inner.RoundTrip(r)
}
