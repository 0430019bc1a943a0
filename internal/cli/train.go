package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orrery/learn/recipe"
	"orrery/learn/train"
)

func init() { register(trainCommand) }

func trainCommand(a *app) *cobra.Command {
	var dir string
	var resume bool
	c := &cobra.Command{
		Use:   "train RECIPE",
		Short: "Train a model by a recipe's name or file; resumes; writes a run folder",
		Long: `Train runs a recipe: one of the named ones below, a .json file that changes some
settings of one, or the config.json of an earlier run. Ctrl-C saves a
checkpoint; the same command with --resume goes on from it, to the same bytes
as a run that was never interrupted.

Recipes:
` + recipeList(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("train wants one recipe, got %d: known are %s", len(args), strings.Join(recipe.Names(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			if dir == "" {
				dir = filepath.Join("runs", r.Name)
			}
			_, err = os.Stat(filepath.Join(dir, "config.json"))
			switch {
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("train %s: %w", r.Name, err)
			case err == nil && !resume:
				return usagef("train %s: %s already holds a run: continue it with --resume, or choose another folder with --out", r.Name, dir)
			case err != nil && resume:
				return usagef("train %s: %s holds no run to continue: leave --resume out, or name the run's folder with --out", r.Name, dir)
			}
			return a.train(cmd, r, recipe.Options{Dir: dir, Resume: resume})
		},
	}
	c.Flags().StringVarP(&dir, "out", "o", "", "run folder (default runs/RECIPE)")
	c.Flags().BoolVar(&resume, "resume", false, "continue the run in the folder")
	return c
}

func recipeList() string {
	var b strings.Builder
	for _, name := range recipe.Names() {
		r, _ := recipe.Lookup(name)
		fmt.Fprintf(&b, "  %-12s %s\n", name, r.About)
	}
	return b.String()
}

func (a *app) train(cmd *cobra.Command, r recipe.Recipe, o recipe.Options) error {
	var bar *progress
	var last train.Progress
	o.Progress = func(p train.Progress) {
		if bar == nil {
			bar = a.progress("train "+r.Name, p.Steps)
		}
		if p.Metric.Kind == "step" {
			last = p
		}
		bar.at(p.Step, trainNote(last))
	}
	err := r.Start(cmd.Context(), o)
	if bar != nil {
		bar.done()
		// Also of a run that was interrupted: it shows how far it came.
		if rerr := writeTrainReport(o.Dir, r.Name); err == nil {
			err = rerr
		}
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"version": 1, "id": filepath.Base(o.Dir), "kind": "train", "recipe": r.Name,
			"dir": o.Dir, "steps": last.Step, "loss": last.Metric.Loss, "state": "done"})
	}
	fmt.Fprintf(a.out, "trained %s in %d steps: the model is in %s\n", r.Name, last.Steps, filepath.Join(o.Dir, "final"))
	fmt.Fprintf(a.out, "try it:  orrery ask --model %s QUESTION\n", filepath.Join(o.Dir, "final"))
	return nil
}

func trainNote(p train.Progress) string {
	return fmt.Sprintf("loss %.3f, %s tokens/s", p.Metric.Loss, thousands(int(p.TokensPerSecond)))
}
