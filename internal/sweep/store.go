package sweep

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// State is how a trial ended.
type State string

const (
	Done   State = "done"
	Failed State = "failed" // by its own fault: Result.Error says which
)

// Result is what a trial came to.
type Result struct {
	Trial
	State   State           `json:"state"`
	Result  json.RawMessage `json:"result"` // the recipe's, null of a failed one
	Error   string          `json:"error"`  // "" of one that is done
	Build   string          `json:"-"`      // the program that ran it
	Worker  string          `json:"-"`      // where
	Seconds float64         `json:"-"`
}

// tables are ours, beside River's.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS orrery_trial (
		key text PRIMARY KEY, recipe text NOT NULL, settings text NOT NULL, state text NOT NULL, result text NOT NULL,
		error text NOT NULL, build text NOT NULL, worker text NOT NULL, seconds double precision NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS orrery_build (one integer PRIMARY KEY CHECK (one = 1), build text NOT NULL)`,
}

// store is the database that a sweep lives in, as far as SQL is the same.
type store struct {
	db       *sql.DB
	postgres bool
	name     string // for people, without password
}

// q numbers the parameters, written ?, where the database wants numbers.
func (s *store) q(query string) string {
	if !s.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

const insertResult = `INSERT INTO orrery_trial (key, recipe, settings, state, result, error, build, worker, seconds)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`

func (r Result) values() []any {
	return []any{r.Key, r.Recipe, string(r.Settings), string(r.State), string(r.Result), r.Error, r.Build, r.Worker, r.Seconds}
}

// has reports whether a trial's result is there.
func (s *store) has(ctx context.Context, key string) (bool, error) {
	var one int
	err := s.db.QueryRowContext(ctx, s.q(`SELECT 1 FROM orrery_trial WHERE key = ?`), key).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// results reads all results, by key.
func (s *store) results(ctx context.Context) (map[string]Result, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key, recipe, settings, state, result, error, build, worker, seconds FROM orrery_trial`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]Result{}
	for rows.Next() {
		var r Result
		var settings, result string
		if err := rows.Scan(&r.Key, &r.Recipe, &settings, &r.State, &result, &r.Error, &r.Build, &r.Worker, &r.Seconds); err != nil {
			return nil, err
		}
		r.Settings, r.Result = json.RawMessage(settings), json.RawMessage(result)
		out[r.Key] = r
	}
	return out, rows.Err()
}

// done are the keys of the trials that have a result, and whether it failed.
func (s *store) done(ctx context.Context) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, s.q(`SELECT key, state = ? FROM orrery_trial`), string(Failed))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var key string
		var failed bool
		if err := rows.Scan(&key, &failed); err != nil {
			return nil, err
		}
		out[key] = failed
	}
	return out, rows.Err()
}

// jobs are the keys of River's jobs that are not completed: whether they are to
// be worked on, or were given up.
func (s *store) jobs(ctx context.Context) (live map[string]bool, err error) {
	rows, err := s.db.QueryContext(ctx, s.q(`SELECT args ->> 'key', state NOT IN ('discarded', 'cancelled') FROM river_job WHERE kind = ? AND state <> 'completed' ORDER BY id`), trialArgs{}.Kind())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	live = map[string]bool{}
	for rows.Next() {
		var key string
		var alive bool
		if err := rows.Scan(&key, &alive); err != nil {
			return nil, err
		}
		live[key] = live[key] || alive
	}
	return live, rows.Err()
}

// begun is the program that the database's trials belong to, "" if there is none.
func (s *store) begun(ctx context.Context) (string, error) {
	var build string
	err := s.db.QueryRowContext(ctx, `SELECT build FROM orrery_build`).Scan(&build)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return build, err
}

// claim says that the trials are this program's, or, with mix, from now on.
func (s *store) claim(ctx context.Context, build string, mix bool) error {
	old, err := s.begun(ctx)
	if err != nil {
		return err
	}
	if old != "" && old != build && !mix {
		return &BuildError{Database: s.name, Began: old, Now: build}
	}
	_, err = s.db.ExecContext(ctx, s.q(`INSERT INTO orrery_build (one, build) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET build = excluded.build`), build)
	return err
}

// BuildError says that a database's trials were begun by another program,
// whose numbers may differ.
type BuildError struct{ Database, Began, Now string }

func (e *BuildError) Error() string {
	return fmt.Sprintf("the trials in %s were begun by the program %s, this is %s, whose results may differ: use that program or another database, or go on with 'orrery sweep --mix-builds'", e.Database, e.Began, e.Now)
}
