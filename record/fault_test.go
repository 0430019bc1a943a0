package record

import (
	"bufio"
	"context"
	"database/sql"
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
)

// childVariable holds the store of a child process that records until it is killed.
const childVariable = "ORRERY_TEST_RECORD_CHILD"

func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		recordForEver(url)
	}
	os.Exit(m.Run())
}

// recordForEver says on stdout what it has written: "run ID" once a run has begun,
// "trace" after each of its traces, "end" after its end.
func recordForEver(url string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	s, err := Open(ctx, url)
	check(err)
	for i := 0; ; i++ {
		r := Run{Kind: "ask"}
		check(s.Begin(ctx, &r))
		fmt.Println("run", r.ID)
		for n := range 4 {
			check(s.Put(ctx, &Trace{Run: r.ID, Number: n, Tokens: 1, Confidences: make([]float64, 2000), Text: strings.Repeat("word ", 1000)}))
			fmt.Println("trace")
		}
		check(s.End(ctx, &r))
		fmt.Println("end")
	}
}

// TestKilled: a process that is killed in the middle loses nothing that it had
// written, and its run is lost, not running.
func TestKilled(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+url)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		type written struct {
			traces int
			ended  bool
		}
		said := map[string]*written{}
		var last *written
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			switch id, begun := strings.CutPrefix(lines.Text(), "run "); {
			case begun:
				last = &written{}
				said[id] = last
			case lines.Text() == "trace":
				last.traces++
			case lines.Text() == "end":
				last.ended = true
			}
			// In the middle of the tenth run, once; what it says until it is dead counts too.
			if len(said) == 10 && last.traces == 2 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		child.Wait()
		if len(said) < 10 {
			t.Fatalf("the child began %d runs", len(said))
		}

		later := time.Now().Add(2 * lostAfter) // where only silence tells
		s, err := Open(t.Context(), url, WithClock(func() time.Time { return later }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if !isPostgres(url) {
			sound(t, s)
		}
		running, lost := 0, 0
		for id, w := range said {
			r, err := s.Run(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			traces, err := s.Traces(t.Context(), id, KeepAll)
			if err != nil {
				t.Fatal(err)
			}
			// It may have died between writing and saying so.
			if n := len(traces); n < w.traces || n > w.traces+1 || r.Traces != n && r.State == Lost {
				t.Errorf("run %s said %d traces, has %d, counts %d", id, w.traces, n, r.Traces)
			}
			for _, tr := range traces {
				if len(tr.Confidences) != 2000 || len(tr.Text) != 5000 {
					t.Errorf("a trace is not whole: %d confidences", len(tr.Confidences))
				}
			}
			switch r.State {
			case Running:
				running++
			case Lost:
				lost++
				if r.Ended.IsZero() {
					t.Error("a lost run has no end")
				}
			}
			if w.ended && r.State != Done {
				t.Errorf("run %s has ended and is %s", id, r.State)
			}
		}
		// None is lost if it died between the end of a run and saying so.
		if running > 0 || lost > 1 {
			t.Errorf("%d are running, %d lost", running, lost)
		}
	})
}

// TestKilledIsKnownAtOnce: beside a file, a process's death is known without waiting.
func TestKilledIsKnownAtOnce(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "record.sqlite")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+url)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if lives, known := ownerLives(s.path, 1); lives || !known {
		child.Process.Kill()
		child.Wait()
		t.Skip("no open-file-description locks here: heartbeats tell, after a minute")
	}
	if n, err := s.Reap(t.Context()); n != 0 || err != nil {
		t.Errorf("a living process's runs are lost: %d, %v", n, err)
	}
	// Stopped, it beats no more, but it holds its lock.
	child.Process.Kill()
	child.Wait()
	if _, err := s.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.List(t.Context(), Filter{State: Running}); err != nil || len(runs) != 0 {
		t.Errorf("%d are running, %v", len(runs), err)
	}
}

// sound asks SQLite to look at every page.
func sound(t *testing.T, s *Store) {
	t.Helper()
	var said string
	if err := s.read.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&said); err != nil || said != "ok" {
		t.Errorf("integrity: %s, %v", said, err)
	}
}

func sqliteStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "record.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestLocked: another program that holds the file's lock delays recording, and nothing
// else; reading goes on beside it.
func TestLocked(t *testing.T) {
	s := sqliteStore(t)
	r := Run{Kind: "ask"}
	if err := s.Begin(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.ExecContext(t.Context(), `PRAGMA busy_timeout(10)`); err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), &Trace{Run: r.ID})
	if e, ok := errors.AsType[*Error](err); !ok || !e.Temporary() || !strings.Contains(err.Error(), "another program holds a lock") {
		t.Errorf("%v", err)
	}
	if runs, err := s.List(t.Context(), Filter{}); err != nil || len(runs) != 1 {
		t.Errorf("reading: %d runs, %v", len(runs), err)
	}
	q := NewQueue(s, QueueOptions{})
	q.Put(Trace{Run: r.ID})
	q.End(r, nil)
	for q.Stats().Failing == "" { // until it has tried
		time.Sleep(time.Millisecond)
	}
	if _, err := other.Exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if st := q.Stats(); st.Runs.Recorded != 1 || st.Traces.Recorded != 1 {
		t.Errorf("%+v", st)
	}
}

// TestDeleted: a file that is taken away while it is open takes nothing more silently,
// and when it is put back it goes on.
func TestDeleted(t *testing.T) {
	s := sqliteStore(t)
	r := Run{Kind: "ask"}
	if err := s.Begin(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path, s.path+".away"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Put(t.Context(), &Trace{Run: r.ID}); err == nil || !strings.Contains(err.Error(), "moved or deleted") {
			t.Errorf("written nowhere: %v", err)
		}
		if err := os.WriteFile(s.path, nil, 0o600); err != nil { // now another is there
			t.Fatal(err)
		}
	}
	if err := os.Rename(s.path+".away", s.path); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), &Trace{Run: r.ID}); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// TestDiskFull: what does not fit is dropped and counted, what was there is whole, and
