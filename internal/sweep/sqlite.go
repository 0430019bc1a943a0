package sweep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/riverqueue/river/riverdriver/riversqlite"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// openSQLite opens or makes a database file. This process holds it alone, so
// the jobs that are marked as running are those of a process that died: River's
// rescuer is told so.
func openSQLite(ctx context.Context, path string) (*backend[*sql.Tx], error) {
	fail := func(err error) (*backend[*sql.Tx], error) {
		if strings.Contains(err.Error(), "SQLITE_BUSY") || strings.Contains(err.Error(), "database is locked") {
			err = fmt.Errorf("another process has it: wait for that, or stop it; several processes share a sweep through PostgreSQL, --db postgres://…")
		}
		return nil, fmt.Errorf("opening the sweep's database %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fail(err)
	}
	// Exclusive: the lock is held from the first access until the file is closed.
	options := url.Values{"_pragma": {"locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return fail(err)
	}
	db.SetMaxOpenConns(1) // River's services would find it busy, and the lock is the connection's
	b := &backend[*sql.Tx]{store: store{db: db, name: path}, driver: riversqlite.New(db), close: func() { db.Close() }}
	b.within = func(ctx context.Context, do func(*sql.Tx, func(string, ...any) error) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		exec := func(query string, args ...any) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		}
		if err := do(tx, exec); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
	err = b.migrate(ctx)
	for _, query := range []string{`UPDATE river_job SET attempted_at = '1970-01-01 00:00:00' WHERE state = 'running'`, `DELETE FROM river_leader`} {
		if err == nil {
			_, err = db.ExecContext(ctx, query)
		}
	}
	if err != nil {
		db.Close()
		return fail(err)
	}
	return b, nil
}
