package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens or makes the file at s.path. One connection writes; others read
// beside it, as the write-ahead log allows.
func (s *Store) openSQLite() error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	s.path, s.name = path, path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // it holds what people asked
		return fmt.Errorf("%w: choose another place with --store sqlite:PATH", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: choose another place with --store sqlite:PATH", err)
	}
	s.file, err = f.Stat()
	f.Close()
	if err != nil {
		return err
	}
	open := func(connections int, more ...string) (*sql.DB, error) {
		v := url.Values{"_auto_vacuum": {"incremental"}, "_busy_timeout": {"5000"}, "_txlock": {"immediate"},
			"_pragma": append([]string{"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}, more...)}
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+v.Encode())
		if err == nil {
			db.SetMaxOpenConns(connections)
		}
		return db, err
	}
	if s.write, err = open(1); err != nil {
		return err
	}
	if s.read, err = open(4, "query_only(1)"); err != nil {
		s.write.Close()
		return err
	}
	s.dialect = dialect{
		types:      strings.NewReplacer("{{id}}", "text", "{{blob}}", "blob"),
		fold:       "lower(%s)",
		lockSchema: func(context.Context, *sql.Tx) error { return nil }, // transactions begin with the lock on the file
		temporary:  sqliteTemporary,
		explain:    sqliteExplain,
		size:       sqliteSize,
		shrink:     sqliteShrink,
	}
	return nil
}

// sqliteCode is the primary result code of an error; 0: it is none of SQLite's.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func sqliteTemporary(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

func sqliteExplain(err error) string {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another program holds a lock on the file: wait for it, or end it"
	case sqlite3.SQLITE_FULL:
		return "the disk, or the file's quota, is full: make room, or keep less with --keep, --keep-for and --keep-bytes"
	case sqlite3.SQLITE_NOTADB:
		return "the file is no SQLite database: move it away, or choose another with --store sqlite:PATH"
	case sqlite3.SQLITE_CORRUPT:
		return "the file is damaged: move it away, a new one is made; 'sqlite3 FILE .recover' saves what can be"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return "the file cannot be written: mend its permissions, or choose another with --store sqlite:PATH"
	case sqlite3.SQLITE_IOERR:
		return "the disk fails, or is full"
	}
	return ""
}

// sqliteSize is the bytes of the pages in use.
func sqliteSize(ctx context.Context, s *Store) (int64, error) {
	var pages, free, size int64
	err := s.read.QueryRowContext(ctx, `SELECT p.page_count, f.freelist_count, s.page_size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s`).Scan(&pages, &free, &size)
	return (pages - free) * size, err
}

// sqliteShrink gives free pages back to the file system, a few megabytes at a time
// so that writers get their turn.
func sqliteShrink(ctx context.Context, s *Store) error {
	for {
		var free int64
		if err := s.write.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free); err != nil {
			return err
		}
		if free == 0 {
			break
		}
		if _, err := s.write.ExecContext(ctx, `PRAGMA incremental_vacuum(1024)`); err != nil {
			return err
		}
		var left int64
		if err := s.write.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&left); err != nil {
			return err
		}
		if left >= free { // a file that an older program made without auto_vacuum
			break
		}
	}
	// The log may hold as much as was freed; where a reader is in the way, the next one gets it.
	_, err := s.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}
