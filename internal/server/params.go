package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"orrery/think/reason"
)

// options is a request's "orrery" object: how to think, and the parameters by
// their JSON names.
type options struct {
	Method   string
	Progress bool
	said     map[string]json.RawMessage // parameters; nulls are left out
}

// readOptions reads the object. A field that is not known is an error: a
// misspelt parameter must not go by unnoticed.
func readOptions(raw json.RawMessage) (options, *apiError) {
	var o options
	if len(raw) == 0 || string(raw) == "null" {
		return o, nil
	}
	if err := json.Unmarshal(raw, &o.said); err != nil {
		return o, badJSON("orrery", err)
	}
	maps.DeleteFunc(o.said, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	for name, into := range map[string]any{"method": &o.Method, "progress": &o.Progress} {
		if v, ok := o.said[name]; ok {
			if json.Unmarshal(v, into) != nil {
				return o, invalid("orrery."+name, fmt.Sprintf("field orrery.%s is %.40s where %s is expected", name, v,
					map[string]string{"method": "a string", "progress": "true or false"}[name]))
			}
			delete(o.said, name)
		}
	}
	known := append(parameterNames(), "method", "progress")
	for _, name := range slices.Sorted(maps.Keys(o.said)) {
		if !slices.Contains(known, name) {
			slices.Sort(known)
			return o, invalid("orrery."+name, fmt.Sprintf("field orrery.%.40s is not known; known are %s", name, strings.Join(known, ", ")))
		}
	}
	return o, nil
}

// parameterNames are the JSON names that some method uses: all of Params.
func parameterNames() []string {
	names := map[string]bool{}
	for _, name := range reason.Names() {
		if m, err := reason.Lookup(name); err == nil {
			for _, u := range m.Uses() {
				names[u] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// params are the parameters of a run: the server's defaults, then what the
// request says in OpenAI's fields and in its orrery object, which may not
// contradict each other, then the server's limits.
func (s *Server) params(c *client, a *asked, b *body, o options) (reason.Params, *apiError) {
	said := maps.Clone(o.said)
	if said == nil {
		said = map[string]json.RawMessage{}
	}
	for _, f := range []struct {
		field, name string
		raw         json.RawMessage
	}{
		{"max_tokens", "max_tokens", b.MaxTokens}, {"max_completion_tokens", "max_tokens", b.MaxCompletionTokens},
		{"temperature", "temperature", b.Temperature}, {"top_p", "top_p", b.TopP},
		{"top_k", "top_k", topK(b.TopK)}, {"seed", "seed", seed(b.Seed)},
	} {
		if len(f.raw) == 0 || string(f.raw) == "null" {
			continue
		}
		if other, both := said[f.name]; both && !bytes.Equal(other, f.raw) {
			return reason.Params{}, invalid(f.field, fmt.Sprintf("fields %s (%.40s) and %s (%.40s) of the request contradict each other; drop one",
				f.field, f.raw, saidIn(o, f.name), other))
		}
		said[f.name] = f.raw
	}
	p := s.cfg.Defaults.Only(a.method)
	p.Threshold, p.Temperature, p.Consensus, p.Thoughts = clone(p.Threshold), clone(p.Temperature), clone(p.Consensus), clone(p.Thoughts) // decoding writes through pointers
	giveWay(&p, said)
	text, err := json.Marshal(said)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, badJSON("", err)
	}
	for name, wrong := range map[string]bool{"max_tokens": p.MaxTokens < 1, "top_p": p.TopP <= 0} {
		if _, ok := said[name]; ok && wrong {
			return p, invalid(name, fmt.Sprintf("field %s is %.40s and must be above 0", name, said[name]))
		}
	}
	if _, ok := said["seed"]; !ok && p.Seed == 0 {
		p.Seed = rand.Uint64N(1 << 53) // exact in every JSON reader
	}
	if a.logprobs {
		p.K = max(p.K, a.top, 1)
	}
	if err := s.limit(c, a.method, &p, said); err != nil {
		return p, err
	}
	if err := a.method.Check(p); err != nil {
		return p, invalid("", err.Error())
	}
	if err := a.method.Suits(s.cfg.Generator.Info(), p); err != nil {
		return p, invalid("orrery.method", err.Error())
	}
	return p, nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// saidIn names the field that a parameter was found in first.
func saidIn(o options, name string) string {
	if _, ok := o.said[name]; ok {
		return "orrery." + name
	}
	return name
}

// topK turns vLLM's word for "off" into ours.
func topK(raw json.RawMessage) json.RawMessage {
	if string(raw) == "-1" {
		return json.RawMessage("0")
	}
	return raw
}

// seed brings OpenAI's signed seeds into ours: the same 64 bits.
func seed(raw json.RawMessage) json.RawMessage {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return strconv.AppendUint(nil, uint64(n), 10)
	}
	return raw
}

// giveWay drops defaults that contradict what a request says: the request wins.
func giveWay(p *reason.Params, said map[string]json.RawMessage) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := said[n]; return ok })
	}
	number := func(name string) int { n, _ := strconv.Atoi(string(said[name])); return n }
	if has("threshold") {
		p.Warmup, p.Eta = 0, 0
		if p.Window == reason.Auto {
			p.Window = 0
		}
	}
	if has("warmup", "eta") || string(said["window"]) == `"auto"` {
		p.Threshold = nil
	}
	if has("budget") {
		if n := number("budget"); n > 0 {
			if p.Warmup > n {
				p.Warmup = 0
			}
			if p.MinVotes > n {
				p.MinVotes = 0
			}
		}
	}
	if p.Budget > 0 && max(number("warmup"), number("min_votes")) > p.Budget {
		p.Budget = 0
	}
	if string(said["consensus"]) == "false" {
		p.Tau, p.MinVotes = 0, 0
	}
	if has("tau", "min_votes") && !has("consensus") {
		p.Consensus = nil
	}
}

// limit holds a request to the server's limits and its client's: what it asks for beyond them
// is refused, what it leaves open is cut to them.
func (s *Server) limit(c *client, m reason.Method, p *reason.Params, said map[string]json.RawMessage) *apiError {
	budget := s.cfg.MaxBudget
	if own := c.limits.Budget; own > 0 && (budget == 0 || own < budget) {
		budget = own
	}
	hold := func(name string, v *int, otherwise, most int) *apiError {
		if !slices.Contains(m.Uses(), name) || most == 0 {
			return nil
		}
		if _, ok := said[name]; ok && *v > most {
			return invalid(name, fmt.Sprintf("field %s is %d and at most %d is served; lower it", name, *v, most))
		}
		if *v == 0 {
			*v = otherwise
		}
		*v = min(*v, most)
		return nil
	}
	if err := hold("budget", &p.Budget, reason.DefaultBudget, budget); err != nil {
		return err
	}
	if p.Warmup > p.Budget && p.Budget > 0 && budget > 0 {
		if _, ok := said["warmup"]; !ok {
			p.Warmup = 0 // a default that the limit has overtaken
		}
	}
	if err := hold("max_tokens", &p.MaxTokens, reason.DefaultMaxTokens, s.cfg.MaxTokens); err != nil {
		return err
	}
	if reason.OneTrace(m) {
		return nil // one trace: its cap is the limit
	}
	return hold("token_budget", &p.TokenBudget, s.cfg.MaxTokens, s.cfg.MaxTokens)
}
