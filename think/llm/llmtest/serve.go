package llmtest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Serve runs a handler on an in-memory network and returns a transport that
// reaches it under any host name. Both end with the test. Unlike a loopback
// connection, a net.Pipe blocks durably, so the clock of a testing/synctest
// bubble passes while client and server wait for each other.
func Serve(t testing.TB, h http.Handler) *http.Transport {
	t.Helper()
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	var working sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			working.Add(1)
			defer working.Done()
			h.ServeHTTP(w, r)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	transport := &http.Transport{
		DialContext:         l.dial,
		MaxIdleConnsPerHost: 4096,
		DisableCompression:  true,
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		serving.Wait()
		working.Wait()
	})
	return transport
}

// Transport serves the fake in memory for the length of a test.
func (f *Fake) Transport(t testing.TB) *http.Transport {
	t.Helper()
	return Serve(t, f)
}

// listener hands one end of a pipe to the server for each that is dialled.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "in-memory", Net: "pipe"} }
