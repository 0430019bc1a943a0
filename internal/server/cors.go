package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// anyOrigin stands for every origin in Config.Origins.
const anyOrigin = "*"

// origins checks Config.Origins.
func (c *Config) origins() error {
	for _, o := range c.Origins {
		if o == anyOrigin {
			if len(c.Keys) > 0 && !c.AnyOriginWithKeys {
				return errors.New("open a server: with origin * every web page may try API keys on it; name the origins, or say that this is meant")
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			return fmt.Errorf("open a server: %q is not an origin; give scheme, host and port alone, such as https://example.org:8443", o)
		}
	}
	return nil
}

// invited reports whether a web page of another origin may ask: of the API, not
// of what this server's own page asks.
func (s *Server) invited(r *http.Request) bool {
	o := r.Header.Get("Origin")
	return o != "" && strings.HasPrefix(r.URL.Path, "/v1/") && (slices.Contains(s.cfg.Origins, o) || slices.Contains(s.cfg.Origins, anyOrigin))
}

// cors says in the reply's header what a browser may let a page of an invited
// origin do: the API with a key in a header, never with cookies. It reports
// whether the request was only to ask about that, and is answered.
func (x *exchange) cors() (answered bool) {
	if len(x.s.cfg.Origins) == 0 {
		return false
	}
	h := x.w.Header()
	h.Add("Vary", "Origin") // caches must not hand one origin's reply to another
	if !x.s.invited(x.r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", x.r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, X-Ratelimit-Limit-Requests, X-Ratelimit-Remaining-Requests, X-Ratelimit-Reset-Requests, "+
		"X-Ratelimit-Limit-Tokens, X-Ratelimit-Remaining-Tokens, X-Ratelimit-Reset-Tokens")
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if asked := x.r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked) // clients send many of their own, and none gives a right
	}
	h.Set("Access-Control-Max-Age", "600")
	x.status = http.StatusNoContent
	x.w.WriteHeader(x.status)
	x.end(Completed)
	return true
}
