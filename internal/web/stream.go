package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	heartbeat  = 15 * time.Second // of silence, then a comment: proxies close what says nothing
	readerTime = 20 * time.Second // for a reader to take a piece; then it is dropped, and resumes
	pieceSize  = 64 << 10
	maxStreams = 128
	maxWatched = 16 // topics of a stream
)

// streams answers GET /api/events.
func (p *Page) streams(w http.ResponseWriter, r *http.Request) {
	names := r.URL.Query()["watch"]
	if len(names) == 0 || len(names) > maxWatched {
		fail(w, http.StatusBadRequest, fmt.Sprintf("an event stream watches 1 to %d topics, not %d: name them as watch=TOPIC", maxWatched, len(names)))
		return
	}
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d event streams are open already: close a page, or try again later", maxStreams))
		return
	}
	s := &stream{w: w, rc: http.NewResponseController(w), epoch: p.hub.epoch, at: map[string]int{}}
	me := &reader{wake: make(chan struct{}, 1)}
	s.resume(r.Header.Get("Last-Event-ID"))
	who := viewerOf(r.Context())
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
