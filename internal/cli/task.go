package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"orrery/task"
)

func init() { register(taskCommand) }

// taskOptions say which problems to look at.
type taskOptions struct {
	task  task.Task
	level task.Level
	n     int
	seed  uint64
	file  string
	show  int
}

func taskCommand(a *app) *cobra.Command {
	var o taskOptions
	var level string
	c := &cobra.Command{
		Use:   "task NAME",
		Short: "What a task's problems are like: statistics beside the published ones, examples",
		Long: `Task draws problems, or reads a published file of them, and prints what they are
like: lengths, steps, answers, and for graphs the table of the published test
file with the difference in standard errors, and how far rules get that follow
no path to its end. A model that is no better than such a rule has not searched.

Tasks:
` + taskList(),
		Example: "  orrery task prosqa\n  orrery task prontoqa --level hard --n 500 --show 2\n  orrery task prosqa --file prosqa_test.json --json",
		Args:    exactArgs(1, "one task's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.task, err = task.Lookup(args[0]); err != nil {
				return usageError{err}
			}
			if err := parseLevel(level, &o.level); err != nil {
				return err
			}
			if o.n < 1 || o.show < 0 {
				return usagef("--n is %d and --show %d: want at least 1 problem, and at least 0 to show", o.n, o.show)
			}
			if o.file != "" {
				for _, flag := range []string{"level", "seed"} {
					if cmd.Flags().Changed(flag) {
						return usagef("--file and --%s contradict each other: a file's problems are what they are; drop one", flag)
					}
				}
				if !cmd.Flags().Changed("n") {
					o.n = math.MaxInt
				}
			}
			return a.task(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&level, "level", "standard", "difficulty: easy, standard or hard")
	c.Flags().IntVar(&o.n, "n", 5000, "problems (of a file: all)")
	c.Flags().Uint64Var(&o.seed, "seed", 1, "of the problems")
	c.Flags().StringVar(&o.file, "file", "", "read a published file of the task instead of generating problems")
	c.Flags().IntVar(&o.show, "show", 0, "problems to print with their solutions")
	return c
}

// taskJSON is the object of --json.
type taskJSON struct {
	Version int     `json:"version"`
	Task    string  `json:"task"`
	Level   *string `json:"level"` // null of a file
	Seed    *uint64 `json:"seed"`  // null of a file
	File    *string `json:"file"`  // null where problems were generated
	task.Summary
	Problems []task.Problem `json:"problems"` // the first, as many as --show asks for
}

func (a *app) task(ctx context.Context, o taskOptions) error {
	var survey task.Survey
	shown := []task.Problem{}
	take := func(p task.Problem) {
		survey.Add(p)
		if len(shown) < o.show {
			shown = append(shown, p)
		}
	}
	j := taskJSON{Version: 1, Task: o.task.Name()}
	about := ""
	if o.file != "" {
		problems, err := openProblems(o.task, o.file)
		if err != nil {
			return err
		}
		for _, p := range problems[:min(o.n, len(problems))] {
			take(p)
		}
		j.File = &o.file
		about = "of " + o.file
	} else {
		if err := a.drawProblems(ctx, o, take); err != nil {
			return err
		}
		level := o.level.String()
		j.Level, j.Seed = &level, &o.seed
		about = fmt.Sprintf("of level %s, drawn with seed %d", level, o.seed)
	}
	// The published figures are of ProsQA's own shape.
	published := o.task.Name() == "prosqa" && (o.file != "" || o.level == task.Standard)
	j.Summary, j.Problems = survey.Summary(published), shown
	if a.json {
		return a.printJSON(j)
	}
	return writeTask(a.out, j, about)
}

// drawProblems generates problems, each from a stream of its own. It shows how far it is
// when it takes longer than a second.
func (a *app) drawProblems(ctx context.Context, o taskOptions, take func(task.Problem)) error {
	bar := a.progress("task", o.n)
	start := time.Now()
	for i := range o.n {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("drawing problems: %w", err)
		}
		take(o.task.Generate(rand.New(rand.NewPCG(o.seed, uint64(i))), o.level))
		if time.Since(start) > time.Second {
			bar.at(i+1, "problems")
		}
	}
	bar.done()
	return nil
}

