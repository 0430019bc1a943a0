package report

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"html"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

var notFinite = regexp.MustCompile(`NaN|Inf|%!`)

// checkDrawings fails on an SVG of the page that is not well-formed, has a
// coordinate that is not finite, or uses an id twice.
func checkDrawings(t *testing.T, page string) {
	t.Helper()
	ids := map[string]bool{}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("not well-formed: %v in %.300s", err, svg)
			}
			start, _ := token.(xml.StartElement)
			for _, a := range start.Attr {
				if a.Name.Local == "id" {
					if ids[a.Value] {
						t.Errorf("id %s is used twice", a.Value)
					}
					ids[a.Value] = true
				}
				if notFinite.MatchString(a.Value) && a.Name.Local != "aria-label" && a.Name.Local != "href" {
					t.Fatalf("%s=%q in %.300s", a.Name.Local, a.Value, svg)
				}
			}
		}
	}
}

func TestSampleIsWellFormedAndSame(t *testing.T) {
	got := render(t, sample())
	checkDrawings(t, got)
	if got != render(t, sample()) {
		t.Error("two renderings of one page differ")
	}
	if regexp.MustCompile(`(src|href)="[^d#]|https?:|url\([^#]`).MatchString(got) {
		t.Error("the page refers to something outside it")
	}
	open := regexp.MustCompile(`<(div|section|details|figure|table|pre|svg|g|ul|li|text|title)[ >]`).FindAllStringSubmatch(got, -1)
	n := map[string]int{}
	for _, m := range open {
		n[m[1]]++
	}
	for tag, k := range n {
		if closed := strings.Count(got, "</"+tag+">"); closed != k {
			t.Errorf("%d <%s> but %d closed", k, tag, closed)
		}
	}
}

// awkward are the vectors that once broke some drawing.
func awkward() map[string][]float64 {
	nan, inf := math.NaN(), math.Inf(1)
	return map[string][]float64{
		"empty": {}, "one": {3}, "zero": {0, 0}, "constant": {5, 5, 5}, "missing": {nan, nan}, "gaps": {nan, 1, inf, -2, nan, -inf},
		"negative": {-1, -1e-5}, "huge": {1e308, -1e308, 1}, "tiny": {5e-324, 1e-310}, "close": {1e17, 1e17 + 16}, "wide": {1e-300, 1e300},
	}
}

func TestAnyNumbersGiveWellFormedDrawings(t *testing.T) {
	for name, v := range awkward() {
		for _, name2 := range []string{"empty", "one", "gaps", "huge", "tiny", "close"} { // enough to meet each kind
			u := awkward()[name2]
			for _, log := range []bool{false, true} {
				a := Axis{Log: log}
				s := Series{X: v, Y: u, Low: u, High: v}
				var blocks []Block
				for _, d := range []Draw{Line, Points, LinePoints, Bars} {
					s.Draw = d
					p := Plot{X: a, Y: a, Series: []Series{s, {X: u, Y: v, Faint: true}}, Diagonal: true}
					for _, x := range v {
						p.Marks = append(p.Marks, Mark{Name: "m", At: x}, Mark{Name: "h", At: x, Horizontal: true})
						p.Regions = append(p.Regions, Region{Name: "r", From: x, To: -x})
					}
					blocks = append(blocks, p)
				}
				m := HeatMap{X: a, Y: a, Values: [][]float64{v, nil, u}, Colour: a, ColumnAt: v, RowAt: u, Lines: []Series{s}, Text: true}
				blocks = append(blocks, m)
				m.Diverging, m.Rows, m.Columns = true, []string{"a"}, []string{"b"}
				blocks = append(blocks, m,
					Histogram{X: a, Y: a, Edges: v, Series: []Counts{{Counts: u}}, Marks: []Mark{{At: 1}}},
					Histogram{X: a, Y: a, Edges: v, Series: []Counts{{Counts: u}, {Counts: v}}, Overlaid: true},
					BarChart{Y: a, Categories: []string{"x", "y"}, Series: []Group{{Values: v, Low: u, High: v}, {Values: u}}},
					BarChart{Y: a, Categories: []string{"x", "y"}, Series: []Group{{Values: v}, {Values: u}}, Stacked: true},
					Stripes{Colour: a, Stripes: []Stripe{{Values: v, Borders: []int{-1, 0, 1, 2, 99}}, {Values: u}}},
					Table{Rows: [][]string{{"a", "b"}}, Sparks: map[int][][]float64{0: {v}, 1: {u}}})
				page := render(t, Page{Blocks: []Block{Columns(blocks)}})
				t.Run(name+"/"+name2, func(t *testing.T) { checkDrawings(t, page) })
			}
		}
	}
}

