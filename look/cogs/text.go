package cogs

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SharesText is SharesTable as a Markdown table, aligned to be read as text.
func SharesText(d int, s Shares) []string {
	rows := [][]string{{"factors", "frequencies", "share, 95 % interval"}}
	var published []Published
	for _, p := range PublishedShares {
		if p.D == d {
			published = append(published, p)
			rows[0] = append(rows[0], p.Source)
		}
	}
	rows[0] = append(rows[0], "authors' rule")
	for _, k := range Kinds {
		row := []string{string(k), fmt.Sprint(s.Robust[k]), Wilson(s.Robust[k], s.Frequencies).String()}
		for _, p := range published {
			row = append(row, fmt.Sprintf("%.2f %%", 100*p.Share[k]))
		}
		rows = append(rows, append(row, Wilson(s.Compatible[k], s.Factorable).String()))
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var out []string
	for n, r := range rows {
		var b, rule strings.Builder
		for i, c := range r {
			pad := width[i] - utf8.RuneCountInString(c)
			b.WriteString("| " + strings.Replace(c, "*", "·", 1) + strings.Repeat(" ", pad) + " ")
			rule.WriteString("|" + strings.Repeat("-", width[i]+2))
		}
		out = append(out, b.String()+"|")
		if n == 0 {
			out = append(out, rule.String()+"|")
		}
	}
	return out
}
