package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Batch is several writes that happen together or not at all. Each can be done
// again after it may have happened: the second time it changes nothing.
type Batch struct {
	s     *Store
	tx    *sql.Tx
	ctx   context.Context
	owner int64
}

// Write runs do in one transaction.
func (s *Store) Write(ctx context.Context, do func(*Batch) error) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	owner, err := s.owner.join(ctx, s)
	if err != nil {
		return s.fail("writing", err)
	}
	return s.fail("writing", s.within(ctx, func(tx *sql.Tx) error { return do(&Batch{s, tx, ctx, owner}) }))
}

// Begin writes down that a run has begun. An empty ID, Started or State is filled in.
func (s *Store) Begin(ctx context.Context, r *Run) error {
	s.begun(r)
	return s.Write(ctx, func(b *Batch) error { return b.Begin(r) })
}

// Update writes down how far a run is: all fields but ID, Kind, Started, Client and
// Request. State and Ended say whether that is its end.
func (s *Store) Update(ctx context.Context, r *Run) error {
	return s.Write(ctx, func(b *Batch) error { return b.Update(r) })
}

// End is Update of a run that has ended: an empty Ended is now, and a State of
// [Running] becomes [Done].
func (s *Store) End(ctx context.Context, r *Run) error {
	s.ended(r)
	return s.Update(ctx, r)
}

// Put writes down a trace that has ended.
func (s *Store) Put(ctx context.Context, t *Trace) error {
	return s.Write(ctx, func(b *Batch) error { return b.Put(t) })
}

// Decide writes down what was decided of traces after they had ended: all fields
// but Run, Number, Phase, Seed and the parts that [Keep] names.
func (s *Store) Decide(ctx context.Context, traces []Trace) error {
	return s.Write(ctx, func(b *Batch) error { return b.Decide(traces) })
}

func (s *Store) begun(r *Run) {
	if r.Started.IsZero() {
		r.Started = s.clock()
	}
	if r.ID == "" {
		r.ID = NewID(r.Started)
	}
	if r.State == "" {
		r.State = Running
	}
}

func (s *Store) ended(r *Run) {
	if r.Ended.IsZero() {
		r.Ended = s.clock()
	}
	if r.State == "" || r.State == Running {
		r.State = Done
	}
}

