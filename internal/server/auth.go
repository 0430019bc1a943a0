package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
)

// keyring holds the hashes of API keys: equal lengths, so that comparing takes
// the same time whatever was sent, and nothing to leak by accident.
type keyring [][sha256.Size]byte

func newKeyring(keys []string) keyring {
	var k keyring
	for _, key := range keys {
		k = append(k, sha256.Sum256([]byte(key)))
	}
	return k
}

// admits reports whether a request carries one of the keys, or needs none.
func (k keyring) admits(r *http.Request) bool {
	if len(k) == 0 {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sent := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := 0
	for i := range k { // all of them, so that the time says nothing about which
		found |= subtle.ConstantTimeCompare(sent[:], k[i][:])
	}
	return found == 1
}

// admitted marks the context of a request that guard has let in, so that what
// the page asks on its behalf within this process is let in as well. No client
// can set it.
type admitted struct{}

// guard lets in requests of programs and of this server's own page that carry a
// key, if keys are needed. The request that it returns is marked.
func (s *Server) guard(r *http.Request) (*http.Request, *apiError) {
	if r.Context().Value(admitted{}) != nil {
		return r, nil
	}
	r, bad := s.outside(r)
	if bad != nil {
		return nil, bad
	}
	if !s.keys.admits(r) {
		return nil, &apiError{Status: http.StatusUnauthorized, Reason: Unauthorized, Type: typeAuth, Code: "invalid_api_key",
			Message: "the request has no API key that this server knows; send one as the header Authorization: Bearer KEY"}
	}
	return r.WithContext(context.WithValue(r.Context(), admitted{}, true)), nil
}

// outside keeps pages of other origins out, and names for this server that it
// does not know: a page can point its own name at this machine and so be of the
// same origin (DNS rebinding).
func (s *Server) outside(r *http.Request) (*http.Request, *apiError) {
	if len(s.cfg.Hosts) > 0 && !s.known(r.Host) {
		return nil, &apiError{Status: http.StatusMisdirectedRequest, Reason: Unauthorized, Type: typeAuth, Code: "unknown_host",
			Message: "the request calls this server by a name that it does not go by; use its address, or have its owner name this one"}
	}
	if s.foreign.Check(r) != nil {
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
