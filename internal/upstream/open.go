package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orrery/think/llm"
)

// Server is one server of [OpenPool].
type Server struct {
	Config
	Name    string  // "": host and port of its URL, with the path if there is one
	Weight  float64 // 0: 1
	Drained bool
}

// Called is the server's name, given or made of its URL.
func (s Server) Called() string {
	if s.Name != "" {
		return s.Name
	}
	addr, err := parseAddress(s.URL)
	if err != nil {
		return ""
	}
	return addr.hostPath()
}

// OpenPool finds out what is at each of several servers and makes a Pool of
// them. All must serve one model in one dialect; one that does not is an error
// that says which. One that cannot be reached is asked again now and then and
// joins when it can; unreached says which, and is an error only if none can be.
func OpenPool(ctx context.Context, cfg PoolConfig, servers ...Server) (p *Pool, clients []*Client, unreached []error, err error) {
	defer func() {
		if err != nil {
			for _, c := range clients {
				c.Close()
			}
			clients = nil
		}
	}()
	var members []Member
	var first *Client // the model that all must have
	for _, sv := range servers {
		if len(servers) > 1 {
			sv.Config.Retries = -1 // another server is tried at once
		}
		c, err := New(sv.Config)
		if err != nil {
			return nil, clients, nil, err
		}
		clients = append(clients, c)
		m := Member{Name: sv.Called(), Weight: sv.Weight, Drained: sv.Drained, Generator: c, Close: c.Close}
		if _, f := c.resolve(ctx); f != nil {
			if kind := f.err.Kind; ctx.Err() != nil || kind != llm.Unreachable && kind != llm.Overloaded {
				return nil, clients, nil, fmt.Errorf("open upstream %s: %w", m.Name, f.err)
			}
			m.Unchecked = true
			unreached = append(unreached, fmt.Errorf("upstream %s: %w", m.Name, f.err))
		} else if first == nil {
			first = c
		} else if err := c.sameAs(first, m.Name); err != nil {
			return nil, clients, nil, err
		}
		members = append(members, m)
	}
	if first == nil && len(servers) > 0 {
		return nil, clients, nil, fmt.Errorf("open upstreams: none can be reached: %w", errors.Join(unreached...))
	}
	for i := range members {
		c, name := clients[i], members[i].Name
		listed := false // not all servers list a model by every name that it has
		members[i].Check = func(ctx context.Context) error { return c.alive(ctx, first, name, &listed) }
	}
	p, err = NewPool(cfg, members...)
	return p, clients, unreached, err
}

// hostPath names the server without scheme and credentials.
func (a address) hostPath() string {
	_, name, _ := strings.Cut(a.root, "://")
	return name
}

// sameAs is an error if the two do not serve one model in one dialect: a vote
// must be of one model, and a threshold of one way to measure.
func (c *Client) sameAs(first *Client, name string) error {
	a, b := first.target.Load(), c.target.Load()
	switch {
	case a.model != b.model:
		return fmt.Errorf("open upstreams: %s serves %s and %s serves %s: all must serve one model; drop one, or name the model that both have with --upstream-model",
			first.addr.hostPath(), a.model, name, b.model)
	case a.dialect != b.dialect:
		return fmt.Errorf("open upstreams: %s is %s and %s is %s, whose log-probabilities differ: all must be of one kind; drop one",
			first.addr.hostPath(), a.dialect.name, name, b.dialect.name)
	}
	return nil
}

// alive asks the server whether it is there and, if it was ever listed, still
// has the model.
func (c *Client) alive(ctx context.Context, first *Client, name string, listed *bool) error {
	if _, f := c.resolve(ctx); f != nil {
		return f.err
	}
	if err := c.sameAs(first, name); err != nil {
		return err
	}
	models, f := c.list(ctx)
	if f != nil {
		return f.err
	}
	model := c.target.Load().model
	if slices.ContainsFunc(models, func(m modelEntry) bool { return m.ID == model }) {
		*listed = true
	} else if *listed {
		return c.fail(llm.ModelNotFound, "GET /v1/models", "the server no longer lists "+model, nil)
	}
	return nil
}