// Begin: see [Store.Begin].
func (b *Batch) Begin(r *Run) error {
	b.s.begun(r)
	res, err := b.tx.ExecContext(b.ctx, b.s.q(`INSERT INTO orrery_run (id, kind, started, client, request, owner, trace_bytes, `+changing+`)
		VALUES (?, ?, ?, ?, ?, ?, 0`+each(changing)+`) ON CONFLICT (id) DO NOTHING`),
		append([]any{r.ID, clean(r.Kind), micros(r.Started), clean(r.Client), clean(r.Request), b.owner}, changed(r)...)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	// It is there: this one, whose commit was not heard of, or another's.
	var owner int64
	if err := b.tx.QueryRowContext(b.ctx, b.s.q(`SELECT owner FROM orrery_run WHERE id = ?`), r.ID).Scan(&owner); err != nil {
		return err
	}
	if owner != b.owner {
		return fmt.Errorf("begin run %s: %w", r.ID, ErrExists)
	}
	return nil
}

// changing are the columns that Update writes, and changed their values.
const changing = `name, method, model, state, ended, dir, report, keep, question, answer, tokens, saved, traces, config, metrics, error, result, votes, own_bytes`

// each is a parameter for each column.
func each(columns string) string { return strings.Repeat(", ?", 1+strings.Count(columns, ",")) }

func changed(r *Run) []any {
	v := []any{clean(r.Name), clean(r.Method), clean(r.Model), string(r.State), micros(r.Ended), clean(r.Dir), clean(r.Report), r.Keep,
		cleaned(r.Question), cleaned(r.Answer), r.Tokens, r.Saved, r.Traces, string(r.Config), string(r.Metrics), clean(r.Error), string(r.Result), string(r.Votes)}
	size := rowBytes
	for _, x := range v {
		switch x := x.(type) {
		case string:
			size += len(x)
		case *string:
			if x != nil {
				size += len(*x)
			}
		}
	}
	return append(v, size)
}

// rowBytes is what the rest of a row takes in the database, about: its numbers, its
// keys in the indexes, and its share of half-filled pages.
const rowBytes = 300

// Update: see [Store.Update].
func (b *Batch) Update(r *Run) error {
	res, err := b.tx.ExecContext(b.ctx, b.s.q(`UPDATE orrery_run SET `+strings.ReplaceAll(changing, ",", " = ?,")+` = ? WHERE id = ?`), append(changed(r), r.ID)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return notFound(r.ID)
}

func notFound(id string) error { return fmt.Errorf("run %.100q: %w", id, ErrNotFound) }

// End: see [Store.End].
func (b *Batch) End(r *Run) error {
	b.s.ended(r)
	return b.Update(r)
}

// Put: see [Store.Put].
func (b *Batch) Put(t *Trace) error {
	confidences, texts, alternatives := packTrace(t)
	size := rowBytes + len(confidences) + len(texts) + len(alternatives) + len(t.Detail)
	// The run is asked for here, so that a trace of none is no broken constraint, after
	// which PostgreSQL would refuse the rest of the batch.
	res, err := b.tx.ExecContext(b.ctx, b.s.q(`INSERT INTO orrery_trace (run, number, phase, seed, confidences, texts, alternatives, `+deciding+`)
		SELECT id, ?, ?, ?, ?, ?, ?`+each(deciding)+` FROM orrery_run WHERE id = ? ON CONFLICT (run, number) DO NOTHING`),
		append(append([]any{t.Number, t.Phase, int64(t.Seed), confidences, texts, alternatives}, decided(t)...), t.Run)...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 { // it has been written before, or there is no run
		var one int
		err := b.tx.QueryRowContext(b.ctx, b.s.q(`SELECT 1 FROM orrery_run WHERE id = ?`), t.Run).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(t.Run)
		}
		return err
	}
	// The counts of a run that has not ended: End writes them again.
	_, err = b.tx.ExecContext(b.ctx, b.s.q(`UPDATE orrery_run SET trace_bytes = trace_bytes + ?,
		traces = traces + CASE WHEN state = 'running' THEN 1 ELSE 0 END, tokens = tokens + CASE WHEN state = 'running' THEN ? ELSE 0 END WHERE id = ?`), size, t.Tokens, t.Run)
	return err
}

// deciding are the columns that Decide writes, and decided their values.
const deciding = `answer, stop_reason, excluded, votes, weight, tokens, mean, lowest, bottom10, tail, seconds, detail`

func decided(t *Trace) []any {
	var votes *int
	if t.Votes != nil {
		n := 0
		if *t.Votes {
			n = 1
		}
		votes = &n
	}
	return []any{cleaned(t.Answer), t.StopReason, t.Excluded, votes, t.Weight, t.Tokens, t.Mean, t.Lowest, t.Bottom10, t.Tail, t.Seconds, string(t.Detail)}
}

// Decide: see [Store.Decide]. Traces that were not put are left out.
func (b *Batch) Decide(traces []Trace) error {
	for i := range traces {
		t := &traces[i]
		if _, err := b.tx.ExecContext(b.ctx, b.s.q(`UPDATE orrery_trace SET `+strings.ReplaceAll(deciding, ",", " = ?,")+` = ? WHERE run = ? AND number = ?`),
			append(decided(t), t.Run, t.Number)...); err != nil {
			return err
		}
	}
	return nil
}

// clean makes a text one that PostgreSQL takes, which has no zero characters: what
// models write is kept in the traces' texts as it is.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cleaned(s *string) *string {
	if s == nil {
		return nil
	}
	c := clean(*s)
	return &c
}

// raw is a JSON column; "" is none.
func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}
