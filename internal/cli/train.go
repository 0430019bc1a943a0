package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/local"
	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/report"
)

func init() { register(trainCommand) }

func trainCommand(a *app) *cobra.Command {
	var dir, from string
	var resume bool
	c := &cobra.Command{
		Use:   "train RECIPE",
		Short: "Train a model by a recipe's name or file; resumes; writes a run folder",
		Long: `Train runs a recipe: one of the named ones below, a .json file that changes some
settings of one, or the config.json of an earlier run. Ctrl-C saves a
checkpoint; the same command with --resume goes on from it, to the same bytes
as a run that was never interrupted.

Recipes that tune a model start from the built-in one, or from --from; coconut and
superposition ones from nothing, or from --from. What a run
leaves, and what its metrics mean, is in docs/training.md.

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
			dir, err := runFolder(r.Name, dir, resume)
			if err != nil {
				return err
			}
			o := recipe.Options{Dir: dir, Resume: resume}
			switch {
			case r.Tunes || r.May && cmd.Flags().Changed("from"):
				if o.Base, err = openBase(from); err != nil {
					return err
				}
			case cmd.Flags().Changed("from"):
				return usagef("train %s: the recipe makes a model from nothing, so --from has no meaning: leave it out", r.Name)
			}
			return a.train(cmd, r, o)
		},
	}
	c.Flags().StringVarP(&dir, "out", "o", "", "run folder (default runs/RECIPE)")
	c.Flags().StringVar(&from, "from", "builtin", "folder of the model to tune, or builtin")
	c.Flags().BoolVar(&resume, "resume", false, "continue the run in the folder")
	c.AddCommand(a.flaggedRecipes()...)
	return c
}

// openBase reads the model that a run starts from; "" and "builtin" are the
// built-in one.
func openBase(from string) (*train.Base, error) {
	b := &train.Base{Name: from}
	files := os.DirFS(from)
	if from == "" || from == "builtin" {
		b.Name, files = "builtin", local.BuiltinFiles()
	}
	_, err := latent.ReadSymbols(files)
	switch {
	case err == nil:
		b.Model, err = nn.LoadFS(files)
	case errors.Is(err, fs.ErrNotExist):
		b.Model, b.Vocab, err = local.Load(files)
	}
	if err != nil {
		return nil, fmt.Errorf("train --from %s: %w: give the folder of a trained model, such as runs/NAME/final", b.Name, err)
	}
	return b, nil
}

func recipeList() string {
	var b strings.Builder
	for _, name := range recipe.Names() {
		r, _ := recipe.Lookup(name)
		fmt.Fprintf(&b, "  %-18s %s\n", name, r.About)
	}
	return b.String()
}

func (a *app) train(cmd *cobra.Command, r recipe.Recipe, o recipe.Options) (err error) {
	s, err := r.Settings()
	if err != nil {
		return usageError{err}
	}
	defer a.record(cmd.Context(), "train", r.Name, o.Dir, "").end(&err)
	if own, ok := s.(recipe.Own); ok {
		return a.trainOwn(cmd, r, own, o)
	}
	var bar *progress
	var last train.Progress
	o.Progress = func(p train.Progress) {
		if bar == nil {
			bar = a.progress("train "+r.Name, p.Steps)
		}
		if p.Metric.Kind == "step" || p.Step == 0 {
			last = p
		}
		bar.at(p.Step, trainNote(last))
	}
	err = r.Start(cmd.Context(), o)
	if bar != nil {
		bar.done()
		// Also of a run that was interrupted: it shows how far it came.
		var own func(*report.Page) error
		if c, ok := s.(*recipe.Coconut); ok && err == nil {
			own = func(p *report.Page) error { return latentReport(cmd.Context(), p, o.Dir, c) }
		}
		if rerr := writeTrainReport(o.Dir, r.Name, own); err == nil {
			err = rerr
		}
	}
	if err != nil {
		return err
	}
	if bar == nil { // nothing was left to do
		if last.Metric, err = lastStep(o.Dir); err != nil {
			return err
		}
		last.Step = last.Metric.Step
	}
	if a.json {
		out := map[string]any{"version": 1, "id": filepath.Base(o.Dir), "kind": "train", "recipe": r.Name,
			"dir": o.Dir, "steps": last.Step, "loss": last.Metric.Loss, "state": "done"}
		if last.Metric.RL != nil {
			out["rl"] = last.Metric.RL
		}
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "trained %s in %d steps: the model is in %s\n", r.Name, last.Step, filepath.Join(o.Dir, "final"))
	fmt.Fprintf(a.out, "try it:  orrery ask --model %s QUESTION\n", filepath.Join(o.Dir, "final"))
	return nil
}

func trainNote(p train.Progress) string {
	if p.Step == 0 {
		return fmt.Sprintf("held-out accuracy %.1f %% before training", 100*p.Metric.Accuracy)
	}
	if r := p.Metric.RL; r != nil {
		return fmt.Sprintf("reward %.3f, KL %.2g, %.0f tokens, agreement %s, %s tokens/s",
			r.Reward, r.KL, r.Length, agreement(r), thousands(int(p.TokensPerSecond)))
	}
	return fmt.Sprintf("loss %.3f, %s tokens/s", p.Metric.Loss, thousands(int(p.TokensPerSecond)))
}

// agreement says how far the sampler's log-probabilities are from the trainer's.
func agreement(r *train.RL) string {
	if r.AgreementMax == 0 {
		return "exact"
	}
	return fmt.Sprintf("%.0f %% exact, off by up to %.2g nats", 100*r.AgreementEqual, r.AgreementMax)
}
