package server

import (
	"fmt"
	"net/http"
	"time"
)

// Admission has two gates, so that memory is bounded before a body is read and
// the model is not asked for more than it should. A ticket is taken at once or
// not at all: there are as many as places to run and to wait. A place is waited
// for, in order of arrival.

// ticket lets a request in, or says why not.
func (s *Server) ticket() *apiError {
	if s.draining() {
		return errDraining()
	}
	select {
	case s.tickets <- struct{}{}:
		return nil
	default:
	}
	return &apiError{Status: http.StatusTooManyRequests, Type: typeRateLimit, Code: "queue_full", Reason: Rejected,
		RetryAfter: s.counters.patience(s.cfg.MaxRequests),
		Message: fmt.Sprintf("the request was not taken in: %d are running and %d more may wait, and all those places are taken; try again later",
			s.cfg.MaxRequests, s.cfg.MaxQueue)}
}

// place waits until the request may run. The caller gives the place back.
func (s *Server) place(x *exchange) (release func(), err *apiError) {
	came := time.Now()
	defer func() { x.queued = time.Since(came) }()
	select {
	case s.places <- struct{}{}:
	default:
		s.counters.change(func(st *Stats) { st.Waiting++ })
		defer s.counters.change(func(st *Stats) { st.Waiting-- })
		select {
		case s.places <- struct{}{}:
		case <-x.r.Context().Done():
			x.end(ClientCancelled)
			return nil, errGone
		case <-s.closing:
			return nil, errDraining()
		}
	}
	x.ran = true
	began := time.Now()
	s.counters.change(func(st *Stats) { st.Running++ })
	return func() {
		<-s.places
		s.counters.released(time.Since(began))
	}, nil
}

func errDraining() *apiError {
	return &apiError{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "draining", Reason: Rejected, RetryAfter: time.Second,
		Message: "the request was not taken in: this server is ending; ask another replica, or try again when it is back"}
}
