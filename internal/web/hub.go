package web

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

const (
	// tick is the least time between two frames of a topic: ten a second look alive,
	// and 256 traces at once cost a reader no more messages than one.
	tick = 100 * time.Millisecond
	// linger is how long a topic that nobody watches keeps its frames, so that a
	// reader who lost the connection goes on where it was.
	linger = time.Minute
	// ringBytes bounds the frames that a topic keeps. A reader that is further behind
	// gets the whole state, which is then the shorter way.
	ringBytes = 4 << 20
)

// source is what a topic shows.
type source interface {
	// frame is what has changed since a mark that it returned earlier, as JSON, and
	// the mark after it; nil: nothing has. Since nil, it is the whole state; nil: none is
	// known yet, and the topic is touched when one is. What is appended says where, so
	// that a frame does no harm to a state that has a part of it already. It waits for
	// nothing: one flush makes the frames of all topics.
	frame(since any) (body []byte, now any)
}

// hub holds the topics that are watched.
type hub struct {
	epoch string          // of this process: positions of another one mean nothing
	ctx   context.Context // of all looks

	mu     sync.Mutex
	topics map[string]*topic
	dirty  []*topic
	armed  bool // a flush is under way or planned
}

func newHub(ctx context.Context) *hub {
	return &hub{epoch: rand.Text(), ctx: ctx, topics: map[string]*topic{}}
}

// topic is one thing that changes, and its last changes.
type topic struct {
	name string
	src  source

	// Of the hub, under its lock.
	readers map[*reader]bool
	changed bool
	left    time.Time // when the last reader went

	mu     sync.Mutex
	mark   any
	seq    int // of the last frame
	frames [][]byte
	size   int
}

// reader is one event stream.
type reader struct {
	wake chan struct{} // holds a signal if a topic has news
}

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// watch adds a reader to a topic, which open makes if nobody watches it yet. Open may
// take its time: it is called without a lock, and in vain if another was quicker.
func (h *hub) watch(name string, r *reader, open func() source) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		h.mu.Unlock()
		src := open()
		h.mu.Lock()
		if t = h.topics[name]; t == nil {
			t = &topic{name: name, src: src, readers: map[*reader]bool{}}
			h.topics[name] = t
			if src, ok := src.(polled); ok {
				go h.poll(name, src)
			}
		}
	}
	t.readers[r] = true
	return t
}

func (h *hub) leave(t *topic, r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(t.readers, r)
	if len(t.readers) > 0 {
		return
	}
	t.left = time.Now()
	time.AfterFunc(linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(t.readers) == 0 && time.Since(t.left) >= linger && h.topics[t.name] == t {
			delete(h.topics, t.name)
		}
	})
}

// poll looks at a source for as long as somebody watches its topic.
func (h *hub) poll(name string, src polled) {
	for h.ctx.Err() == nil && h.watched(name, src) {
		ctx, cancel := context.WithTimeout(h.ctx, lookLimit)
		if src.poll(ctx) {
			h.touch(name)
		}
		cancel()
		select {
		case <-h.ctx.Done():
		case <-time.After(look):
		}
	}
}

// watched reports whether somebody watches a source under this name.
func (h *hub) watched(name string, src source) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	return t != nil && t.src == src
}

// touch says that a topic's source has changed. It is cheap, and nothing happens
// where nobody watches.
func (h *hub) touch(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		if t := h.topics[name]; t != nil && !t.changed {
			t.changed = true
			h.dirty = append(h.dirty, t)
		}
	}
	if len(h.dirty) > 0 && !h.armed {
		h.armed = true
		time.AfterFunc(tick, h.flush)
	}
}

// flush makes the frames of all topics that have changed.
func (h *hub) flush() {
	h.mu.Lock()
	now := h.dirty
	h.dirty = nil
	for _, t := range now {
		t.changed = false
	}
	h.mu.Unlock()
	for _, t := range now {
		t.mu.Lock()
		t.advance()
		t.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range now {
		for r := range t.readers {
			r.signal()
		}
	}
	if h.armed = len(h.dirty) > 0; h.armed {
		time.AfterFunc(tick, h.flush)
	}
}

// advance puts what has changed into a frame. A topic without a mark has shown
// nobody anything yet: its first reader gets the whole state.
func (t *topic) advance() {
	if t.mark == nil {
		return
	}
	body, now := t.src.frame(t.mark)
	if body == nil {
		return
	}
	t.mark = now
	t.seq++
	t.frames = append(t.frames, body)
	t.size += len(body)
	drop := 0
	for t.size > ringBytes && drop < len(t.frames) {
		t.size -= len(t.frames[drop])
		drop++
	}
	t.frames = slices.Delete(t.frames, 0, drop)
}

// since is what a reader at position seq has to be told: the frames after it, or the
// whole state. Seq -1 is a reader that knows nothing.
func (t *topic) since(seq int) (frames [][]byte, last int, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.seq - len(t.frames); seq >= first && seq <= t.seq && t.mark != nil {
		return slices.Clone(t.frames[seq-first:]), t.seq, false
	}
	body, now := t.src.frame(nil)
	if body == nil {
		return nil, t.seq, true
	}
	if t.mark == nil {
		t.mark = now
	}
	return [][]byte{body}, t.seq, true
}
