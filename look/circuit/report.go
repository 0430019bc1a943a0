package circuit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/look/grok"
	"orrery/report"
)

// run is a folder, read.
type run struct {
	*learner
	dir     string
	config  grok.Config
	metrics grok.History
	kept    []int
}

func openRun(dir string) (*run, error) {
	c, err := grok.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	var s Settings
	if err := train.Strict(c.Settings, &s); err != nil {
		return nil, fmt.Errorf("opening the run in %s: its settings are not those of recipe %s: %w", dir, c.Recipe, err)
	}
	r := &run{dir: dir, config: c}
	if r.learner, err = newLearner(s); err != nil {
		return nil, fmt.Errorf("opening the run in %s: %w", dir, err)
	}
	if r.metrics, err = grok.ReadMetrics(dir); err != nil {
		return nil, err
	}
	if r.kept, err = grok.KeptEpochs(dir); err == nil && len(r.metrics) == 0 {
		err = fmt.Errorf("reading the run in %s: it has no evaluations: resume it", dir)
	}
	return r, err
}

// sharesAt are those of a kept epoch.
func (r *run) sharesAt(epoch int) ([]float64, error) {
	f, err := checkpoint.Open(filepath.Join(r.dir, "checkpoints", grok.EpochFile(epoch)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := read(f, r.Weights()); err != nil {
		return nil, fmt.Errorf("the weights of epoch %d: %w", epoch, err)
	}
	return r.shares.of(r.net.elements()), nil
}

// enoughForIterations is the held-out accuracy that Grokfast counts updates to.
const enoughForIterations = 0.95

// iterations is how many updates it took to get there.
func (r *run) iterations() (n int, ok bool) {
	e, ok := r.metrics.Reached(true, enoughForIterations)
	return e * r.settings.updates(len(r.split.Train)), ok
}

func (r *run) describe() string {
	s := r.settings
	net := fmt.Sprintf("a residual net of three layers, width %d", s.Width)
	if s.Net == transformerNet {
		net = fmt.Sprintf("a transformer, layers %d, width %d", s.Layers, s.Width)
	}
	return fmt.Sprintf("%s, %d of %d pairs, %s, filter %s", r.table.name, len(r.split.Train), r.table.pairs(), net, s.Filter.name())
}

// Result implements recipe.Own.
func (s *Settings) Result(dir string) (recipe.Result, error) {
	r, err := openRun(dir)
	if err != nil {
		return recipe.Result{}, err
	}
	last := r.metrics[len(r.metrics)-1]
	out := recipe.Result{
		Lines: []string{r.describe()},
		Fields: map[string]any{"table": r.table.name, "width": r.settings.Width, "filter": r.settings.Filter.name(), "epochs": last.Epoch, "train": last.Train, "test": last.Test,
			"fits_epoch": nil, "generalises_epoch": nil, "updates_to_95": nil, "key_components": last.Measures[keyMeasure], "components": len(r.shares.parts)},
	}
	out.Lines = append(out.Lines, fmt.Sprintf("train %.2f %%: %s", 100*last.Train.Accuracy, r.when(out.Fields, "fits_epoch", false, "fits the training pairs", "does not fit the training pairs")))
	if last.Test != nil {
		line := fmt.Sprintf("test  %.2f %%: %s", 100*last.Test.Accuracy, r.when(out.Fields, "generalises_epoch", true, "generalises", "does not generalise"))
		if n, ok := r.iterations(); ok {
			out.Fields["updates_to_95"] = n
			line += fmt.Sprintf("; 95 %% after %d updates", n)
		}
		out.Lines = append(out.Lines, line)
	}
	out.Lines = append(out.Lines, fmt.Sprintf("%.0f of %d components hold nine tenths of the elements' vectors; %.0f did at the start", last.Measures[keyMeasure], len(r.shares.parts), r.metrics[0].Measures[keyMeasure]))
	return out, nil
}

func (r *run) when(fields map[string]any, name string, test bool, yes, no string) string {
	e, ok := r.metrics.Reached(test, grok.Enough)
	if !ok {
		return no
	}
	fields[name] = e
	return fmt.Sprintf("%s from epoch %d on", yes, e)
}

// WriteReport implements recipe.Own.
func (s *Settings) WriteReport(dir string) error {
	failed := func(err error) error { return fmt.Errorf("write the report of %s: %w", dir, err) }
	if _, err := os.Stat(filepath.Join(dir, "metrics.jsonl")); err != nil {
		return failed(err)
	}
	r, err := openRun(dir)
	if err != nil {
		return failed(err)
	}
	p := report.Page{Title: "Grokking " + r.table.name, Lead: fmt.Sprintf("%s. %d epochs in %.1f seconds.", r.describe(), r.metrics[len(r.metrics)-1].Epoch, r.metrics[len(r.metrics)-1].Seconds)}
	p.Blocks = append(p.Blocks, r.theory())
	p.Blocks = append(p.Blocks, r.metrics.Blocks(len(r.split.Train), len(r.split.Test), nil)...)
	parts, err := r.components()
	if err != nil {
		return failed(err)
	}
	p.Blocks = append(append(p.Blocks, parts...), report.Heading("Settings"), report.Code(r.config.Text))
	return p.WriteFile(filepath.Join(dir, "report.html"))
}

// theory is what was published beside what was measured.
func (r *run) theory() report.Block {
	t := report.Table{Head: []string{"statement", "published", "measured", "agree?"}, Caption: "Published numbers are of the paper's own size: mod 113 for the few frequencies, mod 97 for updates."}
	yes := map[bool]string{true: "yes", false: "no"}
	first, last := r.metrics[0], r.metrics[len(r.metrics)-1]
	fits, fit := r.metrics.Reached(false, grok.Enough)
	gen, ok := r.metrics.Reached(true, grok.Enough)
	when := func(e int, ok bool) string {
		if !ok {
			return "not reached"
		}
		return fmt.Sprintf("epoch %d", e)
	}
	t.Rows = append(t.Rows, []string{"first it fits, later it generalises", "later", when(fits, fit) + ", " + when(gen, ok), yes[fit && (!ok || gen > fits)]})
	// Random vectors need most components; half of that is few.
	few := last.Measures[keyMeasure] < first.Measures[keyMeasure]/2
	t.Rows = append(t.Rows, []string{fmt.Sprintf("few of the %d components hold nine tenths of the elements' vectors", len(r.shares.parts)), "5 of 56 (Nanda)",
		fmt.Sprintf("%.0f, at the start %.0f", last.Measures[keyMeasure], first.Measures[keyMeasure]), yes[few]})
	if n, ok := r.iterations(); ok && r.settings.Net == transformerNet {
		t.Rows = append(t.Rows, []string{"updates to 95 % of the held-out pairs, filter " + r.settings.Filter.name(), map[string]string{"": "39,890", "ema": "910", "ma": "790"}[r.settings.Filter.Kind], strconv.Itoa(n), ""})
	}
	return t
}

// components are the shares over time and in the end.
func (r *run) components() ([]report.Block, error) {
	h := report.HeatMap{Title: "Which components do the elements' vectors consist of?", X: report.Axis{Label: "epoch"}, Y: report.Axis{Label: "component"},
		Colour:  report.Axis{Label: "share of the power", Percent: true, Min: 0},
		Caption: "The vectors by which the network knows a first factor, as functions on the group: a row that lights up is a component that it has come to use."}
	bars := report.BarChart{Title: "In the end", X: "component", Y: report.Axis{Label: "share of the power", Percent: true, Min: 0}, Series: []report.Group{{Name: "share"}}}
	for _, c := range r.shares.parts {
		h.Rows, h.Values, bars.Categories = append(h.Rows, c.Label), append(h.Values, nil), append(bars.Categories, c.Label)
	}
	for _, epoch := range r.kept {
		share, err := r.sharesAt(epoch)
		if err != nil {
			return nil, err
		}
		h.Columns = append(h.Columns, strconv.Itoa(epoch))
		for k, x := range share {
			h.Values[k] = append(h.Values[k], x)
		}
		bars.Series[0].Values = share
	}
	line := func(name, measure string) report.Series {
		s := report.Series{Name: name}
		for _, e := range r.metrics {
			s.X, s.Y = append(s.X, float64(e.Epoch)), append(s.Y, e.Measures[measure])
		}
		return s
	}
	epochs := report.Axis{Label: "epoch", Log: true}
	irreps := report.Table{Head: []string{"component", "type", "degree d", "dimension", "share in the end"}, Page: 40,
		Caption: fmt.Sprintf("The components of %s, without the constants.", r.table.group.Name())}
	for k, c := range r.shares.parts {
		share := "—"
		if len(r.kept) > 0 {
			share = fmt.Sprintf("%.1f %%", 100*bars.Series[0].Values[k])
		}
		irreps.Rows = append(irreps.Rows, []string{c.Label, string(c.Type), fmt.Sprint(c.Degree), fmt.Sprint(c.Dim), share})
	}
	out := []report.Block{report.Columns{
		report.Plot{Title: "How many components does it take?", X: epochs, Y: report.Axis{Label: "components that hold nine tenths", Min: 0}, Series: []report.Series{line("components", keyMeasure)},
			Caption: "Memorising uses all alike; a circuit uses a few."},
		report.Plot{Title: "How large are the weights?", X: epochs, Y: report.Axis{Label: "norm of all weights"}, Series: []report.Series{line("norm", normMeasure)},
			Caption: "With decay, what was memorised is cleaned up once the circuit works: the norm falls."},
	}, h, bars, irreps}
	if strings.HasPrefix(r.table.name, "Mod") || strings.HasPrefix(r.table.name, "Div") {
		out = append(out, report.Text("Zero, which belongs to no group, is left out of the components."))
	}
	return out, nil
}
