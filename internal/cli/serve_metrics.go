package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"orrery/internal/metrics"
	"orrery/internal/server"
	"orrery/internal/upstream"
)

func init() { servePart(func(a *app) part { return &metricsFlags{app: a} }) }

// metricsFlags say where the metrics are.
type metricsFlags struct {
	*app
	listen string // "": on the server's own address, behind its keys

	m      *metrics.Metrics
	l      net.Listener
	hs     *http.Server
	served sync.WaitGroup
}

func (f *metricsFlags) flags(set *pflag.FlagSet) {
	set.StringVar(&f.listen, "metrics-listen", "", "address for /metrics, /healthz and /readyz alone, without keys (default: /metrics is with the API)")
}

func (f *metricsFlags) check() error { return nil }

// open adds the metrics to a server's configuration.
func (f *metricsFlags) open(ctx context.Context, cfg *server.Config) (err error) {
	f.m = metrics.New()
	if _, book, err := f.serves.kept(ctx); err != nil {
		return err
	} else if book != nil {
		f.m.Recording(func() float64 { st := book.Stats(); return float64(st.Runs.Dropped + st.Traces.Dropped) })
	}
	cfg.Observers = append(cfg.Observers, f.m)
	if p, ok := cfg.Generator.(*upstream.Pool); ok {
		f.m.Upstreams(p.Status)
	}
	if f.listen == "" {
		cfg.Metrics = f.m.Handler()
		return nil
	}
	if f.l, err = net.Listen("tcp", f.listen); err != nil {
		return fmt.Errorf("serve metrics: %w: choose another address with --metrics-listen", err)
	}
	return nil
}

func (f *metricsFlags) start(s *server.Server) error {
	f.m.Serving(s.Stats)
	if f.l == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", f.m.Handler())
	mux.Handle("GET /healthz", s)
	mux.Handle("GET /readyz", s)
	f.hs = &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)} // scrapers' broken connections
	f.served.Go(func() { f.hs.Serve(f.l) })
	if !f.quiet {
		fmt.Fprintf(f.err, "metrics on http://%s/metrics\n", f.l.Addr())
	}
	return nil
}

// close comes after the server has drained, so that its end could be seen.
func (f *metricsFlags) close() {
	if f.l == nil {
		return
	}
	f.l.Close()
	if f.hs == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if f.hs.Shutdown(ctx) != nil {
		f.hs.Close()
	}
	f.served.Wait()
}
