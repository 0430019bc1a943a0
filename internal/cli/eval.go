package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/eval"
	"orrery/task"
	"orrery/think/llm"
	"orrery/think/reason"
)

func init() { register(evalCommand) }

func evalCommand(a *app) *cobra.Command {
	var src source
	var pf paramFlags
	var o eval.Options
	var level, file, ids, out, html string
	var thoughts []int
	var models []string
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
  orrery eval --models runs/coconut/final,runs/cot/final --html thoughts.html
  orrery eval --task symbols --method coconut --model runs/superposition/final --thoughts 0,1,2,3,4
  orrery eval --task prosqa --file prosqa_test.json --upstream http://localhost:8000 --method majority,deepconf-high`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Params, err = pf.params(); err != nil {
				return err
			}
			if err := noZero(cmd.Flags(), "n", "problems-at-once"); err != nil {
				return err
			}
			if err := parseLevel(level, &o.Level); err != nil {
				return err
			}
			if file != "" && cmd.Flags().Changed("level") {
				return usagef("--file and --level contradict each other: a file's problems are as hard as they are; drop one")
			}
			if len(models) > 0 {
				return a.evalLatent(cmd, models, o.Level, o.N, o.Params.Seed, file, ids, html)
			}
			if cmd.Flags().Changed("ids") {
				return usagef("--ids is for --models of graph questions in symbols: drop it")
			}
			o.Seed = o.Params.Seed
			o.Params.Seed = 0
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			if file != "" {
				if err := readProblems(&o, file); err != nil {
					return err
				}
			}
			if err := src.check(); err != nil {
				return err
			}
			if err := checkThoughts(&src, thoughts, &o, out, html); err != nil {
				return err
			}
			return a.eval(cmd, &src, o, thoughts, out, html)
		},
	}
	src.flags(c)
	pf.flags(c.Flags())
	c.Flags().StringSliceVar(&o.Tasks, "task", nil, "tasks: "+strings.Join(task.Names(), ", "))
	c.Flags().StringSliceVar(&o.Methods, "method", []string{"single", "majority", "deepconf-high", "deepconf-low"}, "methods: "+strings.Join(reason.Names(), ", "))
	c.Flags().StringSliceVar(&models, "models", nil, "folders of models that think in hidden states (coconut, superposition recipes): published figures beside theirs")
	c.Flags().IntVar(&o.N, "n", 0, "problems a task (default 200, or the whole file)")
	c.Flags().IntVar(&o.Parallel, "problems-at-once", 0, "more than 1 is sooner done, but then seconds are not a lone user's (default 1)")
	c.Flags().StringVar(&level, "level", "standard", "difficulty: easy, standard or hard")
	c.Flags().StringVar(&file, "file", "", "read a published file of the task instead of generating problems")
	c.Flags().StringVar(&ids, "ids", "random", "node ids of --models' graph questions in symbols: random, or sorted along edges")
	c.Flags().StringVar(&out, "out", "", "write one JSON line a problem; an interrupted evaluation goes on from it")
	c.Flags().IntSliceVar(&thoughts, "thoughts", nil, "hidden thoughts of a latent model, a row for each number (default: what it was trained for)")
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

func readProblems(o *eval.Options, file string) error {
	if len(o.Tasks) != 1 {
		return usagef("--file belongs to one task, --task names %d", len(o.Tasks))
	}
	t, _ := task.Lookup(o.Tasks[0])
	var err error
	if o.Problems, err = openProblems(t, file); err != nil {
		return err
	}
	if o.Problems, o.Unanswerable = eval.Answerable(o.Problems); len(o.Problems) == 0 {
		return fmt.Errorf("read problems from %s: all %d are unanswerable, because their text does not decide the answer: give another file", file, o.Unanswerable)
	}
	return nil
}

// openProblems reads a file of the task's own format.
func openProblems(t task.Task, file string) ([]task.Problem, error) {
	reader, ok := t.(task.FileReader)
	if !ok {
		return nil, usagef("--file: task %s has no file format", t.Name())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read problems: %w: give a file of the task's own format", err)
	}
	defer f.Close()
	problems, err := reader.ReadFile(f)
	if err != nil {
		return nil, fmt.Errorf("read problems from %s: %w", file, err)
	}
	if len(problems) == 0 {
		return nil, fmt.Errorf("read problems from %s: it holds none: give another file", file)
	}
	return problems, nil
}

// checkThoughts reports what contradicts numbers of thoughts. One is a parameter
// like any other.
func checkThoughts(src *source, thoughts []int, o *eval.Options, out, html string) error {
	src.latent = slices.Contains(o.Methods, latentMethod)
	for i, k := range thoughts {
		if k < 0 || slices.Contains(thoughts[:i], k) {
			return usagef("--thoughts %d: give numbers of at least 0, each once", k)
		}
	}
	switch {
	case len(thoughts) == 1:
		o.Params.Thoughts = &thoughts[0]
	case len(thoughts) > 1 && (out != "" || html != ""):
		return usagef("--thoughts has %d numbers, and --out and --html are for one: give one, or drop them", len(thoughts))
	}
	return nil
}

