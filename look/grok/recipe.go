package grok

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"

	"orrery/learn/recipe"
)

// Run implements recipe.Settings.
func (s *Settings) Run(ctx context.Context, name string, o recipe.Options) error {
	if o.Dir == "" {
		return errors.New("recipe " + name + ": no run folder is given")
	}
	return trainIn(ctx, *s, recipe.Choice{Recipe: name, Settings: s}, o)
}

// Flags implements recipe.Flagged.
func (s *Settings) Flags(set *flag.FlagSet) {
	set.StringVar(&s.Group, "group", s.Group, "`name` of the group: Z71, Z5xZ6, D7, Dic5, Q8, S3, S4, Mul97")
	set.IntVar(&s.Width, "width", s.Width, "hidden `nodes`")
	set.IntVar(&s.Epochs, "epochs", s.Epochs, "passes over the training pairs")
	set.Float64Var(&s.Train, "train", s.Train, "`share` of the pairs to train on")
	set.Uint64Var(&s.Seed, "seed", s.Seed, "of the weights and of the split")
	set.StringVar(&s.Net, "net", s.Net, "cogs or li2: initial scale, and names of the weights")
	set.Func("activation", fmt.Sprintf("square, relu, silu, tanh or complex (default %s)", s.Activation), func(v string) error {
		s.Activation = Activation(v)
		return s.Activation.check()
	})
	set.Float64Var(&s.VInit, "vinit", s.VInit, "`factor` of the initial output matrix; 0 is zero-init")
	set.Float64Var(&s.Scale, "scale", s.Scale, "`factor` of all initial weights; 0 is 1")
	set.StringVar(&s.Output, "output", s.Output, "ridge: the output matrix is always the best for the hidden nodes")
	set.IntVar(&s.Batch, "batch", s.Batch, "`pairs` an update; 0 is all")
	set.StringVar(&s.Optimizer.Kind, "optimizer", s.Optimizer.Kind, "adam (coupled decay), adamw (decoupled), sgd or muon")
	set.Float64Var(&s.Optimizer.LR, "lr", s.Optimizer.LR, "learning `rate`")
	set.Float64Var(&s.Optimizer.Decay, "decay", s.Optimizer.Decay, "weight decay")
}

// Result implements recipe.Own.
func (s *Settings) Result(dir string) (recipe.Result, error) {
	r, err := OpenRun(dir)
	if err != nil {
		return recipe.Result{}, err
	}
	if len(r.Metrics) == 0 {
		return recipe.Result{}, fmt.Errorf("reading the result of %s: it has no evaluations", dir)
	}
	last := r.Metrics[len(r.Metrics)-1]
	out := recipe.Result{
		Lines: []string{r.describe()},
		Fields: map[string]any{"group": r.Group.Name(), "width": r.Settings.Width, "epochs": last.Epoch, "train": last.Train, "test": last.Test,
			"fits_epoch": nil, "generalises_epoch": nil},
	}
	mark := func(test bool, field, yes, no string) string {
		e, ok := r.Metrics.Reached(test, Enough)
		if !ok {
			return no
		}
		out.Fields[field] = e
		return fmt.Sprintf(yes, e)
	}
	fits := mark(false, "fits_epoch", "fits the training pairs from epoch %d on", "does not fit the training pairs")
	line := fmt.Sprintf("train %.2f %%: %s", 100*last.Train.Accuracy, fits)
	out.Lines = append(out.Lines, line)
	if last.Test != nil {
		line := mark(true, "generalises_epoch", "generalises from epoch %d on", "does not generalise")
		out.Lines = append(out.Lines, fmt.Sprintf("test  %.2f %%: %s", 100*last.Test.Accuracy, line))
	}
	for _, a := range analyses {
		if a.Result == nil {
			continue
		}
		more, err := a.Result(r)
		if err != nil {
			return out, fmt.Errorf("reading the result of %s: analysis %s: %w", dir, a.Name, err)
		}
		out.Lines = append(out.Lines, more.Lines...)
		maps.Copy(out.Fields, more.Fields)
	}
	return out, nil
}
