package sweep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// migrationLock keeps two processes from making the tables at once; the number
// is "orrery" in ASCII.
const migrationLock = 0x6f7272657279

// openPostgres connects to a database that others may work on as well. Only a
// process that begins sweeps makes the tables.
func openPostgres(ctx context.Context, url string, begins bool) (*backend[pgx.Tx], error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("opening the sweep's database: %w", err) // pgx hides the password
	}
	c := config.ConnConfig
	name := fmt.Sprintf("postgres://%s:%d/%s", c.Host, c.Port, c.Database)
	fail := func(err error) (*backend[pgx.Tx], error) {
		return nil, fmt.Errorf("opening the sweep's database %s: %w", name, err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fail(err)
	}
	db := stdlib.OpenDBFromPool(pool)
	b := &backend[pgx.Tx]{store: store{db: db, postgres: true, name: name}, driver: riverpgxv5.New(pool), close: func() { db.Close(); pool.Close() }}
	b.within = func(ctx context.Context, do func(pgx.Tx, func(string, ...any) error) error) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			return do(tx, func(query string, args ...any) error {
				_, err := tx.Exec(ctx, query, args...)
				return err
			})
		})
	}
	if err := b.ready(ctx, begins); err != nil {
		b.close()
		return fail(err)
	}
	return b, nil
}

// ready makes the tables, or sees whether they are there.
func (b *backend[Tx]) ready(ctx context.Context, begins bool) error {
	if err := b.sameTime(ctx); err != nil {
		return err
	}
	if !begins {
		var there sql.NullString
		if err := b.db.QueryRowContext(ctx, `SELECT to_regclass('orrery_build')::text`).Scan(&there); err != nil {
			return err
		}
		if !there.Valid {
			return errors.New("no sweep has been begun there: start 'orrery sweep' with it first")
		}
		return nil
	}
	lock, err := b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	err = b.migrate(ctx)
	_, uerr := lock.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
	return errors.Join(err, uerr)
}

// sameTime refuses a clock that is off: leases compare the database's with that
// of the worker whose turn it is to rescue.
func (b *backend[Tx]) sameTime(ctx context.Context) error {
	var there time.Time
	before := time.Now()
	if err := b.db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
		return err
	}
	const most = DefaultLease / 4
	off := max(before.Sub(there), time.Until(there))
	if off > most {
		return fmt.Errorf("its clock and this machine's differ by %s: set the clocks", off.Round(time.Second))
	}
	return nil
}
