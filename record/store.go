package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store is a database of runs. It is safe for concurrent use, also by several
// processes.
type Store struct {
	name    string // for people, without password
	path    string // of the file; "" for PostgreSQL
	file    os.FileInfo
	write   *sql.DB
	read    *sql.DB
	dialect dialect
	clock   func() time.Time
	faked   bool // clock is a test's: it stands for the server's as well
	later   bool

	ready chan bool // of one place: whether the schema is up to date; whoever asks takes it and puts it back

	owner owner
	close sync.Once
}

// dialect is what the two databases say differently.
type dialect struct {
	numbered bool              // parameters are $1, $2, …
	types    *strings.Replacer // of migrations
	now      string            // an expression for the server's time in microseconds; "": there is no server
	fold     string            // an expression's ASCII letters in lower case, as fmt's format

	lockSchema func(ctx context.Context, tx *sql.Tx) error // until the transaction ends
	temporary  func(error) bool                            // may the same succeed later?
	explain    func(error) string                          // cause and remedy in words, or ""
	size       func(ctx context.Context, s *Store) (int64, error)
	shrink     func(ctx context.Context, s *Store) error // give freed space back
}

// Option changes how a store is opened.
type Option func(*Store)

// WithClock replaces the clock, for tests.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.clock, s.faked = now, true }
}

// Later lets a store be opened that cannot be reached yet: what is asked of it fails
// until it can be.
func Later() Option { return func(s *Store) { s.later = true } }

// CheckURL reports a url that Open cannot know what to do with.
func CheckURL(url string) error {
	const give = "give sqlite:PATH or postgres://USER@HOST/DATABASE, or nothing for the file in your data folder"
	switch {
	case url == "", strings.HasPrefix(url, "sqlite:") && len(url) > len("sqlite:"):
		return nil
	case isPostgres(url):
		if why := malformedPostgres(url); why != "" {
			return fmt.Errorf("%q is no store, %s: %s", withoutPassword(url), why, give)
		}
		return nil
	}
	return fmt.Errorf("%q is no store: %s", withoutPassword(url), give)
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// Open opens or makes a store and brings its schema up to date. url is "" for the
// file orrery/record.sqlite in the user's data folder, "sqlite:PATH", or
// "postgres://…".
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	s := &Store{clock: time.Now, ready: make(chan bool, 1)}
	s.ready <- false
	for _, o := range options {
		o(s)
	}
	err := CheckURL(url)
	switch {
	case err != nil:
	case isPostgres(url):
		err = s.openPostgres(url)
	case url == "":
		if s.path, err = DefaultPath(); err == nil {
			err = s.openSQLite()
		}
	default:
		s.path = strings.TrimPrefix(url, "sqlite:")
		err = s.openSQLite()
	}
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		if e, ok := errors.AsType[*Error](err); s.later && ok && e.Temporary() {
			return s, nil
		}
		s.read.Close()
		s.write.Close()
		return nil, err
	}
	return s, nil
}

// Opened reports whether a store could be reached yet, see [Later]; no if that is not
// known before ctx ends.
func (s *Store) Opened(ctx context.Context) bool {
	select {
	case is := <-s.ready:
		s.ready <- is
		return is
	case <-ctx.Done():
		return false
	}
}

// prepare brings the schema up to date, once.
func (s *Store) prepare(ctx context.Context) error {
	var is bool
	select {
	case is = <-s.ready:
	case <-ctx.Done():
		return s.fail("opening it", ctx.Err())
	}
	defer func() { s.ready <- is }()
	if is {
		return nil
	}
	if err := s.migrate(ctx); err != nil {
		return s.fail("opening it", err)
	}
	is = true
	s.reap(ctx) // what it cannot mark now, a heartbeat does
	return nil
}

// withoutPassword cuts what may be one out of something that should be a URL.
func withoutPassword(url string) string {
	url, _, _ = strings.Cut(url, "?")
	if at := strings.LastIndexByte(url, '@'); at >= 0 {
		return "…" + url[at:]
	}
	return url
}

// DefaultPath is where the store lies if nothing is said.
func DefaultPath() (string, error) {
	dir := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(dir) { // relative ones are to be ignored, says the XDG specification
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the user's data folder: %w: set XDG_DATA_HOME, or say --store", err)
		}
		dir = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(dir, "orrery", "record.sqlite"), nil
}

// Name says where the store is, without a password.
func (s *Store) Name() string { return s.name }

// Close ends the process's part in the store. Runs that it began and did not end are
// lost.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() { err = errors.Join(s.owner.leave(s), s.read.Close(), s.write.Close()) })
	return err
}

// q numbers the parameters, written ?, where the database wants numbers. No query
// holds a question mark otherwise.
func (s *Store) q(query string) string {
	if !s.dialect.numbered {
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

// within runs do in a writing transaction.
func (s *Store) within(ctx context.Context, do func(*sql.Tx) error) error {
	if err := s.there(); err != nil {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		tx.Rollback() // the first error says more
		return err
	}
	return tx.Commit()
}

// there reports a file that was deleted or replaced while it is open: what is written
// would go nowhere, without an error.
func (s *Store) there() error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	if err == nil && os.SameFile(s.file, now) {
		return nil
	}
	if err == nil {
		err = errors.New("another file is in its place")
	}
	return &Error{Store: s.name, Op: "writing", Hint: "the file was moved or deleted while it was open: put it back, or start again for a new one", Err: err}
}

// Errors of what is asked for.
var (
	ErrNotFound  = errors.New("there is no such run")
	ErrAmbiguous = errors.New("several runs begin so")
	ErrExists    = errors.New("another process has begun a run of that name")
)

// Error says what a store could not do, and why.
type Error struct {
	Store string
	Op    string
	Hint  string // cause and remedy, if known
	Err   error
	temp  bool
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("the record %s: %s: %s (%v)", e.Store, e.Op, e.Hint, e.Err)
	}
	return fmt.Sprintf("the record %s: %s: %v", e.Store, e.Op, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same may succeed later.
func (e *Error) Temporary() bool { return e.temp }

// fail dresses an error of the database. Those of the caller stay as they are.
func (s *Store) fail(op string, err error) error {
	for _, theirs := range []error{context.Canceled, ErrNotFound, ErrAmbiguous, ErrExists} {
		if err == nil || errors.Is(err, theirs) {
			return err
		}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Store: s.name, Op: op, Err: err, Hint: s.dialect.explain(err), temp: s.dialect.temporary(err)}
}

// micros is a time as the database keeps it; 0 is no time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}
