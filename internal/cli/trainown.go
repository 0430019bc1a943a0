package cli

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"orrery/learn/recipe"
	_ "orrery/look/circuit" // they register their recipes
	_ "orrery/look/grok"
)

// runFolder is the folder of a run, and an error if there is one already and
// resume is not set, or the other way round.
func runFolder(name, dir string, resume bool) (string, error) {
	if dir == "" {
		dir = filepath.Join("runs", name)
	}
	_, err := os.Stat(filepath.Join(dir, "config.json"))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("train %s: %w", name, err)
	case err == nil && !resume:
		return "", usagef("train %s: %s already holds a run: continue it with --resume, or choose another folder with --out", name, dir)
	case err != nil && resume:
		return "", usagef("train %s: %s holds no run to continue: leave --resume out, or name the run's folder with --out", name, dir)
	}
	return dir, nil
}

// flaggedRecipes are subcommands of train, one a recipe whose settings are
// flags.
func (a *app) flaggedRecipes() []*cobra.Command {
	var out []*cobra.Command
	for _, name := range recipe.Names() {
		r, _ := recipe.Lookup(name)
		s, ok := r.New().(recipe.Flagged)
		if !ok {
			continue
		}
		var dir string
		var resume bool
		c := &cobra.Command{
			Use:    name,
			Short:  r.About,
			Hidden: true, // train's own help lists the recipes
			Args:   exactArgs(0, "flags only"),
			RunE: func(cmd *cobra.Command, _ []string) error {
				b, err := json.Marshal(s)
				if err != nil {
					return fmt.Errorf("train %s: %w", name, err)
				}
				r, err := r.With(b)
				if err != nil {
					return usageError{err}
				}
				dir, err := runFolder(name, dir, resume)
				if err != nil {
					return err
				}
				return a.train(cmd, r, recipe.Options{Dir: dir, Resume: resume})
			},
		}
		own := flag.NewFlagSet(name, flag.ContinueOnError)
		s.Flags(own)
		c.Flags().AddGoFlagSet(own)
		c.Flags().StringVarP(&dir, "out", "o", "", "run folder (default runs/"+name+")")
		c.Flags().BoolVar(&resume, "resume", false, "continue the run in the folder")
		out = append(out, c)
	}
	return out
}

// trainOwn runs a recipe whose runs are not package train's.
func (a *app) trainOwn(cmd *cobra.Command, r recipe.Recipe, own recipe.Own, o recipe.Options) error {
	var show *curves
	o.Watch = func(g recipe.Reading) {
		if show == nil {
			show = a.curves("train "+r.Name, g.Steps)
		}
		show.at(g)
	}
	err := r.Start(cmd.Context(), o)
	if show != nil {
		show.done()
	}
	// Of a run that was interrupted, it shows how far it came; of one that was
	// finished before, what analyses say by now.
	if show != nil || err == nil {
		if rerr := own.WriteReport(o.Dir); err == nil {
			err = rerr
		}
	}
	if err != nil {
		return err
	}
	result, err := own.Result(o.Dir)
	if err != nil {
		return err
	}
	if a.json {
		out := map[string]any{"version": 1, "id": filepath.Base(o.Dir), "kind": "train", "recipe": r.Name, "dir": o.Dir, "state": "done"}
		for k, v := range result.Fields {
			out[k] = v
		}
		return a.printJSON(out)
	}
	for _, line := range result.Lines {
		fmt.Fprintln(a.out, line)
	}
	fmt.Fprintf(a.out, "report: %s\n", filepath.Join(o.Dir, "report.html"))
	return nil
}
