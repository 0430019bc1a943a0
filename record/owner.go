package record

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// How a process that runs something is known to live.
const (
	beatEvery = 10 * time.Second
	lostAfter = time.Minute // without a beat, where nothing better is known
)

// owner is this process's part in a store: a row that says when it was last alive
// and, beside a file, a lock that the system drops with the process.
type owner struct {
	mu   sync.Mutex
	id   int64 // 0: nothing has begun here
	lock *os.File
	stop context.CancelFunc
	done chan struct{}
}

// join makes the process known, once.
func (o *owner) join(ctx context.Context, s *Store) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.id != 0 {
		return o.id, nil
	}
	id := 1 + rand.Int64N(1<<62)
	lock := lockOwner(s.path, id) // before the row, so that nobody sees an unlocked one
	if err := s.beat(ctx, id); err != nil {
		if lock != nil {
			lock.Close()
		}
		return 0, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.id, o.lock, o.stop, o.done = id, lock, stop, make(chan struct{})
	go func() {
		defer close(o.done)
		for tick := time.NewTicker(beatEvery); ; {
			select {
			case <-beating.Done():
				tick.Stop()
				return
			case <-tick.C:
				s.Heartbeat(beating) // what it cannot write now, the next writes
			}
		}
	}()
	return id, nil
}

// leave ends what this process began.
func (o *owner) leave(s *Store) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.id == 0 {
		return nil
	}
	o.stop()
	<-o.done
	ctx, cancel := context.WithTimeout(context.Background(), beatEvery)
	defer cancel()
	err := s.within(ctx, func(tx *sql.Tx) error { return s.lose(ctx, tx, o.id, micros(s.clock())) })
	if o.lock != nil {
		err = errors.Join(err, o.lock.Close())
	}
	o.id = 0
	return s.fail("leaving it", err)
}

// Heartbeat says that this process lives, and marks as lost what those that do not
// had begun. A store does so by itself from the first [Store.Begin] on.
func (s *Store) Heartbeat(ctx context.Context) error {
	s.owner.mu.Lock()
	id := s.owner.id
	s.owner.mu.Unlock()
	if id != 0 {
		if err := s.beat(ctx, id); err != nil {
			return s.fail("saying that this process lives", err)
		}
	}
	_, err := s.Reap(ctx)
	return err
}

func (s *Store) beat(ctx context.Context, id int64) error {
	host, _ := os.Hostname()
	now, args := s.now()
	_, err := s.write.ExecContext(ctx, s.q(`INSERT INTO orrery_owner (id, host, pid, beat) VALUES (?, ?, ?, `+now+`)
		ON CONFLICT (id) DO UPDATE SET beat = excluded.beat`), append([]any{id, host, os.Getpid()}, args...)...)
	return err
}

// now is an expression for the time in microseconds: the server's where there is
// one, because the clocks of its clients may differ.
func (s *Store) now() (string, []any) {
	if s.dialect.now != "" && !s.faked {
		return s.dialect.now, nil
	}
	return "CAST(? AS bigint)", []any{s.clock().UnixMicro()}
}

// Reap marks as lost the running runs of processes that died, and says how many.
func (s *Store) Reap(ctx context.Context) (int, error) {
	if err := s.prepare(ctx); err != nil {
		return 0, err
	}
	return s.reap(ctx)
}

func (s *Store) reap(ctx context.Context) (int, error) {
	now, args := s.now()
	rows, err := s.read.QueryContext(ctx, s.q(`SELECT r.owner, max(coalesce(o.beat, 0)), max(r.started), count(*), `+now+`
		FROM orrery_run r LEFT JOIN orrery_owner o ON o.id = r.owner WHERE r.state = 'running' GROUP BY r.owner`), args...)
	if err != nil {
		return 0, s.fail("looking for dead processes", err)
	}
	defer rows.Close()
	type dead struct{ id, seen int64 }
	var all []dead
	lost := 0
	for rows.Next() {
		var id, beat, started, runs, now int64
		if err := rows.Scan(&id, &beat, &started, &runs, &now); err != nil {
			return 0, s.fail("looking for dead processes", err)
		}
		alive, known := ownerLives(s.path, id)
		if !known {
			alive = now-beat < lostAfter.Microseconds()
		}
		if !alive {
			all = append(all, dead{id, max(beat, started)})
			lost += int(runs)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(all) == 0 {
		return 0, s.fail("looking for dead processes", err)
	}
	err = s.within(ctx, func(tx *sql.Tx) error {
		for _, d := range all {
			if err := s.lose(ctx, tx, d.id, d.seen); err != nil {
				return err
			}
		}
		return nil
	})
	return lost, s.fail("marking lost runs", err)
}

// lose ends what an owner has running, as of its last sign of life.
func (s *Store) lose(ctx context.Context, tx *sql.Tx, owner, seen int64) error {
	if _, err := tx.ExecContext(ctx, s.q(`UPDATE orrery_run SET state = 'lost', ended = CASE WHEN started > ? THEN started ELSE ? END WHERE state = 'running' AND owner = ?`),
		seen, seen, owner); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, s.q(`DELETE FROM orrery_owner WHERE id = ?`), owner)
	return err
}