// TestOverlaidSeriesShareTheFloor: equal counts of two series are the same rectangle
// where they are overlaid, and one on top of the other where they are not.
func TestOverlaidSeriesShareTheFloor(t *testing.T) {
	place := regexp.MustCompile(`<rect x="([^"]*)" y="([^"]*)" width="[^"]*" height="([^"]*)" fill="[^"]*" fill-opacity`)
	for _, overlaid := range []bool{false, true} {
		bars := place.FindAllStringSubmatch(render(t, Page{Blocks: []Block{
			Histogram{Edges: []float64{0, 1}, Series: []Counts{{Counts: []float64{2}}, {Counts: []float64{2}}}, Overlaid: overlaid}}}), -1)
		if len(bars) != 2 {
			t.Fatalf("%d bars, want 2", len(bars))
		}
		if a, b := bars[0], bars[1]; a[1] != b[1] || a[3] != b[3] || (a[2] == b[2]) != overlaid {
			t.Errorf("overlaid %v: bars at %v and %v", overlaid, a[1:], b[1:])
		}
	}
}

func TestZeroValuesAreValid(t *testing.T) {
	page := render(t, Page{Blocks: []Block{Heading(""), Text(""), Code(""), Table{}, Table{Page: 1}, Verdict{}, Note{}, Details{}, Columns{}, Slider{},
		Plot{}, Histogram{}, BarChart{}, HeatMap{}, Stripes{}, Stripes{Stripes: []Stripe{{}}}, BarChart{Stacked: true, Series: []Group{{}}}, HeatMap{Rows: []string{"a"}}, HeatMap{Columns: []string{"a"}}}})
	checkDrawings(t, page)
	if strings.Contains(page, "<script") || strings.Contains(page, "script-src") || strings.Contains(page, "img-src") {
		t.Error("a page without need of a script or a picture allows one")
	}
}

func TestPageEscapesEverything(t *testing.T) {
	evil := `</pre></svg></script><script>alert("x")</script><img src=x onerror=y>&`
	s := []string{evil, evil}
	v := []float64{1, math.NaN()}
	inner := []Block{
		Heading(evil), Text(evil), Code(evil), Note{Label: evil, Text: evil, Items: s}, Verdict{Label: evil, Evidence: s, Against: s},
		Table{Caption: evil, Head: s, Rows: [][]string{s, s, s}}, Table{Caption: evil, Head: s, Rows: [][]string{s, s, s}, Page: 1},
		Plot{Title: evil, Caption: evil, X: Axis{Label: evil}, Y: Axis{Label: evil}, Marks: []Mark{{Name: evil, At: 1}, {Name: evil, Horizontal: true}}, Regions: []Region{{Name: evil}},
			Series: []Series{{Name: evil, X: v, Y: v, Labels: s, Draw: LinePoints}}},
		Histogram{Title: evil, Caption: evil, X: Axis{Label: evil}, Y: Axis{Label: evil}, Edges: []float64{0, 1, 2}, Series: []Counts{{Name: evil, Counts: v}}, Marks: []Mark{{Name: evil}}},
		BarChart{Title: evil, Caption: evil, X: evil, Y: Axis{Label: evil}, Categories: s, Series: []Group{{Name: evil, Values: v}}, Marks: []Mark{{Name: evil, Horizontal: true}}},
		HeatMap{Title: evil, Caption: evil, X: Axis{Label: evil}, Y: Axis{Label: evil}, Rows: s, Columns: s, Values: [][]float64{v, v}, Colour: Axis{Label: evil}, Lines: []Series{{Name: evil, X: v, Y: v}}},
		Stripes{Title: evil, Caption: evil, Colour: Axis{Label: evil}, Stripes: []Stripe{{Name: evil, Values: v}}},
	}
	page := render(t, Page{Title: evil, Lead: evil, Blocks: append(inner, Details{Summary: evil, Blocks: inner}, Columns(inner),
		Slider{Label: evil, Frames: []Frame{{Name: evil, Blocks: inner}, {Name: evil}}})})
	if strings.Contains(page, "<img") || strings.Count(page, "<script") != 1 {
		t.Error("what a block was given got into the page as markup")
	}
	checkDrawings(t, page)
}

