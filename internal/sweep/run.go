package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"

	"orrery/learn/tensor"
)

// DefaultLease is how long a worker on PostgreSQL may be silent before its
// trials go to others.
const DefaultLease = time.Minute

const (
	// alone is the lease where no other process can have the database.
	alone = 10 * 365 * 24 * time.Hour
	// watchEvery is how often the database is asked how far things are.
	watchEvery = 500 * time.Millisecond
)

// Options say where and how to run trials, not which.
type Options struct {
	DB        string        // postgres://…, or the path of a SQLite file
	Workers   int           // trials at a time, each on one core; 0: one a core
	MixBuilds bool          // go on with what another program began
	Lease     time.Duration // 0: DefaultLease
	Drain     bool          // Work ends when no trial is left
	Progress  func(Progress)
	Warn      io.Writer // what goes wrong on the way and is tried again; nil: nowhere
}

// Progress is how far a sweep is.
type Progress struct {
	Total, Done, Failed int     // trials; Done counts the failed as well
	Running             int     // in this process
	PerHour             float64 // trials an hour since this process began, by all workers; 0: none ended yet
}

// Summary is what a sweep came to.
type Summary struct {
	Name    string
	DB      string // without password
	Before  int    // trials that had a result when this process began
	Failed  int
	Missing int     // without a result: the sweep was stopped
	Workers int     // of this process
	Seconds float64 // of this process
	PerHour float64 // trials an hour, by all workers; 0: none ended
	Builds  []string
	Hosts   []string
	Results []Result // in the sweep's order
}

// IsPostgres reports whether a database is named by a PostgreSQL URL.
func IsPostgres(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// Run queues the trials of a sweep that have no result, works on them, together
// with whoever else works on the database, until all have one, and returns the
// results. Cancelling ctx puts the trials that run back into the queue; the
// summary then has the results so far, and the error wraps ctx.Err().
func Run(ctx context.Context, s Sweep, o Options) (*Summary, error) {
	if IsPostgres(o.DB) {
		b, err := openPostgres(ctx, o.DB, true)
		if err != nil {
			return nil, err
		}
		return run(ctx, b, s, o)
	}
	b, err := openSQLite(ctx, o.DB)
	if err != nil {
		return nil, err
	}
	return run(ctx, b, s, o)
}

// Work takes part in the sweeps of a PostgreSQL database until ctx ends or, with
// Drain, nothing is left to do.
func Work(ctx context.Context, o Options) error {
	if !IsPostgres(o.DB) {
		return fmt.Errorf("working on the sweeps in %q: other machines take part through PostgreSQL: give --db postgres://…", o.DB)
	}
	b, err := openPostgres(ctx, o.DB, false)
	if err != nil {
		return err
	}
	defer b.close()
	m, err := b.begin(ctx, o)
	if err != nil {
		return err
	}
	began, err := b.begun(ctx)
	if err == nil && began != m.build {
		err = &BuildError{Database: b.name, Began: began, Now: m.build}
	}
	if err != nil {
		return err
	}
	return m.during(ctx, func(ctx context.Context) error {
		return m.watch(ctx, func(live map[string]bool, done map[string]bool) (bool, error) {
			left := 0
			for _, alive := range live {
				if alive {
					left++
				}
			}
			m.tell(len(done)+left, done)
			if began, err := b.begun(ctx); err != nil || began != m.build {
				return true, errors.Join(err, &BuildError{Database: b.name, Began: began, Now: m.build})
			}
			return o.Drain && left == 0, nil
		})
	})
}

// backend is one of the databases that River knows.
type backend[Tx any] struct {
	store
	driver riverdriver.Driver[Tx]
	within func(context.Context, func(tx Tx, exec func(query string, args ...any) error) error) error // a transaction
	close  func()
}

// migrate makes River's tables and ours, or brings them up to date.
func (b *backend[Tx]) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(b.driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("making the queue's tables: %w", err)
	}
	for _, t := range tables {
		if _, err := b.db.ExecContext(ctx, t); err != nil {
			return fmt.Errorf("making the tables of results: %w", err)
		}
	}
	return nil
}

// machine is this process at work.
type machine[Tx any] struct {
	*backend[Tx]
	o       Options
	build   string
	lease   time.Duration
	held    *held
	client  *river.Client[Tx]
	started time.Time
	before  int // results when it began, of those that it is asked for
}

