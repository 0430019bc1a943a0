package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func init() { register(readyCommand) }

// readyCommand is a health check for where there is no other program, such as a
// container that holds this one alone.
func readyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "ready [URL]",
		Short: "Whether a served orrery takes requests: exit code 0 or 1",
		Long: `Ready asks a server's /readyz, which needs no key, and ends with 0 if it takes
requests and with 1 if it does not, is ending, or does not answer within 3 seconds.`,
		Example: "  orrery ready http://127.0.0.1:8888",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("ready wants one URL, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			url := "http://127.0.0.1:8888"
			if len(args) == 1 {
				url = strings.TrimRight(args[0], "/")
			}
			r, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url+"/readyz", nil)
			if err != nil || r.URL.Host == "" {
				return usagef("ready: %q is no web address: give one such as http://127.0.0.1:8888", url)
			}
			resp, err := (&http.Client{Timeout: 3 * time.Second}).Do(r)
			if err != nil {
				return fmt.Errorf("ready: nothing answers: %w: see whether the server runs, and where it listens", err)
			}
			defer resp.Body.Close()
			said, _ := io.ReadAll(io.LimitReader(resp.Body, 100))
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("ready: %s says %s, %q: it takes no requests", url, resp.Status, oneLine(strings.TrimSpace(string(said))))
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "ready": true})
			}
			fmt.Fprintln(a.out, "ready")
			return nil
		},
	}
	return c
}
