package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"orrery/internal/journal"
	"orrery/think/reason"
)

func init() { register(replayCommand) }

func replayCommand(a *app) *cobra.Command {
	var p reason.ReplayParams
	var answers string
	var threshold float64
	c := &cobra.Command{
		Use:   "replay TRACES.jsonl|run:ID",
		Short: "DeepConf's decisions on recorded traces, without a model",
		Long: `Replay reads recorded traces, one JSON object a line, and decides offline and
online what DeepConf would have done with them: which vote, which are stopped
and where, and how many tokens that saves. "-" reads stdin. run:ID replays a recorded
request, with its own settings where none are given here.

  {"id": 1, "answer": "42", "tokens": [{"logprob": -0.1, "top": [-0.1, -2.3]}]}`,
		Example: `  orrery replay traces.jsonl --eta 90
  orrery replay run:7hx3kq --eta 50 --window 64`,
		Args: exactArgs(1, "one file of traces, run:ID, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch answers {
			case "math":
			case "raw":
				p.Raw = true
			default:
				return usagef("--answers %q: known are math and raw", answers)
			}
			if cmd.Flags().Changed("threshold") {
				p.Threshold = &threshold
			}
			if err := noZero(cmd.Flags(), "window", "tail", "k", "eta", "warmup", "tau", "min-votes", "budget", "floor"); err != nil {
				return err
			}
			if err := p.Validate(); err != nil {
				return usageError{err}
			}
			if id, ok := strings.CutPrefix(args[0], "run:"); ok {
				r, err := a.replayRun(cmd, id, p)
				if err != nil {
					return err
				}
				return a.showReplay(r)
			}
			in := a.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("replay: %w: give a file of traces, or - for stdin", err)
				}
				defer f.Close()
				in = f
			}
			r, err := reason.Replay(cmd.Context(), in, p)
			if err != nil {
				return fmt.Errorf("replay %s: %w", args[0], err)
			}
			return a.showReplay(r)
		},
	}
	f := c.Flags()
	f.Var(&p.Window, "window", "tokens a confidence group, or auto (default 2048)")
	f.IntVar(&p.Tail, "tail", 0, "tokens in the tail measure (default: the window)")
	f.IntVar(&p.K, "k", 0, "alternatives a token that count (default 20)")
	f.Float64Var(&p.Eta, "eta", 0, "percent of traces to keep (default 10)")
	f.IntVar(&p.Warmup, "warmup", 0, "traces that find the threshold (default 16)")
	f.Float64Var(&p.Tau, "tau", 0, "share of the vote that ends the run (default 0.95)")
	f.IntVar(&p.Budget, "budget", 0, "traces at most (default: all)")
	f.IntVar(&p.TokenBudget, "token-budget", 0, "tokens of all traces together (default: no limit)")
	f.IntVar(&p.MinVotes, "min-votes", 0, "voters that an early end needs (default 2)")
	f.BoolVar(&p.NoConsensus, "no-consensus", false, "never end early for agreement")
	f.Float64Var(&p.Floor, "floor", 0, "least log-probability (default -100)")
	f.Float64Var(&threshold, "threshold", 0, "stop traces below this confidence instead of finding it by a warm-up")
	f.StringVar(&answers, "answers", "math", "how answers are compared: math (docs/answers.md) or raw")
	return c
}

func (a *app) showReplay(r *reason.Report) error {
	if a.json {
		return a.printJSON(r)
	}
	return writeReplay(a.out, r)
}

// replayRun replays a recorded request by its own settings, but for those that were
// given as flags.
func (a *app) replayRun(cmd *cobra.Command, id string, given reason.ReplayParams) (*reason.Report, error) {
	s, err := a.openStore(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var wrong error
	r, err := journal.Replay(cmd.Context(), s, id, func(p *reason.ReplayParams) {
		own := *p
		*p = given
		for name, keep := range map[string]func(){
			"window": func() { p.Window = own.Window }, "tail": func() { p.Tail = own.Tail }, "k": func() { p.K = own.K },
			"eta": func() { p.Eta = own.Eta }, "warmup": func() { p.Warmup = own.Warmup }, "tau": func() { p.Tau = own.Tau },
			"budget": func() { p.Budget = own.Budget }, "token-budget": func() { p.TokenBudget = own.TokenBudget },
			"min-votes": func() { p.MinVotes = own.MinVotes }, "no-consensus": func() { p.NoConsensus = own.NoConsensus },
			"floor": func() { p.Floor = own.Floor }, "threshold": func() { p.Threshold = own.Threshold },
		} {
			if !cmd.Flags().Changed(name) {
				keep()
			}
		}
		// A threshold replaces a warm-up: what is given here wins over the run's.
		switch set := cmd.Flags().Changed; {
		case set("threshold") && !set("warmup"):
			p.Warmup = 0
		case set("warmup") || set("eta"):
			if !set("threshold") {
				p.Threshold = nil
			}
		}
		wrong = p.Validate()
	})
	if wrong != nil {
		return nil, usageError{wrong}
	}
	return r, err
}

func writeReplay(w io.Writer, r *reason.Report) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "trace\tphase\ttokens\tlowest\tended by\tvotes")
	for _, t := range r.Online.Traces {
		votes := "yes"
		if t.Excluded != nil {
			votes = "no: " + string(*t.Excluded)
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\n", shorten(string(t.ID), 40), t.Phase, t.TokensUsed, number(t.Lowest), t.StopReason, votes)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	o := r.Online
	fmt.Fprintf(w, "\nonline    %s   threshold %s, ended by %s\n", text(o.Answer), number(o.S), o.StoppedBy)
	fmt.Fprintf(w, "majority  %s\n", text(r.Offline.Majority.Answer))
	saved := 0.0
	if o.TokensIfAllFull > 0 {
		saved = 100 * float64(o.TokensSaved) / float64(o.TokensIfAllFull)
	}
	if _, err := fmt.Fprintf(w, "tokens    %s of %s used (%.1f %% saved), %d traces not launched\n",
		thousands(o.TokensUsed), thousands(o.TokensIfAllFull), saved, len(o.NotLaunched)); err != nil {
		return err
	}
	return writeThoughts(w, r.Traces)
}

// writeThoughts says what the hidden thoughts of latent models held. Traces of one
// question think alike before their first word, so those that do are one paragraph.
func writeThoughts(w io.Writer, traces []reason.ReplayedTrace) error {
	var order []string
	alike := map[string][]string{}
	for _, t := range traces {
		if len(t.Thoughts) == 0 {
			continue
		}
		text := ""
		for _, h := range t.Thoughts {
			text += "  " + thoughtLine(h) + "\n"
		}
		if alike[text] == nil {
			order = append(order, text)
		}
		alike[text] = append(alike[text], shorten(string(t.ID), 40))
	}
	for _, text := range order {
		ids := alike[text]
		of := "trace " + ids[0]
		if n := len(ids) - 1; n > 0 {
			of += fmt.Sprintf(" and %s like it", count(n, "other"))
		}
		if _, err := fmt.Fprintf(w, "\nhidden thoughts of %s\n%s", of, text); err != nil {
			return err
		}
	}
	return nil
}

func number(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.4f", *v)
}

func text(s *string) string {
	if s == nil {
		return "(no answer)"
	}
	return shorten(*s, 60)
}
