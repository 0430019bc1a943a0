package record

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// databases are empty ones of both kinds.
func databases(t *testing.T, run func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "record.sqlite")) })
	t.Run("Postgres", func(t *testing.T) { run(t, PostgresURL(t)) })
}

var hexBytes = regexp.MustCompile(`\{\{hex ([0-9a-f]*)\}\}`)

// execute runs the statements of a file in a database that has no schema yet.
func execute(t *testing.T, url, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{}
	bytes := "X'$1'"
	if isPostgres(url) {
		bytes, err = `'\x$1'`, s.openPostgres(url)
	} else {
		s.path = strings.TrimPrefix(url, "sqlite:")
		err = s.openSQLite()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.read.Close()
	defer s.write.Close()
	text := hexBytes.ReplaceAllString(s.dialect.types.Replace(string(b)), bytes)
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestMigrate: a store of every version that there was opens, and what is in it is
// there; migrating again changes nothing.
func TestMigrate(t *testing.T) {
	all, err := steps()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version <= len(all); version++ {
		t.Run(fmt.Sprint("version", version), func(t *testing.T) {
			databases(t, func(t *testing.T, url string) {
				execute(t, url, fmt.Sprintf("testdata/version%d.sql", version))
				for range 2 {
					s, err := Open(t.Context(), url)
					if err != nil {
						t.Fatal(err)
					}
					checkFixture(t, s)
					want := "" // it was not recorded then
					if version >= 4 {
						want = `{"answers":["2"],"votes":[]}`
					}
					if r, err := s.Run(t.Context(), "aaaaaa"); err != nil || string(r.Votes) != want {
						t.Errorf("votes %s, %v", r.Votes, err)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// checkFixture checks what the fixtures' last statements wrote.
func checkFixture(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	runs, err := s.List(ctx, Filter{})
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	if r := runs[0]; r.Kind != "train" || r.State != Lost || r.Dir != "/runs/grok" || string(r.Metrics) != `{"loss":0.25}` || r.Question != nil {
		t.Errorf("%+v", r)
	}
	r, err := s.Run(ctx, "aaaaaa")
	if err != nil || *r.Question != "Compute 1 + 1." || *r.Answer != "2" || *r.Saved != 0.5 || r.Started.UnixMicro() != 1767268800000000 || r.Seconds(r.Started) != 1.5 || string(r.Result) != `{"answer":"2"}` {
		t.Errorf("%+v, %v", r, err)
	}
	traces, err := s.Traces(ctx, r.ID, KeepAll)
	if err != nil || len(traces) != 1 {
		t.Fatalf("%d traces, %v", len(traces), err)
	}
	tr := traces[0]
	if tr.Seed != math.MaxUint64 || !*tr.Votes || tr.Text != `1 + 1 is \boxed{2}` || tr.Reasoning != "hm" || tr.Lowest != nil || len(tr.Confidences) != 3 ||
		tr.Confidences[0] != 1.1 || !math.IsNaN(tr.Confidences[1]) || tr.Confidences[2] != 2.7 {
		t.Errorf("%+v", tr)
	}
	if ok, _, err := s.Take(ctx, "somebody", 0, Limit{Count: 1, Per: 1e9}); !ok || err != nil {
		t.Errorf("limits: %v, %v", ok, err)
	}
}

// TestNewer: a store of a newer program is left alone.
func TestNewer(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.write.ExecContext(t.Context(), `UPDATE orrery_record SET version = 99`)
		if err = errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), url)
		if v, ok := errors.AsType[*VersionError](err); !ok || v.Have != 99 || !strings.Contains(err.Error(), "use the newer orrery") {
			t.Errorf("%v", err)
		}
		if _, err := Open(t.Context(), url, Later()); err == nil {
			t.Error("it is opened later, which never comes")
		}
	})
}

// TestFailedMigration leaves the version that there was, whole.
func TestFailedMigration(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		execute(t, url, "testdata/version1.sql")
		s := &Store{}
		var err error
		if isPostgres(url) {
			err = s.openPostgres(url)
		} else {
			s.path = strings.TrimPrefix(url, "sqlite:")
			err = s.openSQLite()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.ExecContext(t.Context(), `CREATE TABLE orrery_limit (in_the_way bigint)`); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), "migrating it from version 1") {
			t.Errorf("a migration that cannot be: %v", err)
		}
		var version int
		if err := s.write.QueryRowContext(t.Context(), `SELECT version FROM orrery_record`).Scan(&version); err != nil || version != 1 {
			t.Errorf("version %d, %v", version, err)
		}
		if _, err := s.write.ExecContext(t.Context(), `DROP TABLE orrery_limit`); err != nil {
			t.Fatal(err)
		}
		s.read.Close()
		s.write.Close()
		again, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		checkFixture(t, again)
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}
