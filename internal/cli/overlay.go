package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"orrery/look/grok"
)

func init() { register(overlayCommand) }

func overlayCommand(a *app) *cobra.Command {
	out := "overlay.html"
	c := &cobra.Command{
		Use:   "overlay RUN RUN…",
		Short: "Lay grokking runs over each other in one report",
		Long: `Overlay draws the curves of several runs of grok, li2, nanda or grokfast recipes
into one report. Runs that differ in their seeds alone are one line, their median
with its range; lines are named by the settings in which they differ. A folder
that is not a run stands for all runs below it.`,
		Example: "  orrery overlay runs/li2-f3 runs/no-decay --out f3.html",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("overlay wants the folders of two or more runs, got none")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			defer a.record(cmd.Context(), "overlay", out, "", out).end(&err)
			o, err := grok.OpenOverlay(args)
			if err != nil {
				return err
			}
			if err := o.Page().WriteFile(out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "report": out, "recipes": o.Recipes, "settings": o.Summaries()})
			}
			for _, s := range o.Summaries() {
				when := "none generalise"
				if s.Generalises != nil {
					when = fmt.Sprintf("%d generalise, from epoch %.0f on", s.Generalise, *s.Generalises)
				}
				fmt.Fprintf(a.out, "%s: %s, %s\n", s.Name, count(len(s.Runs), "run"), when)
			}
			fmt.Fprintf(a.out, "report: %s\n", out)
			return nil
		},
	}
	c.Flags().StringVarP(&out, "out", "o", out, "report to write")
	return c
}
