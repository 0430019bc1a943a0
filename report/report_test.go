package report

import (
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func render(t *testing.T, p Page) string {
	t.Helper()
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageEscapesEverything(t *testing.T) {
	evil := `<script>alert("x")</script>&`
	got := render(t, Page{Title: evil, Lead: evil, Blocks: []Block{
		Heading(evil), Text(evil), Code(evil),
		Table{Caption: evil, Head: []string{evil}, Rows: [][]string{{evil}}},
		Plot{Title: evil, Caption: evil, X: Axis{Label: evil}, Y: Axis{Label: evil},
			Series: []Series{{Name: evil, X: []float64{1}, Y: []float64{1}, Labels: []string{evil}, Draw: Points}}},
	}})
	if strings.Contains(got, "<script") {
		t.Error("an unescaped script tag got through")
	}
	if strings.Contains(got, "http://") || strings.Contains(got, "https://") {
		t.Error("the page refers to the network")
	}
}

// svgOf cuts the SVG element out of a page.
func svgOf(t *testing.T, page string) string {
	t.Helper()
	i, j := strings.Index(page, "<svg"), strings.Index(page, "</svg>")
	if i < 0 || j < 0 {
		t.Fatal("no svg in page")
	}
	return page[i : j+len("</svg>")]
}

func TestPlotIsWellFormedForAnyNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, s := range map[string]Series{
		"empty":     {},
		"one point": {X: []float64{3}, Y: []float64{4}},
		"constant":  {X: []float64{1, 2, 3}, Y: []float64{5, 5, 5}},
		"gaps":      {X: []float64{1, 2, 3, nan}, Y: []float64{nan, inf, 2, 1}},
		"band":      {X: []float64{1, 2}, Y: []float64{1, 2}, Low: []float64{0, nan}, High: []float64{2, 3}},
		"zero, log": {X: []float64{0, 10, 1000}, Y: []float64{0, 1, -1}},
	} {
		for _, draw := range []Draw{Line, Points, LinePoints, Bars} {
			for _, log := range []bool{false, true} {
				s.Draw = draw
				svg := svgOf(t, render(t, Page{Blocks: []Block{Plot{X: Axis{Log: log}, Y: Axis{Log: log}, Series: []Series{s}, Diagonal: true}}}))
				if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
					t.Errorf("%s, draw %d, log %v: a coordinate is not finite", name, draw, log)
				}
				d := xml.NewDecoder(strings.NewReader(svg))
				for {
					if _, err := d.Token(); err == io.EOF {
						break
					} else if err != nil {
						t.Fatalf("%s: not well-formed: %v", name, err)
					}
				}
			}
		}
	}
}

func TestScaleMapsEndsToEnds(t *testing.T) {
	s := newScale(Axis{Min: 10, Max: 1000, Log: true}, 100, 300)
	for v, want := range map[float64]float64{10: 100, 100: 200, 1000: 300} {
		if got := s.px(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("px(%v) = %v, want %v", v, got, want)
		}
	}
}

func TestTicksAreInsideAndRound(t *testing.T) {
	for _, a := range []Axis{{Min: 0, Max: 1}, {Min: -3, Max: 17}, {Min: 1e-6, Max: 1, Log: true}, {Min: 20, Max: 60, Log: true}} {
		s := newScale(a, 0, 100)
		ticks := s.ticks(6)
		if len(ticks) < 2 || len(ticks) > 13 {
			t.Errorf("%+v: %d ticks: %v", a, len(ticks), ticks)
		}
		for _, v := range ticks {
			if p := s.px(v); p < -1e-6 || p > 100+1e-6 {
				t.Errorf("%+v: tick %v lies outside", a, v)
			}
		}
	}
}

func TestWriteFileLeavesNothingBehindOnFailure(t *testing.T) {
	dir := t.TempDir()
	if err := (Page{Title: "x"}).WriteFile(filepath.Join(dir, "missing", "r.html")); err == nil {
		t.Fatal("writing into a missing folder succeeded")
	}
	path := filepath.Join(dir, "r.html")
	if err := (Page{Title: "x"}).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 || entries[0].Name() != "r.html" {
		t.Errorf("folder holds %v, want r.html alone", entries)
	}
}
