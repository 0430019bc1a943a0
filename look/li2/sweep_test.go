package li2

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"orrery/report"
)

func page(t *testing.T, blocks []report.Block) string {
	t.Helper()
	var b bytes.Buffer
	if err := (report.Page{Title: "test", Blocks: blocks}).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBoundaryBlocks: a page with a boundary, and one that says why not.
func TestBoundaryBlocks(t *testing.T) {
	trials := simulate(1, 5, 4, func(m float64) float64 { return 2.6 * math.Log(m) / m })
	trials[3].Result = Censored
	blocks, b, err := BoundaryBlocks(trials)
	if err != nil || b.Censored != 1 {
		t.Fatal(b, err)
	}
	html := page(t, blocks)
	for _, want := range []string{"Half of the trials generalise at p = 2.", "2.7482", "rival", "1 censored", "Z5xZ6 (30)", "its 95 % interval"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for i := range trials {
		trials[i].Result = Success
	}
	if blocks, _, err = BoundaryBlocks(trials); err == nil {
		t.Error("a boundary among successes")
	}
	if html := page(t, blocks); !strings.Contains(html, "widen the range of shares") {
		t.Error("the page does not say that there is no boundary")
	}
	if blocks, _, err = BoundaryBlocks(nil); err == nil || !strings.Contains(page(t, blocks), "of 0 decided trials") {
		t.Errorf("no trials: %v", err)
	}
}
