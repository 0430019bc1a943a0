package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Filter chooses runs; the zero value chooses all.
type Filter struct {
	Kinds   []string // any of them; empty: all
	Name    string   // exactly; so are the next four
	Method  string
	Model   string
	Client  string
	Request string
	State   State
	Since   time.Time // started then or later
	Until   time.Time // started before
	Find    string    // in question, answer, name, method, model or id; ASCII letters match in either case
	Before  string    // id of the last run of the page before
	Limit   int       // 0: 100; at most 1000
}

const selectRun = `SELECT id, kind, name, method, model, state, started, ended, dir, report, client, request, keep, question, answer, tokens, saved, traces, config, metrics, error`

// scanRun reads what selectRun asks for, then more.
func scanRun(row interface{ Scan(...any) error }, more ...any) (Run, error) {
	var r Run
	var started, ended int64
	var config, metrics string
	err := row.Scan(append([]any{&r.ID, &r.Kind, &r.Name, &r.Method, &r.Model, &r.State, &started, &ended, &r.Dir, &r.Report, &r.Client, &r.Request, &r.Keep,
		&r.Question, &r.Answer, &r.Tokens, &r.Saved, &r.Traces, &config, &metrics, &r.Error}, more...)...)
	r.Started, r.Ended, r.Config, r.Metrics = fromMicros(started), fromMicros(ended), raw(config), raw(metrics)
	return r, err
}

// List reads runs, the newest first, without their Result and Votes.
func (s *Store) List(ctx context.Context, f Filter) ([]Run, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	var where []string
	var args []any
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if len(f.Kinds) > 0 {
		add(oneOf("kind", f.Kinds), anys(f.Kinds)...)
	}
	for _, c := range []struct{ column, value string }{{"name", f.Name}, {"method", f.Method}, {"model", f.Model}, {"client", f.Client}, {"request", f.Request}, {"state", string(f.State)}} {
		if c.value != "" {
			add(c.column+" = ?", c.value)
		}
	}
	if !f.Since.IsZero() {
		add("started >= ?", micros(f.Since))
	}
	if !f.Until.IsZero() {
		add("started < ?", micros(f.Until))
	}
	if f.Find != "" {
		var columns []string
		for _, column := range []string{"question", "answer", "name", "method", "model", "id"} {
			columns = append(columns, fmt.Sprintf(s.dialect.fold, column)+` LIKE ? ESCAPE '\'`)
			args = append(args, "%"+likely(f.Find)+"%")
		}
		where = append(where, "("+strings.Join(columns, " OR ")+")")
	}
	if f.Before != "" {
		add("id < ?", f.Before)
	}
	query := selectRun + " FROM orrery_run"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	rows, err := s.read.QueryContext(ctx, s.q(query+" ORDER BY id DESC LIMIT ?"), append(args, min(limit, 1000))...)
	if err != nil {
		return nil, s.fail("listing runs", err)
	}
	defer rows.Close()
	runs := []Run{}
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, s.fail("listing runs", err)
		}
		runs = append(runs, r)
	}
	return runs, s.fail("listing runs", rows.Err())
}

