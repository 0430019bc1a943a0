package record

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Delete takes a run and its traces away, by its whole id. Its folder and its
// report stay. A process that is still at it will find it gone, and say so.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	n, err := s.delete(ctx, []string{id})
	if err == nil && n == 0 {
		return notFound(id)
	}
	return s.fail("deleting a run", err)
}

// delete takes runs away, some at a time so that others get to write in between.
func (s *Store) delete(ctx context.Context, ids []string) (n int, err error) {
	const some = 50
	for len(ids) > 0 {
		part := ids[:min(some, len(ids))]
		ids = ids[len(part):]
		err := s.within(ctx, func(tx *sql.Tx) error {
			for _, id := range part {
				res, err := tx.ExecContext(ctx, s.q(`DELETE FROM orrery_run WHERE id = ?`), id)
				if err != nil {
					return err
				}
				gone, err := res.RowsAffected()
				n += int(gone)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, s.dialect.shrink(ctx, s)
}

// Pruned is what a pruning took away.
type Pruned struct {
	Runs  int
	Bytes int64 // as Totals.Bytes counts them
}

// Prune takes away runs that ended longer than age ago (0: none for their age), and
// then the oldest until the rest has at most so many bytes (0: none for their
// size). Runs that are running stay. If kinds are named, others neither count nor go.
// SQLite's file shrinks by what was taken.
func (s *Store) Prune(ctx context.Context, age time.Duration, bytes int64, kinds ...string) (Pruned, error) {
	if err := s.prepare(ctx); err != nil {
		return Pruned{}, err
	}
	p, err := s.prune(ctx, age, bytes, kinds)
	return p, s.fail("pruning", err)
}

func (s *Store) prune(ctx context.Context, age time.Duration, bytes int64, kinds []string) (Pruned, error) {
	var p Pruned
	where, args := "", []any(nil)
	if len(kinds) > 0 {
		where, args = "WHERE "+oneOf("kind", kinds), anys(kinds)
	}
	rows, err := s.read.QueryContext(ctx, s.q(`SELECT id, state, ended, own_bytes + trace_bytes FROM orrery_run `+where+` ORDER BY id DESC`), args...)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	oldest := micros(s.clock().Add(-age))
	var ids []string
	var kept int64
	full := false
	for rows.Next() {
		var id string
		var state State
		var ended, size int64
		if err := rows.Scan(&id, &state, &ended, &size); err != nil {
			return p, err
		}
		old := age > 0 && ended < oldest
		full = full || bytes > 0 && kept+size > bytes // and everything before it goes
		if state != Running && (old || full) {
			ids, p.Bytes = append(ids, id), p.Bytes+size
			continue
		}
		kept += size
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return p, err
	}
	// Limits of keys that nobody has used for a day are as if they had never been.
	if _, err := s.write.ExecContext(ctx, s.q(`DELETE FROM orrery_limit WHERE tat < ?`), s.clock().Add(-24*time.Hour).UnixNano()); err != nil {
		return p, err
	}
	if len(ids) == 0 {
		return p, nil
	}
	p.Runs, err = s.delete(ctx, ids)
	return p, err
}
