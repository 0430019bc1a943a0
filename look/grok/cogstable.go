package grok

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/look/cogs"
	"orrery/report"
)

func init() {
	recipe.Register(recipe.Recipe{
		Name: "cogs-table", About: "CoGS' table of factors: several networks, their shares beside the published ones (also --group Z71, Z127)",
		New: func() recipe.Settings { return &CogsTable{Net: cogsSettings("Z23", 512, 10000), Seeds: 5} },
	})
}

// CogsTable is the recipe that trains networks which differ in their seeds and
// counts what they consist of. Each has a run folder of its own in the table's.
type CogsTable struct {
	Net   Settings `json:"net"` // of the first
	Seeds int      `json:"seeds"`
}

// cogsLine is a line of metrics.jsonl: a finished network.
type cogsLine struct {
	Seed     uint64            `json:"seed"`
	Epoch    int               `json:"epoch"` // of the weights that were factorised
	Loss     float64           `json:"loss"`  // of the whole table, there
	Accuracy float64           `json:"accuracy"`
	Settled  bool              `json:"settled"` // the last two kept epochs have the same orders
	Orders   map[int]int       `json:"orders"`  // order: frequencies
	Kinds    map[cogs.Kind]int `json:"kinds"`
	// Order4 is the share of order 4 at each of the last kept epochs.
	Order4 []float64 `json:"order4_late"`
}

// Flags implements recipe.Flagged.
func (c *CogsTable) Flags(set *flag.FlagSet) {
	c.Net.Flags(set)
	set.IntVar(&c.Seeds, "seeds", c.Seeds, "`networks`, with seeds from --seed on")
}

// member is the folder of a network and its settings.
func (c *CogsTable) member(dir string, i int) (string, Settings) {
	s := c.Net
	s.Seed += uint64(i)
	return filepath.Join(dir, fmt.Sprintf("seed-%d", s.Seed)), s
}

func (c *CogsTable) check() error {
	g, err := c.Net.check()
	if err != nil {
		return err
	}
	if c.Net.Net != cogsNet || c.Net.Activation != Square || !g.IsSum() || g.Order()%2 == 0 {
		return fmt.Errorf("net %s with activation %s on %s: the theory is of cogs nets with square on Zn, n odd: choose those", c.Net.Net, c.Net.Activation, g.Name())
	}
	if c.Seeds < 1 {
		return fmt.Errorf("seeds is %d, want at least 1", c.Seeds)
	}
	return nil
}

// Run implements recipe.Settings.
func (c *CogsTable) Run(ctx context.Context, name string, o recipe.Options) (err error) {
	if o.Dir == "" {
		return errors.New("recipe " + name + ": no run folder is given")
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("recipe %s: %w", name, err)
	}
	f, err := train.OpenFolder(o.Dir, recipe.Choice{Recipe: name, Settings: c}, o.Resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Metrics(0); err != nil { // written anew from the members
		return err
	}
	for i := range c.Seeds {
		dir, s := c.member(o.Dir, i)
		_, serr := os.Stat(filepath.Join(dir, "config.json"))
		if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			return serr
		}
		sub := recipe.Options{Dir: dir, Resume: serr == nil}
		if o.Watch != nil {
			sub.Watch = func(r recipe.Reading) {
				r.Note = fmt.Sprintf("network %d of %d: %s", i+1, c.Seeds, r.Note)
				o.Watch(r)
			}
		}
		if err := trainIn(ctx, s, recipe.Choice{Recipe: "grok", Settings: s}, sub); err != nil {
			return err
		}
		if err := s.WriteReport(dir); err != nil {
			return err
		}
		h, r, err := lateOf(dir)
		if err != nil {
			return err
		}
		if err := f.Log(i, newCogsLine(r, h)); err != nil {
			return err
		}
	}
	return nil
}

// lateOf analyses the last kept epochs of the run in a folder.
func lateOf(dir string) (*cogs.History, *Run, error) {
	r, err := OpenRun(dir)
	if err != nil {
		return nil, nil, err
	}
	h, err := r.late()
	if err != nil {
		return nil, nil, fmt.Errorf("the run in %s: %w", dir, err)
	}
	return h, r, nil
}

