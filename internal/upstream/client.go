package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"orrery/think/llm"
)

// Client is a Generator over HTTP. It is safe for concurrent use and does no
// I/O until it is used.
type Client struct {
	cfg     Config
	addr    address
	secrets []string
	http    *http.Client
	own     *http.Transport // closed by Close; nil if the caller's

	lock   chan struct{} // one place: who holds it may resolve
	target atomic.Pointer[target]
}

var (
	_ llm.Generator = (*Client)(nil)
	_ llm.Renderer  = (*Client)(nil)
	_ io.Closer     = (*Client)(nil)
)

// target is what was found at the other end. It is made once.
type target struct {
	dialect  *dialect
	model    string
	parallel int
	places   chan struct{} // as many as run at once

	preserved []string // Config.PreservedTokens

	refusedK atomic.Int64 // the smallest k that was refused; 0: none
	maxK     atomic.Int64 // the largest k that was served in a check; 0: unknown
	after    atomic.Int32 // 1: basis before temperature, 2: after, 0: unknown
	late     atomic.Bool  // a check saw it generate on after a cancel
}

// New checks cfg and makes a Client. What is at the other end is found out at
// first use, or by [Client.Open] or [Client.Check].
func New(cfg Config) (*Client, error) {
	addr, err := parseAddress(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Dialect != "" && cfg.Dialect != "auto" && dialects[cfg.Dialect] == nil {
		return nil, fmt.Errorf("open a backend: there is no dialect %q; use auto or one of %s", cfg.Dialect, strings.Join(Dialects(), ", "))
	}
	if cfg.MaxParallel < 0 {
		return nil, fmt.Errorf("open a backend: %d parallel traces make no sense; use 0 for the backend's own limit", cfg.MaxParallel)
	}
	cfg.ConnectTimeout = or(cfg.ConnectTimeout, 10*time.Second)
	cfg.FirstTokenTimeout = or(cfg.FirstTokenTimeout, 600*time.Second)
	cfg.IdleTimeout = or(cfg.IdleTimeout, 120*time.Second)
	cfg.MaxRetryAfter = or(cfg.MaxRetryAfter, 30*time.Second)
	cfg.Retries = max(0, or(cfg.Retries, 3))
	c := &Client{cfg: cfg, addr: addr, secrets: cfg.secrets(addr), lock: make(chan struct{}, 1)}
	rt := cfg.Transport
	if rt == nil {
		c.own = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: cfg.ConnectTimeout,
			ForceAttemptHTTP2:   true,
			// At least as many as run at once, so that none is dialled anew.
			MaxIdleConnsPerHost: max(256, cfg.MaxParallel),
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true, // compressors hold tokens back
		}
		rt = c.own
	}
	if cfg.Wrap != nil {
		rt = cfg.Wrap(rt)
	}
	c.http = &http.Client{Transport: rt} // no Timeout: a trace may take an hour
	return c, nil
}

// Open finds out what is at the other end: dialect, model, parallel limit.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if _, f := c.resolve(ctx); f != nil {
		c.Close()
		return nil, f.err
	}
	return c, nil
}

// Close frees idle connections. Streams in progress are not touched.
func (c *Client) Close() error {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// Info implements [llm.Generator]. Before first use it holds what cfg says.
func (c *Client) Info() llm.Info {
	info := llm.Info{Model: c.cfg.Model, Backend: c.dialectName(), MaxParallel: c.cfg.MaxParallel, Basis: llm.BasisUnknown}
	if t := c.target.Load(); t != nil {
		info.Model, info.MaxParallel = t.model, t.parallel
		info.TopLogprobs = int(t.maxK.Load())
		switch t.after.Load() {
		case 1:
			info.Basis = llm.BasisBefore
		case 2:
			info.Basis = llm.BasisAfter
		}
	}
	return info
}

func (c *Client) dialectName() string {
	if t := c.target.Load(); t != nil {
		return t.dialect.name
	}
	if c.cfg.Dialect == "" {
		return "auto"
	}
	return c.cfg.Dialect
}

// Generate implements [llm.Generator].
func (c *Client) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		s := &stream{c: c, ctx: ctx, req: &r, yield: yield}
		s.run()
	}
}

// Render implements [llm.Renderer] where the server can show its template's
// work, and is an error of kind BadRequest elsewhere.
func (c *Client) Render(ctx context.Context, messages []llm.Message) (string, error) {
	t, f := c.resolve(ctx)
	if f != nil {
		return "", f.err
	}
	if t.dialect.render == nil {
		e := c.fail(llm.BadRequest, "", "this server does not show what its chat template makes of messages", nil)
		e.Param, e.Remedy = "messages", "give a template of your own, or use vLLM or llama.cpp"
		return "", e
	}
	return t.dialect.render(ctx, c, t, messages)
}

// newRequest makes a request with what every request carries.
func (c *Client) newRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	url := c.addr.root + path
	if c.addr.query != "" {
		url += "?" + c.addr.query
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "orrery")
	if c.addr.user != nil {
		password, _ := c.addr.user.Password()
		req.SetBasicAuth(c.addr.user.Username(), password)
	}
	if c.cfg.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.APIKey)
	}
	return req, nil
}

// smallLimit bounds replies that are not streams. A list of all models of a
// large provider is about 1 MiB.
const smallLimit = 8 << 20

// small makes a request whose whole reply is wanted, within the connect
// timeout, since no tokens are generated for it.
func (c *Client) small(ctx context.Context, method, path string, body []byte) ([]byte, *fault) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	route := method + " " + path
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return nil, &fault{err: c.fail(llm.BadRequest, route, "", err)}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if parent.Err() != nil {
			return nil, &fault{err: c.fail(llm.Unreachable, route, "", context.Cause(parent))}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no reply within %v", c.cfg.ConnectTimeout)
		}
		return nil, c.connection(route, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, smallLimit))
	if resp.StatusCode != http.StatusOK {
		return nil, c.status(route, resp.StatusCode, resp.Header, data)
	}
	if err != nil {
		return nil, c.connection(route, err)
	}
	return data, nil
}

// get reads a small JSON document.
func (c *Client) get(ctx context.Context, path string, into any) error {
	body, f := c.small(ctx, "GET", path, nil)
	if f != nil {
		return f.err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.fail(llm.NotStreaming, "GET "+path, string(body[:min(len(body), maxWords)]), errors.New("the reply is not JSON"))
	}
	return nil
}
