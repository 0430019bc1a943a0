// Package report writes one self-contained HTML page: inline SVG and style, no
// network, readable in light and dark, on a phone and on paper. Every command
// that makes a report makes it here. The package knows nothing of what it shows,
// and escapes all of it.
//
// A page is a list of blocks, one file each:
//
//	Heading, Text, Code       words
//	Table                     with curves in its cells; long ones in pages, filtered and sorted
//	Verdict, Note             a conclusion with its evidence; a remark or a warning
//	Details, Columns, Slider  blocks that hold blocks: folded, side by side, one at a time
//	Plot                      lines, points, bands; with Marks (reference lines) and Regions (stages)
//	Histogram, BarChart       counts per bin; values per category
//	HeatMap, Stripes          matrices and profiles as colours, with lines over them
//	Graph                     nodes and edges in layers, as strong as their values
//
// The zero value of each is a valid block. What is missing (NaN) leaves a gap or
// is hatched, never drawn as zero, and no number can break a drawing. Equal pages
// have equal bytes.
//
// A page runs no script, unless it has a Slider or a Table of pages: then the
// policy in its head allows the package's one script, by its hash. Without it the
// frames of a slider follow each other and a long table's rows are there as text.
package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Page is a report.
type Page struct {
	Title  string
	Lead   string // one or two sentences under the title
	Blocks []Block
}

// Block is an element of a page; this package has all there are.
type Block interface {
	writeHTML(w *writer)
}

// Heading starts a section.
type Heading string

// Text is a paragraph.
type Text string

// Code is preformatted text, such as the command that made the report.
type Code string

func (h Heading) writeHTML(w *writer) { w.printf("<h2>%s</h2>\n", esc(string(h))) }
func (t Text) writeHTML(w *writer)    { w.printf("<p>%s</p>\n", esc(string(t))) }
func (c Code) writeHTML(w *writer)    { w.printf("<pre>%s</pre>\n", esc(string(c))) }

// Write renders the page.
func (p Page) Write(w io.Writer) error {
	var b writer
	for _, bl := range p.Blocks {
		bl.writeHTML(&b)
	}
	_, err := fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n"+
		"<title>%s</title><style>%s</style></head><body>\n<h1>%s</h1>\n", b.policy(), esc(p.Title), style, esc(p.Title))
	if err == nil && p.Lead != "" {
		_, err = fmt.Fprintf(w, "<p class=\"lead\">%s</p>\n", esc(p.Lead))
	}
	if err == nil {
		_, err = io.WriteString(w, b.String())
	}
	if err == nil && b.scripted {
		_, err = io.WriteString(w, "<script>"+script+"</script>\n")
	}
	if err == nil {
		_, err = io.WriteString(w, "</body></html>\n")
	}
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
