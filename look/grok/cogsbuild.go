package grok

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/look/cogs"
	"orrery/look/group"
	"orrery/report"
)

func init() {
	recipe.Register(recipe.Recipe{
		Name: "cogs-build", About: "a CoGS network for addition mod d written down, not trained; --remove a node to see what breaks",
		New: func() recipe.Settings { return &CogsBuild{D: 23, Construction: "F46", Remove: -1} },
	})
}

// CogsBuild is the recipe that writes down a solution of CoGS.
type CogsBuild struct {
	D            int    `json:"d"`
	Construction string `json:"construction"` // see cogs.Constructions
	Remove       int    `json:"remove"`       // this node is left out; -1: none
}

// built is the one line of metrics.jsonl.
type built struct {
	Nodes    int      `json:"nodes"`
	Loss     float64  `json:"loss"` // of the whole table
	Accuracy float64  `json:"accuracy"`
	Removed  *removed `json:"removed,omitempty"`
}

// removed is what leaving a node out comes to.
type removed struct {
	Node      int      `json:"node"`
	Frequency int      `json:"frequency"` // 0: the node serves all
	Loss      float64  `json:"loss"`
	Accuracy  float64  `json:"accuracy"`
	Broken    []string `json:"broken"` // monomials that no longer vanish
}

// Flags implements recipe.Flagged.
func (c *CogsBuild) Flags(set *flag.FlagSet) {
	var names []string
	for _, k := range cogs.Constructions {
		names = append(names, k.Name)
	}
	set.IntVar(&c.D, "d", c.D, "the odd `modulus`")
	set.StringVar(&c.Construction, "construction", c.Construction, "`name`: "+strings.Join(names, ", "))
	set.IntVar(&c.Remove, "remove", c.Remove, "`node` to leave out, from 0 on; -1 is none")
}

// Run implements recipe.Settings.
func (c *CogsBuild) Run(_ context.Context, name string, o recipe.Options) (err error) {
	if o.Dir == "" {
		return errors.New("recipe " + name + ": no run folder is given")
	}
	b, err := cogs.Build(c.Construction, c.D, cogs.Generic)
	if err != nil {
		return fmt.Errorf("recipe %s: %w", name, err)
	}
	w := b.Weights()
	line := built{Nodes: b.Q}
	line.Loss, line.Accuracy = w.Table()
	if c.Remove != -1 {
		r, err := b.Remove(c.Remove)
		if err != nil {
			return fmt.Errorf("recipe %s: %w", name, err)
		}
		w = w.Without(c.Remove)
		line.Removed = &removed{Node: r.Node, Frequency: r.Frequency, Loss: r.Loss, Accuracy: r.Accuracy, Broken: []string{}}
		for _, v := range r.Broken {
			line.Removed.Broken = append(line.Removed.Broken, v.Name)
		}
	}
	f, err := train.OpenFolder(o.Dir, recipe.Choice{Recipe: name, Settings: c}, o.Resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Metrics(0); err != nil {
		return err
	}
	if err := f.Log(0, line); err != nil {
		return err
	}
	final := filepath.Join(o.Dir, "final")
	if err := os.MkdirAll(final, 0o777); err != nil {
		return fmt.Errorf("writing the weights: %w", err)
	}
	g, err := group.Parse(fmt.Sprintf("Z%d", c.D))
	if err != nil {
		return err
	}
	e := Experiment{Settings: Settings{Net: cogsNet, Activation: Square}, Group: g}
	return checkpoint.Write(filepath.Join(final, modelFile), netOf(w).entries(cogsNet), e.metadata())
}

// netOf rounds weights to float32.
func netOf(w *cogs.Weights) *Net {
	n := NewNet(w.D, w.Q, Square)
	for i := range w.A {
		n.A[i], n.B[i], n.C[i] = float32(w.A[i]), float32(w.B[i]), float32(w.C[i])
	}
	return n
}

// Result implements recipe.Own.
func (c *CogsBuild) Result(dir string) (recipe.Result, error) {
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return recipe.Result{}, fmt.Errorf("reading the result of %s: %w", dir, err)
	}
	var line built
	if err := json.Unmarshal(b, &line); err != nil {
		return recipe.Result{}, fmt.Errorf("reading the result of %s: %w", dir, err)
	}
	out := recipe.Result{
		Lines: []string{fmt.Sprintf("%s for addition mod %d: %d nodes, loss %.3g, %.2f %% of all pairs right", c.Construction, c.D, line.Nodes, line.Loss, 100*line.Accuracy)},
		Fields: map[string]any{"d": c.D, "construction": c.Construction, "nodes": line.Nodes, "loss": line.Loss, "accuracy": line.Accuracy,
			"removed": line.Removed},
	}
	if r := line.Removed; r != nil {
		what := "which served all frequencies"
		if r.Frequency > 0 {
			what = fmt.Sprintf("of frequency %d: %d monomials no longer vanish (%s)", r.Frequency, len(r.Broken), strings.Join(r.Broken, "; "))
		}
		out.Lines = append(out.Lines, fmt.Sprintf("without node %d, %s", r.Node, what),
			fmt.Sprintf("loss %.3g, %.2f %% of all pairs right", r.Loss, 100*r.Accuracy))
	}
	return out, nil
}

// WriteReport implements recipe.Own.
func (c *CogsBuild) WriteReport(dir string) error {
	b, err := cogs.Build(c.Construction, c.D, cogs.Generic)
	if err != nil {
		return err
	}
	blocks, err := b.Blocks()
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	return report.Page{Title: fmt.Sprintf("%s: addition mod %d, written down", c.Construction, c.D), Lead: "No training: " + b.About + " (CoGS, arXiv 2410.01779).",
		Blocks: blocks}.WriteFile(filepath.Join(dir, "report.html"))
}
