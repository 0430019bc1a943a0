package grok

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/report"
)

// Overlay is several runs over each other. Runs that differ in their seeds alone
// are one setting, drawn as their median with its range.
type Overlay struct {
	Recipes  []string
	Common   []string  // what all settings share, "width 256"
	Settings []Setting // in the order of the folders
}

// Setting is the runs of one setting.
type Setting struct {
	Name string   // what tells it from the others, "decay 0"
	Dirs []string // of its runs
	runs []History
}

// OpenOverlay reads the runs in some folders; a folder that is not a run itself
// stands for all runs below it.
func OpenOverlay(folders []string) (*Overlay, error) {
	var dirs []string
	for _, f := range folders {
		found, err := runsIn(f)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, found...)
	}
	o := &Overlay{}
	var all []map[string]string // settings by path, without the seed
	for _, dir := range dirs {
		c, err := ReadConfig(dir)
		if err != nil {
			return nil, err
		}
		h, err := ReadMetrics(dir)
		if err != nil {
			return nil, err
		}
		if len(h) == 0 || h[0].Epoch != 0 || h[len(h)-1].Epoch == 0 || h[0].Train.Loss == 0 {
			return nil, fmt.Errorf("laying runs over each other: %s has no accuracy by epoch: name folders of runs of grok, li2, nanda or grokfast recipes", dir)
		}
		s, err := flatten(c.Settings)
		if err != nil {
			return nil, fmt.Errorf("laying runs over each other: the settings of %s: %w", dir, err)
		}
		delete(s, "seed")
		if !slices.Contains(o.Recipes, c.Recipe) {
			o.Recipes = append(o.Recipes, c.Recipe)
		}
		i := slices.IndexFunc(all, func(x map[string]string) bool { return maps.Equal(x, s) })
		if i < 0 {
			i = len(all)
			all, o.Settings = append(all, s), append(o.Settings, Setting{})
		}
		o.Settings[i].Dirs, o.Settings[i].runs = append(o.Settings[i].Dirs, dir), append(o.Settings[i].runs, h)
	}
	if len(dirs) < 2 {
		return nil, fmt.Errorf("laying runs over each other: %s in %s, want two or more", plural(len(dirs), "run"), strings.Join(folders, ", "))
	}
	o.name(all)
	return o, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// runsIn lists the run folders at or below a folder, by name.
func runsIn(folder string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "config.json")); err == nil {
			out = append(out, path)
			return fs.SkipDir
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("it holds no run: name folders that 'orrery train' made")
	}
	if err != nil {
		return nil, fmt.Errorf("looking for runs in %s: %w", folder, err)
	}
	return out, nil
}

// flatten lists the leaves of a JSON object by their paths.
func flatten(raw json.RawMessage) (map[string]string, error) {
	var v map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, x := range m {
				walk(strings.TrimPrefix(path+"."+k, "."), x)
			}
			return
		}
		out[path] = fmt.Sprint(v)
	}
	walk("", v)
	return out, nil
}

// name splits the settings into what all share and what tells them apart.
func (o *Overlay) name(all []map[string]string) {
	keys := map[string]bool{}
	for _, s := range all {
		for k := range s {
			keys[k] = true
		}
	}
	value := func(s map[string]string, k string) string {
		if v := s[k]; v != "" {
			return v
		}
		return "none"
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !slices.ContainsFunc(all, func(s map[string]string) bool { return s[k] != all[0][k] }) {
			o.Common = append(o.Common, k+" "+value(all[0], k))
			continue
		}
		for i, s := range all {
			o.Settings[i].Name = strings.TrimPrefix(o.Settings[i].Name+", "+k[strings.LastIndex(k, ".")+1:]+" "+value(s, k), ", ")
		}
	}
	for i := range o.Settings {
		if o.Settings[i].Name == "" {
			o.Settings[i].Name = "all"
		}
	}
}

// Summary is how the runs of a setting ended: medians, of epochs over the runs that
// got there.
type Summary struct {
	Name         string   `json:"name"`
	Runs         []string `json:"runs"`
	Fit          int      `json:"fit"` // runs that did
	Fits         *float64 `json:"fits_epoch"`
	Generalise   int      `json:"generalise"`
	Generalises  *float64 `json:"generalises_epoch"`
	Epochs       int      `json:"epochs"` // of the shortest run
	TrainLoss    float64  `json:"train_loss"`
	TestAccuracy *float64 `json:"test_accuracy"` // null if nothing is held out
	TestLoss     *float64 `json:"test_loss"`
}

// Summaries are those of all settings.
func (o *Overlay) Summaries() []Summary {
	var out []Summary
	for _, s := range o.Settings {
		m := Summary{Name: s.Name, Runs: s.Dirs, Epochs: math.MaxInt}
		var fits, gens, train, accuracy, loss []float64
		for _, h := range s.runs {
			last := h[len(h)-1]
			m.Epochs = min(m.Epochs, last.Epoch)
			train = append(train, last.Train.Loss)
			if e, ok := h.Reached(false, Enough); ok {
				fits = append(fits, float64(e))
			}
			if e, ok := h.Reached(true, Enough); ok {
				gens = append(gens, float64(e))
			}
			if last.Test != nil {
				accuracy, loss = append(accuracy, last.Test.Accuracy), append(loss, last.Test.Loss)
			}
		}
		m.Fit, m.Generalise, m.TrainLoss = len(fits), len(gens), *middle(train)
		m.Fits, m.Generalises, m.TestAccuracy, m.TestLoss = middle(fits), middle(gens), middle(accuracy), middle(loss)
		out = append(out, m)
	}
	return out
}

