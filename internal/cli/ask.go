package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
	"orrery/think/vote"
)

func init() { register(askCommand) }

// latentMethod is the method of models that think in hidden states, which ask takes
// for them if none is named.
const latentMethod = "coconut"

// maxQuestion bounds what is read from stdin: no model reads more.
const maxQuestion = 8 << 20

func askCommand(a *app) *cobra.Command {
	var src source
	var pf paramFlags
	var method string
	var bare bool
	var keep keepFlags
	c := &cobra.Command{
		Use:   "ask QUESTION",
		Short: "Ask one question and watch its traces think",
		Long: `Ask sends one question through a method and shows every trace as it grows: its
tokens, its confidence, and why it ended. "-" reads the question from stdin.

Methods:
` + methodList(),
		Example: `  orrery ask "Compute (14 + 22) * 3 - 58 / 2."
  orrery ask --method majority --budget 8 "Compute 3 * (4 + 5)."
  orrery ask --method coconut "Alex is a wumpus. Every wumpus is a gorpus. Every lempus is a yumpus. Is Alex a gorpus or yumpus?"
  orrery ask --upstream http://localhost:8000 "How many primes are below 100?"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("ask wants a question: orrery ask \"How many …?\"")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			question, err := a.question(args)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("thoughts") && !cmd.Flags().Changed("method") {
				method = latentMethod
			}
			m, err := reason.Lookup(method)
			if err != nil {
				return usageError{err}
			}
			p, err := pf.params()
			if err != nil {
				return err
			}
			if err := m.Check(p); err != nil {
				return usageError{err}
			}
			if err := src.check(); err != nil {
				return err
			}
			if bare && src.upstream == "" {
				return aboutServers("--bare")
			}
			return a.ask(cmd, &src, m, question, p, &keep, bare)
		},
	}
	src.flags(c)
	pf.flags(c.Flags())
	pf.thoughtsFlag(c.Flags())
	c.Flags().StringVar(&method, "method", "deepconf-high", "method: "+strings.Join(reason.Names(), ", ")+"; coconut for latent models")
	keep.partsFlag(c.Flags())
	c.Flags().BoolVar(&bare, "bare", false, "send the question as it is, without asking a server's model for a \\boxed{} answer")
	return c
}

func (a *app) question(args []string) (string, error) {
	q := strings.Join(args, " ")
	if q == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, maxQuestion+1))
		if err != nil {
			return "", fmt.Errorf("read the question from stdin: %w", err)
		}
		if len(b) > maxQuestion {
			return "", usagef("the question on stdin is larger than %d MiB: shorten it", maxQuestion>>20)
		}
		q = string(b)
	}
	if !utf8.ValidString(q) { // JSON would silently change it
		return "", usagef("the question is not text in UTF-8: convert it first, for instance with iconv")
	}
	if q = strings.TrimSpace(q); q == "" {
		return "", usagef("the question is empty: write one, or \"-\" to read it from stdin")
	}
	return q, nil
}

func (a *app) ask(cmd *cobra.Command, src *source, m reason.Method, question string, p reason.Params, keep *keepFlags, bare bool) error {
	src.latent = m.Name() == latentMethod
	g, closer, err := a.openFor(cmd.Context(), src, m)
	if err != nil {
		return err
	}
	defer closer.Close()
	if src.latent && src.upstream+src.model == "" && !a.quiet {
		fmt.Fprintf(a.err, "no model is given: asking %s, the latent model that comes with the program\n", g.Info().Model)
	}
	if g.Info().Latent != nil && !cmd.Flags().Changed("method") {
		if m, err = reason.Lookup(latentMethod); err != nil {
			return err
		}
		if err := m.Check(p); err != nil {
			return usageError{err}
		}
	}
	if err := m.Suits(g.Info(), p); err != nil {
		return usageError{err}
	}
	_, j, finish, err := a.journal(cmd.Context(), keep, false)
	if err != nil {
		return err
	}
	defer finish()
	asked := question
	if !isLocal(g) && !bare {
		question += "\n\n" + reason.BoxInstruction
	}
	p = localDefaults(g, p).Only(m)
	view := a.newTraceView(reason.OneTrace(m) && !a.json)
	g, event, ended := watched(cmd.Context(), j, g, m, question, asked, p, view.event)
	res, err := m.Run(cmd.Context(), g, reason.Ask(question), p, event)
	ended(res, err)
	view.close()
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if a.json {
		if err := a.printJSON(res); err != nil {
			return err
		}
	} else {
		printAnswer(a.out, res)
	}
	if cmd.Context().Err() != nil {
		return fmt.Errorf("ask: %w: this is what there was until then", context.Cause(cmd.Context()))
	}
	return nil
}

// watched lets a journal, if there is one, see what is asked, happens and comes of it.
func watched(ctx context.Context, j *journal.Journal, g llm.Generator, m reason.Method, question, asked string, p reason.Params, show func(reason.Event)) (llm.Generator, func(reason.Event), func(*reason.Result, error)) {
	if j == nil {
		return g, show, func(*reason.Result, error) {}
	}
	w := j.Watch("ask", server.Asked{Time: time.Now(), Model: g.Info().Model, Method: m.Name(), Question: reason.Ask(question), Params: p}, asked)
	event := func(e reason.Event) {
		w.Event(e)
		show(e)
	}
	return w.Tap(g), event, func(res *reason.Result, err error) {
		end := server.Ended{Time: time.Now(), Reason: server.Completed, Result: res}
		switch {
		case ctx.Err() != nil:
			end.Reason = server.ClientCancelled
		case err != nil:
			end.Reason, end.Error = server.UpstreamError, err.Error()
		}
		w.Ended(end)
	}
}

// printAnswer writes what a run found, for people.
func printAnswer(w io.Writer, r *reason.Result) {
	if r.Answer == nil {
		fmt.Fprintln(w, "no answer: no trace ended in one")
	} else {
		fmt.Fprintf(w, "\n%s\n\n", visible(*r.Answer))
	}
	if len(r.Traces) > 1 {
		printVotes(w, r)
	}
	fmt.Fprintf(w, "tokens   %s used", thousands(r.Tokens.Used))
	if len(r.Traces) == 1 && len(r.Traces[0].Thoughts) > 0 {
		fmt.Fprintf(w, ", %d of them hidden thoughts", len(r.Traces[0].Thoughts))
	}
	if s := r.Tokens.SavedEstimate; s != nil && *s >= 1 {
		share := 100 * *s / (*s + float64(r.Tokens.Used))
		fmt.Fprintf(w, ", about %s saved (%.0f %%): %d of %s stopped early, %d not launched",
			thousands(int(*s)), share, stopped(r), count(len(r.Traces), "trace"), r.NotLaunched)
	}
	fmt.Fprintf(w, "\ntime     %.2f s, %s", r.Seconds, r.Method)
	if r.StoppedBy != "" && r.StoppedBy != vote.ByBudget || len(r.Traces) > 1 {
		fmt.Fprintf(w, ", ended by %s", strings.ReplaceAll(r.StoppedBy, "_", " "))
	}
	fmt.Fprintln(w)
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "note     %s\n", oneLine(warning.Message))
	}
	if r.Fallback != "" && r.Answer != nil {
		fmt.Fprintf(w, "note     no trace was confident enough to vote; the answer is from the %s\n", strings.ReplaceAll(string(r.Fallback), "_", " "))
	}
}

func printVotes(w io.Writer, r *reason.Result) {
	for i, c := range r.Votes {
		label := "votes  "
		if i > 0 {
			label = "       "
		}
		if i == 6 {
			fmt.Fprintf(w, "%s  … and %d other answers\n", label, len(r.Votes)-i)
			break
		}
		fmt.Fprintf(w, "%s  %-12s %8.2f   %s\n", label, shorten(c.Answer, 40), c.Weight, count(c.Count, "trace"))
	}
}

func stopped(r *reason.Result) (n int) {
	for _, t := range r.Traces {
		if !t.StopReason.Completed() {
			n++
		}
	}
	return n
}
