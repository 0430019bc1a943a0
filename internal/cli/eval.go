package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/eval"
	"orrery/task"
	"orrery/think/reason"
)

func init() { register(evalCommand) }

func evalCommand(a *app) *cobra.Command {
	var src source
	var pf paramFlags
	var o eval.Options
	var level, file, out, html string
	c := &cobra.Command{
		Use:   "eval --task T,… --method M,…",
		Short: "Accuracy, tokens and latency of methods on tasks, side by side",
		Long: `Eval asks generated problems, or those of a published file, and compares
methods on them. All methods see the same problems and the same draws.

Tasks:
` + taskList() + `
Methods:
` + methodList(),
		Example: `  orrery eval --task arithmetic --method single,majority,deepconf-low --n 50
  orrery eval --task prosqa --file prosqa_test.json --upstream http://localhost:8000 --method majority,deepconf-high`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Params = pf.params()
			o.Seed = o.Params.Seed
			o.Params.Seed = 0
			if err := parseLevel(level, &o.Level); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			if file != "" {
				if err := readProblems(&o, file, cmd.Flags().Changed("n")); err != nil {
					return err
				}
			}
			if err := src.check(); err != nil {
				return err
			}
			return a.eval(cmd, &src, o, out, html)
		},
	}
	src.flags(c)
	pf.flags(c.Flags())
	c.Flags().StringSliceVar(&o.Tasks, "task", nil, "tasks: "+strings.Join(task.Names(), ", "))
	c.Flags().StringSliceVar(&o.Methods, "method", []string{"single", "majority", "deepconf-high", "deepconf-low"}, "methods: "+strings.Join(reason.Names(), ", "))
	c.Flags().IntVar(&o.N, "n", 0, "problems a task (default 200, or the whole file)")
	c.Flags().IntVar(&o.Parallel, "problems-at-once", 0, "more than 1 is sooner done, but then seconds are not a lone user's (default 1)")
	c.Flags().StringVar(&level, "level", "standard", "difficulty: easy, standard or hard")
	c.Flags().StringVar(&file, "file", "", "read a published file of the task instead of generating problems")
	c.Flags().StringVar(&out, "out", "", "write one JSON line a problem; an interrupted evaluation goes on from it")
	c.Flags().StringVar(&html, "html", "", "write the report with its plots to this file")
	return c
}

func taskList() string {
	var b strings.Builder
	for _, name := range task.Names() {
		t, _ := task.Lookup(name)
		fmt.Fprintf(&b, "  %-18s %s\n", name, t.About())
	}
	return b.String()
}

func methodList() string {
	var b strings.Builder
	for _, name := range reason.Names() {
		m, _ := reason.Lookup(name)
		fmt.Fprintf(&b, "  %-18s %s\n", name, m.About())
	}
	return b.String()
}

func parseLevel(s string, l *task.Level) error {
	for _, known := range []task.Level{task.Easy, task.Standard, task.Hard} {
		if s == known.String() {
			*l = known
			return nil
		}
	}
	return usagef("--level %q: known are easy, standard, hard", s)
}

func readProblems(o *eval.Options, file string, limited bool) error {
	if len(o.Tasks) != 1 {
		return usagef("--file belongs to one task, --task names %d", len(o.Tasks))
	}
	t, _ := task.Lookup(o.Tasks[0])
	reader, ok := t.(task.FileReader)
	if !ok {
		return usagef("--file: task %s has no file format", t.Name())
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read problems: %w", err)
	}
	defer f.Close()
	if o.Problems, err = reader.ReadFile(f); err != nil {
		return fmt.Errorf("read problems from %s: %w", file, err)
	}
	if len(o.Problems) == 0 {
		return fmt.Errorf("read problems from %s: it holds none", file)
	}
	if !limited {
		o.N = 0
	}
	return nil
}

func (a *app) eval(cmd *cobra.Command, src *source, o eval.Options, out, html string) error {
	g, closer, err := src.open(cmd.Context())
	if err != nil {
		return err
	}
	defer closer.Close()
	o.Params = localDefaults(g, o.Params)
	o.Instruct = !isLocal(g)
	if out != "" {
		log, err := eval.OpenLog(out)
		if err != nil {
			return err
		}
		defer log.Close()
		o.Log = log
		if n := log.Len(); n > 0 && !a.quiet {
			fmt.Fprintf(a.err, "%s holds %d finished problems: going on from there\n", out, n)
		}
	}
	var bar *progress
	right, seen := 0, 0
	last := ""
	r, err := eval.Run(cmd.Context(), g, o, func(done, total int, rec eval.Record) {
		if bar == nil {
			bar = a.progress("eval", total)
		}
		if key := rec.Task + " " + rec.Method; key != last {
			last, right, seen = key, 0, 0
		}
		seen++
		if rec.Correct {
			right++
		}
		bar.at(done, fmt.Sprintf("%s %d of %d right", last, right, seen))
	})
	if bar != nil {
		bar.done()
	}
	if err != nil {
		return err
	}
	r.Command = "orrery " + strings.Join(os.Args[1:], " ")
	if html != "" {
		if err := r.Page().WriteFile(html); err != nil {
			return err
		}
		if !a.quiet {
			fmt.Fprintf(a.err, "report: %s\n", html)
		}
	}
	if a.json {
		return a.printJSON(r.JSON())
	}
	return r.WriteTable(a.out)
}
