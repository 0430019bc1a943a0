package soak

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"orrery/internal/journal"
	"orrery/internal/metrics"
	"orrery/internal/server"
	"orrery/internal/upstream"
	"orrery/record"
)

var (
	duration = flag.Duration("soak", 20*time.Second, "how long requests are sent")
	rate     = flag.Float64("rate", 15, "requests a second")
	seed     = flag.Uint64("seed", 1, "of what goes wrong when")
)

// replica is one server with all that it has in a fleet.
type replica struct {
	place    place
	server   *server.Server
	metrics  *metrics.Metrics
	store    *record.Store
	journal  *journal.Journal
	address  string
	stop     func() error
	recorded map[string]record.State // by request id
	times    map[string]int
	warnings []string
}

// open starts a replica.
func open(t *testing.T, p place, b *books, model string) *replica {
	t.Helper()
	r := &replica{place: p, metrics: metrics.New(), recorded: map[string]record.State{}, times: map[string]int{}}
	var err error
	if r.store, err = record.Open(t.Context(), p.url); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	r.journal = journal.New(r.store, journal.Options{Keep: record.KeepDefault, Warn: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		r.warnings = append(r.warnings, text)
	}})
	g, err := upstream.New(upstream.Config{URL: model, Dialect: "vllm", Model: "soak", MaxParallel: 64, Retries: 1, IdleTimeout: 2 * time.Second, FirstTokenTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = server.New(server.Config{
		Generator: g, Keys: []server.Key{server.NewKey("soak", key)}, MaxRequests: 24, MaxQueue: 48, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		Drain: 10 * time.Second, Observers: []server.Observer{r.metrics, r.journal, b}, Logger: slog.New(b),
		Middleware: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				h.ServeHTTP(w, q.WithContext(server.WithID(q.Context(), q.Header.Get(idHeader))))
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, l) }()
	r.stop = func() error {
		cancel()
		err := <-done
		g.Close()
		return err
	}
	return r
}

// read closes the journal and reads what the store has of every request.
func (r *replica) read(ctx context.Context) error {
	if err := r.journal.Close(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", r.place.name, err)
	}
	f := record.Filter{Kinds: []string{"serve"}, Limit: 1000}
	for {
		runs, err := r.store.List(ctx, f)
		if err != nil {
			return err
		}
		for _, run := range runs {
			r.recorded[run.Request] = run.State
			r.times[run.Request]++
			f.Before = run.ID
		}
		if len(runs) < f.Limit {
			return r.store.Close()
		}
	}
}

// window is a fault of everything, for a while.
type window struct {
	what       string
	replica    int // −1: all
	at, length time.Duration
	begin      func() (func(), error)
}

// windows plans what goes wrong when: the model's server away, and each store's
// troubles in turn, one at a time. In a long soak they outlast the 30 seconds for
// which the record tries again, so that there is something to lose.
func windows(rng *rand.Rand, m *model, rs []*replica, whole time.Duration) (out []window) {
	all := []window{{what: "model servers away", replica: -1, length: min(5*time.Second, whole/12), begin: func() (func(), error) {
		m.away.Store(true)
		return func() { m.away.Store(false) }, nil
	}}}
	for i, r := range rs {
		for _, tr := range r.place.troubles {
			all = append(all, window{what: r.place.name + ": " + tr.name, replica: i, length: min(40*time.Second, whole/12), begin: tr.begin})
			all = append(all, window{what: r.place.name + ": " + tr.name, replica: i, length: min(5*time.Second, whole/24), begin: tr.begin})
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	used := time.Duration(0)
	for _, w := range all {
		used += w.length
	}
	at, gap := time.Duration(0), (whole-used)/time.Duration(len(all)+1)
	for _, w := range all {
		at += gap
		w.at = at
		at += w.length
		out = append(out, w)
	}
	return out
}

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("a soak takes 20 seconds; run without -short")
	}
	runtime.GC()
	before, began := runtime.NumGoroutine(), time.Now()
	rng := rand.New(rand.NewPCG(*seed, 0))
	b := &books{entries: make([]entry, int(duration.Seconds()**rate))}
	m := &model{}
	hs := httptest.NewUnstartedServer(m)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	hs.Start()
	places := []place{sqlitePlace(t)}
	if url := os.Getenv("ORRERY_TEST_POSTGRES"); url != "" {
		places = append(places, postgresPlace(t, url))
	}
	var rs []*replica
	for _, p := range places {
		rs = append(rs, open(t, p, b, hs.URL))
	}

	plan := windows(rng, m, rs, *duration)
	var load, faults sync.WaitGroup
	type happened struct{ dropped int }
	losses := make([]happened, len(plan))
	for i, w := range plan {
		faults.Go(func() {
			time.Sleep(w.at - time.Since(began))
			dropped := func() (n int) {
				for _, r := range rs {
					n += r.journal.Stats().Runs.Dropped
				}
				return n
			}
			had := dropped()
			end, err := w.begin()
			if err != nil {
				t.Errorf("%s: %v", w.what, err)
				return
			}
			time.Sleep(w.length)
			end()
			losses[i].dropped = dropped() - had
		})
	}
	var samples []sample
	stopSampling := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(max(250*time.Millisecond, *duration/300))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				samples = append(samples, measure(time.Since(began)))
			case <-stopSampling:
				return
			}
		}
	})

	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	weights := 0
	for _, k := range kinds {
		weights += k.weight
	}
	for n := range b.entries {
		pick, k := rng.IntN(weights), 0
		for ; pick >= kinds[k].weight; k++ {
			pick -= kinds[k].weight
		}
		which, own := rng.IntN(len(rs)), rand.New(rand.NewPCG(*seed, uint64(n)+1))
		b.mu.Lock()
		b.entries[n].kind, b.entries[n].replica = uint8(k), uint8(which)
		b.mu.Unlock()
		time.Sleep(time.Duration(float64(n) / *rate * float64(time.Second)) - time.Since(began))
		load.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			seen := send(ctx, c, rs[which].address, &kinds[k], n, own)
			b.change(requestID(n), func(e *entry) { e.seen = seen })
		})
	}
	load.Wait()
	sent := time.Since(began)
	faults.Wait()
	close(stopSampling)
	sampling.Wait()
	c.CloseIdleConnections()
	for _, r := range rs {
		if err := r.stop(); err != nil {
			t.Errorf("%s: %v", r.place.name, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := r.read(ctx); err != nil {
			t.Errorf("%s: %v", r.place.name, err)
		}
		cancel()
	}
	hs.Close()

	out := t.Output()
	fmt.Fprintf(out, "%d requests in %.0f s, %.3g a second, seed %d, %d replicas, %s %s/%s, %d CPUs\n\n", len(b.entries), sent.Seconds(), float64(len(b.entries))/sent.Seconds(),
		*seed, len(rs), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.print(out, rs)
	fmt.Fprintf(out, "\n%-36s %8s %8s  %s\n", "what went wrong for everybody", "from s", "for s", "runs lost meanwhile")
	for i, w := range plan {
		fmt.Fprintf(out, "%-36s %8.1f %8.1f  %d\n", w.what, w.at.Seconds(), w.length.Seconds(), losses[i].dropped)
	}
	for _, r := range rs {
		st := r.journal.Stats()
		fmt.Fprintf(out, "\n%s: runs %d recorded, %d lost; traces %d recorded, %d lost; why, of both: %v\n", r.place.name, st.Runs.Recorded, st.Runs.Dropped, st.Traces.Recorded, st.Traces.Dropped, st.Why)
	}
	fmt.Fprintln(out)
	bad := flat(out, samples)
	for i, r := range rs {
		bad = append(bad, b.close(i, r)...)
	}
	bad = append(bad, b.strange...)
	if n := m.active.Load(); n != 0 {
		bad = append(bad, fmt.Sprintf("the model's server still works on %d requests", n))
	}
	left := runtime.NumGoroutine()
	for wait := time.Now(); left > before+2*len(places) && time.Since(wait) < time.Minute; left = runtime.NumGoroutine() {
		runtime.Gosched()
	}
	fmt.Fprintf(out, "\ngoroutines: %d before, %d after\n", before, left)
	if left > before+2*len(places) { // a store's driver and the door of the database end a little later
		bad = append(bad, fmt.Sprintf("%d goroutines before and %d after", before, left))
	}
	slices.Sort(bad)
	if len(bad) == 0 {
		fmt.Fprintln(out, "unaccounted: nothing")
	}
	for i, text := range bad {
		if i == 20 {
			t.Errorf("and %d more", len(bad)-i)
			break
		}
		t.Error(text)
	}
}
