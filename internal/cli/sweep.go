package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/sweep"
)

func init() { register(sweepCommand); register(workerCommand) }

func sweepCommand(a *app) *cobra.Command {
	var dir string
	var o sweep.Options
	c := &cobra.Command{
		Use:   "sweep NAME",
		Short: "Run many small trainings, on all cores and, with PostgreSQL, on many machines",
		Long: `Sweep queues the trials of a sweep, one of the named ones below or a .json file's,
works on them, one a core, and writes results.jsonl and report.html. Ctrl-C puts
the running trials back into the queue; the same command goes on. A trial that
has a result is not run again.

With --db postgres://… other machines take part: run 'orrery worker' on them.
docs/sweep.md has the file's form and what the results mean.

Sweeps:
` + sweepList(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("sweep wants one sweep, got %d: known are %s; or give a .json file", len(args), strings.Join(sweep.Names(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWork(o); err != nil {
				return err
			}
			s, err := sweep.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			if dir == "" {
				dir = filepath.Join("runs", s.Name)
			}
			if o.DB == "" {
				o.DB = filepath.Join(dir, "sweep.db")
			}
			return a.sweep(cmd.Context(), s, dir, o)
		},
	}
	c.Flags().StringVarP(&dir, "out", "o", "", "folder of results and report (default runs/NAME)")
	workFlags(c, &o)
	c.Flags().BoolVar(&o.MixBuilds, "mix-builds", false, "go on with trials that another build of orrery began")
	return c
}

func workFlags(c *cobra.Command, o *sweep.Options) {
	c.Flags().StringVar(&o.DB, "db", "", "database: postgres://… or a SQLite `file` (default sweep.db in the folder)")
	c.Flags().IntVar(&o.Workers, "workers", 0, "`trials` at a time (default one a core)")
	c.Flags().DurationVar(&o.Lease, "lease", sweep.DefaultLease, "with PostgreSQL, how long a worker may be silent before others do its trials")
}

func checkWork(o sweep.Options) error {
	if o.Workers < 0 {
		return usagef("--workers is %d: want 1 or more, or 0 for one a core", o.Workers)
	}
	// Clocks may be a quarter of the default off each other.
	if least := sweep.DefaultLease / 2; o.Lease < least {
		return usagef("--lease is %s: want at least %s, or trials are taken from workers that live", o.Lease, least)
	}
	return nil
}

func sweepList() string {
	var b strings.Builder
	for _, name := range sweep.Names() {
		s, err := sweep.Open(name)
		if err != nil {
			fmt.Fprintf(&b, "  %-14s %v\n", name, err)
			continue
		}
		fmt.Fprintf(&b, "  %-14s %s (%s)\n", name, s.About, count(len(s.Trials), "trial"))
	}
	return b.String()
}

func (a *app) sweep(ctx context.Context, s sweep.Sweep, dir string, o sweep.Options) (err error) {
	defer a.record(ctx, "sweep", s.Name, dir, "").end(&err)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("sweep %s: %w", s.Name, err)
	}
	bar := a.sweepProgress("sweep "+s.Name, &o)
	sum, err := sweep.Run(ctx, s, o)
	bar.done()
	if sum == nil {
		return err
	}
	// Also of a sweep that was stopped: it shows how far it came.
	fields, werr := sweep.Write(dir, s, sum)
	if err = errors.Join(err, werr); err != nil {
		return err
	}
	if a.json {
		out := map[string]any{"version": 1, "sweep": sum.Name, "dir": dir, "trials": len(s.Trials), "before": sum.Before, "failed": sum.Failed,
			"workers": sum.Workers, "seconds": sum.Seconds, "trials_per_hour": nil, "builds": sum.Builds, "hosts": sum.Hosts, "analysis": fields}
		if sum.PerHour > 0 {
			out["trials_per_hour"] = sum.PerHour
		}
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: %s, %d had a result before, %d failed\n", sum.Name, count(len(s.Trials), "trial"), sum.Before, sum.Failed)
	if sum.PerHour > 0 {
		fmt.Fprintf(a.out, "%s trials an hour with %s\n", thousands(int(sum.PerHour)), count(sum.Workers, "worker"))
	}
	fmt.Fprintf(a.out, "results: %s\nreport: %s\n", filepath.Join(dir, "results.jsonl"), filepath.Join(dir, "report.html"))
	return nil
}

// sweepProgress shows o's progress on a bar that begins with the first reading.
func (a *app) sweepProgress(label string, o *sweep.Options) *lateBar {
	b := &lateBar{}
	o.Warn = a.err
	o.Progress = func(p sweep.Progress) {
		if b.p == nil {
			b.p = a.progress(label, p.Total)
			b.p.skip(p.Done)
		}
		b.p.total = p.Total
		note := fmt.Sprintf("trials, %d running", p.Running)
		if p.Failed > 0 {
			note += fmt.Sprintf(", %d failed", p.Failed)
		}
		if p.PerHour > 0 {
			note += fmt.Sprintf(", %s an hour", thousands(int(p.PerHour)))
		}
		b.p.at(p.Done, note)
	}
	return b
}

type lateBar struct{ p *progress }

func (b *lateBar) done() {
	if b.p != nil {
		b.p.done()
	}
}

func workerCommand(a *app) *cobra.Command {
	var o sweep.Options
	c := &cobra.Command{
		Use:   "worker --db postgres://…",
		Short: "Take part in sweeps that another machine began, through PostgreSQL",
		Long: `Worker works on the trials of every sweep in a PostgreSQL database, one a core,
until Ctrl-C, which puts the running ones back into the queue. It must be the
same build of orrery as the one that began the sweep.`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkWork(o); err != nil {
				return err
			}
			if !sweep.IsPostgres(o.DB) {
				return usagef("worker wants --db postgres://…, got %q: a SQLite file is one process's", o.DB)
			}
			bar := a.sweepProgress("worker", &o)
			err := sweep.Work(cmd.Context(), o)
			bar.done()
			if err != nil {
				return fmt.Errorf("worker: %w", err)
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "state": "done"})
			}
			return nil
		},
	}
	workFlags(c, &o)
	c.Flags().BoolVar(&o.Drain, "drain", false, "end when no trial is left")
	return c
}
