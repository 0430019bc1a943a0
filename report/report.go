// Package report writes one self-contained HTML page from text, tables and
// plots: inline SVG and style, no script, no network, readable in light and
// dark and on paper. Every command that makes a report makes it here. It knows
// nothing of what it shows, and escapes all of it.
package report

import (
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Page is a report.
type Page struct {
	Title  string
	Lead   string // one or two sentences under the title
	Blocks []Block
}

// Block is an element of a page: Heading, Text, Table, Code or Plot.
type Block interface {
	writeHTML(b *strings.Builder)
}

// Heading starts a section.
type Heading string

// Text is a paragraph.
type Text string

// Code is preformatted text, such as the command that made the report.
type Code string

// Table has a header and rows of cells. Cells that read as numbers are
// aligned to the right.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
}

func (h Heading) writeHTML(b *strings.Builder) { fmt.Fprintf(b, "<h2>%s</h2>\n", esc(string(h))) }
func (t Text) writeHTML(b *strings.Builder)    { fmt.Fprintf(b, "<p>%s</p>\n", esc(string(t))) }
func (c Code) writeHTML(b *strings.Builder)    { fmt.Fprintf(b, "<pre>%s</pre>\n", esc(string(c))) }

func (t Table) writeHTML(b *strings.Builder) {
	b.WriteString(`<div class="scroll"><table>`)
	if t.Caption != "" {
		fmt.Fprintf(b, "<caption>%s</caption>", esc(t.Caption))
	}
	b.WriteString("<thead><tr>")
	for i, h := range t.Head {
		class := ""
		if len(t.Rows) > 0 && i < len(t.Rows[0]) && numeric(t.Rows[0][i]) {
			class = ` class="n"`
		}
		fmt.Fprintf(b, `<th scope="col"%s>%s</th>`, class, esc(h))
	}
	b.WriteString("</tr></thead><tbody>\n")
	for _, row := range t.Rows {
		b.WriteString("<tr>")
		for _, c := range row {
			class := ""
			if numeric(c) {
				class = ` class="n"`
			}
			fmt.Fprintf(b, "<td%s>%s</td>", class, esc(c))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody></table></div>\n")
}

// numeric reports whether a cell begins like a number.
func numeric(s string) bool {
	s = strings.TrimLeft(s, "-+−±≤≥< ")
	return s != "" && s[0] >= '0' && s[0] <= '9'
}

func esc(s string) string { return html.EscapeString(s) }

const style = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--line:#d8dde3;--plot:#fafbfc;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#b8860b;--s5:#56b4e9;--s6:#7f52a8;--s7:#5b6570}
@media screen and (prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6e9ed;--soft:#9aa5b1;--line:#333c46;--plot:#191e24;
--s0:#5aa9e6;--s1:#f28e4b;--s2:#35c498;--s3:#e3a3c7;--s4:#e0b84a;--s5:#8fd0f5;--s6:#b592dc;--s7:#9aa5b1}}
@media print{:root{color-scheme:light}}
*{box-sizing:border-box}body{background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:.2em 0}h2{font-size:1.15rem;margin:2.2em 0 .4em}p.lead{color:var(--soft);margin:.2em 0 1.5em}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;margin:.6em 0}caption{text-align:left;color:var(--soft);padding-bottom:.3em}
th,td{padding:.28em .8em .28em 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}th.n,td.n{font-variant-numeric:tabular-nums;text-align:right}
pre{background:var(--plot);border:1px solid var(--line);border-radius:4px;overflow-x:auto;padding:.7em;font-size:.85rem}
figure{margin:1em 0}figcaption{color:var(--soft);font-size:.92rem}svg{display:block;min-width:36rem;max-width:100%;height:auto;background:var(--plot);border:1px solid var(--line);border-radius:4px}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg .title{fill:var(--fg);font-weight:600;font-size:13px}svg .grid{stroke:var(--line);stroke-width:1}svg .ref{stroke:var(--soft);stroke-dasharray:4 4}
`

// Write renders the page.
func (p Page) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"+
		"<title>%s</title><style>%s</style></head><body>\n<h1>%s</h1>\n", esc(p.Title), style, esc(p.Title))
	if p.Lead != "" {
		fmt.Fprintf(&b, "<p class=\"lead\">%s</p>\n", esc(p.Lead))
	}
	for _, bl := range p.Blocks {
		bl.writeHTML(&b)
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteFile renders the page to a file, whole or not at all.
func (p Page) WriteFile(path string) (err error) {
	failed := func(err error) error {
		return fmt.Errorf("write report %s: %w: choose a file in a folder that exists and can be written to", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return failed(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = failed(err)
		}
	}()
	if err = p.Write(f); err != nil {
		f.Close()
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
