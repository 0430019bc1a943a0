package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"orrery/internal/journal"
	"orrery/record"
)

func init() { register(runsCommand) }

// runsFlags choose what is listed.
type runsFlags struct {
	f      record.Filter
	state  string
	since  string
	traces bool
}

func runsCommand(a *app) *cobra.Command {
	var f runsFlags
	c := &cobra.Command{
		Use:   "runs [ID]",
		Short: "What has been run: requests, trainings, evaluations, audits, and their reports",
		Long: `Runs lists what is in the record, the newest first, or shows one run. An ID may be
shortened to any beginning of it, or of its last part, that no other run shares.
With --traces it writes a request's traces for 'orrery replay'; 'orrery replay
run:ID' replays them from the record.`,
		Example: `  orrery runs --kind ask,serve --find sqrt --since 7d
  orrery runs 7hx3kq
  orrery runs 7hx3kq --traces > t.jsonl; orrery replay t.jsonl --eta 50
  orrery runs prune --keep-for 30d`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("runs wants one ID, or none for the list, got %s: see '%s --help'", count(len(args), "argument"), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			s, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			switch {
			case len(args) == 0:
				return a.listRuns(cmd.Context(), s, f.f)
			case f.traces:
				return a.exportTraces(cmd.Context(), s, args[0])
			}
			return a.showRun(cmd.Context(), s, args[0])
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&f.traces, "traces", false, "write the traces of the request ID, one JSON object a line, for 'orrery replay'")
	c.AddCommand(a.runsRemove(), a.runsPrune())
	return c
}

func (f *runsFlags) flags(c *cobra.Command) {
	s := c.Flags()
	s.StringSliceVar(&f.f.Kinds, "kind", nil, "of these kinds alone: ask, serve, eval, train, audit, probe, sweep, …")
	s.StringVar(&f.f.Method, "method", "", "by this method alone")
	s.StringVar(&f.state, "state", "", "in this state alone: running, done, failed, stopped or lost")
	s.StringVar(&f.since, "since", "", "begun since: 2h, 7d, or a date such as 2026-01-31")
	s.StringVar(&f.f.Find, "find", "", "with this text in question, answer, name, method, model or id")
	s.IntVar(&f.f.Limit, "limit", 20, "runs at most, up to 1000")
	s.StringVar(&f.f.Before, "before", "", "begun before the run of this id: the next page")
}

// check reads the flags.
func (f *runsFlags) check(cmd *cobra.Command, args []string) error {
	one := len(args) > 0
	for _, name := range []string{"kind", "method", "state", "since", "find", "limit", "before"} {
		if one && cmd.Flags().Changed(name) {
			return usagef("--%s chooses among runs, and %s names one: drop one of them", name, args[0])
		}
	}
	if f.traces && !one {
		return usagef("--traces wants the ID of a request: 'orrery runs --kind ask,serve' lists them")
	}
	if f.f.Limit < 1 || f.f.Limit > 1000 {
		return usagef("--limit %d: give 1 to 1000", f.f.Limit)
	}
	if f.f.State = record.State(f.state); f.state != "" && !slices.Contains(record.States, f.f.State) {
		return usagef("--state %q: known are running, done, failed, stopped and lost", f.state)
	}
	if f.since == "" {
		return nil
	}
	if d, err := parseAge(f.since); err == nil {
		f.f.Since = time.Now().Add(-d)
		return nil
	}
	for _, form := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(form, f.since, time.Local); err == nil {
			f.f.Since = t
			return nil
		}
	}
	return usagef("--since %q: give a time such as 2h or 7d, or a date such as 2026-01-31", f.since)
}

func (a *app) listRuns(ctx context.Context, s *record.Store, f record.Filter) error {
	runs, err := s.List(ctx, f)
	if err != nil {
		return err
	}
	if a.json {
		list := []runJSON{}
		for i := range runs {
			list = append(list, newRunJSON(&runs[i]))
		}
		return a.printJSON(map[string]any{"version": 1, "store": s.Name(), "runs": list})
	}
	if len(runs) == 0 {
		fmt.Fprintf(a.out, "no runs in %s", s.Name())
		if f.Find != "" || len(f.Kinds) > 0 || f.Method != "" || f.State != "" || !f.Since.IsZero() || f.Before != "" {
			fmt.Fprint(a.out, " that are so")
		}
		fmt.Fprintln(a.out)
		return nil
	}
	tw := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "id\tbegun\tkind\twhat\tstate\tseconds\t")
	for i := range runs {
		r := &runs[i]
		what := oneLine(r.Name)
		if r.Method != "" {
			what += "@" + r.Method
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%.1f\t%s\n", r.ID, r.Started.Local().Format("2006-01-02 15:04"), r.Kind, shorten(what, 32), r.State,
			r.Seconds(time.Now()), gist(r))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(runs) == f.Limit && !a.quiet {
		fmt.Fprintf(a.err, "older ones: --before %s, or --limit\n", runs[len(runs)-1].ID)
	}
	return nil
}

// gist says in a few words what a run was about.
func gist(r *record.Run) string {
	switch {
	case r.Question != nil:
		s := shorten(*r.Question, 40)
		if r.Answer != nil {
			s += " → " + shorten(*r.Answer, 20)
		}
		return s
	case r.Error != "":
		return shorten(r.Error, 60)
	case r.Report != "":
		return r.Report
	}
	return r.Dir
}