func (a *app) eval(cmd *cobra.Command, src *source, o eval.Options, thoughts []int, out, html string) (err error) {
	if err := writable(html, out); err != nil {
		return err
	}
	defer a.record(cmd.Context(), "eval", strings.Join(o.Tasks, ","), "", html).end(&err)
	g, closer, logprobs, err := a.openMeasured(cmd.Context(), src)
	if err != nil {
		return err
	}
	defer closer.Close()
	for _, name := range o.Methods {
		p := o.Params
		if len(thoughts) > 0 {
			p.Thoughts = &thoughts[len(thoughts)-1]
		}
		if m, err := reason.Lookup(name); err == nil {
			if err := m.Suits(g.Info(), p.Only(m)); err != nil {
				return usageError{err}
			}
		}
	}
	if src.latent && src.upstream+src.model == "" && !a.quiet {
		fmt.Fprintf(a.err, "no model is given: asking %s, the latent model that comes with the program\n", g.Info().Model)
	}
	o.Params = localDefaults(g, o.Params)
	if slices.Equal(o.Methods, []string{latentMethod}) { // which does not sample
		o.Params.Temperature, o.Params.TopP = nil, 0
	}
	o.Instruct, o.Unmeasured = !isLocal(g), !logprobs
	for _, name := range o.Methods { // before others have been evaluated for hours
		if m, err := reason.Lookup(name); err == nil && m.NeedsLogprobs() && !logprobs {
			return lacksLogprobs(m)
		}
	}
	if out != "" {
		log, err := eval.OpenLog(out)
		if err != nil {
			return err
		}
		defer log.Close()
		o.Log = log
		if n := log.Len(); n > 0 && !a.quiet {
			fmt.Fprintf(a.err, "%s holds %s: going on from there\n", out, count(n, "finished problem"))
		}
	}
	show := evalProgress{a: a}
	run := eval.Run
	if len(thoughts) > 1 {
		run = func(ctx context.Context, g llm.Generator, o eval.Options, p eval.Progress) (*eval.Report, error) {
			return eval.RunThoughts(ctx, g, thoughts, o, p)
		}
	}
	r, err := run(cmd.Context(), g, o, show.at)
	show.done()
	if err != nil && out != "" && r != nil {
		err = fmt.Errorf("%w; what was finished is in %s, and the same command goes on from there", err, out)
	}
	if r == nil || len(r.Records) == 0 {
		return err
	}
	r.Command = "orrery " + shellQuote(withoutPasswords(a.args))
	return errors.Join(a.evalResult(r, html), err)
}

// writable finds out whether the report can be written before hours are spent
// on it.
func writable(html, out string) error {
	if html == "" {
		return nil
	}
	if out != "" && filepath.Clean(html) == filepath.Clean(out) {
		return usagef("--html and --out contradict each other: both are %s, and one would overwrite the other; give two files", html)
	}
	folder := filepath.Dir(html)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return usagef("--html %s: its folder does not exist: make it first", html)
	}
	if info, err := os.Stat(html); err == nil && info.IsDir() {
		return usagef("--html %s: it is a folder: name a file in it", html)
	}
	probe, err := os.CreateTemp(folder, ".orrery-*") // reports are written beside and moved
	if err != nil {
		return usagef("--html %s: its folder cannot be written to (%v): choose another", html, errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// evalResult writes the table or the object, and the page.
func (a *app) evalResult(r *eval.Report, html string) error {
	a.recorded.result(r.JSON(), accuracies(r))
	if a.json {
		if err := a.printJSON(r.JSON()); err != nil {
			return err
		}
	} else if err := r.WriteTable(a.out); err != nil {
		return err
	}
	if html == "" {
		return nil
	}
	if err := r.Page().WriteFile(html); err != nil {
		return err
	}
	if !a.quiet {
		fmt.Fprintf(a.err, "report: %s\n", html)
	}
	return nil
}

// accuracies are the figures of an evaluation by name.
func accuracies(r *eval.Report) map[string]float64 {
	out := map[string]float64{}
	for _, row := range r.Results {
		name := row.Method
		if len(r.Options.Tasks) > 1 {
			name = row.Task + " " + name
		}
		out[name+" accuracy"], out[name+" tokens_mean"] = row.Accuracy, row.TokensMean
	}
	return out
}

// evalProgress shows how far an evaluation is.
type evalProgress struct {
	a           *app
	bar         *progress
	key         string // task and method at work
	right, seen int
}

func (e *evalProgress) at(done, total int, rec eval.Record) {
	if e.bar == nil {
		e.bar = e.a.progress("eval", total)
	}
	if key := rec.Task + " " + rec.Method; key != e.key {
		e.key, e.right, e.seen = key, 0, 0
	}
	e.seen++
	if rec.Correct {
		e.right++
	}
	if rec.Old {
		e.bar.skip(done)
	}
	e.bar.at(done, fmt.Sprintf("%s %d of %d right", e.key, e.right, e.seen))
}

func (e *evalProgress) done() {
	if e.bar != nil {
		e.bar.done()
	}
}

// withoutPasswords hides what a URL among the arguments may hold in front of
// its host: the report is shown to others.
func withoutPasswords(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		name, value, joined := strings.Cut(arg, "=")
		if !joined {
			name, value = "", arg
		} else {
			name += "="
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			out[i] = name + u.Scheme + "://…@" + u.Host + u.RequestURI()
		}
	}
	return out
}
