package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"orrery/internal/server"
)

const (
	heartbeat  = 15 * time.Second // of silence, then a comment: proxies close what says nothing
	readerTime = 20 * time.Second // for a reader to take a piece; then it is dropped, and resumes
	pieceSize  = 64 << 10
	maxWatched = 16 // topics of a stream
	// maxStreams is how many there are at once, and maxOwn how many of them one key
	// has: a page holds one, and a browser has six connections to a server (HTTP/1.1),
	// so five people who share a key have all that they can use, and it takes four
	// keys to leave nothing to others.
	maxStreams = 128
	maxOwn     = maxStreams / 4
)

// places are those of event streams, by the key that holds them.
type places struct {
	mu  sync.Mutex
	all int
	own map[string]int
}

// take takes a place for a key, or says with which status it is refused and why; 0: it
// is not. Key "" is everybody, where none is needed: all places are theirs.
func (p *places) take(key string) (status int, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case key != "" && p.own[key] >= maxOwn:
		return http.StatusTooManyRequests, fmt.Sprintf("%d event streams are open with this key, as many as one may have: close a page, or try again later", maxOwn)
	case p.all >= maxStreams:
		return http.StatusServiceUnavailable, fmt.Sprintf("%d event streams are open, as many as this server holds: try again later", maxStreams)
	}
	if p.own == nil {
		p.own = map[string]int{}
	}
	p.all++
	p.own[key]++
	return 0, ""
}

func (p *places) leave(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.own[key]--; p.own[key] == 0 {
		delete(p.own, key)
	}
}

// streams answers GET /api/events.
func (p *Page) streams(w http.ResponseWriter, r *http.Request) {
	names := r.URL.Query()["watch"]
	if len(names) == 0 || len(names) > maxWatched {
		fail(w, http.StatusBadRequest, fmt.Sprintf("an event stream watches 1 to %d topics, not %d: name them as watch=TOPIC", maxWatched, len(names)))
		return
	}
	who := viewerOf(r.Context())
	if status, why := p.places.take(who.client); status != 0 {
		w.Header().Set("Retry-After", "5")
		server.Fail(w, status, "too_many_streams", why)
		return
	}
	defer p.places.leave(who.client)
	s := &stream{w: w, rc: http.NewResponseController(w), epoch: p.hub.epoch, at: map[string]int{}}
	me := &reader{wake: make(chan struct{}, 1)}
	s.resume(r.Header.Get("Last-Event-ID"))
	for _, name := range names {
		if slices.ContainsFunc(s.topics, func(w watched) bool { return w.name == name }) {
			continue
		}
		key, open := p.topic(who, name)
		t := p.hub.watch(key, me, open)
		defer p.hub.leave(t, me)
		s.topics = append(s.topics, watched{name, t})
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s.write([]byte(": orrery\n\n"))
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	for {
		if s.send(); s.broken {
			return
		}
		beat.Reset(heartbeat)
		select {
		case <-me.wake:
		case <-beat.C:
			s.write([]byte(": still here\n\n"))
		case <-r.Context().Done():
			return
		case <-p.closed:
			return
		}
	}
}

// watched is a topic under the name that a reader knows it by.
type watched struct {
	name string
	*topic
}

// stream is one reader's connection.
type stream struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	epoch  string
	topics []watched
	at     map[string]int // by topic: the last frame that the reader has
	broken bool
}

// resume reads where a reader was. What it cannot read means: nowhere.
func (s *stream) resume(id string) {
	was, err := url.ParseQuery(id)
	if err != nil || was.Get("epoch") != s.epoch {
		return
	}
	for name, at := range was {
		if n, err := strconv.Atoi(at[0]); err == nil && name != "epoch" && n >= 0 {
			s.at[name] = n
		}
	}
}

// send tells the reader what it does not know.
func (s *stream) send() {
	for _, t := range s.topics {
		at, known := s.at[t.name]
		if !known {
			at = -1
		}
		frames, last, whole := t.since(at)
		for i, body := range frames {
			s.at[t.name] = last - len(frames) + 1 + i
			if s.frame(t.name, body, whole); s.broken {
				return
			}
		}
	}
}

// frame writes one frame as an event whose id is the reader's place in all topics.
func (s *stream) frame(topic string, body []byte, whole bool) {
	place := url.Values{"epoch": {s.epoch}}
	for _, t := range s.topics { // only these: what is no longer watched is forgotten
		if at, ok := s.at[t.name]; ok {
			place.Set(t.name, strconv.Itoa(at))
		}
	}
	name, _ := json.Marshal(topic) // a string: it cannot fail
	head := fmt.Appendf(nil, "id: %s\ndata: {\"topic\":%s,\"whole\":%t,\"body\":", place.Encode(), name, whole)
	s.write(append(append(head, body...), "}\n\n"...))
}

// write hands bytes over piece by piece, each within its time.
func (s *stream) write(b []byte) {
	for len(b) > 0 && !s.broken {
		n := min(len(b), pieceSize)
		s.rc.SetWriteDeadline(time.Now().Add(readerTime))
		_, err := s.w.Write(b[:n])
		if err == nil {
			err = s.rc.Flush()
		}
		s.broken = err != nil
		b = b[n:]
	}
}
