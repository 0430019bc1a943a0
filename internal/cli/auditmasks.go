package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"orrery/look/audit"
)

// auditMasksCommand writes the masks that audit measures overlaps with.
func auditMasksCommand(a *app) *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "masks BASE OUT.safetensors",
		Short: "Write the base's low-magnitude and principal masks, for masked training",
		Long: `Masks writes the two masks that audit measures overlaps with, one bit an entry,
as a safetensors file (docs/audit.md has its layout): NAME.low, the share alpha
of the entries that are least in magnitude, and NAME.princ, the share alpha where
the rank-k approximation is largest.`,
		Args: exactArgs(2, "a checkpoint and a file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noZero(cmd.Flags(), "k", "alpha"); err != nil {
				return err
			}
			if cmd.Flags().Changed("exact") {
				f.o.Spectra = audit.SpectraExact
			}
			if err := f.o.Validate(); err != nil {
				return usageError{err}
			}
			base, err := audit.Open(args[0])
			if err != nil {
				return err
			}
			defer base.Close()
			f.o.Progress = a.auditProgress("masks")
			n, err := audit.ExportMasks(cmd.Context(), base, args[1], f.o)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "file": args[1], "matrices": n})
			}
			_, err = fmt.Fprintf(a.out, "%s: masks of %s\n", args[1], matrices(n))
			return err
		},
	}
	s := c.Flags()
	s.IntVar(&f.o.MaskK, "k", 0, "rank of the approximation behind the principal mask (default 64)")
	s.Float64Var(&f.o.Alpha, "alpha", 0, "share of the entries in each mask (default 0.5)")
	s.BoolVar(&f.exact, "exact", false, "exact decompositions instead of randomised ones")
	return c
}
