package upstream

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says where a server is and how to treat it. Only URL is needed; each
// other field's zero value is a sound choice, named beside it.
type Config struct {
	// URL is the server's address, with or without /v1 and scheme (http).
	// A user and password in it are sent as basic authorisation, a query is
	// sent with every request.
	URL string
	// Model is the model's name; "": the only one that the server lists.
	Model string
	// APIKey is sent as a bearer token; "": none.
	APIKey string
	// Dialect is one of [Dialects]; "" and "auto": found out at first use.
	Dialect string

	// MaxParallel bounds the traces that run at once. 0: 32; for llama.cpp
	// its slots, for Ollama 1.
	MaxParallel int
	// Retries bounds the second attempts of a request. 0: 3; negative: none.
	Retries int

	ConnectTimeout    time.Duration // 0: 10 s
	FirstTokenTimeout time.Duration // from sending to the first token. 0: 600 s
	IdleTimeout       time.Duration // silence after the first token. 0: 120 s
	MaxRetryAfter     time.Duration // the longest Retry-After that is obeyed to the second. 0: 30 s

	// PreservedTokens are special tokens that llama.cpp should write out as
	// text, besides the request's stop strings. nil: ThreadWeaver's tags.
	PreservedTokens []string

	// Transport carries the requests; nil: one of our own, with the
	// environment's proxy. It must not have a total timeout.
	Transport http.RoundTripper
	// Wrap is put around the transport, given or our own; nil: nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// address is a Config's URL taken apart.
type address struct {
	root  string // scheme, host and path, without /v1 and a last slash
	query string
	user  *url.Userinfo
}

func parseAddress(raw string) (address, error) {
	if raw == "" {
		return address{}, fmt.Errorf("open a backend: its URL is empty; give one such as http://localhost:8000")
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// Not %w and not the URL: it may hold a password.
		return address{}, fmt.Errorf("open a backend: its URL is not a web address; give one such as http://localhost:8000")
	}
	a := address{query: u.RawQuery, user: u.User}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment, u.User = "", false, "", "", nil
	a.root = strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/v1")
	a.root = strings.TrimRight(a.root, "/")
	return a, nil
}

// secrets are the strings that must appear in no error, log or record.
func (c *Config) secrets(a address) []string {
	s := []string{c.APIKey, a.query}
	if a.user != nil {
		password, _ := a.user.Password()
		both := a.user.Username() + ":" + password
		// Both as a server may quote the header, which is no cipher.
		s = append(s, password, a.user.Username(), both, base64.StdEncoding.EncodeToString([]byte(both)))
	}
	if q, err := url.ParseQuery(a.query); err == nil {
		for _, values := range q {
			s = append(s, values...)
		}
	}
	return s
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
