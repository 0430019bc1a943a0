package sweep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/report"
)

// Write writes results.jsonl, one result a line in the sweep's order, the same
// bytes at any number of workers, and report.html into a folder that exists. It
// returns the fields of the sweep's own analysis.
func Write(dir string, s Sweep, sum *Summary) (map[string]any, error) {
	err := checkpoint.Atomic(filepath.Join(dir, "results.jsonl"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, r := range sum.Results {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing the results of sweep %s: %w", s.Name, err)
	}
	page := report.Page{Title: "Sweep " + s.Name, Lead: lead(s, sum)}
	var fields map[string]any
	if s.Analyse != nil {
		var blocks []report.Block
		if blocks, fields, err = s.Analyse(sum.Results); err != nil {
			return nil, fmt.Errorf("analysing the results of sweep %s: %w", s.Name, err)
		}
		page.Blocks = append(page.Blocks, blocks...)
	}
	page.Blocks = append(page.Blocks, report.Heading("Trials"), trialTable(sum.Results))
	if err := page.WriteFile(filepath.Join(dir, "report.html")); err != nil {
		return nil, fmt.Errorf("writing the report of sweep %s: %w", s.Name, err)
	}
	return fields, nil
}

func lead(s Sweep, sum *Summary) string {
	out := fmt.Sprintf("%s. %d of %d trials have a result, %d failed.", strings.TrimSuffix(s.About, "."), len(sum.Results), len(s.Trials), sum.Failed)
	if s.About == "" {
		_, out, _ = strings.Cut(out, " ")
	}
	if sum.PerHour > 0 {
		out += fmt.Sprintf(" %.0f trials an hour, with %d at a time on this machine.", sum.PerHour, sum.Workers)
	}
	if len(sum.Builds) > 1 {
		out += fmt.Sprintf(" The results are of %d builds of the program, and may not be comparable: %s.", len(sum.Builds), strings.Join(sum.Builds, ", "))
	}
	return out
}

// trialTable has what differs between trials and the plain values they came to.
func trialTable(results []Result) report.Block {
	columns := columnsOf(results)
	t := report.Table{Head: append([]string{"recipe", "state"}, columns...), Page: 40}
	for _, r := range results {
		row := []string{r.Recipe, string(r.State)}
		if r.State == Failed {
			row[1] += ": " + r.Error
		}
		have := plain(r)
		for _, c := range columns {
			row = append(row, have[c])
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// columnsOf are the names whose values differ between results, in order of
// appearance.
func columnsOf(results []Result) []string {
	var order []string
	seen := map[string]map[string]bool{}
	for _, r := range results {
		for _, raw := range []json.RawMessage{r.Settings, r.Result} {
			for _, f := range fieldsOf(raw) {
				if seen[f.name] == nil {
					seen[f.name] = map[string]bool{}
					order = append(order, f.name)
				}
				seen[f.name][f.value] = true
			}
		}
	}
	var out []string
	for _, name := range order {
		if len(seen[name]) > 1 {
			out = append(out, name)
		}
	}
	return out
}

// plain are a result's values by name; those of the result go before settings.
func plain(r Result) map[string]string {
	out := map[string]string{}
	for _, raw := range []json.RawMessage{r.Settings, r.Result} {
		for _, f := range fieldsOf(raw) {
			out[f.name] = f.value
		}
	}
	return out
}

type field struct{ name, value string }

// fieldsOf are the numbers, texts and truths of a JSON object, in its order, with
// those inside other objects under a name with dots.
func fieldsOf(raw json.RawMessage) []field {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out []field
	var walk func(prefix string) error
	walk = func(prefix string) error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch v := t.(type) {
		case json.Delim:
			if v == '[' {
				for d.More() {
					var skip json.RawMessage
					if err := d.Decode(&skip); err != nil {
						return err
					}
				}
			} else {
				for d.More() {
					name, err := d.Token()
					if err != nil {
						return err
					}
					if err := walk(strings.TrimPrefix(prefix+"."+name.(string), ".")); err != nil {
						return err
					}
				}
			}
			_, err := d.Token() // the closing one
			return err
		case nil:
			out = append(out, field{prefix, ""})
		case json.Number:
			s := v.String()
			if f, err := v.Float64(); err == nil && strings.Contains(s, ".") {
				s = fmt.Sprintf("%.4g", f)
			}
			out = append(out, field{prefix, s})
		default:
			out = append(out, field{prefix, fmt.Sprint(v)})
		}
		return nil
	}
	if walk("") != nil {
		return nil // what a recipe encoded itself is whole
	}
	return out
}
