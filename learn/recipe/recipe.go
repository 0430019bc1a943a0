// Package recipe holds the experiments that can be trained by name: each has a
// type of its own settings, defaults that are worth running, and a line of
// help. A recipe registers itself from its own file; nothing else changes.
//
// A recipe's settings are JSON. A file {"recipe": NAME, "settings": {…}}
// changes some of them, and so does the config.json of an earlier run, which
// repeats that run. Fields that a recipe doesn't know are errors.
//
// The loop itself is package train's.
package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"orrery/learn/train"
)

// Options say where and how to run, not what.
type Options struct {
	Dir      string               // the run folder
	Resume   bool                 // continue the run that is in Dir
	Base     *train.Base          // the model to start from, for recipes that tune one
	Progress func(train.Progress) // nil: nobody looks
	Watch    func(Reading)        // the same, of Settings that are Own
}

// Settings are a recipe's own typed settings, encoded and decoded as JSON.
type Settings interface {
	// Run runs the experiment. name is the recipe's.
	Run(ctx context.Context, name string, o Options) error
}

// Recipe is a named experiment.
type Recipe struct {
	Name  string
	About string          // one line for help texts
	Tunes bool            // it starts from a model, Options.Base
	May   bool            // it may start from one
	New   func() Settings // a pointer to fresh defaults

	overrides json.RawMessage
	base      base // that the run it repeats began from
}

// base is what a run's config.json says of the model that it began from.
type base struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Settings returns the defaults with the recipe's overrides applied.
func (r Recipe) Settings() (Settings, error) {
	s := r.New()
	if len(r.overrides) > 0 {
		if err := train.Strict(r.overrides, s); err != nil {
			return nil, fmt.Errorf("settings of recipe %s: %w: 'orrery train %s --help' and the config.json of a run show the fields", r.Name, err, r.Name)
		}
	}
	return s, nil
}

// With returns the recipe with settings changed by a JSON object.
func (r Recipe) With(overrides []byte) (Recipe, error) {
	r.overrides = overrides
	_, err := r.Settings()
	return r, err
}

// Start trains. Cancelling ctx saves a checkpoint; see train.Run.Train.
func (r Recipe) Start(ctx context.Context, o Options) error {
	switch {
	case r.Tunes && o.Base == nil:
		return fmt.Errorf("recipe %s: it tunes a model, and none is given", r.Name)
	case !r.Tunes && !r.May && o.Base != nil:
		return fmt.Errorf("recipe %s: it makes a model from nothing, but the model %s is given to start from: leave that out", r.Name, o.Base.Name)
	case r.base.SHA256 != "" && o.Base == nil:
		return fmt.Errorf("recipe %s: the run that it repeats began from the model %s: give that", r.Name, r.base.Name)
	case r.base.SHA256 != "" && r.base.SHA256 != o.Base.Fingerprint():
		return fmt.Errorf("recipe %s: the run that it repeats began from the model %s with fingerprint %.16s, %s is another: give that model, or the recipe's name instead of the run's config.json",
			r.Name, r.base.Name, r.base.SHA256, o.Base.Name)
	}
	s, err := r.Settings()
	if err != nil {
		return err
	}
	return s.Run(ctx, r.Name, o)
}

var registry = map[string]Recipe{}

// Register adds a recipe; it panics if the name is taken or nothing is there to
// run.
func Register(r Recipe) {
	if _, dup := registry[r.Name]; dup || r.New == nil {
		panic("recipe: " + r.Name + " registered twice or without settings")
	}
	registry[r.Name] = r
}

// Names lists the recipes in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(registry)) }

// Lookup finds a recipe by name. The error lists the known ones.
func Lookup(name string) (Recipe, error) {
	if r, ok := registry[name]; ok {
		return r, nil
	}
	return Recipe{}, fmt.Errorf("unknown recipe %q: known are %s", name, strings.Join(Names(), ", "))
}

// Open finds a recipe by name, or reads a file that ends in .json.
func Open(nameOrFile string) (Recipe, error) {
	if !strings.HasSuffix(nameOrFile, ".json") {
		r, err := Lookup(nameOrFile)
		if err != nil {
			err = fmt.Errorf("%w; or give a .json file", err)
		}
		return r, err
	}
	b, err := os.ReadFile(nameOrFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: give a recipe file or one of %s", err, strings.Join(Names(), ", "))
		}
		return Recipe{}, fmt.Errorf("opening a recipe: %w", err)
	}
	r, err := parse(b)
	if err != nil {
		return Recipe{}, fmt.Errorf("reading the recipe %s: %w", nameOrFile, err)
	}
	return r, nil
}

// Choice is a recipe and its settings in JSON: a recipe file's content, and
// the "config" of a run's config.json.
type Choice struct {
	Recipe   string `json:"recipe"`
	Settings any    `json:"settings,omitempty"`
}

// parse reads a recipe file or a run's config.json.
func parse(b []byte) (Recipe, error) {
	type choice struct {
		Recipe   string          `json:"recipe"`
		Settings json.RawMessage `json:"settings"`
	}
	var file struct {
		choice
		Config    *choice         `json:"config"`
		Base      base            `json:"base"`
		Version   json.RawMessage `json:"version"`
		BuiltWith json.RawMessage `json:"built_with"`
	}
	if err := train.Strict(b, &file); err != nil {
		return Recipe{}, err
	}
	c := file.choice
	if file.Config != nil {
		c = *file.Config
	}
	if c.Recipe == "" {
		return Recipe{}, fmt.Errorf(`it names no recipe: want {"recipe": NAME, "settings": {…}}, where NAME is one of %s`, strings.Join(Names(), ", "))
	}
	r, err := Lookup(c.Recipe)
	if err != nil {
		return Recipe{}, err
	}
	if r.base = file.Base; r.base.SHA256 != "" && !r.Tunes && !r.May {
		return Recipe{}, fmt.Errorf("it says that recipe %s began from a model, which that doesn't do", r.Name)
	}
	return r.With(c.Settings)
}