func (b *backend[Tx]) begin(ctx context.Context, o Options) (*machine[Tx], error) {
	m := &machine[Tx]{backend: b, o: o, lease: alone, held: &held{by: map[int64]context.CancelCauseFunc{}}}
	if b.postgres {
		m.lease = o.Lease
		if m.lease == 0 {
			m.lease = DefaultLease
		}
	}
	if m.o.Workers == 0 {
		m.o.Workers = runtime.GOMAXPROCS(0)
	}
	if m.o.Warn == nil {
		m.o.Warn = io.Discard
	}
	var err error
	if m.build, err = Build(); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this machine: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker[Tx]{backend: b, build: m.build, host: host, lease: m.lease, held: m.held})
	m.client, err = river.NewClient(b.driver, &river.Config{
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: m.o.Workers}},
		Workers:                     workers,
		JobTimeout:                  -1,
		RescueStuckJobsAfter:        m.lease,
		CompletedJobRetentionPeriod: -1, // a job is the mark that its trial was done
		FetchCooldown:               20 * time.Millisecond,
		FetchPollInterval:           watchEvery,
		PollOnly:                    !b.postgres,
		Logger:                      slog.New(slog.NewTextHandler(m.o.Warn, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	return m, err
}

// during works on trials while f runs. All has stopped when it returns.
func (m *machine[Tx]) during(ctx context.Context, f func(context.Context) error) error {
	tensor.SetThreads(1) // a trial is one core's
	defer tensor.SetThreads(0)
	calm := context.WithoutCancel(ctx)
	m.started = time.Now()
	if err := m.client.Start(calm); err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	beating := make(chan struct{})
	beats, stop := context.WithCancel(calm)
	go func() {
		defer close(beating)
		m.beat(beats)
	}()
	err := f(ctx)
	serr := m.client.StopAndCancel(calm)
	stop()
	<-beating
	if serr != nil {
		serr = fmt.Errorf("stopping the queue: %w", serr)
	}
	return errors.Join(err, serr)
}

// beat renews the leases of the trials that run here: River's rescuer gives a
// job to others when its attempt began too long ago, so it is made to begin anew.
func (m *machine[Tx]) beat(ctx context.Context) {
	if !m.postgres {
		return
	}
	t := time.NewTicker(m.lease / 6)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := m.renew(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintf(m.o.Warn, "renewing the leases of running trials: %v: it is tried again\n", err)
		}
	}
}

func (m *machine[Tx]) renew(ctx context.Context) error {
	ids := m.held.ids()
	if len(ids) == 0 {
		return nil
	}
	rows, err := m.db.QueryContext(ctx, `UPDATE river_job SET attempted_at = now() WHERE id = ANY($1) AND state = 'running' RETURNING id`, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(x int64) bool { return x == id })
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range ids {
		m.held.lost(id)
	}
	return nil
}

// watch asks the database again and again until enough says so.
func (m *machine[Tx]) watch(ctx context.Context, enough func(live, done map[string]bool) (bool, error)) error {
	ended, unsubscribe := m.client.Subscribe(river.EventKindJobCompleted)
	defer unsubscribe()
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		// Jobs first: what completes meanwhile is among the results.
		live, err := m.jobs(ctx)
		if err == nil {
			var done map[string]bool
			if done, err = m.done(ctx); err == nil {
				var stop bool
				if stop, err = enough(live, done); err == nil && stop {
					return nil
				}
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("asking %s how far the trials are: %w", m.name, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
		case <-t.C:
		}
	}
}

// perHour is the rate at which results came since this process began.
func (m *machine[Tx]) perHour(done int) float64 {
	if done <= m.before {
		return 0
	}
	return float64(done-m.before) / time.Since(m.started).Hours()
}

// tell reports progress.
func (m *machine[Tx]) tell(total int, done map[string]bool) {
	if m.o.Progress == nil {
		return
	}
	p := Progress{Total: total, Done: len(done), Running: len(m.held.ids()), PerHour: m.perHour(len(done))}
	for _, failed := range done {
		if failed {
			p.Failed++
		}
	}
	m.o.Progress(p)
}
