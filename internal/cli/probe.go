package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"orrery/learn/latent"
	"orrery/look/coconut"
	"orrery/look/probe"
	"orrery/task"
)

func init() { register(probeCommand) }

// constructedName stands for the model that needs no training.
const constructedName = "constructed"

// defaultItems is how many graphs are generated: a mean over their nodes of the
// frontier then has a standard error of about 4 % of their spread.
const defaultItems = 200

// courseItems is how many of the graphs are asked at each snapshot of --along.
const courseItems = 50

type probeFlags struct {
	file, level, ids, out string
	along                 string
	items                 int
	seed                  uint64
}

func probeCommand(a *app) *cobra.Command {
	var f probeFlags
	c := &cobra.Command{
		Use:   "probe MODEL|constructed",
		Short: "What continuous thoughts hold: a latent search of a graph, looked into",
		Long: `Probe looks into a two-layer model that answers questions about graphs in
symbols by continuous thoughts (arXiv 2505.12514): attention on each edge, inner
products of thoughts with nodes, accuracy by number of thoughts, and what becomes
of it when other vectors take the thoughts' place. Beside it stands the
constructed model, whose thoughts are known exactly; 'constructed' alone needs no model.

MODEL is the folder of a trained model. Graphs are generated, or read from a
published file (ProsQA's format with graphs).

Of a model that answers ProsQA questions in words after thoughts or pauses (arXiv
2412.06769) it shows the search tree: which nodes the model would go on from after
so many thoughts, what it writes then, and thoughts read as words. A model that was
trained with a mix of stages still writes steps at every number of thoughts.`,
		Example: `  orrery probe constructed --out report.html
  orrery probe runs/coconut/final --out tree.html
  orrery probe runs/superposition/final --file prosqa_test_graph_4_coconut.json --out report.html`,
		Args: exactArgs(1, "the folder of a model, or constructed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noZero(cmd.Flags(), "items"); err != nil {
				return err
			}
			if f.items < 0 {
				return usagef("--items %d: give at least 1", f.items)
			}
			if f.file != "" && cmd.Flags().Changed("level") {
				return usagef("--file and --level contradict each other: a file's graphs are as hard as they are; drop one")
			}
			if f.along != "" && args[0] == constructedName {
				return usagef("--along follows a training, and the constructed model had none: give the model of that run, or drop it")
			}
			return a.probe(cmd, args[0], &f)
		},
	}
	s := c.Flags()
	s.StringVar(&f.file, "file", "", "read the graphs of a published file instead of generating them")
	s.IntVar(&f.items, "items", 0, "graphs (default 200, or the whole file)")
	s.StringVar(&f.level, "level", "standard", "generated graphs: easy (2–3 hops), standard (3–4) or hard (5–6)")
	s.StringVar(&f.ids, "ids", "", "ids of nodes: own, or random (default: a file's own, else random)")
	s.Uint64Var(&f.seed, "seed", 0, "of graphs, ids and noise")
	s.StringVar(&f.along, "along", "", "folder snapshots/ of the model's run: how μ, accuracy and orderings came about")
	s.StringVar(&f.out, "out", "", "write the report as one self-contained HTML file")
	return c
}

// graphs generates or reads the items.
func (f *probeFlags) graphs() (items []probe.Item, source string, err error) {
	var level task.Level
	if err := parseLevel(f.level, &level); err != nil {
		return nil, "", err
	}
	switch {
	case f.ids != "" && f.ids != "own" && f.ids != "random":
		return nil, "", usagef("--ids %q: known are own, random", f.ids)
	case f.file == "" && f.ids == "own":
		return nil, "", usagef("--ids own is about a file's ids, and generated graphs have none: give --file, or drop it")
	case f.file == "":
		if f.items == 0 {
			f.items = defaultItems
		}
		items, err = probe.Generate(f.seed, f.items, level)
		return items, fmt.Sprintf("generated (%s, seed %d), random ids", f.level, f.seed), err
	}
	file, err := os.Open(f.file)
	if err != nil {
		return nil, "", fmt.Errorf("read graphs: %w: give a ProsQA file with graphs", err)
	}
	defer file.Close()
	problems, err := task.SymbolTask{}.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("read graphs from %s: %w", f.file, err)
	}
	if len(problems) == 0 {
		return nil, "", fmt.Errorf("read graphs from %s: it holds none: give another file", f.file)
	}
	if f.items > 0 && f.items < len(problems) {
		problems = problems[:f.items]
	}
	if items, err = probe.Convert(f.seed, problems, f.ids == "random"); err != nil {
		return nil, "", fmt.Errorf("read graphs from %s: %w", f.file, err)
	}
	ids := "the file's ids"
	if f.ids == "random" {
		ids = fmt.Sprintf("random ids (seed %d)", f.seed)
	}
	return items, "from a published file, " + ids, nil
}

