package cli

import (
	"github.com/spf13/pflag"

	"orrery/think/confidence"
	"orrery/think/reason"
)

// paramFlags are the flags for reason.Params: the JSON names with dashes.
type paramFlags struct {
	p           reason.Params
	threshold   float64
	temperature float64
	noConsensus bool
	weight      string
	set         *pflag.FlagSet
}

func (f *paramFlags) flags(set *pflag.FlagSet) {
	f.set = set
	p := &f.p
	set.IntVar(&p.Budget, "budget", 0, "traces at most, warm-ups included (default 32)")
	set.IntVar(&p.TokenBudget, "token-budget", 0, "tokens of all traces together (default: no limit)")
	set.Float64Var(&p.DeadlineSeconds, "deadline", 0, "seconds, after which the best answer so far is given (default: none)")
	set.IntVar(&p.Warmup, "warmup", 0, "traces that run to their end to find the threshold (default 16)")
	set.Float64Var(&p.Eta, "eta", 0, "percent of traces to keep (deepconf-low 10, deepconf-high 90)")
	set.Float64Var(&f.threshold, "threshold", 0, "stop traces below this confidence instead of finding it by a warm-up")
	set.Float64Var(&p.Tau, "tau", 0, "share of the vote that ends the run (default 0.95)")
	set.IntVar(&p.MinVotes, "min-votes", 0, "voters that an early end needs (default 2)")
	set.BoolVar(&f.noConsensus, "no-consensus", false, "never end early for agreement")
	set.StringVar(&f.weight, "weight", "", "deepconf-offline: mean, lowest_group, bottom10 or tail (default tail)")
	set.Var(&p.Window, "window", "tokens a confidence group, or auto (default auto; our own models 8)")
	set.IntVar(&p.Tail, "tail", 0, "tokens in the tail measure (default: the window)")
	set.IntVar(&p.K, "k", 0, "alternatives a token that confidence is taken from (default 20)")
	set.Float64Var(&p.Floor, "floor", 0, "least log-probability (default -100)")
	set.IntVar(&p.MaxTokens, "max-tokens", 0, "cap of one trace (default 32768)")
	set.Float64Var(&f.temperature, "temperature", 0, "of sampling (default 0.6; our own models 1)")
	set.Float64Var(&p.TopP, "top-p", 0, "of sampling (default 0.95; our own models 1)")
	set.IntVar(&p.TopK, "top-k", 0, "of sampling (default: off)")
	set.Uint64Var(&p.Seed, "seed", 0, "of the traces")
}

// params reads the flags into reason.Params.
func (f *paramFlags) params() (reason.Params, error) {
	p := f.p
	if err := noZero(f.set, "budget", "warmup", "eta", "tau", "min-votes", "window", "tail", "k", "floor", "max-tokens", "top-p"); err != nil {
		return p, err
	}
	if f.set.Changed("threshold") {
		p.Threshold = &f.threshold
	}
	if f.set.Changed("temperature") {
		p.Temperature = &f.temperature
	}
	if f.noConsensus {
		no := false
		p.Consensus = &no
	}
	if t := f.set.Lookup("thoughts"); t == nil || !t.Changed {
		p.Thoughts = nil
	}
	p.Weight = confidence.Measure(f.weight)
	return p, nil
}

// thoughtsFlag is --thoughts of commands that take one number; its zero is a number
// like any other.
func (f *paramFlags) thoughtsFlag(set *pflag.FlagSet) {
	f.p.Thoughts = new(int)
	set.IntVar(f.p.Thoughts, "thoughts", 0, "hidden thoughts of a latent model (default: what it was trained for)")
}

// noZero refuses a 0 that was given: in parameters it stands for a default, and
// said aloud it would be something else, either impossible or useless.
func noZero(set *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if f := set.Lookup(name); f.Changed && f.Value.String() == "0" {
			return usagef("--%s 0 means nothing: leave it out for the default, or give another value", name)
		}
	}
	return nil
}
