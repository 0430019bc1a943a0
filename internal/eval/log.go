package eval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Log is the file of records, one JSON object a line, that an interrupted
// evaluation goes on from. A nil Log keeps nothing.
type Log struct {
	path string
	file *os.File
	old  map[logKey]Record
	run  string
}

type logKey struct {
	task, method string
	index        int
}

// OpenLog opens or creates the file. A last line that was cut short, by a kill
// in the middle of a write, is dropped; any other malformed line is an error.
func OpenLog(path string) (_ *Log, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open evaluation log: %w: choose a file for --out in a folder that exists and can be written to", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	l := &Log{path: path, file: f, old: map[logKey]Record{}}
	r := bufio.NewReader(f)
	var kept int64
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if !recordBegins(line) { // somebody else's file, which must not be lost
				return nil, fmt.Errorf("read evaluation log %s: line %d is not a record of orrery eval: choose another file for --out", path, n)
			}
			break // what has no newline was cut short
		}
		if err != nil {
			return nil, fmt.Errorf("read evaluation log %s: %w", path, err)
		}
		kept += int64(len(line))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var rec Record
		if err := json.Unmarshal(line, &rec); err != nil || rec.Run == "" {
			return nil, fmt.Errorf("read evaluation log %s: line %d is not a record of orrery eval (%v): choose another file for --out", path, n, err)
		}
		if l.run == "" {
			l.run = rec.Run
		}
		if rec.Run != l.run {
			return nil, fmt.Errorf("read evaluation log %s: line %d was made with other settings than line 1: choose another file for --out", path, n)
		}
		l.old[logKey{rec.Task, rec.Method, rec.Index}] = rec
	}
	if err := f.Truncate(kept); err != nil {
		return nil, fmt.Errorf("open evaluation log: %w", err)
	}
	if _, err := f.Seek(kept, io.SeekStart); err != nil {
		return nil, fmt.Errorf("open evaluation log: %w", err)
	}
	return l, nil
}

// recordBegins reports whether line can be the beginning of a record.
func recordBegins(line []byte) bool {
	const head = `{"run":"`
	n := min(len(line), len(head))
	return string(line[:n]) == head[:n]
}

// Len is how many records the file held when it was opened.
func (l *Log) Len() int { return len(l.old) }

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

func (l *Log) begin(run string) error {
	if l == nil {
		return nil
	}
	if l.run != "" && l.run != run {
		return fmt.Errorf("evaluation log %s was made with other settings (%s, now %s): choose another file for --out, or the old settings", l.path, l.run, run)
	}
	l.run = run
	return nil
}

func (l *Log) find(task, method string, i int) (Record, bool) {
	if l == nil {
		return Record{}, false
	}
	r, ok := l.old[logKey{task, method, i}]
	return r, ok
}

// add appends a record in one write, so that a kill loses at most that line.
func (l *Log) add(r Record) error {
	if l == nil {
		return nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write evaluation log %s: %w", l.path, err)
	}
	return nil
}