func (a *app) showRun(ctx context.Context, s *record.Store, id string) error {
	r, err := s.Run(ctx, id)
	if err != nil {
		return err
	}
	traces, err := s.Traces(ctx, r.ID, 0)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(newRunDetail(r, traces))
	}
	return writeRun(a.out, r, traces)
}

// mostShown bounds the bytes that are shown of a text of a run.
const mostShown = 2000

func writeRun(w io.Writer, r *record.Run, traces []record.Trace) error {
	out := bufio.NewWriter(w)
	line := func(name, format string, args ...any) {
		if text := visible(fmt.Sprintf(format, args...)); text != "" {
			fmt.Fprintf(out, "%-9s %s\n", name, strings.ReplaceAll(text, "\n", "\n          "))
		}
	}
	line("id", "%s", r.ID)
	line("kind", "%s", r.Kind)
	line("name", "%s", r.Name)
	line("method", "%s", r.Method)
	state := string(r.State)
	if r.Error != "" {
		state += ": " + r.Error
	}
	line("state", "%s", state)
	line("begun", "%s, %.2f s", r.Started.Local().Format("2006-01-02 15:04:05 MST"), r.Seconds(time.Now()))
	line("client", "%s", r.Client)
	line("request", "%s", r.Request)
	line("folder", "%s", r.Dir)
	line("report", "%s", r.Report)
	long := func(name, text string) { // a conversation may be a book
		if n := len(text); n > mostShown {
			text = fmt.Sprintf("%s…\n(of %s bytes; --json has all)", strings.ToValidUTF8(text[:mostShown], ""), thousands(n))
		}
		line(name, "%s", text)
	}
	long("config", string(r.Config))
	long("metrics", string(r.Metrics))
	if r.Question != nil {
		long("question", *r.Question)
	}
	if r.Answer != nil {
		long("answer", *r.Answer)
	}
	if r.Keep != "" {
		line("kept", "%s", r.Keep)
		tokens := thousands(r.Tokens) + " used"
		if r.Saved != nil {
			tokens += ", about " + thousands(int(*r.Saved)) + " saved"
		}
		line("tokens", "%s by %s", tokens, count(r.Traces, "trace"))
	}
	if len(traces) > 0 {
		fmt.Fprintln(out)
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "trace\tphase\ttokens\tlowest\tended by\tanswer\tvotes")
		for _, t := range traces {
			fmt.Fprintf(tw, "%d\t%s\t%d\t%s\t%s\t%s\t%s\n", t.Number, t.Phase, t.Tokens, number(t.Lowest), t.StopReason, text(t.Answer), votes(&t))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// votes says whether a trace votes, or why not.
func votes(t *record.Trace) string {
	switch {
	case t.Excluded != "":
		return "no: " + t.Excluded
	case t.Votes == nil:
		return "not decided"
	case *t.Votes:
		return "yes"
	}
	return "no"
}

func (a *app) exportTraces(ctx context.Context, s *record.Store, id string) error {
	if a.json {
		return usagef("--traces writes one JSON object a line by itself: drop --json")
	}
	n, err := journal.WriteTraces(ctx, a.out, s, id)
	if err != nil {
		return err
	}
	switch {
	case n.Traces == 0:
		return fmt.Errorf("run %s has no trace that ended", id)
	case n.Unkept:
		fmt.Fprintln(a.err, "note: confidences were not kept, so no token of these traces is scored")
	}
	if n.Failed > 0 {
		fmt.Fprintf(a.err, "note: %s failed and left out\n", count(n.Failed, "trace")+map[bool]string{true: " is", false: " are"}[n.Failed == 1])
	}
	return nil
}

func (a *app) runsRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID…",
		Short: "Delete runs from the record; their folders and reports stay",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("runs rm wants the ids of runs: 'orrery runs' lists them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			ids := []string{}
			for _, arg := range args { // all are known before any is gone
				r, err := s.Run(cmd.Context(), arg)
				if err != nil {
					return err
				}
				ids = append(ids, r.ID)
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
			var errs []error
			for _, id := range ids {
				errs = append(errs, s.Delete(cmd.Context(), id))
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "deleted": ids})
			}
			fmt.Fprintf(a.out, "deleted %s\n", count(len(ids), "run"))
			return nil
		},
	}
}

func (a *app) runsPrune() *cobra.Command {
	var keep keepFlags
	var kinds []string
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete old runs from the record; their folders and reports stay",
		Long: `Prune deletes the runs that ended longer ago than --keep-for, and then the oldest
until the rest has at most --keep-bytes. Running ones stay.`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep.age == 0 && keep.bytes == 0 {
				return usagef("runs prune wants to know what to keep: --keep-for 30d, --keep-bytes 500M, or both")
			}
			s, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			p, err := s.Prune(cmd.Context(), time.Duration(keep.age), int64(keep.bytes), kinds...)
			if err != nil {
				return err
			}
			t, err := s.Totals(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "deleted": p.Runs, "deleted_bytes": p.Bytes, "runs": t.Runs, "bytes": t.Bytes, "stored_bytes": t.Stored})
			}
			fmt.Fprintf(a.out, "deleted %s, %s; %s, %s, are left\n", count(p.Runs, "run"), byteSize(p.Bytes), thousands(t.Runs), byteSize(t.Bytes))
			return nil
		},
	}
	keep.limitFlags(c.Flags())
	keep.bytes = 0
	c.Flags().Lookup("keep-bytes").DefValue = "0"
	c.Flags().StringSliceVar(&kinds, "kind", nil, "of these kinds alone")
	return c
}
