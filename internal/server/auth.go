package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard lets in requests of programs and of this server's own page that carry a
// key, if keys are needed. The context of the request that it returns says whose.
func (s *Server) guard(r *http.Request) (*http.Request, *apiError) {
	if _, ok := r.Context().Value(clientKey{}).(*client); ok {
		return r, nil
	}
	r, bad := s.outside(r)
	if bad != nil {
		return nil, bad
	}
	c := s.keys.Load().who(r)
	if c == nil {
		return nil, &apiError{Status: http.StatusUnauthorized, Reason: Unauthorized, Type: typeAuth, Code: "invalid_api_key",
			Message: "the request has no API key that this server knows; send one as the header Authorization: Bearer KEY"}
	}
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, c)), nil
}

// outside keeps pages of other origins out, and names for this server that it
// does not know: a page can point its own name at this machine and so be of the
// same origin (DNS rebinding).
func (s *Server) outside(r *http.Request) (*http.Request, *apiError) {
	if len(s.cfg.Hosts) > 0 && !s.known(r.Host) {
		return nil, &apiError{Status: http.StatusMisdirectedRequest, Reason: Unauthorized, Type: typeAuth, Code: "unknown_host",
			Message: "the request calls this server by a name that it does not go by; use its address, or have its owner name this one"}
	}
	if s.foreign.Check(r) != nil && !s.invited(r) {
		return nil, &apiError{Status: http.StatusForbidden, Reason: Unauthorized, Type: typeAuth, Code: "cross_origin",
			Message: "the request comes from a web page of another origin, which may not ask through its visitors' browsers; call the API from a program"}
	}
	return r, nil
}

// known reports whether a Host header is an address, or one of Config.Hosts.
func (s *Server) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	return net.ParseIP(name) != nil || slices.Contains(s.cfg.Hosts, strings.TrimSuffix(name, "."))
}
