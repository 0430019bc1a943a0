package web

import (
	"context"
	"net/http"
	"strings"

	"orrery/internal/server"
	"orrery/record"
)

// viewer is who looks at the page: whoever a request was let in as.
type viewer struct {
	client string // name of the key; "": none is needed
	all    bool   // may see what others asked, and the runs of this machine
}

func viewerOf(ctx context.Context) viewer {
	return viewer{server.Client(ctx), server.SeesAll(ctx)}
}

// may reports whether the viewer may see what a client asked.
func (v viewer) may(client string) bool { return v.all || v.client == client }

// findFor is the show of a request if the viewer may see it. What one may not see is
// not there.
func (p *Page) findFor(v viewer, id string) *show {
	s := p.find(id)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !v.may(s.client) {
		return nil
	}
	return s
}

// listTopic is the list of requests that a viewer may see. Without a name: all.
func listTopic(v viewer) string {
	if v.all {
		return "asks"
	}
	return "asks@" + v.client
}

// topic is the topic that a viewer means by a name, and its source.
func (p *Page) topic(v viewer, name string) (key string, open func() source) {
	none := func() (string, func() source) { return "none", func() source { return nothing{} } }
	kind, rest, _ := strings.Cut(name, "/")
	switch kind {
	case "asks":
		return listTopic(v), func() source { return &list{p, v} }
	case "ask", "trace":
		id, _, _ := strings.Cut(rest, "/")
		if p.findFor(v, id) == nil {
			return none()
		}
	case "runs", "run":
		if !v.all {
			return none()
		}
	default:
		return none()
	}
	return name, func() source { return p.open(name) }
}

// operator is a handler for those alone who may see everything.
func operator(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !viewerOf(r.Context()).all {
			fail(w, http.StatusForbidden, "runs and their reports are this machine's, and for keys that see all alone")
			return
		}
		h(w, r)
	}
}

// seen is the recorded request that a request names, if its viewer may see it; else it
// answers that there is none.
func (p *Page) seen(w http.ResponseWriter, r *http.Request) *record.Run {
	run := p.findRun(w, r)
	if run != nil && !viewerOf(r.Context()).may(run.Client) {
		failRecord(w, record.ErrNotFound)
		return nil
	}
	return run
}
