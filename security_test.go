package orrery_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// docs/security.md says of each threat which test proves what stops it: each of
// them must be there.
func TestThreatsHaveTheirTests(t *testing.T) {
	b, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`").FindAllSubmatch(b, -1)
	if len(named) < 30 {
		t.Fatalf("docs/security.md names %d tests", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join(string(m[1]), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || regexp.MustCompile(`(?m)^func `+string(m[2])+`\(`).Match(source)
		}
		if !found {
			t.Errorf("docs/security.md names %s.%s, which does not exist", m[1], m[2])
		}
	}
}
