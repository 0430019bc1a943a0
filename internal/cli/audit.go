package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orrery/learn/checkpoint"
	"orrery/look/audit"
)

func init() { register(auditCommand) }

// errRule ends an audit whose --fail-if held: exit code 3.
var errRule = errors.New("a --fail-if rule held")

type auditFlags struct {
	o       audit.Options
	spectra string
	exact   bool
	sample  int
	renames []string
	rules   []string
	memory  string
	hash    bool
	html    string
}

func auditCommand(a *app) *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "audit BASE TUNED [TUNED…]",
		Short: "Compare checkpoints: which weights moved, along which directions",
		Long: `Audit compares a base checkpoint with one or more that were tuned from it: a
Hugging Face folder, a .safetensors file or its index. It says which entries
changed, how the spectrum moved, how much the precision of the weights explains,
and what the update would take as a file (docs/audit.md has every definition).

  orrery audit Qwen2.5-1.5B my-run --fail-if 'nss>1e-3' --fail-if 'missing>0'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("audit wants a base and at least one tuned checkpoint, got %s: see '%s --help'", count(len(args), "argument"), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.audit(cmd, args, &f) },
	}
	s := c.Flags()
	s.StringVar(&f.spectra, "spectra", "", "auto, none, top, exact or sample (default auto: exact up to 512 rows or columns)")
	s.BoolVar(&f.exact, "exact", false, "all singular values: --spectra exact")
	s.IntVar(&f.sample, "exact-sample", 0, "all singular values of so many matrices: --spectra sample")
	s.IntVar(&f.o.K, "k", 0, "singular directions compared (default 16)")
	s.IntVar(&f.o.MaskK, "mask-k", 0, "rank of the approximation behind the principal mask (default 64)")
	s.Float64Var(&f.o.Alpha, "alpha", 0, "share of the entries in each mask (default 0.5)")
	s.StringArrayVar(&f.renames, "rename", nil, "'s/re/to/', applied to tuned names (repeatable)")
	s.BoolVar(&f.o.Series, "series", false, "the tuned checkpoints are in order of training")
	s.StringArrayVar(&f.rules, "fail-if", nil, "exit with 3 if METRIC OP NUMBER[@REGEX] holds (repeatable)")
	s.StringVar(&f.memory, "max-memory", "", "refuse tensors that would take more, such as 8G")
	s.StringVar(&f.o.Run, "run", "", "folder for what is finished and for the report; the same command goes on there")
	s.StringVar(&f.o.Cache, "cache", "", "folder for the spectra of bases, by content")
	s.StringVar(&f.html, "html", "", "write the report as one self-contained HTML file")
	c.AddCommand(auditMasksCommand(a))
	s.BoolVar(&f.hash, "sha256", false, "put the files' SHA-256 into --json")
	return c
}

// options reads the flags; nothing is opened before they are right.
func (f *auditFlags) options(a *app, cmd *cobra.Command) ([]audit.Rule, error) {
	if err := noZero(cmd.Flags(), "k", "mask-k", "alpha", "exact-sample"); err != nil {
		return nil, err
	}
	ways := 0
	for name, way := range map[string]audit.Spectra{"spectra": audit.Spectra(f.spectra), "exact": audit.SpectraExact, "exact-sample": audit.SpectraSample} {
		if cmd.Flags().Changed(name) {
			f.o.Spectra = way
			ways++
		}
	}
	if ways > 1 {
		return nil, usagef("audit: --spectra, --exact and --exact-sample contradict each other: give one")
	}
	f.o.ExactSample = f.sample
	for _, s := range f.renames {
		r, err := audit.ParseRename(s)
		if err != nil {
			return nil, usageError{err}
		}
		f.o.Renames = append(f.o.Renames, r)
	}
	var rules []audit.Rule
	for _, s := range f.rules {
		r, err := audit.ParseRule(s)
		if err != nil {
			return nil, usageError{err}
		}
		rules = append(rules, r)
	}
	if f.memory != "" {
		n, err := parseBytes(f.memory)
		if err != nil {
			return nil, usageError{err}
		}
		f.o.MaxMemory = n
	}
	if err := f.o.Validate(); err != nil {
		return nil, usageError{err}
	}
	f.o.Tool, f.o.Args = "orrery "+version(), a.args
	return rules, nil
}

func (a *app) audit(cmd *cobra.Command, args []string, f *auditFlags) (err error) {
	rules, err := f.options(a, cmd)
	if err != nil {
		return err
	}
	defer a.record(cmd.Context(), "audit", filepath.Base(args[len(args)-1]), f.o.Run, f.html).end(&err)
	var all []*audit.Checkpoint
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for i, path := range args {
		open := audit.Open
		if i > 0 {
			open = func(path string) (*audit.Checkpoint, error) { return audit.OpenTuned(path, all[0]) }
		}
		c, err := open(path)
		if err != nil {
			return err
		}
		all = append(all, c)
		if f.hash {
			if err := c.Hash(); err != nil {
				return err
			}
		}
	}
	f.o.Progress = a.auditProgress("audit")
	f.o.Estimate = a.auditEstimate
	r, err := audit.Audit(cmd.Context(), all[0], all[1:], f.o)
	if err != nil {
		return f.explain(err)
	}
	a.recorded.result(r, auditFigures(r))
	if err := f.files(r); err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		err = writeAudit(a.out, r)
	}
	if err != nil {
		return err
	}
	return checkRules(r, rules)
}

// auditFigures are those of an audit's totals that are defined.
func auditFigures(r *audit.Result) map[string]float64 {
	out := map[string]float64{}
	for name, v := range map[string]*float64{"sparsity_bf16": r.Totals.SparsityBF16, "sparsity_exact": r.Totals.SparsityExact, "rel": r.Totals.Rel,
		"max_abs": r.Totals.MaxAbs, "nss_mean": r.Totals.NSS.Mean, "nss_max": r.Totals.NSS.Max} {
		if v != nil {
			out[name] = *v
		}
	}
	return out
}

// auditEstimate announces long spectra before they begin, at a speed that two
// cores of any recent machine reach.
func (a *app) auditEstimate(flops float64) {
	const speed = 1e10
	if d := time.Duration(flops / speed * float64(time.Second)); d > 5*time.Second && !a.quiet {
		fmt.Fprintf(a.err, "audit: spectra take about %.3g TFLOP, some %s at 10 GFLOP/s; --spectra none leaves them out\n", flops/1e12, d.Round(time.Second))
	}
}

// explain says of an interrupted audit how to go on.
func (f *auditFlags) explain(err error) error {
	switch {
	case !errors.Is(err, context.Canceled):
		return err
	case f.o.Run == "":
		return fmt.Errorf("audit: stopped, nothing is kept: with --run DIR the same command would go on: %w", err)
	}
	return fmt.Errorf("audit: stopped, finished tensors are in %s: the same command goes on: %w", f.o.Run, err)
}

// auditProgress shows tensors as they are done.
func (a *app) auditProgress(label string) func(audit.Progress) {
	var p *progress
	return func(at audit.Progress) {
		if p == nil {
			p = a.progress(label, at.Total)
		}
		p.at(at.Done, shorten(at.Tensor, 40))
		if at.Done == at.Total {
			p.done()
		}
	}
}

// files writes the report page, and into a run folder the report of both kinds.
func (f *auditFlags) files(r *audit.Result) error {
	if f.html != "" {
		if err := r.Page().WriteFile(f.html); err != nil {
			return err
		}
	}
	if f.o.Run == "" {
		return nil
	}
	if err := r.Page().WriteFile(filepath.Join(f.o.Run, "report.html")); err != nil {
		return err
	}
	return checkpoint.Atomic(filepath.Join(f.o.Run, "audit.json"), func(w io.Writer) error {
		return (&app{out: w}).printJSON(r)
	})
}

// checkRules evaluates the rules on every run.
func checkRules(r *audit.Result, rules []audit.Rule) error {
	var held []string
	for _, run := range r.Runs() {
		for _, rule := range rules {
			if h := rule.Check(run); h.Held {
				of := ""
				if len(r.Others) > 0 {
					of = " (" + run.Tuned + ")"
				}
				held = append(held, fmt.Sprintf("%s%s: %s", h.Rule, of, h.Reason))
			}
		}
	}
	if len(held) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errRule, strings.Join(held, "; "))
}

var sizeText = regexp.MustCompile(`^([0-9.]+) ?([KMGT]?)(B|iB)?$`)

// parseBytes reads 500M, 8G or a plain number, in powers of 1024.
func parseBytes(s string) (int64, error) {
	if m := sizeText.FindStringSubmatch(s); m != nil {
		n, err := strconv.ParseFloat(m[1], 64)
		n = math.Ldexp(n, 10*strings.Index("\x00KMGT", cmp.Or(m[2], "\x00")))
		if err == nil && n >= 1 && n < 1<<62 {
			return int64(n), nil
		}
	}
	return 0, fmt.Errorf("%q is no size: write it as 500M or 8G", s)
}
