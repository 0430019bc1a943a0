package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"orrery/internal/eval"
	"orrery/learn/latent"
	"orrery/learn/recipe"
	"orrery/look/coconut"
	"orrery/report"
	"orrery/task"
)

// latentProblems is how many problems a table of latent models asks by default.
const latentProblems = 500

// evalLatent compares models that think in hidden states, beside the published
// table.
func (a *app) evalLatent(cmd *cobra.Command, dirs []string, level task.Level, n int, seed uint64, file, ids, html string) (err error) {
	for _, other := range []string{"task", "method", "model", "upstream", "out", "problems-at-once"} {
		if cmd.Flags().Changed(other) {
			return usagef("--models and --%s contradict each other: the models' own task and method are compared; drop one", other)
		}
	}
	if err := writable(html, ""); err != nil {
		return err
	}
	defer a.record(cmd.Context(), "eval", "models", "", html).end(&err)
	if _, err := latent.ReadSymbols(os.DirFS(dirs[0])); err == nil {
		return a.evalReach(cmd, dirs, level, n, seed, file, ids, html)
	}
	for _, only := range []string{"level", "ids"} {
		if cmd.Flags().Changed(only) {
			return usagef("--%s is for models of graph questions in symbols, and %s answers in words: drop it", only, dirs[0])
		}
	}
	models, name, err := openLatent(dirs)
	if err != nil {
		return err
	}
	ps, err := latentProblemsOf(name, level, n, seed, file)
	if err != nil {
		return err
	}
	bar := a.progress("eval", len(models))
	var scores []*coconut.Score
	for i, m := range models {
		s, err := m.Measure(cmd.Context(), ps, seed, func(what string) { bar.at(i, filepath.Base(m.Dir)+": "+what) })
		if err != nil {
			bar.done()
			return err
		}
		scores = append(scores, s)
		bar.at(i+1, fmt.Sprintf("%s %.1f %%", m.Info.Method, 100*s.Main.Accuracy()))
	}
	bar.done()
	return a.showLatent(coconut.Compare(name, ps, scores), html)
}

// evalReach is the same for models of graph questions in symbols.
func (a *app) evalReach(cmd *cobra.Command, dirs []string, level task.Level, n int, seed uint64, file, ids, html string) error {
	var models []*coconut.Reacher
	for i, dir := range dirs {
		if slices.Contains(dirs[:i], dir) {
			return usagef("--models: %s is listed twice", dir)
		}
		m, err := coconut.OpenReacher(dir)
		if err != nil {
			return err
		}
		models = append(models, m)
	}
	ps, err := latentProblemsOf(models[0].Info.Task, level, n, seed, file)
	switch {
	case ids != "random" && ids != "sorted":
		return usagef("--ids %q: known are random, sorted", ids)
	case err != nil:
		return err
	case file != "" && cmd.Flags().Changed("ids"):
		return usagef("--file and --ids contradict each other: a file's graphs have their ids; drop one")
	case file == "" && ids == "sorted":
		ps = coconut.SortedProblems(level, len(ps), seed)
	}
	bar := a.progress("eval", len(models))
	var scores []*coconut.ReachScore
	for i, m := range models {
		s, err := m.Measure(cmd.Context(), ps, seed, func(what string) { bar.at(i, m.Dir+": "+what) })
		if err != nil {
			bar.done()
			return err
		}
		scores = append(scores, s)
		bar.at(i+1, fmt.Sprintf("%s %.1f %%", m.Info.Method, 100*s.Main.Accuracy()))
	}
	bar.done()
	return a.showLatent(coconut.CompareReach(ps, scores), html)
}

// showLatent prints a comparison.
func (a *app) showLatent(c interface {
	Page(command string) report.Page
	JSON() map[string]any
	WriteTable(io.Writer) error
}, html string) error {
	a.recorded.result(c.JSON(), nil)
	if html != "" {
		if err := c.Page("orrery " + shellQuote(withoutPasswords(a.args))).WriteFile(html); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(c.JSON())
	}
	return c.WriteTable(a.out)
}

// latentProblemsOf are n problems of a file, or generated ones.
func latentProblemsOf(name string, level task.Level, n int, seed uint64, file string) ([]task.Problem, error) {
	if file != "" {
		return readLatent(name, file, n)
	}
	if n == 0 {
		n = latentProblems
	}
	return coconut.Problems(name, level, n, seed)
}

// openLatent opens models of one task.
func openLatent(dirs []string) (models []*coconut.Model, name string, err error) {
	for i, dir := range dirs {
		if slices.Contains(dirs[:i], dir) {
			return nil, "", usagef("--models: %s is listed twice", dir)
		}
		m, err := coconut.Open(dir)
		if err != nil {
			return nil, "", err
		}
		if name == "" {
			name = m.Info.Task
		}
		if m.Info.Task != name {
			return nil, "", usagef("--models: %s was trained on %s, %s on %s: compare models of one task", dirs[0], name, dir, m.Info.Task)
		}
		models = append(models, m)
	}
	return models, name, nil
}

// readLatent reads up to n problems of a file (0: all) in the format of a task.
func readLatent(name, file string, n int) ([]task.Problem, error) {
	o := eval.Options{Tasks: []string{name}}
	if err := readProblems(&o, file); err != nil {
		return nil, err
	}
	if n > 0 {
		return o.Problems[:min(n, len(o.Problems))], nil
	}
	return o.Problems, nil
}

// latentReport adds to a finished run's page what its model does with each number
// of thoughts, and the stages to its loss.
func latentReport(ctx context.Context, page *report.Page, dir string, c *recipe.Coconut) error {
	m, err := coconut.Open(filepath.Join(dir, "final"))
	if err != nil {
		return err
	}
	ps, err := coconut.Problems(m.Info.Task, task.Standard, 200, 0)
	if err != nil {
		return err
	}
	s, err := m.Measure(ctx, ps, 0, nil)
	if err != nil {
		return err
	}
	for i, b := range page.Blocks {
		if p, ok := b.(report.Plot); ok && p.Title == "Loss" && c.Method.Staged() {
			for k := c.FirstStage; k <= c.Stages+1 && c.Begin(k) < c.Train.Steps; k++ {
				to := c.Train.Steps
				if k <= c.Stages {
					to = min(to, c.Begin(k+1))
				}
				p.Regions = append(p.Regions, report.Region{Name: fmt.Sprintf("stage %d", k), From: float64(c.Begin(k)), To: float64(to)})
			}
			page.Blocks[i] = p
		}
	}
	page.Blocks = append(s.Blocks(), page.Blocks...)
	return nil
}
