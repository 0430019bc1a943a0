package metrics

import (
	"context"
	"iter"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

// local is the upstream label of traces that this process made itself, or the
// only server that there is.
const local = "local"

// Metrics counts what a server does. It is an Observer and an Accountant.
type Metrics struct {
	registry *prometheus.Registry

	requests    *prometheus.CounterVec   // route, method, reason
	duration    *prometheus.HistogramVec // route
	queue       prometheus.Observer
	byClient    *prometheus.CounterVec // client
	traces      *prometheus.CounterVec // method, stop_reason
	tokens      *prometheus.CounterVec // method, kind
	saved       *prometheus.CounterVec // method
	clientToken *prometheus.CounterVec // client
	firstToken  *prometheus.HistogramVec
	whole       *prometheus.HistogramVec
	places      *prometheus.HistogramVec
}

var (
	_ server.Observer   = (*Metrics)(nil)
	_ server.Accountant = (*Metrics)(nil)
)

// Seconds from 10 ms, doubled: a first token takes from there to a minute or two,
// a long trace an hour.
var (
	short = prometheus.ExponentialBuckets(0.01, 2, 15) // to 164 s
	long  = prometheus.ExponentialBuckets(0.05, 2, 17) // to 3277 s
)

// New makes a Metrics with nothing counted yet.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "orrery", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "orrery", Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("requests_total", "Requests under /v1/ that have ended, by why.", "route", "method", "reason")
	m.duration = histogram("request_duration_seconds", "From a request's first byte to the end of its reply.", long, "route")
	m.queue = histogram("request_queue_seconds", "What requests waited for a place to run.", short).WithLabelValues()
	m.byClient = counter("client_requests_total", "Requests under /v1/ that have ended, by the name of the API key; empty: none was known.", "client")
	m.traces = counter("traces_total", "Traces that have ended, by why.", "method", "stop_reason")
	m.tokens = counter("tokens_total", "Tokens: used for the answer, made after_stop, read as a prompt.", "method", "kind")
	m.saved = counter("tokens_saved_total", "Estimate of the tokens that stopped and unlaunched traces would have used.", "method")
	m.clientToken = counter("client_tokens_total", "Tokens made for an API key, by its name; empty: none was needed.", "client")
	m.firstToken = histogram("trace_first_token_seconds", "From sending a trace's request to its first token.", short, "upstream")
	m.whole = histogram("trace_duration_seconds", "From a trace's start to its end, waiting included.", long, "upstream")
	m.places = histogram("trace_queue_seconds", "What traces waited for a place at the upstream.", short, "upstream")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return m
}

func buildInfo() prometheus.Collector {
	version, revision, goVersion := "unknown", "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "orrery", Name: "build_info", Help: "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": goVersion}})
	g.Set(1)
	return g
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// routes are the patterns that the server has, by short names.
var routes = map[string]string{
	"/v1/chat/completions": "chat", "/v1/completions": "completions", "/v1/models": "models", "/v1/models/{id...}": "model",
}

// Finished implements [server.Accountant].
func (m *Metrics) Finished(_ context.Context, f server.Finished) {
	route, known := routes[f.Route]
	if !known {
		route = "other"
	}
	m.requests.WithLabelValues(route, f.Method, string(f.Reason)).Inc()
	m.duration.WithLabelValues(route).Observe(f.Seconds)
	m.byClient.WithLabelValues(f.Client).Inc()
	if f.Ran {
		m.queue.Observe(f.QueueSeconds)
	}
}

// Asked implements [server.Observer].
func (m *Metrics) Asked(a server.Asked) server.Watch {
	return &watch{m: m, method: a.Method, client: a.Client}
}

// watch measures one request.
type watch struct {
	m              *Metrics
	method, client string
}

// Tap implements [server.Watch].
func (w *watch) Tap(g llm.Generator) llm.Generator {
	return llm.Around(timed{Generator: g, w: w}, g)
}

// Event implements [server.Watch].
func (w *watch) Event(e reason.Event) {
	switch e := e.(type) {
	case reason.TraceStopped:
		w.ended(e.Reason)
	case reason.TraceFinished:
		w.ended(e.Reason)
	}
}

func (w *watch) ended(r vote.StopReason) { w.m.traces.WithLabelValues(w.method, string(r)).Inc() }

// Ended implements [server.Watch].
func (w *watch) Ended(e server.Ended) {
	if e.Result == nil {
		return
	}
	t := e.Result.Tokens
	w.m.tokens.WithLabelValues(w.method, "used").Add(float64(t.Used))
	w.m.tokens.WithLabelValues(w.method, "after_stop").Add(float64(t.AfterStop))
	w.m.clientToken.WithLabelValues(w.client).Add(float64(t.Used + t.AfterStop))
	if t.SavedEstimate != nil {
		w.m.saved.WithLabelValues(w.method).Add(max(0, *t.SavedEstimate))
	}
}

// timed measures traces.
type timed struct {
	llm.Generator
	w *watch
}

// Generate implements [llm.Generator].
func (g timed) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		began, prompt := time.Now(), 0
		for ev := range g.Generator.Generate(ctx, r) {
			switch ev.Kind {
			case llm.KindUsage:
				prompt = max(prompt, ev.Usage.Prompt)
			case llm.KindEnd:
				g.w.measure(&ev.End, time.Since(began), prompt)
			}
			if !yield(ev) {
				return
			}
		}
	}
}

func (w *watch) measure(e *llm.End, took time.Duration, prompt int) {
	from := e.Upstream
	if from == "" {
		from = local
	}
	w.m.whole.WithLabelValues(from).Observe(took.Seconds())
	w.m.places.WithLabelValues(from).Observe(e.QueueSeconds)
	if e.FirstTokenSeconds > 0 {
		w.m.firstToken.WithLabelValues(from).Observe(e.FirstTokenSeconds)
	}
	w.m.tokens.WithLabelValues(w.method, "prompt").Add(float64(prompt))
}
