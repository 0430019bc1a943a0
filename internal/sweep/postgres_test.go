//go:build unix

package sweep

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// postgresURL is a fresh database on the server that ORRERY_TEST_POSTGRES names.
func postgresURL(t *testing.T) string {
	t.Helper()
	server := os.Getenv("ORRERY_TEST_POSTGRES")
	if server == "" {
		t.Skip("no PostgreSQL: set ORRERY_TEST_POSTGRES to the URL of a server on which databases may be made, as .ci/run does")
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("orrery_%d_%s", os.Getpid(), strings.ToLower(t.Name()))
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		admin.Close(ctx)
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// workerProcess is 'orrery worker' in a process of its own: this test's program.
func workerProcess(db string) {
	if err := Work(context.Background(), Options{DB: db, Workers: 1, Drain: true, Warn: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hang says on a file, a pipe, that a trial runs, and never ends.
func hang(ctx context.Context, path string) (any, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(f, "running")
	f.Close()
	<-ctx.Done()
	return nil, ctx.Err()
}

// startWorker starts a worker process.
func startWorker(t *testing.T, db string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), "ORRERY_TEST_WORKER="+db), env...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTwoProcesses: of two worker processes on PostgreSQL, one is killed in the
// middle of a trial. Nothing is lost and nothing is done twice.
func TestTwoProcesses(t *testing.T) {
	db := postgresURL(t)
	ctx := context.Background()
	s := fakes(t, 20)
	b, err := openPostgres(ctx, db, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := Work(ctx, Options{DB: db, Drain: true}); err == nil {
		t.Error("a worker begins before any sweep")
	}
	m, err := b.begin(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.claim(ctx, m.build, false), m.enqueue(ctx, s.Trials)); err != nil {
		t.Fatal(err)
	}

	// The first gets into a trial and is killed there.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	victim := startWorker(t, db, "ORRERY_TEST_HANG="+pipe)
	said, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || line != "running\n" {
		t.Fatalf("the first worker says %q, %v", line, err)
	}
	said.Close()
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait() // its error is the kill
	live, err := b.jobs(ctx)
	if err != nil || len(live) != 20 {
		t.Fatalf("%d jobs are left of 20, %v", len(live), err)
	}
	var running int64
	if err := b.db.QueryRow(`SELECT count(*) FROM river_job WHERE state = 'running'`).Scan(&running); err != nil || running != 1 {
		t.Fatalf("%d jobs run, %v", running, err)
	}

	// The lease and the leadership run out: instead of waiting, they are made older.
	for _, q := range []string{`UPDATE river_job SET attempted_at = attempted_at - interval '1 hour' WHERE state = 'running'`,
		`UPDATE river_leader SET expires_at = now() - interval '1 second'`} {
		if _, err := b.db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	other := startWorker(t, db)
	if err := other.Wait(); err != nil {
		t.Fatalf("the second worker: %v", err)
	}
	results, err := b.results(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.Trials {
		if r := results[x.Key]; r.State != Done || string(r.Settings) != string(x.Settings) {
			t.Errorf("trial %s is %+v", x.Key, r)
		}
	}
	var completed, attempts int
	if err := b.db.QueryRow(`SELECT count(*), sum(attempt) FROM river_job WHERE state = 'completed'`).Scan(&completed, &attempts); err != nil {
		t.Fatal(err)
	}
	// One attempt each, and one more for the trial that lost its worker.
	if len(results) != 20 || completed != 20 || attempts != 21 {
		t.Errorf("%d results, %d completed jobs, %d attempts: want 20, 20, 21", len(results), completed, attempts)
	}
}

// TestLease: a lease is renewed while a trial runs, and a trial whose job went
// to somebody else is stopped.
func TestLease(t *testing.T) {
	db := postgresURL(t)
	ctx := context.Background()
	s := fakes(t, 1)
	b, err := openPostgres(ctx, db, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	m, err := b.begin(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.enqueue(ctx, s.Trials); err != nil {
		t.Fatal(err)
	}
	var id int64
	if err := b.db.QueryRow(`UPDATE river_job SET state = 'running', attempted_at = now() - interval '1 hour' RETURNING id`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	trial, release := m.held.hold(ctx, id)
	defer release()
	if err := m.renew(ctx); err != nil || trial.Err() != nil {
		t.Fatal(err, trial.Err())
	}
	var age float64
	if err := b.db.QueryRow(`SELECT extract(epoch FROM now() - attempted_at) FROM river_job`).Scan(&age); err != nil || age > (30*time.Minute).Seconds() {
		t.Errorf("after renewal the attempt is %v s old, %v", age, err)
	}
	if _, err := b.db.Exec(`UPDATE river_job SET state = 'retryable'`); err != nil {
		t.Fatal(err)
	}
	if err := m.renew(ctx); err != nil || !errors.Is(context.Cause(trial), errTaken) {
		t.Errorf("a lost job's trial goes on: %v, %v", err, context.Cause(trial))
	}
}
