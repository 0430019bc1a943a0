package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orrery/think/llm"
)

// defaultParallel is how many traces run at once where nothing is known.
const defaultParallel = 32

// facts are what detection looks at: the model list, and on demand other
// routes, each asked for once.
type facts struct {
	c      *Client
	models []modelEntry
	asked  map[string]map[string]any
}

// modelEntry is one line of /v1/models.
type modelEntry struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
}

// ownedBy reports whether the model list names a maker.
func (p *facts) ownedBy(who string) bool {
	for _, m := range p.models {
		if strings.EqualFold(m.OwnedBy, who) {
			return true
		}
	}
	return false
}

// has reports whether a GET of path gives a JSON object with that member.
func (p *facts) has(ctx context.Context, path, member string) bool {
	object, done := p.asked[path]
	if !done {
		if err := p.c.get(ctx, path, &object); err != nil {
			object = nil
		}
		if p.asked == nil {
			p.asked = map[string]map[string]any{}
		}
		p.asked[path] = object
	}
	_, ok := object[member]
	return ok
}

// resolve finds out what is at the other end, once. A failure is not kept: the
// next caller tries again.
func (c *Client) resolve(ctx context.Context) (*target, *fault) {
	if t := c.target.Load(); t != nil {
		return t, nil
	}
	select { // a channel, not a mutex: waiting must end with ctx
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return nil, &fault{err: c.fail(llm.Unreachable, "", "", context.Cause(ctx))}
	}
	if t := c.target.Load(); t != nil {
		return t, nil
	}
	t := &target{dialect: dialects[c.cfg.Dialect], model: c.cfg.Model, preserved: c.cfg.PreservedTokens}
	if t.dialect == nil || t.model == "" {
		models, f := c.list(ctx)
		if f != nil {
			return nil, f
		}
		p := &facts{c: c, models: models}
		if t.dialect == nil {
			for _, d := range ranked() {
				if d.recognise(ctx, p) {
					t.dialect = d
					break
				}
			}
		}
		if t.model == "" {
			if t.model, f = c.onlyModel(models); f != nil {
				return nil, f
			}
		}
	}
	t.parallel = c.cfg.MaxParallel
	if t.parallel == 0 && t.dialect.slots != nil {
		n, err := t.dialect.slots(ctx, c, t)
		if ctx.Err() != nil {
			return nil, &fault{err: c.fail(llm.Unreachable, "", "", context.Cause(ctx))}
		}
		var e *llm.Error
		if errors.As(err, &e) && e.Kind == llm.Unreachable {
			return nil, &fault{err: e, retry: true}
		}
		t.parallel = n // 0 when it would not say: the default holds
	}
	if t.parallel == 0 {
		t.parallel = or(t.dialect.parallel, defaultParallel)
	}
	t.places = make(chan struct{}, t.parallel)
	c.target.Store(t)
	return t, nil
}

// list asks for the models.
func (c *Client) list(ctx context.Context) ([]modelEntry, *fault) {
	body, f := c.small(ctx, "GET", "/v1/models", nil)
	if f != nil {
		return nil, f
	}
	var reply struct{ Data []modelEntry }
	if err := json.Unmarshal(body, &reply); err != nil {
		f := &fault{err: c.fail(llm.NotStreaming, "GET /v1/models", string(body[:min(len(body), maxWords)]), errors.New("the reply is not JSON"))}
		f.err.Remedy = "check that the URL is an inference server's"
		return nil, f
	}
	// A line without a name is no model that can be asked for.
	return slices.DeleteFunc(reply.Data, func(m modelEntry) bool { return m.ID == "" }), nil
}

// onlyModel is the model to use when none was named.
func (c *Client) onlyModel(models []modelEntry) (string, *fault) {
	if len(models) == 1 {
		return models[0].ID, nil
	}
	f := &fault{err: c.fail(llm.ModelNotFound, "GET /v1/models", "the server lists no model", nil)}
	f.err.Remedy = "load a model, or name one"
	if len(models) > 1 {
		names := make([]string, 0, len(models))
		for _, m := range models[:min(len(models), 20)] {
			names = append(names, m.ID)
		}
		f.err.Words = c.scrub(fmt.Sprintf("the server lists %d models", len(models)))
		f.err.Remedy = "name one of " + c.scrub(strings.Join(names, ", "))
	}
	return "", f
}