// oneOf is a condition with a parameter for each value.
func oneOf(column string, values []string) string {
	return column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")"
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// likely is a text as part of a LIKE pattern, its ASCII letters in lower case.
func likely(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '%', r == '_', r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Run reads one run by its id, or by a beginning of its id, or of its last part,
// that no other run shares.
func (s *Store) Run(ctx context.Context, id string) (*Run, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	var result, votes string
	one := func(row *sql.Row) (*Run, error) {
		r, err := scanRun(row, &result, &votes)
		r.Result, r.Votes = raw(result), raw(votes)
		return &r, err
	}
	r, err := one(s.read.QueryRowContext(ctx, s.q(selectRun+`, result, votes FROM orrery_run WHERE id = ?`), id))
	if err == nil {
		return r, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, s.fail("reading a run", err)
	}
	var found string
	var n int
	if err := s.read.QueryRowContext(ctx, s.q(`SELECT coalesce(min(id), ''), count(*) FROM orrery_run WHERE ? <> '' AND (id LIKE ? ESCAPE '\' OR id LIKE ? ESCAPE '\')`),
		id, likely(id)+"%", "%-"+likely(id)+"%").Scan(&found, &n); err != nil {
		return nil, s.fail("reading a run", err)
	}
	switch {
	case n == 0:
		return nil, notFound(id)
	case n > 1:
		return nil, fmt.Errorf("run %.100q: %w, %d of them: give more of its id", id, ErrAmbiguous, n)
	}
	r, err = one(s.read.QueryRowContext(ctx, s.q(selectRun+`, result, votes FROM orrery_run WHERE id = ?`), found))
	if errors.Is(err, sql.ErrNoRows) { // deleted in between
		return nil, notFound(id)
	}
	return r, s.fail("reading a run", err)
}

// Traces reads the traces of a run, by its whole id, in launch order, with those of
// their parts that are asked for and were kept. Traces that had not ended when their
// process died are missing.
func (s *Store) Traces(ctx context.Context, run string, parts Keep) ([]Trace, error) {
	return s.traces(ctx, parts, ` WHERE run = ? ORDER BY number`, run)
}

// Trace reads one trace.
func (s *Store) Trace(ctx context.Context, run string, number int, parts Keep) (*Trace, error) {
	t, err := s.traces(ctx, parts, ` WHERE run = ? AND number = ?`, run, number)
	if err != nil {
		return nil, err
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("trace %d of run %.100q: %w", number, run, ErrNotFound)
	}
	return &t[0], nil
}

func (s *Store) traces(ctx context.Context, parts Keep, where string, args ...any) ([]Trace, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	query := `SELECT run, number, phase, seed, ` + deciding
	for _, p := range []struct {
		k      Keep
		column string
	}{{KeepConfidence, "confidences"}, {KeepText, "texts"}, {KeepAlternatives, "alternatives"}} {
		if parts&p.k == 0 {
			p.column = "NULL"
		}
		query += ", " + p.column
	}
	rows, err := s.read.QueryContext(ctx, s.q(query+` FROM orrery_trace`+where), args...)
	if err != nil {
		return nil, s.fail("reading traces", err)
	}
	defer rows.Close()
	out := []Trace{}
	for rows.Next() {
		var t Trace
		var seed int64
		var votes *int
		var detail string
		var confidences, texts, alternatives []byte
		if err := rows.Scan(&t.Run, &t.Number, &t.Phase, &seed, &t.Answer, &t.StopReason, &t.Excluded, &votes, &t.Weight, &t.Tokens,
			&t.Mean, &t.Lowest, &t.Bottom10, &t.Tail, &t.Seconds, &detail, &confidences, &texts, &alternatives); err != nil {
			return nil, s.fail("reading traces", err)
		}
		t.Seed, t.Detail = uint64(seed), raw(detail)
		if votes != nil {
			v := *votes != 0
			t.Votes = &v
		}
		if err := unpackTrace(&t, confidences, texts, alternatives); err != nil {
			return nil, s.fail(fmt.Sprintf("reading trace %d of run %s", t.Number, t.Run), err)
		}
		out = append(out, t)
	}
	return out, s.fail("reading traces", rows.Err())
}

// Totals is how much a store holds.
type Totals struct {
	Runs, Traces int
	Bytes        int64 // of what is kept, as [Store.Prune] counts it
	Stored       int64 // that the database takes for it
}

// Totals counts.
func (s *Store) Totals(ctx context.Context) (Totals, error) {
	var t Totals
	if err := s.prepare(ctx); err != nil {
		return t, err
	}
	err := s.read.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(traces), 0), coalesce(sum(own_bytes + trace_bytes), 0) FROM orrery_run`).Scan(&t.Runs, &t.Traces, &t.Bytes)
	if err == nil {
		t.Stored, err = s.dialect.size(ctx, s)
	}
	return t, s.fail("counting", err)
}
