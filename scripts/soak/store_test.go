package soak

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// trouble is a fault of a store, for a while.
type trouble struct {
	name  string
	begin func() (end func(), err error)
}

// place is where a replica records, and what can go wrong there.
type place struct {
	name     string
	url      string
	troubles []trouble
}

// sqlitePlace is a file in a small file system of its own, where one may be made.
func sqlitePlace(t *testing.T) place {
	dir := t.TempDir()
	path := filepath.Join(dir, "record.sqlite")
	p := place{name: "SQLite", url: "sqlite:" + path}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=192m"); err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Errorf("the small file system is still in use: %v", err)
			}
		})
		p.troubles = append(p.troubles, trouble{"disk full", func() (func(), error) { return fill(filepath.Join(dir, "filler")) }})
	} else {
		t.Logf("disk full: not tried, because no small file system can be mounted here: %v", err)
	}
	p.troubles = append(p.troubles, trouble{"database locked", func() (func(), error) {
		return lock("sqlite", path, "BEGIN EXCLUSIVE", "")
	}})
	return p
}

// fill takes the rest of a file system.
func fill(path string) (func(), error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for n := len(block); n > 0; {
		if _, err := f.Write(block[:n]); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else if err != nil {
			return nil, err
		}
	}
	return func() { os.Remove(path) }, nil
}

// lock holds a database by a connection of its own.
func lock(driver, name, begin, then string) (func(), error) {
	db, err := sql.Open(driver, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := db.Conn(ctx)
	for err == nil {
		if _, err = conn.ExecContext(ctx, begin); err == nil || ctx.Err() != nil {
			break
		}
		err = nil // it is being written to: again
	}
	if err == nil && then != "" {
		_, err = conn.ExecContext(ctx, then)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	return func() {
		conn.ExecContext(context.Background(), "ROLLBACK")
		conn.Close()
		db.Close()
	}, nil
}

// postgresPlace is a fresh database, reached through a door that can be shut.
func postgresPlace(t *testing.T, server string) place {
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("soak_%d", os.Getpid())
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
		admin.Close()
	})
	direct, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	direct.Path = "/" + name
	socket := filepath.Join(direct.Query().Get("host"), ".s.PGSQL.5432")
	dir, err := os.MkdirTemp("/tmp", "soak") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &door{to: socket, open: map[net.Conn]bool{}}
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	go d.serve(l)
	t.Cleanup(func() { l.Close(); d.shut() })
	through := *direct
	through.RawQuery = url.Values{"host": {dir}}.Encode()
	return place{name: "PostgreSQL", url: through.String(), troubles: []trouble{
		{"database gone", func() (func(), error) { d.shut(); return d.unlock, nil }},
		{"database locked", func() (func(), error) {
			return lock("pgx", direct.String(), "BEGIN", "LOCK TABLE orrery_run, orrery_trace IN ACCESS EXCLUSIVE MODE")
		}},
	}}
}

// door passes connections on to a socket while it is open.
type door struct {
	to     string
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func (d *door) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", d.to)
		if err != nil || !d.keep(in, out) {
			in.Close()
			if out != nil {
				out.Close()
			}
			continue
		}
		pass := func(a, b net.Conn) {
			io.Copy(a, b)
			a.Close()
			b.Close()
			d.mu.Lock()
			delete(d.open, a)
			d.mu.Unlock()
		}
		go pass(in, out)
		go pass(out, in)
	}
}

func (d *door) keep(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range conns {
		if !d.closed {
			d.open[c] = true
		}
	}
	return !d.closed
}

// shut breaks all connections, and lets no more through.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.open {
		c.Close()
	}
}

func (d *door) unlock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
}
