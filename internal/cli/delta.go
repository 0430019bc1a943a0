package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"orrery/look/delta"
)

func init() { register(deltaCommand) }

func deltaCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "delta",
		Short: "Lossless sparse updates between checkpoints: make, apply, info",
		Long: `Delta sends only what training changed: "make" writes the elements that differ
between a base and a tuned checkpoint, "apply" rebuilds the tuned one from the
base and that file, byte for byte. Both take Hugging Face folders, indexes or
single .safetensors files. docs/delta.md has the format.`,
		Example: `  orrery delta make base tuned update.safetensors
  orrery delta apply base update.safetensors rebuilt
  orrery delta info update.safetensors`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q of delta: known are make, apply, info", args[0])
			}
			return usagef("delta wants make, apply or info: see '%s --help'", cmd.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.deltaMake(), a.deltaApply(), a.deltaInfo())
	return c
}

func (a *app) deltaMake() *cobra.Command {
	var o delta.Options
	var limit string
	c := &cobra.Command{
		Use:   "make BASE TUNED OUT",
		Short: "Write the update that turns BASE into TUNED",
		Long: `Make compares two checkpoints tensor by tensor, by their stored bytes, and writes
what changed to OUT, which must not exist. Of a folder, the files beside the
weights go into the update too, unless the base folder has the same.`,
		Args: exactArgs(3, "a base, a tuned checkpoint and a file to write"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if limit != "" {
				n, err := parseBytes(limit)
				if err != nil {
					return usagef("--carry-limit %v", err)
				}
				o.CarryLimit = n
			}
			if limit != "" && o.WeightsOnly {
				return usagef("--carry-limit and --weights-only contradict each other: give one")
			}
			defer a.record(cmd.Context(), "delta", filepath.Base(args[2]), "", "").end(&err)
			p := a.bytesProgress("delta make")
			o.Progress = p.at
			r, err := delta.Make(cmd.Context(), args[0], args[1], args[2], o)
			p.done()
			if err != nil {
				return plainCancel(cmd.Context(), err)
			}
			if a.json {
				return a.printJSON(r)
			}
			return writeDeltaTotals(a.out, args[2], r)
		},
	}
	c.Flags().BoolVar(&o.Plain, "plain", false, "no entropy coding: positions and values as docs/delta.md defines them")
	c.Flags().BoolVar(&o.WeightsOnly, "weights-only", false, "leave the files beside the weights out")
	c.Flags().StringVar(&limit, "carry-limit", "", "largest changed file beside the weights that is carried (default 64M)")
	return c
}

func (a *app) deltaApply() *cobra.Command {
	return &cobra.Command{
		Use:   "apply BASE DELTA OUT",
		Short: "Rebuild the tuned checkpoint from BASE and an update",
		Long: `Apply checks every byte that it reads from BASE and every byte that it writes
against the update's checksums. OUT, which must not exist, appears whole and
flushed to disk, or not at all.`,
		Args: exactArgs(3, "a base, an update and a name for the result"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			defer a.record(cmd.Context(), "delta", filepath.Base(args[2]), "", "").end(&err)
			p := a.bytesProgress("delta apply")
			r, err := delta.Apply(cmd.Context(), args[0], args[1], args[2], delta.ApplyOptions{Progress: p.at})
			p.done()
			if err != nil {
				return plainCancel(cmd.Context(), err)
			}
			if a.json {
				return a.printJSON(struct {
					Version int              `json:"version"`
					Out     string           `json:"out"`
					Tensors int              `json:"tensors"`
					Bytes   int64            `json:"bytes"`
					Files   []delta.FileInfo `json:"files"`
				}{delta.Version, args[2], r.Totals.Tensors, r.Totals.Dense, r.Files})
			}
			_, err = fmt.Fprintf(a.out, "rebuilt %s: %s in %s, %s of weights, all checksums right\n", args[2],
				count(r.Totals.Tensors, "tensor"), count(len(r.Files), "file"), byteSize(r.Totals.Dense))
			return err
		},
	}
}

func (a *app) deltaInfo() *cobra.Command {
	return &cobra.Command{
		Use:   "info DELTA",
		Short: "What an update holds, tensor by tensor",
		Args:  exactArgs(1, "one update"),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := delta.Open(args[0])
			if err != nil {
				return err
			}
			defer d.Close()
			if a.json {
				return a.printJSON(d.Info())
			}
			return writeDelta(a.out, args[0], d.Info())
		},
	}
}

// plainCancel drops the place at which work was interrupted, which is chance.
func plainCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("delta: interrupted, nothing was written: %w", context.Canceled)
	}
	return err
}

// bytesProgress is progress over bytes.
type bytesProgress struct {
	a     *app
	label string
	p     *progress
}

func (a *app) bytesProgress(label string) *bytesProgress { return &bytesProgress{a: a, label: label} }

func (b *bytesProgress) at(done, total int64) {
	const unit = 1 << 20
	n := int((total + unit - 1) / unit)
	if b.p == nil {
		b.p = b.a.progress(b.label, n)
		b.p.skip(0)
	}
	if done == total {
		b.p.at(n, "MiB")
		return
	}
	b.p.at(int(done/unit), "MiB")
}

func (b *bytesProgress) done() {
	if b.p != nil {
		b.p.done()
	}
}

// byteSize prints bytes with three digits, in powers of 1000.
func byteSize(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if f < 999.5 {
			if unit == "B" || f >= 99.95 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1000
	}
	return fmt.Sprintf("%.2f TB", f)
}

func writeDelta(w io.Writer, path string, r *delta.Info) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "dtype\telements\tchanged\tencoding\tpredicted\tstored\tof dense\t  tensor")
	for _, t := range r.Tensors {
		if t.Encoding == delta.None {
			continue
		}
		name := shorten(t.Name, 80)
		if t.New {
			name += " (new)"
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%d\t%d\t%s\t  %s\n", t.DType, t.Elements, share(t.Changed, t.Elements), t.Encoding, t.Predicted, t.Stored, share(t.Stored, t.Dense), name)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, name := range r.Removed {
		fmt.Fprintf(w, "removed  %s\n", shorten(name, 80))
	}
	for _, f := range r.Files {
		switch f.Kind {
		case "weights":
			fmt.Fprintf(w, "weights  %s, %s\n", shorten(f.Path, 80), byteSize(f.Bytes))
		case "carried":
			fmt.Fprintf(w, "carried  %s, %s stored as %s\n", shorten(f.Path, 80), byteSize(f.Bytes), byteSize(f.Stored))
		default:
			fmt.Fprintf(w, "as base  %s, %s\n", shorten(f.Path, 80), byteSize(f.Bytes))
		}
	}
	fmt.Fprintln(w)
	return writeDeltaTotals(w, path, r)
}

func writeDeltaTotals(w io.Writer, path string, r *delta.Info) error {
	t := r.Totals
	_, err := fmt.Fprintf(w, `%s: %s, %s of the weights' %s
changed    %s of %s elements (%s); %d of %s unchanged, %d new, %d removed
stored     %s after entropy coding, %s before it; i.i.d. bound with plain values %s
`, path, byteSize(t.File), share(t.File, t.Dense), byteSize(t.Dense),
		thousands(int(t.Changed)), thousands(int(t.Elements)), share(t.Changed, t.Elements), t.Unchanged, count(t.Tensors, "tensor"), t.New, len(r.Removed),
		byteSize(t.Stored), byteSize(t.Predicted), byteSize(int64(t.IIDBound)))
	return err
}

// share is part of whole in percent; "–" of nothing.
func share(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}