// middle is the median, nil of nothing.
func middle(x []float64) *float64 {
	if len(x) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(x))
	v := (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return &v
}

// series is a quantity of a setting over the epochs that all of its runs have.
func (s Setting) series(of func(Evaluation) (float64, bool)) report.Series {
	at := map[int][]float64{}
	for _, h := range s.runs {
		for _, e := range h {
			if v, ok := of(e); ok {
				at[e.Epoch] = append(at[e.Epoch], v)
			}
		}
	}
	out := report.Series{Name: s.Name}
	for _, epoch := range slices.Sorted(maps.Keys(at)) {
		if v := at[epoch]; len(v) == len(s.runs) {
			out.X, out.Y = append(out.X, float64(epoch)), append(out.Y, *middle(v))
			if len(v) > 1 {
				out.Low, out.High = append(out.Low, slices.Min(v)), append(out.High, slices.Max(v))
			}
		}
	}
	return out
}

// measureTitles are the plots of the known measures; others have their names.
var measureTitles = map[string]string{
	gradientMeasure: "How strong is the pull on the hidden nodes? ‖G_F‖", alignmentMeasure: "Does it point where theory says? c = cos(G_F, ỸỸᵀF̃)",
	coverageMeasure: "Which share of the components has a pure node?", purityMeasure: "How pure are the nodes, weighted?", iprMeasure: "Weighted IPR of the nodes",
	livingMeasure: "How many nodes are alive?", "key_components": "Components that hold nine tenths of the elements' vectors", "weight_norm": "Norm of all weights", "top_share": "Share of the strongest component",
}

// Page draws the overlay.
func (o *Overlay) Page() report.Page {
	runs := 0
	for _, s := range o.Settings {
		runs += len(s.Dirs)
	}
	p := report.Page{Title: "Runs over each other: " + strings.Join(o.Recipes, ", "),
		Lead: fmt.Sprintf("%s of %s. Lines are medians over seeds, bands their range.", plural(runs, "run"), plural(len(o.Settings), "setting"))}
	p.Blocks = append(p.Blocks, o.table())
	epochs, share := report.Axis{Label: "epoch", Log: true}, report.Axis{Percent: true, Min: 0, Max: 1}
	plot := func(title string, y report.Axis, of func(Evaluation) (float64, bool)) report.Block {
		g := report.Plot{Title: title, X: epochs, Y: y}
		for _, s := range o.Settings {
			g.Series = append(g.Series, s.series(of))
		}
		return g
	}
	score := func(test bool, of func(Score) float64) func(Evaluation) (float64, bool) {
		return func(e Evaluation) (float64, bool) {
			if !test {
				return of(e.Train), true
			}
			if e.Test == nil {
				return 0, false
			}
			return of(*e.Test), true
		}
	}
	accuracy, loss := func(s Score) float64 { return s.Accuracy }, func(s Score) float64 { return s.Loss }
	plots := report.Columns{
		plot("Accuracy, held out", share, score(true, accuracy)), plot("Accuracy, trained on", share, score(false, accuracy)),
		plot("Loss, held out", report.Axis{Label: "loss of a pair", Log: true}, score(true, loss)), plot("Loss, trained on", report.Axis{Label: "loss of a pair", Log: true}, score(false, loss)),
	}
	for _, name := range o.measures() {
		title, y := measureTitles[name], report.Axis{}
		switch name {
		case coverageMeasure, purityMeasure, iprMeasure, "top_share":
			y = share
		case gradientMeasure:
			y.Log = true
		}
		if title == "" {
			title = name
		}
		plots = append(plots, plot(title, y, func(e Evaluation) (float64, bool) { v, ok := e.Measures[name]; return v, ok }))
	}
	p.Blocks = append(p.Blocks, plots, report.Heading("What all have in common"), report.Text(strings.Join(o.Common, "; ")))
	return p
}

// measures are the names that some run has.
func (o *Overlay) measures() []string {
	names := map[string]bool{}
	for _, s := range o.Settings {
		for _, h := range s.runs {
			for k := range h[len(h)-1].Measures {
				names[k] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (o *Overlay) table() report.Block {
	t := report.Table{Head: []string{"setting", "runs", "fit", "at epoch", "generalise", "at epoch", "held-out accuracy", "held-out loss"},
		Caption: "To fit and to generalise is to have 99 % of the pairs right, twice in a row. Medians; epochs are those of the runs that got there."}
	number := func(format string, x *float64, factor float64) string {
		if x == nil {
			return "—"
		}
		return fmt.Sprintf(format, factor**x)
	}
	for _, s := range o.Summaries() {
		n := len(s.Runs)
		t.Rows = append(t.Rows, []string{s.Name, fmt.Sprint(n), fmt.Sprintf("%d of %d", s.Fit, n), number("%.0f", s.Fits, 1), fmt.Sprintf("%d of %d", s.Generalise, n), number("%.0f", s.Generalises, 1),
			number("%.1f %%", s.TestAccuracy, 100), number("%.3g", s.TestLoss, 1)})
	}
	return t
}
