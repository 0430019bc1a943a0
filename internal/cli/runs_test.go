package cli

import (
	"strings"
	"testing"

	"orrery/record"
)

// TestLongRun: a run whose question is a book still fits a terminal.
func TestLongRun(t *testing.T) {
	question := strings.Repeat("é", 200_000)
	var out strings.Builder
	if err := writeRun(&out, &record.Run{ID: "x", Question: &question, Config: []byte(`{"prompt":"` + question + `"}`)}, nil); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if len(got) > 3*mostShown || strings.Count(got, "--json has all") != 2 || !strings.Contains(got, "(of 400,000 bytes") || strings.Contains(got, "\ufffd") {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}