// writeTask prints the tables.
func writeTask(w io.Writer, j taskJSON, about string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: %s %s\n", j.Task, count(j.N, "problem"), about)
	if j.Unanswerable > 0 {
		fmt.Fprintf(t, "%s unanswerable, because their text does not decide the answer: they are left out below.\n", thousands(j.Unanswerable))
	}
	fmt.Fprintln(t, "\nlength in words, digits and marks\tmean\tleast\tmost")
	fmt.Fprintf(t, "question\t%.1f\t%d\t%d\n", j.Question.Mean, j.Question.Min, j.Question.Max)
	fmt.Fprintf(t, "steps together\t%.1f\t%d\t%d\n", j.Solution.Mean, j.Solution.Min, j.Solution.Max)
	fmt.Fprintln(t)
	writeShares(t, "steps", j.Steps)
	if j.Hops != nil && !maps.Equal(j.Hops, j.Steps) {
		writeShares(t, "hops", j.Hops)
	}
	fmt.Fprintf(t, "different answers\t%s\n", thousands(j.Answers.Distinct))
	if j.Answers.Distinct > 0 {
		fmt.Fprintf(t, "most common answer\t%s (%.1f %%)\n", shorten(j.Answers.Most, 40), 100*j.Answers.MostShare)
	}
	if f := j.Answers.First; f != nil {
		fmt.Fprintf(t, "%s\t%s\n", f.Name, shareOf(f))
	}
	writeFigures(t, "per item", j.Figures)
	writeFigures(t, "rule, ties counted ½", j.Shortcuts)
	for i, p := range j.Problems {
		fmt.Fprintf(t, "\nproblem %d\n%s\n%s\n", i+1, visible(p.Question), visible(p.Solution()))
	}
	return t.Flush()
}

func writeShares(w io.Writer, name string, shares map[int]float64) {
	var keys []int
	for k := range shares {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d: %.1f %%", k, 100*shares[k]))
	}
	fmt.Fprintf(w, "%s\t%s\n", name, strings.Join(parts, ", "))
}

func shareOf(f *task.Figure) string {
	if f.SE == nil {
		return fmt.Sprintf("%.1f %%", 100*f.Mean)
	}
	return fmt.Sprintf("%.1f ± %.1f %%", 100*f.Mean, 100**f.SE)
}

// farZ is the difference, in standard errors, that is called one.
const farZ = 4

// writeFigures prints a table, with the published columns where there are any.
func writeFigures(w io.Writer, head string, figures []task.Figure) {
	if len(figures) == 0 {
		return
	}
	published, compared := false, false
	var far []string
	for _, f := range figures {
		published = published || f.Published != nil
		compared = compared || f.Z != nil
		if f.Z != nil && math.Abs(*f.Z) > farZ {
			far = append(far, f.Name)
		}
	}
	columns := []string{head, "measured", "s.e."}
	if published {
		columns = append(columns, "published")
	}
	if compared {
		columns = append(columns, "s.e.", "z")
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(columns, "\t"))
	for _, f := range figures {
		row := []string{f.Name, fmt.Sprintf("%.3f", f.Mean), orDash(f.SE, "%.2g")}
		if published {
			row = append(row, plain(f.Published))
		}
		if compared {
			row = append(row, orDash(f.PublishedSE, "%.2g"), orDash(f.Z, "%+.1f"))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	switch {
	case len(far) > 0:
		fmt.Fprintf(w, "More than %d standard errors from the published test file: %s.\n", farZ, strings.Join(far, ", "))
	case compared:
		fmt.Fprintf(w, "Nothing lies more than %d standard errors from the published test file.\n", farZ)
	}
}

func orDash(x *float64, format string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(format, *x)
}

// plain prints a figure with the digits it was published with.
func plain(x *float64) string {
	if x == nil {
		return "–"
	}
	return strconv.FormatFloat(*x, 'f', -1, 64)
}
