package cli

import (
	"github.com/spf13/cobra"

	"orrery/internal/upstream"
)

func init() { register(checkCommand) }

func checkCommand(a *app) *cobra.Command {
	var src source
	c := &cobra.Command{
		Use:   "check URL",
		Short: "What a server can do for us, and what not",
		Long: `Check sends a server a few requests of four tokens and prints what came back:
its kind, its routes, how many log-probabilities a token carries, whether they
were taken before the temperature, and whether DeepConf and ThreadWeaver work
on it exactly, approximately or not at all, and why.`,
		Example: "  orrery check http://localhost:8000",
		Args:    exactArgs(1, "one URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.upstream = args[0]
			if err := src.check(); err != nil {
				return err
			}
			cfg, err := src.config()
			if err != nil {
				return err
			}
			r, err := upstream.Check(cmd.Context(), cfg)
			if r == nil {
				return usageError{err} // the URL itself makes no sense
			}
			if a.json {
				if werr := a.printJSON(r); werr != nil {
					return werr
				}
			} else if r.Reachable {
				if werr := r.WriteTable(a.out); werr != nil {
					return werr
				}
			}
			return err
		},
	}
	src.serverFlags(c.Flags())
	return c
}
