package tracing

import (
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Transport makes a span of each request to a model's server that belongs to a
// trace, from its sending to the end of its reply, and tells the server by
// traceparent.
func (t *Tracing) Transport(inner http.RoundTripper) http.RoundTripper {
	return transport{inner, t}
}

type transport struct {
	inner http.RoundTripper
	t     *Tracing
}

// RoundTrip implements [http.RoundTripper].
func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return tr.inner.RoundTrip(r) // a health check
	}
	ctx, sp := tr.t.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname()),
		attribute.String("server.port", r.URL.Port()), attribute.String("url.path", r.URL.Path)))
	r = r.Clone(ctx)
	traceparent.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := tr.inner.RoundTrip(r)
	if err != nil {
		sp.SetStatus(codes.Error, "no reply")
		sp.End()
		return nil, err
	}
	sp.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= 400 {
		sp.SetStatus(codes.Error, http.StatusText(resp.StatusCode))
	}
	resp.Body = &ending{ReadCloser: resp.Body, end: sync.OnceFunc(func() { sp.End() })}
	return resp, nil
}

// ending ends a span with the body that it reads.
type ending struct {
	io.ReadCloser
	end func()
}

func (b *ending) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

func (b *ending) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
