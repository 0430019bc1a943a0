package upstream

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable prints the report for people, one line a capability.
func (r *Report) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, clean(fmt.Sprintf(format, args...)))
	}
	if !r.Reachable {
		row("reachable", "no: %s", r.Error)
		return tw.Flush()
	}
	row("reachable", "yes, %s", r.URL)
	row("backend", "%s", r.Backend)
	model := r.Model
	if n := len(r.Models); n > 1 {
		model += fmt.Sprintf(" (of %d)", n)
	}
	row("model", "%s", model)
	row("routes", "%s", or(strings.Join(r.Routes, ", "), "none"))
	if r.Error != "" {
		row("error", "%s", r.Error)
	}
	row("alternatives (k)", "chat %s, raw %s", most(r.ChatK), most(r.RawK))
	if r.EntriesPerToken != nil {
		row("entries per token", "%.1f", *r.EntriesPerToken)
	}
	if r.TokensPerEvent != nil {
		row("tokens per event", "%.1f", *r.TokensPerEvent)
	}
	row("fields", "%s", or(strings.Join(r.Fields, ", "), "none"))
	row("log-prob basis", "%s", strings.ReplaceAll(string(r.Basis), "_", " "))
	row("stop reporting", "%s", or(r.Stops, "unknown"))
	row("prefill", "%s", or(r.Prefill, "unknown"))
	row("raw prompt", "%s", or(r.RawPrompt, "no"))
	row("parallel limit", "%d", r.MaxParallel)
	if r.CancelSeconds != nil {
		row("cancel takes", "%.2f s", *r.CancelSeconds)
	} else {
		row("cancel takes", "not shown by the server")
	}
	row("DeepConf", "%s", r.DeepConf)
	row("ThreadWeaver", "%s", r.ThreadWeaver)
	for _, warning := range r.Warnings {
		row("warning", "%s", warning)
	}
	return tw.Flush()
}

// most shows a largest k; the probe looks no further than one above wantK.
func most(k int) string {
	switch {
	case k == 0:
		return "none"
	case k >= wantK:
		return fmt.Sprintf("%d or more", k)
	}
	return fmt.Sprint(k)
}

// clean keeps a server's words from moving the cursor or breaking the table.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
