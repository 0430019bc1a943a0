// Package sweep runs many small trainings as independent, resumable trials: on
// all cores of one machine with a SQLite file, or on many machines with
// PostgreSQL. The queue is River's: what is fetched by whom, what is tried
// again, what is rescued from a worker that died.
//
// A trial is a recipe and its settings. Its key is a hash of both, so a trial
// that has been queued or done is not queued again, by whichever sweep. Its
// result is stored in the transaction that completes its job: it is there once,
// or the job is still to be done.
//
// What a trial computes is the recipe's (recipe.Trial); what a sweep's results
// mean is its Analyse.
package sweep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/report"
)

// Trial is one training of a sweep.
type Trial struct {
	Key      string          `json:"key"` // hash of the other two
	Recipe   string          `json:"recipe"`
	Settings json.RawMessage `json:"settings"` // all of them, defaults included
}

// NewTrial completes overrides of a recipe's settings, and refuses a recipe
// that cannot be a trial.
func NewTrial(name string, overrides []byte) (Trial, error) {
	r, err := recipe.Lookup(name)
	if err != nil {
		return Trial{}, err
	}
	if len(overrides) > 0 {
		if r, err = r.With(overrides); err != nil {
			return Trial{}, err
		}
	}
	s, err := r.Settings()
	if err != nil {
		return Trial{}, err
	}
	if _, ok := s.(recipe.Trial); !ok {
		return Trial{}, fmt.Errorf("recipe %s cannot be a trial of a sweep, it needs a run folder: use 'orrery train %s'", name, name)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return Trial{}, fmt.Errorf("settings of recipe %s: %w", name, err)
	}
	sum := sha256.Sum256([]byte(name + "\n" + string(b)))
	return Trial{Key: hex.EncodeToString(sum[:16]), Recipe: name, Settings: b}, nil
}

// Sweep is a list of trials and what to make of their results.
type Sweep struct {
	Name    string
	About   string // one line
	Trials  []Trial
	Analyse Analyse // nil: the results alone
}

// Analyse reads the results of a sweep, those that there are, in its order:
// sections of its report, and fields of its summary.
type Analyse func([]Result) ([]report.Block, map[string]any, error)

// named are the sweeps that come with the program; see Register.
var named = map[string]func() (Sweep, error){}

// Register adds a sweep by name; a file of this package, or a test, does so.
func Register(name string, make func() (Sweep, error)) {
	if _, dup := named[name]; dup {
		panic("sweep: " + name + " registered twice")
	}
	named[name] = make
}

// Names lists the sweeps in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(named)) }

// Open finds a sweep by name, or reads a file that ends in .json.
func Open(nameOrFile string) (Sweep, error) {
	if !strings.HasSuffix(nameOrFile, ".json") {
		known, ok := named[nameOrFile]
		if !ok {
			return Sweep{}, fmt.Errorf("unknown sweep %q: known are %s; or give a .json file", nameOrFile, strings.Join(Names(), ", "))
		}
		s, err := known()
		s.Name = nameOrFile
		return s, err
	}
	b, err := os.ReadFile(nameOrFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: give a sweep's file or one of %s", err, strings.Join(Names(), ", "))
		}
		return Sweep{}, fmt.Errorf("opening a sweep: %w", err)
	}
	s, err := parse(b)
	if err != nil {
		return Sweep{}, fmt.Errorf("reading the sweep %s: %w", nameOrFile, err)
	}
	s.Name = strings.TrimSuffix(filepath.Base(nameOrFile), ".json")
	return s, nil
}

// file is a sweep in JSON. Its trials are the product of what is varied, in
// the order of the file's lists, the last name changing fastest.
type file struct {
	Recipe   string          `json:"recipe"`
	Settings json.RawMessage `json:"settings"`
	Vary     []Axis          `json:"vary"`
	Like     string          `json:"like"` // analyse as this named sweep does
}

// Axis is a setting and the values it takes. The name of one inside another is
// written with a dot: "optimizer.lr".
type Axis struct {
	Setting string            `json:"setting"`
	Values  []json.RawMessage `json:"values"`
}

// Over is an axis of any values that JSON can hold.
func Over[T any](setting string, values ...T) Axis {
	a := Axis{Setting: setting}
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("sweep: a value of %s: %v", setting, err))
		}
		a.Values = append(a.Values, b)
	}
	return a
}

func parse(b []byte) (Sweep, error) {
	var f file
	if err := train.Strict(b, &f); err != nil {
		return Sweep{}, err
	}
	if f.Recipe == "" {
		return Sweep{}, errors.New(`it names no recipe: want {"recipe": NAME, "settings": {…}, "vary": [{"setting": NAME, "values": […]}, …]}`)
	}
	var s Sweep
	if f.Like != "" {
		known, ok := named[f.Like]
		if !ok {
			return s, fmt.Errorf("it is to be analysed like the unknown sweep %q: known are %s", f.Like, strings.Join(Names(), ", "))
		}
		like, err := known()
		if err != nil {
			return s, err
		}
		s.Analyse = like.Analyse
	}
	var err error
	s.Trials, err = Product(f.Recipe, f.Settings, f.Vary...)
	return s, err
}

// mostTrials is what a file's product may come to: a typing error should not
// fill a disk.
const mostTrials = 100_000

// Product is a trial for each combination of values, the last axis changing
// fastest.
func Product(recipe string, settings []byte, vary ...Axis) ([]Trial, error) {
	n := 1
	for _, a := range vary {
		if len(a.Values) == 0 {
			return nil, fmt.Errorf("the setting %q is varied over no values: give some, or leave it out", a.Setting)
		}
		if n *= len(a.Values); n > mostTrials {
			return nil, fmt.Errorf("the product of what is varied has more than %d trials: split it", mostTrials)
		}
	}
	trials := make([]Trial, 0, n)
	seen := map[string]bool{}
	for i := range n {
		all := map[string]any{}
		if len(settings) > 0 {
			d := json.NewDecoder(bytes.NewReader(settings))
			d.UseNumber() // seeds of 64 bits stay whole
			if err := d.Decode(&all); err != nil {
				return nil, fmt.Errorf("its settings are no JSON object: %w", err)
			}
		}
		rest := i
		for k := len(vary) - 1; k >= 0; k-- {
			a := vary[k]
			if err := put(all, a.Setting, a.Values[rest%len(a.Values)]); err != nil {
				return nil, err
			}
			rest /= len(a.Values)
		}
		b, err := json.Marshal(all)
		if err != nil {
			return nil, fmt.Errorf("its settings: %w", err)
		}
		t, err := NewTrial(recipe, b)
		if err != nil {
			return nil, err
		}
		if !seen[t.Key] {
			seen[t.Key] = true
			trials = append(trials, t)
		}
	}
	return trials, nil
}

// put sets a value by a name with dots.
func put(in map[string]any, name string, v any) error {
	first, rest, deeper := strings.Cut(name, ".")
	if !deeper {
		in[first] = v
		return nil
	}
	inner, ok := in[first].(map[string]any)
	if !ok {
		if _, there := in[first]; there {
			return fmt.Errorf("the varied setting %q is inside %q, which is no object", name, first)
		}
		inner = map[string]any{}
		in[first] = inner
	}
	return put(inner, rest, v)
}