func (a *app) probe(cmd *cobra.Command, model string, f *probeFlags) (err error) {
	if err := writable(f.out, ""); err != nil {
		return err
	}
	defer a.record(cmd.Context(), "probe", model, "", f.out).end(&err)
	if _, err := latent.Read(os.DirFS(model)); err == nil {
		return a.probeWords(cmd, model, f)
	}
	subjects := []probe.Subject{probe.Constructed{}}
	items, source, err := f.graphs()
	if err != nil {
		return err
	}
	if model != constructedName {
		s, err := probe.Open(model)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	var studies []*probe.Study
	for _, s := range subjects {
		bar := a.progress("probe "+shorten(s.Name(), 30), 2*len(items))
		study, err := probe.Run(cmd.Context(), s, items, probe.Options{Seed: f.seed, Progress: func(done, total int) {
			round := "thinking"
			if done > total/2 {
				round = "with other thoughts"
			}
			bar.at(done, round)
		}})
		bar.done()
		if errors.Is(err, context.Canceled) {
			err = fmt.Errorf("probe: stopped, nothing is kept: fewer --items take less time: %w", err)
		}
		if err != nil {
			return err
		}
		studies = append(studies, study)
	}
	r := probe.NewReport(model, items, source, studies...)
	if f.along != "" {
		if r.Course, err = a.follow(cmd.Context(), items[:min(len(items), courseItems)], f); err != nil {
			return err
		}
	}
	r.Command = "orrery " + shellQuote(a.args)
	if a.json {
		err = a.printJSON(r)
	} else {
		err = r.WriteText(a.out)
	}
	if err != nil || f.out == "" {
		return err
	}
	if err := r.Page().WriteFile(f.out); err != nil {
		return err
	}
	if !a.quiet {
		fmt.Fprintf(a.err, "report: %s\n", f.out)
	}
	return nil
}

// follow studies the snapshots of a training.
func (a *app) follow(ctx context.Context, items []probe.Item, f *probeFlags) ([]probe.Moment, error) {
	steps, err := probe.Snapshots(f.along)
	if err != nil {
		return nil, err
	}
	bar := a.progress("probe "+shorten(f.along, 30), len(steps))
	defer bar.done()
	return probe.Follow(ctx, f.along, items, probe.Options{Seed: f.seed, Progress: func(done, _ int) { bar.at(done, "snapshots") }})
}

// probeWords looks into a model of words.
func (a *app) probeWords(cmd *cobra.Command, model string, f *probeFlags) error {
	for _, other := range []string{"ids", "level", "along"} {
		if cmd.Flags().Changed(other) {
			return usagef("--%s is for models of graph questions in symbols, and %s answers in words: drop it", other, model)
		}
	}
	m, err := coconut.Open(model)
	if err != nil {
		return err
	}
	if f.items == 0 && f.file == "" {
		f.items = defaultItems
	}
	ps, err := latentProblemsOf(m.Info.Task, task.Standard, f.items, f.seed, f.file)
	if err != nil {
		return err
	}
	bar := a.progress("probe "+shorten(model, 30), len(ps)+1)
	tree, err := m.Grow(cmd.Context(), ps, f.seed, func(done, _ int) { bar.at(done, "search trees") })
	bar.done()
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("probe: stopped, nothing is kept: fewer --items take less time: %w", err)
	}
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := tree.Page("orrery " + shellQuote(a.args)).WriteFile(f.out); err != nil {
			return err
		}
		if !a.quiet {
			fmt.Fprintf(a.err, "report: %s\n", f.out)
		}
	}
	if a.json {
		return a.printJSON(tree.JSON())
	}
	return tree.WriteText(a.out)
}
