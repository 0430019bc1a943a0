package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// mountPage puts Config.Page at / and /api/, or a hint at / where there is none.
func (s *Server) mountPage() {
	if s.cfg.Page == nil {
		s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.plain(w, http.StatusOK, hint) })
		return
	}
	s.mux.Handle("/", s.page(s.outside))
	s.mux.Handle("/api/", s.page(s.guard))
}

// page hands requests to Config.Page that check lets through. Their context
// ends when the last request under /v1/ has been answered by a server that
// ends, so that an event stream shows its viewers the end and does not hold it up,
// or when its key is none any more.
func (s *Server) page(check func(*http.Request) (*http.Request, *apiError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &pacedWriter{ResponseWriter: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
		p.extend() // a deadline of an earlier request on this connection must not stand
		defer p.extend()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r, bad := check(r)
		if bad != nil {
			refuse(p, bad)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = &timely{ReadCloser: http.MaxBytesReader(w, r.Body, s.cfg.MaxBody), rc: p.rc}
		if r.ContentLength == 0 {
			p.rc.SetReadDeadline(time.Time{})
		}
		defer context.AfterFunc(s.pages, cancel)()
		if c, ok := ctx.Value(clientKey{}).(*client); ok {
			defer s.whileKnown(r, c, cancel)()
		}
		s.cfg.Page.ServeHTTP(p, r)
	})
}

// metrics is Config.Metrics, for those with a key if keys are needed.
func (s *Server) metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &pacedWriter{ResponseWriter: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
		p.extend()
		defer p.extend()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if _, bad := s.guard(r); bad != nil {
			refuse(p, bad)
			return
		}
		s.cfg.Metrics.ServeHTTP(p, r)
	})
}

// refuse answers with an error outside an exchange.
func refuse(w http.ResponseWriter, e *apiError) {
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
	json.NewEncoder(w).Encode(e.body())
}

// pacedWriter gives a client the write timeout for each piece of its reply, as
// [exchange.write] does: a reader that stalls ends its handler.
type pacedWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

func (p *pacedWriter) extend() { p.rc.SetWriteDeadline(time.Now().Add(p.timeout)) }

func (p *pacedWriter) Write(b []byte) (int, error) {
	written := 0
	for {
		p.extend()
		n, err := p.ResponseWriter.Write(b[written:min(len(b), written+pieceSize)])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// FlushError is for [http.ResponseController].
func (p *pacedWriter) FlushError() error {
	p.extend()
	return p.rc.Flush()
}

// Unwrap is for [http.ResponseController].
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// timely is a request's body. When it has come, the deadline for it is lifted,
// because then the connection is watched for the client's leaving.
type timely struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timely) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