// TestOnlyOurScriptMayRun holds the hash in the policy to the script in the page.
func TestOnlyOurScriptMayRun(t *testing.T) {
	page := render(t, sample())
	_, body, _ := strings.Cut(page, "<script>")
	body, _, _ = strings.Cut(body, "</script>")
	sum := sha256.Sum256([]byte(body))
	policy := regexp.MustCompile(`content="(default-src[^"]*)"`).FindStringSubmatch(page)[1]
	want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if !strings.HasSuffix(policy, "; "+want) || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("policy is %s, want %s last", policy, want)
	}
}

// TestPagedRowsAreAllThere reads the rows back as the script does.
func TestPagedRowsAreAllThere(t *testing.T) {
	rows := [][]string{{"", "x"}, {"a<b>&", "1"}, {"tab\there", "2\n"}, {"−3", "–"}}
	page := render(t, Page{Blocks: []Block{Table{Rows: rows, Page: 2}}})
	_, text, _ := strings.Cut(page, "<pre>\n") // a parser drops this first newline
	text, _, _ = strings.Cut(text, "</pre>")
	lines := strings.Split(html.UnescapeString(text), "\n")[1:]
	want := []string{"\tx", "a<b>&\t1", "tab here\t2 ", "−3\t–"}
	if strings.Join(lines, "|") != strings.Join(want, "|") {
		t.Errorf("rows read back are %q, want %q", lines, want)
	}
	if n := strings.Count(page, "<tr>"); n != 3 { // header and the first page
		t.Errorf("%d rows drawn, want 3", n)
	}
}

// TestHundredThousandRowsStaySmall: a row costs its text and no markup.
func TestHundredThousandRowsStaySmall(t *testing.T) {
	row := []string{"model.layers.11.mlp.experts.127.down_proj.weight", "0.7123", "1.25e-5", "2048 × 768"}
	rows := make([][]string, 100_000)
	for i := range rows {
		rows[i] = row
	}
	page := render(t, Page{Blocks: []Block{Table{Head: row, Rows: rows, Page: 50}}})
	text := len(strings.Join(row, "\t")) + 1
	if limit := len(rows)*text + 64<<10; len(page) > limit { // 64 KiB: style, script and a first page
		t.Errorf("page has %d bytes, want at most %d", len(page), limit)
	}
}

func TestEmptyChartsSaySo(t *testing.T) {
	nan := []float64{math.NaN()}
	page := render(t, Page{Blocks: []Block{Plot{Series: []Series{{X: nan, Y: nan}}}, Histogram{Edges: []float64{0, 1}, Series: []Counts{{Counts: nan}}}}})
	if n := strings.Count(page, "nothing was measured"); n != 2 {
		t.Errorf("%d of 2 empty charts say that they are", n)
	}
	page = render(t, Page{Blocks: []Block{Plot{Series: []Series{{X: []float64{1}, Y: []float64{1}}}}, Histogram{Edges: []float64{0, 1}, Series: []Counts{{Counts: []float64{1}}}}}})
	if strings.Contains(page, "nothing was measured") {
		t.Error("a chart with a value says that it has none")
	}
}
