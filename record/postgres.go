package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// schemaLock keeps two processes from migrating at once: "record" in ASCII.
const schemaLock = 0x7265636f7264

// malformedPostgres says what is wrong with a PostgreSQL URL as such; "": nothing. That a
// file cannot be read which it names is not.
func malformedPostgres(url string) string {
	_, err := pgx.ParseConfig(url)
	if err == nil || errors.As(err, new(*fs.PathError)) {
		return ""
	}
	_, why, found := strings.Cut(err.Error(), "`: ") // pgx: cannot parse `URL`: WHY (DETAIL)
	if !found {
		return "which cannot be read as a URL"
	}
	why, _, _ = strings.Cut(why, " (") // the detail may quote any piece of it
	return why
}

func (s *Store) openPostgres(url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err // pgx hides the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	s.name = fmt.Sprintf("postgres://%s:%d/%s", config.Host, config.Port, config.Database)
	open := func(connections int) *sql.DB {
		db := stdlib.OpenDB(*config)
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		db.SetConnMaxIdleTime(time.Minute)
		return db
	}
	s.write, s.read = open(4), open(4)
	s.dialect = dialect{
		numbered: true,
		types:    strings.NewReplacer("{{id}}", `text COLLATE "C"`, "{{blob}}", "bytea"),
		now:      `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`,
		fold:     `lower(%s COLLATE "C")`,
		lockSchema: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock))
			return err
		},
		temporary: postgresTemporary,
		explain:   postgresExplain,
		size: func(ctx context.Context, s *Store) (n int64, err error) {
			err = s.read.QueryRowContext(ctx, `SELECT pg_total_relation_size('orrery_run') + pg_total_relation_size('orrery_trace')`).Scan(&n)
			return n, err
		},
		shrink: func(context.Context, *Store) error { return nil }, // autovacuum's work
	}
	return nil
}

// postgresTemporary: what is not an answer of the server is a broken connection;
// of its answers, classes 08, 40, 53, 57 and 58 pass (PostgreSQL's appendix A).
func postgresTemporary(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "08", "40", "53", "57", "58":
			return true
		}
		return e.Code == "25006" || e.Code == "55000" // a standby that is about to take over; a database that is closed for now
	}
	return !errors.As(err, new(*VersionError))
}

func postgresExplain(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case e.Code == "53100":
			return "the server's disk is full: make room there, or keep less with --keep, --keep-for and --keep-bytes"
		case e.Code[:2] == "28":
			return "the server refuses the user: check the name and password in --store"
		case e.Code == "42501":
			return "the user may not do that: let it create and change tables in this database"
		case e.Code == "3D000":
			return "the database does not exist: make it with createdb"
		case e.Code[:2] == "57":
			return "the server is shutting down"
		}
		return ""
	}
	var net net.Error
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || errors.As(err, &net) {
		return "the server cannot be reached: start it, or check host and port in --store"
	}
	return ""
}
