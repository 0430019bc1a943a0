package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"orrery/internal/server"
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
