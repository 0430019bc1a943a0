package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"orrery/internal/server"
	"orrery/internal/upstream"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("orrery_"+name, help, labels, nil)
}

// Serving adds what a server knows of itself at each scrape.
func (m *Metrics) Serving(stats func() server.Stats) { m.registry.MustRegister(serving{stats}) }

type serving struct{ stats func() server.Stats }

var (
	running       = describe("requests_running", "Requests that have a place.")
	waiting       = describe("requests_waiting", "Requests that wait for a place.")
	runningLimit  = describe("requests_running_limit", "Places for requests that run.")
	waitingLimit  = describe("requests_waiting_limit", "Places for requests that wait.")
	open          = describe("requests_open", "Requests under /v1/ that have not ended, those whose reply is being read included.")
	limiterErrors = describe("limiter_errors_total", "Failures of the shared store of limits, during which this process limits by itself.")
)

// Describe implements [prometheus.Collector].
func (s serving) Describe(c chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, c) }

// Collect implements [prometheus.Collector].
func (s serving) Collect(c chan<- prometheus.Metric) {
	st := s.stats()
	for d, v := range map[*prometheus.Desc]int{running: st.Running, waiting: st.Waiting, open: st.Open, runningLimit: st.MaxRunning, waitingLimit: st.MaxWaiting} {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	c <- prometheus.MustNewConstMetric(limiterErrors, prometheus.CounterValue, float64(st.LimiterErrors))
}

// Recording adds how many entries the record has lost because it could not be
// written fast enough.
func (m *Metrics) Recording(dropped func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "orrery", Name: "record_dropped_total",
		Help: "Entries that the record lacks because its store failed or was too slow."}, dropped))
}

// Upstreams adds what a pool of servers knows of each at each scrape.
func (m *Metrics) Upstreams(status func() []upstream.Status) {
	m.registry.MustRegister(upstreams{status})
}

type upstreams struct{ status func() []upstream.Status }

var (
	upHealthy  = describe("upstream_healthy", "1 while the upstream is asked for new requests' traces.", "upstream")
	upRunning  = describe("upstream_traces_running", "Traces in flight at the upstream.", "upstream")
	upWeight   = describe("upstream_weight", "The upstream's share of the traces.", "upstream")
	upTraces   = describe("upstream_traces_total", "Traces that were begun at the upstream.", "upstream")
	upFailures = describe("upstream_failures_total", "Traces that failed by the upstream's own fault.", "upstream")
	upMoved    = describe("upstream_moved_total", "Traces that failed so before anything was handed on, and were tried elsewhere if there was another.", "upstream")
)

// Describe implements [prometheus.Collector].
func (u upstreams) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upHealthy, upRunning, upWeight, upTraces, upFailures, upMoved} {
		c <- d
	}
}

// Collect implements [prometheus.Collector].
func (u upstreams) Collect(c chan<- prometheus.Metric) {
	for _, s := range u.status() {
		healthy := 0.0
		if s.Healthy {
			healthy = 1
		}
		for d, v := range map[*prometheus.Desc]float64{upHealthy: healthy, upRunning: float64(s.Running), upWeight: s.Weight} {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Name)
		}
		for d, v := range map[*prometheus.Desc]int{upTraces: s.Traces, upFailures: s.Failures, upMoved: s.Moved} {
			c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), s.Name)
		}
	}
}
