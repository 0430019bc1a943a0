package upstream

import (
	"bytes"
	"errors"
	"strings"
	"sync"
)

// maxEvent bounds one line, and one event of several lines. A single event
// with 20 alternatives for each of a thousand tokens is about 2 MiB.
const maxEvent = 16 << 20

// frameKind says what a frame is.
type frameKind uint8

const (
	frameData  frameKind = iota // JSON
	frameError                  // what a server said in an error field or event
	frameDone                   // [DONE]
)

var (
	errTooLong  = errors.New("an event is longer than 16 MiB")
	errNotSSE   = errors.New("the body is not an event stream")
	errNoBytes  = errors.New("the connection gives neither bytes nor an end")
	doneMarker  = []byte("[done]")
	utf8BOM     = []byte("\xef\xbb\xbf")
	frameBuffer = sync.Pool{New: func() any { return new(make([]byte, 16<<10)) }}
)

// frames cuts a body into events: server-sent events, or with lines set, one
// JSON text a line. It reads as the stream's consumer asks.
//
// Beyond the standard for server-sent events it takes what servers do: a field
// named error, [DONE] without its blank line, a last event without one.
type frames struct {
	read  func([]byte) (int, error)
	lines bool // newline-delimited JSON

	store  *[]byte
	buf    []byte // buf[lo:hi] is read and not yet consumed
	lo, hi int
	seen   int // buf[lo:seen] has no newline
	ended  error

	event   []byte // data lines so far, joined by newlines
	isError bool   // the event's type is error
	done    bool   // [DONE] came while data was pending
	partial bool   // the frame just returned lacks its newline: the body may have been cut in it
	started bool
	known   bool   // a field of server-sent events was seen
	stray   []byte // the beginning of what else was seen
}

func newFrames(read func([]byte) (int, error), lines bool) *frames {
	store := frameBuffer.Get().(*[]byte)
	return &frames{read: read, lines: lines, store: store, buf: *store}
}

// close gives the buffer back. Nothing returned by next may be used after.
func (f *frames) close() {
	*f.store = f.buf
	if cap(f.buf) <= 1<<20 { // one huge event must not pin its memory for ever
		frameBuffer.Put(f.store)
	}
	f.buf, f.store = nil, nil
}

// fill reads more, making room by moving what is left down, then by growing.
func (f *frames) fill() error {
	if f.ended != nil {
		return f.ended
	}
	if f.lo > 0 {
		n := copy(f.buf, f.buf[f.lo:f.hi])
		f.seen -= f.lo
		f.lo, f.hi = 0, n
	}
	if f.hi == len(f.buf) {
		if f.hi >= maxEvent {
			return errTooLong
		}
		f.buf = append(f.buf, make([]byte, len(f.buf))...)
	}
	for range 100 { // as bufio does: a Reader may return nothing, but not for ever
		n, err := f.read(f.buf[f.hi:])
		f.hi += n
		if err != nil {
			f.ended = err
		}
		if n > 0 || err != nil {
			return nil
		}
	}
	return errNoBytes
}

// line returns the next line without its end. After the last it returns the
// error that ended the body, io.EOF if it ended cleanly.
func (f *frames) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(f.buf[f.seen:f.hi], '\n'); i >= 0 {
			l := f.buf[f.lo : f.seen+i]
			f.lo = f.seen + i + 1
			f.seen = f.lo
			return bytes.TrimSuffix(l, []byte{'\r'}), nil
		}
		f.seen = f.hi
		if f.ended != nil {
			if f.lo == f.hi {
				return nil, f.ended
			}
			l := f.buf[f.lo:f.hi]
			f.lo = f.hi
			f.partial = true
			return l, nil
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// start looks at the first byte of the body that is not blank: JSON or HTML
// where events should be is errNotSSE, and rest then has what follows.
func (f *frames) start() error {
	f.started = true
	for {
		head := bytes.TrimPrefix(f.buf[f.lo:f.hi], utf8BOM)
		if head = bytes.TrimLeft(head, " \t\r\n"); len(head) > 0 && !bytes.HasPrefix(utf8BOM, head) {
			f.lo = f.hi - len(head)
			f.seen = f.lo
			if head[0] == '<' || !f.lines && (head[0] == '{' || head[0] == '[') {
				return errNotSSE
			}
			return nil
		}
		if err := f.fill(); err != nil {
			return nil // too short to judge: the ordinary way reports its end
		}
	}
}

// rest is up to limit bytes of the body that were not consumed.
func (f *frames) rest(limit int) []byte {
	for f.hi-f.lo < limit && f.fill() == nil {
	}
	return f.buf[f.lo:min(f.hi, f.lo+limit)]
}

// next returns the next frame, valid until the next call. The body's end is an
// error: io.EOF, or what cut it.
func (f *frames) next() (frameKind, []byte, error) {
	f.partial = false
	if !f.started {
		if err := f.start(); err != nil {
			return 0, nil, err
		}
	}
	if f.done {
		return frameDone, nil, nil
	}
	if f.lines {
		for {
			l, err := f.line()
			if err != nil {
				return 0, nil, err
			}
			if l = bytes.TrimSpace(l); len(l) > 0 {
				return frameData, l, nil
			}
		}
	}
	f.event, f.isError = f.event[:0], false
	for {
		l, err := f.line()
		if err != nil {
			if len(f.event) > 0 {
				return f.kind(), f.event, nil
			}
			return 0, nil, err
		}
		if len(l) == 0 {
			if len(f.event) > 0 {
				return f.kind(), f.event, nil
			}
			f.isError = false
			continue
		}
		name, value, _ := bytes.Cut(l, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "data":
			f.known = true
			switch {
			case isDone(value):
				f.done = true
				if len(f.event) > 0 {
					return f.kind(), f.event, nil
				}
				return frameDone, nil, nil
			case len(value) == 0:
			case len(f.event)+len(value) > maxEvent:
				return 0, nil, errTooLong
			default:
				if len(f.event) > 0 {
					f.event = append(f.event, '\n')
				}
				f.event = append(f.event, value...)
			}
		case "error":
			return frameError, value, nil
		case "event":
			f.known = true
			f.isError = string(value) == "error"
		case "", "id", "retry": // a comment, and fields without use here
			f.known = true
		default:
			if f.partial && isField(l) {
				continue // the body was cut in a field's name
			}
			if room := maxWords - len(f.stray); room > 0 {
				f.stray = append(append(f.stray, l[:min(len(l), room)]...), '\n')
			}
		}
	}
}

func (f *frames) kind() frameKind {
	if f.isError {
		return frameError
	}
	return frameData
}

// isField reports whether a line is the beginning of a field's name.
func isField(l []byte) bool {
	for _, name := range []string{"data", "event", "error", "retry", "id"} {
		if strings.HasPrefix(name, string(l)) {
			return true
		}
	}
	return false
}

func isDone(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) == len(doneMarker) && bytes.EqualFold(b, doneMarker)
}