func newCogsLine(r *Run, h *cogs.History) cogsLine {
	s := cogs.Count(h.Factors())
	l := cogsLine{Seed: r.Settings.Seed, Epoch: h.BestPoint().Epoch, Loss: h.Direct, Orders: s.Orders, Kinds: s.Robust}
	_, l.Settled = h.Settled()
	for _, e := range r.Metrics {
		if e.Epoch == l.Epoch {
			pairs := float64(len(r.Split.Train) + len(r.Split.Test))
			l.Accuracy = e.Train.Accuracy * float64(len(r.Split.Train)) / pairs
			if e.Test != nil {
				l.Accuracy += e.Test.Accuracy * float64(len(r.Split.Test)) / pairs
			}
		}
	}
	for _, f := range h.Tail {
		l.Order4 = append(l.Order4, float64(cogs.Count(f).Orders[4])/float64(len(f.Frequencies)))
	}
	return l
}

// members reads the networks that are there.
func (c *CogsTable) members(dir string) (lines []cogsLine, factors []*cogs.Factorisation, err error) {
	for i := range c.Seeds {
		sub, _ := c.member(dir, i)
		if _, err := os.Stat(filepath.Join(sub, "final", modelFile)); err != nil {
			continue // not finished
		}
		h, r, err := lateOf(sub)
		if err != nil {
			return nil, nil, err
		}
		lines, factors = append(lines, newCogsLine(r, h)), append(factors, h.Factors())
	}
	return lines, factors, nil
}

// Result implements recipe.Own.
func (c *CogsTable) Result(dir string) (recipe.Result, error) {
	lines, factors, err := c.members(dir)
	if err != nil || len(lines) == 0 {
		return recipe.Result{}, errors.Join(err, fmt.Errorf("reading the table in %s: it has %d finished networks", dir, len(lines)))
	}
	s := cogs.Count(factors...)
	out := recipe.Result{Fields: map[string]any{"group": c.Net.Group, "width": c.Net.Width, "epochs": c.Net.Epochs, "lr": c.Net.Optimizer.LR, "decay": c.Net.Optimizer.Decay,
		"networks": lines, "frequencies": s.Frequencies, "kinds": s.Robust, "orders": s.Orders, "factorable": s.Factorable, "authors_rule": s.Compatible}}
	out.Lines = append(out.Lines, fmt.Sprintf("%s, width %d, lr %g, decay %g, %d epochs: %d networks, %d frequencies",
		c.Net.Group, c.Net.Width, c.Net.Optimizer.LR, c.Net.Optimizer.Decay, c.Net.Epochs, s.Networks, s.Frequencies))
	out.Lines = append(out.Lines, cogs.SharesText(factors[0].D, s)...)
	low, high, settled := 1.0, 0.0, 0
	for i := range lines[0].Order4 {
		mean := 0.0
		for _, l := range lines {
			mean += l.Order4[i] / float64(len(lines))
		}
		low, high = min(low, mean), max(high, mean)
	}
	lossLow, lossHigh, right := lines[0].Loss, lines[0].Loss, 1.0
	for _, l := range lines {
		lossLow, lossHigh, right = min(lossLow, l.Loss), max(lossHigh, l.Loss), min(right, l.Accuracy)
		if l.Settled {
			settled++
		}
	}
	out.Lines = append(out.Lines, fmt.Sprintf("share of order 4 over the last %d kept epochs: %.1f to %.1f %%; orders settled in %d of %d networks",
		len(lines[0].Order4), 100*low, 100*high, settled, len(lines)),
		fmt.Sprintf("loss of the whole table %.3g to %.3g, at least %.2f %% of all pairs right", lossLow, lossHigh, 100*right))
	return out, nil
}

// WriteReport implements recipe.Own.
func (c *CogsTable) WriteReport(dir string) error {
	lines, factors, err := c.members(dir)
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	p := report.Page{Title: "What networks consist of: " + c.Net.Group, Lead: fmt.Sprintf("%d of %d networks are trained; each has a report in its own folder.", len(lines), c.Seeds)}
	if len(lines) > 0 {
		t := report.Table{Head: []string{"seed", "epoch", "loss", "accuracy", "orders settled", "orders, frequencies of each", string(cogs.Kind4), string(cogs.Kind6i), string(cogs.Kind6), string(cogs.Other)}}
		for _, l := range lines {
			settled := "no"
			if l.Settled {
				settled = "yes"
			}
			row := []string{fmt.Sprint(l.Seed), fmt.Sprint(l.Epoch), fmt.Sprintf("%.3g", l.Loss), fmt.Sprintf("%.2f %%", 100*l.Accuracy), settled, strings.TrimPrefix(fmt.Sprint(l.Orders), "map")}
			for _, k := range cogs.Kinds {
				row = append(row, fmt.Sprint(l.Kinds[k]))
			}
			t.Rows = append(t.Rows, row)
		}
		p.Blocks = []report.Block{cogs.SharesTable(factors[0].D, cogs.Count(factors...)), t}
	}
	return p.WriteFile(filepath.Join(dir, "report.html"))
}
