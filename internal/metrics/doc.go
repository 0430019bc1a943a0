// Package metrics is what a server does, counted for Prometheus.
//
// It watches requests as a [server.Observer] and reads at each scrape what the
// server, its upstreams and its recorder know of themselves. No label has values
// that a client can make: routes are patterns, methods and reasons are lists in
// the code, keys and upstreams are named by whoever runs the server.
// docs/metrics.md lists all of it, and a test holds it to that.
package metrics
