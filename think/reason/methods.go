package reason

import (
	"context"
	"fmt"
	"slices"

	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/vote"
)

func init() {
	for _, m := range []method{
		{name: "single", about: "one trace, its answer as it is", rule: vote.Plain},
		{name: "coconut", about: "a latent model's likeliest answer, and what each of its hidden thoughts holds", rule: vote.Plain, latent: true},
		{name: "majority", about: "the answer that most of a budget of traces give", rule: vote.Plain},
		{name: "deepconf-low", about: "DeepConf online, η = 10: stops most traces early; saves most tokens", eta: 10},
		{name: "deepconf-high", about: "DeepConf online, η = 90: stops only hopeless traces; the safe choice", eta: 90},
		{name: "deepconf", about: "DeepConf online with any η (default 90)", eta: 90, anyEta: true},
		{name: "deepconf-offline", about: "every trace to its end, then the most confident η percent (default 10) vote by confidence", rule: vote.Offline, eta: 10, anyEta: true},
	} {
		m.uses = m.used()
		Register(m)
	}
}

// method is a rule with its settings. All methods here are one request a trace
// and one engine; they differ in what the state machine of package vote decides.
type method struct {
	name, about string
	rule        vote.Rule
	eta         float64
	anyEta      bool
	latent      bool // one greedy trace of a latent model
	uses        []string
}

func (m method) Name() string        { return m.name }
func (m method) About() string       { return m.about }
func (m method) NeedsLogprobs() bool { return m.rule != vote.Plain }

func (m method) one() bool { return m.name == "single" || m.latent }

func (m method) Uses() []string { return slices.Clone(m.uses) }

// used lists the parameters that the method reads, in the order of Params.
func (m method) used() []string {
	u := []string{"token_budget", "deadline_seconds", "window", "tail", "k", "floor", "max_tokens", "seed"}
	if !m.latent {
		u = append(u, "temperature", "top_p", "top_k")
	}
	if !m.one() {
		u = append([]string{"budget", "concurrency"}, u...)
	}
	if m.rule == vote.Plain {
		u = append(u, "thoughts")
	}
	if m.anyEta {
		u = append(u, "eta")
	}
	switch m.rule {
	case vote.Online:
		u = append(u, "warmup", "threshold", "tau", "min_votes", "consensus")
	case vote.Offline:
		u = append(u, "weight")
	}
	return u
}

func (m method) Check(p Params) error {
	if p.Eta == m.eta && !m.anyEta {
		p.Eta = 0 // said twice, not contradicted
	}
	if p.Budget == 1 && m.one() {
		p.Budget = 0
	}
	return p.check(m)
}

func (m method) Suits(info llm.Info, p Params) error {
	l := info.Latent
	switch {
	case l == nil && m.latent:
		return fmt.Errorf("method %s is for models that were trained to think in hidden states, which %s was not: use single, or give such a model", m.name, info.Model)
	case l == nil && p.Thoughts != nil:
		return fmt.Errorf("parameter thoughts is about models that think in hidden states, which %s does not: drop it, or give such a model", info.Model)
	case l == nil:
		return nil
	case p.Thoughts != nil && *p.Thoughts > 0 && l.Thoughts == 0:
		return fmt.Errorf("parameter thoughts is %d, but %s was trained by method %s, in which nothing stands in the place of words: drop it", *p.Thoughts, info.Model, l.Method)
	case m.NeedsLogprobs() && l.Alike != "":
		return fmt.Errorf("method %s tells good traces from bad ones by their confidence, but of %s all traces of a question have the same: %s; use coconut, or single or majority", m.name, info.Model, l.Alike)
	}
	return nil
}

func (m method) Run(ctx context.Context, g llm.Generator, q Question, p Params, emit func(Event)) (*Result, error) {
	if err := m.Check(p); err != nil {
		return nil, err
	}
	if err := m.Suits(g.Info(), p); err != nil {
		return nil, err
	}
	return run(ctx, g, q, m.plan(p), emit)
}

// plan fills defaults in and turns parameters into a policy.
func (m method) plan(p Params) plan {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&p.Budget, DefaultBudget)
	def(&p.MaxTokens, DefaultMaxTokens)
	def(&p.MinVotes, DefaultMinVotes)
	if m.one() {
		p.Budget = 1
	}
	if p.Temperature == nil {
		t := DefaultTemperature
		if m.latent {
			t = 0 // as published accuracies are (arXiv 2412.06769, 2505.12514)
		}
		p.Temperature = &t
	}
	if p.TopP == 0 {
		p.TopP = DefaultTopP
	}
	if p.Tau == 0 {
		p.Tau = DefaultTau
	}
	pl := plan{method: m.name, k: p.K, needK: m.NeedsLogprobs(), stream: m.one()}
	if pl.needK {
		def(&pl.k, confidence.DefaultK)
	}
	policy := vote.Policy{Rule: m.rule, Budget: p.Budget, TokenBudget: p.TokenBudget, MaxTokens: p.MaxTokens, Weight: p.Weight}
	policy.Confidence = confidence.Config{Tail: p.Tail, Floor: p.Floor}
	if m.rule != vote.Plain {
		policy.Eta = m.eta
		if p.Eta != 0 {
			policy.Eta = p.Eta
		}
	}
	if policy.Weight == "" {
		policy.Weight = confidence.Tail
	}
	pl.window = p.Window
	if m.rule == vote.Online {
		policy.Consensus = p.Consensus == nil || *p.Consensus
		policy.Tau, policy.MinVotes = p.Tau, p.MinVotes
		if p.Threshold != nil {
			policy.Threshold, policy.Eta = p.Threshold, 0
		} else {
			def(&p.Warmup, DefaultWarmup)
			policy.Warmup = min(p.Warmup, p.Budget)
			if policy.Warmup == p.Budget {
				pl.warnings = append(pl.warnings, Warning{"warmup_fills_budget",
					fmt.Sprintf("%s: all %d traces of the budget are warm-ups, so none can be stopped early; raise budget or lower warmup", m.name, p.Budget)})
			}
		}
	}
	if pl.window == 0 {
		pl.window = confidence.DefaultWindow
		if m.rule == vote.Offline || policy.Warmup > 0 {
			pl.window = Auto
		}
	}
	if pl.window == Auto && m.rule == vote.Plain {
		pl.window = confidence.DefaultWindow
	}
	if pl.window == Auto {
		policy.AutoWindow = true
	} else {
		policy.Confidence.Window = int(pl.window)
	}
	pl.p, pl.policy = p, policy
	return pl
}
