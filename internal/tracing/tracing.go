package tracing

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

// Tracing makes spans of what a server does. It is an Observer and an Accountant.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

var (
	_ server.Observer   = (*Tracing)(nil)
	_ server.Accountant = (*Tracing)(nil)
)

// traceparent is how a trace goes on in another process.
var traceparent = propagation.TraceContext{}

// Open sets tracing up by the environment; nil: it is off. failed is told of
// spans that could not be sent.
func Open(ctx context.Context, failed func(error)) (*Tracing, error) {
	e, err := fromEnvironment()
	if e == nil || err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	name := resource.NewSchemaless(attribute.String("service.name", "orrery"))
	env, err := resource.New(ctx, resource.WithFromEnv(), resource.WithHost(), resource.WithTelemetrySDK()) // OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
	if err != nil {
		return nil, fmt.Errorf("trace: read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if name, err = resource.Merge(name, env); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(e), sdk.WithResource(name)) // OTEL_TRACES_SAMPLER, OTEL_BSP_… are the SDK's
	return &Tracing{provider: p, tracer: p.Tracer("orrery")}, nil
}

// Close sends what there is.
func (t *Tracing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Middleware begins a span for each request of the API, in the trace that its
// traceparent names.
func (t *Tracing) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		ctx := traceparent.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, sp := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", r.Method)))
		defer sp.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Finished implements [server.Accountant]: the request's span gets its name and
// what came of it. Names and attributes are those of the HTTP and GenAI semantic
// conventions where they have one.
func (t *Tracing) Finished(ctx context.Context, f server.Finished) {
	sp := trace.SpanFromContext(ctx)
	operation := map[string]string{"/v1/chat/completions": "chat", "/v1/completions": "text_completion"}[f.Route]
	sp.SetAttributes(attribute.String("http.route", f.Route), attribute.Int("http.response.status_code", f.Status),
		attribute.String("orrery.request.id", f.ID), attribute.String("orrery.client", f.Client), attribute.String("orrery.reason", string(f.Reason)))
	sp.SetName(f.Route)
	if operation != "" {
		sp.SetName(operation + " " + f.Model)
		sp.SetAttributes(attribute.String("gen_ai.operation.name", operation), attribute.String("gen_ai.request.model", f.Model),
			attribute.Int("gen_ai.usage.output_tokens", f.Tokens), attribute.String("orrery.method", f.Method), attribute.Int("orrery.traces", f.Traces),
			attribute.Float64("orrery.queue.seconds", f.QueueSeconds))
	}
	if f.Code != "" {
		sp.SetAttributes(attribute.String("error.type", f.Code))
	}
	if f.Status >= 500 || f.Reason == server.UpstreamError || f.Reason == server.ServerError {
		sp.SetStatus(codes.Error, string(f.Reason))
	}
}

// Asked implements [server.Observer].
func (t *Tracing) Asked(server.Asked) server.Watch {
	return &watch{t: t, spans: map[int]*open{}}
}

// watch makes the spans of one request's traces.
type watch struct {
	t *Tracing

	mu    sync.Mutex
	spans map[int]*open
}

// open is the span of a trace, which ends when its stream has ended and why it
// was stopped is known, in either order, with the stream's time.
type open struct {
	trace.Span
	ended  time.Time // the stream; zero: not yet
	reason vote.StopReason
}

// Tap implements [server.Watch].
func (w *watch) Tap(g llm.Generator) llm.Generator {
	return llm.Around(spanning{Generator: g, w: w}, g)
}

// Event implements [server.Watch].
func (w *watch) Event(e reason.Event) {
	switch e := e.(type) {
	case reason.TraceStopped:
		w.change(e.Trace, func(o *open) { o.reason = e.Reason })
	case reason.TraceFinished:
		w.change(e.Trace, func(o *open) { o.reason = e.Reason })
	}
}

// Ended implements [server.Watch].
func (w *watch) Ended(server.Ended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.spans {
		o.finish()
	}
	clear(w.spans)
}

func (w *watch) change(number int, f func(*open)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.spans[number]
	if o == nil {
		return
	}
	f(o)
	if !o.ended.IsZero() && o.reason != vote.Running {
		o.finish()
		delete(w.spans, number)
	}
}

func (o *open) finish() {
	if o.reason != vote.Running {
		o.SetAttributes(attribute.String("orrery.stop_reason", string(o.reason)))
	}
	if o.reason == vote.UpstreamError {
		o.SetStatus(codes.Error, string(o.reason))
	}
	if o.ended.IsZero() {
		o.ended = time.Now()
	}
	o.End(trace.WithTimestamp(o.ended))
}

// spanning makes a span of each trace.
type spanning struct {
	llm.Generator
	w *watch
}

// Generate implements [llm.Generator].
func (g spanning) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		number, err := strconv.Atoi(strings.TrimPrefix(r.Label, "trace "))
		if err != nil {
			number = -1 // not one of the run's traces
		}
		ctx, sp := g.w.t.tracer.Start(ctx, "trace", trace.WithAttributes(attribute.Int("orrery.trace", number)))
		g.w.mu.Lock()
		g.w.spans[number] = &open{Span: sp}
		g.w.mu.Unlock()
		defer g.w.change(number, func(o *open) { o.ended = time.Now() })
		for ev := range g.Generator.Generate(ctx, r) {
			if ev.Kind == llm.KindEnd {
				describe(sp, &ev.End)
			}
			if !yield(ev) {
				return
			}
		}
	}
}

func describe(sp trace.Span, e *llm.End) {
	sp.SetAttributes(attribute.Int("gen_ai.usage.output_tokens", e.Tokens), attribute.String("gen_ai.response.finish_reason", string(e.Finish)),
		attribute.Float64("orrery.queue.seconds", e.QueueSeconds), attribute.Float64("orrery.first_token.seconds", e.FirstTokenSeconds), attribute.Int("orrery.retries", e.Retries))
	if e.Upstream != "" {
		sp.SetAttributes(attribute.String("server.address", e.Upstream))
	}
	if le, ok := e.Err.(*llm.Error); ok {
		sp.SetAttributes(attribute.String("error.type", string(le.Kind)))
	}
}
