package report

import (
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