// with room again it goes on.
func TestDiskFull(t *testing.T) {
	s := sqliteStore(t)
	ctx := t.Context()
	before := Run{Kind: "ask"}
	if err := errors.Join(s.Begin(ctx, &before), s.Put(ctx, &Trace{Run: before.ID, Text: "there"})); err != nil {
		t.Fatal(err)
	}
	var pages int
	if err := s.write.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		t.Helper()
		if _, err := s.write.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count(%d)`, n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 20)
	q := NewQueue(s, QueueOptions{Patience: 100 * time.Millisecond})
	for i := range 10 {
		r := Run{ID: NewID(time.Now()), Kind: "ask", State: Running, Started: time.Now()}
		q.Begin(r)
		q.Put(Trace{Run: r.ID, Confidences: irregular(4000, i)})
		r.State = Done
		q.End(r, nil)
	}
	if err := q.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	st := q.Stats()
	full := 0
	for why, n := range st.Why {
		if strings.Contains(why, "the disk, or the file's quota, is full") {
			full += n
		}
	}
	if st.Traces.Recorded+st.Traces.Dropped != 10 || st.Runs.Recorded+st.Runs.Dropped != 10 || st.Traces.Dropped < 5 || full < 5 {
		t.Errorf("%+v", st)
	}
	sound(t, s)
	if tr, err := s.Trace(ctx, before.ID, 0, KeepText); err != nil || tr.Text != "there" {
		t.Errorf("what was there: %+v, %v", tr, err)
	}
	limit(1 << 30)
	if err := s.Put(ctx, &Trace{Run: before.ID, Number: 1, Confidences: irregular(4000, 1)}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := q.Close(ctx); err == nil || !strings.Contains(err.Error(), "not recorded") {
		t.Errorf("Close: %v", err)
	}
}

// irregular numbers do not compress.
func irregular(n, seed int) []float64 {
	out := make([]float64, n)
	x := uint64(seed) + 1
	for i := range out {
		x = x*6364136223846793005 + 1442695040888963407
		out[i] = float64(x>>11) / (1 << 53)
	}
	return out
}

// TestSpaceComesBack: SQLite's file is as large as what is kept needs.
func TestSpaceComesBack(t *testing.T) {
	s := sqliteStore(t)
	ctx := t.Context()
	for i := range 20 {
		r := Run{Kind: "ask"}
		if err := errors.Join(s.Begin(ctx, &r), s.Put(ctx, &Trace{Run: r.ID, Confidences: irregular(50_000, i)}), s.End(ctx, &r)); err != nil {
			t.Fatal(err)
		}
	}
	size := func() (n int64) {
		for _, name := range []string{s.path, s.path + "-wal"} {
			if info, err := os.Stat(name); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	full := size()
	if _, err := s.Prune(ctx, 0, 2<<20); err != nil {
		t.Fatal(err)
	}
	totals, err := s.Totals(ctx)
	if err != nil || totals.Runs == 0 {
		t.Fatalf("%+v, %v", totals, err)
	}
	// The rest is the schema's pages and those that are half full.
	if left := size(); full < 6<<20 || left > totals.Bytes*5/4+64<<10 || totals.Stored > left {
		t.Errorf("of %d bytes %d are left, for %+v", full, left, totals)
	}
	sound(t, s)
}

// TestPostgresGone: while the server refuses everybody, recording waits and nobody
// waits for it; and a store that is not there yet is taken when it comes.
func TestPostgresGone(t *testing.T) {
	address := postgresDatabase(t)
	ctx := t.Context()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(server.Path, "/")
	server.Path = "/postgres"
	admin, err := pgx.Connect(ctx, server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	door := func(open bool) {
		t.Helper()
		if _, err := admin.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s ALLOW_CONNECTIONS %v`, name, open)); err != nil {
			t.Fatal(err)
		}
		for left := 1; !open && left > 0; { // until nobody is inside: ending a connection takes a moment, in which it might still write
			if err := admin.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1`, name).Scan(&left); err != nil {
				t.Fatal(err)
			}
		}
	}
	door(false)
	if _, err := Open(ctx, address); err == nil {
		t.Fatal("the door is open")
	}
	s, err := Open(ctx, address, Later())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.List(ctx, Filter{}); err == nil {
		t.Error("a list of nothing")
	}
	q := NewQueue(s, QueueOptions{})
	r := Run{ID: NewID(time.Now()), Kind: "ask", State: Running, Started: time.Now()}
	q.Begin(r)
	for q.Stats().Failing == "" {
		time.Sleep(time.Millisecond)
	}
	door(true)
	if err := q.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // it goes away and comes again
		door(false)
		q.Put(Trace{Run: r.ID, Number: i})
		for q.Stats().Failing == "" {
			time.Sleep(time.Millisecond)
		}
		door(true)
		if err := q.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	r.State = Done
	q.End(r, nil)
	if err := q.Close(ctx); err != nil {
		t.Error(err)
	}
	if traces, err := s.Traces(ctx, r.ID, 0); err != nil || len(traces) != 3 {
		t.Errorf("%d traces, %v", len(traces), err)
	}
}

// TestErrors: one sentence that says where, why, and what to do.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sqlite:" + text:                              "no SQLite database: move it away",
		"sqlite:" + dir:                               "is a directory: choose another place",
		"sqlite:" + text + "/x/y":                     "not a directory: choose another place",
		"sqlite:":                                     "is no store: give sqlite:PATH or postgres://",
		"mysql://me:secret@host/db":                   "is no store",
		"postgres://me:secret@[/bad":                  `"…@[/bad" is no store, failed to parse as URL: give`,
		"postgres://me:se/cret@h/d":                   `"…@h/d" is no store, invalid port`,
		"postgres://h/d?sslmode=some&password=secret": `"postgres://h/d" is no store, failed to configure TLS: give`,
		"postgres://me:secret@h/d?sslmode=verify-full&sslrootcert=/none": "open /none: no such file", // a fault of the machine's, not of the URL
		"postgres://me:secret@127.0.0.1:1/db?connect_timeout=2":          "cannot be reached: start it, or check host and port",
	} {
		_, err := Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if info, err := os.Stat(text); err != nil || info.Size() != 2000 {
		t.Errorf("the file was touched: %v", err)
	}
}

// TestPrivate: others may not read what was asked.
func TestPrivate(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	s, err := Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Begin(t.Context(), &Run{}); err != nil {
		t.Fatal(err)
	}
	if s.Name() != filepath.Join(data, "orrery", "record.sqlite") {
		t.Errorf("it lies at %s", s.Name())
	}
	files, _ := filepath.Glob(filepath.Join(data, "orrery*", "*"))
	for _, name := range append(files, filepath.Join(data, "orrery")) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if len(files) < 2 {
		t.Errorf("files %v", files)
	}
}
