package tensor

import (
	"strings"
	"testing"
)

func TestChooseLevel(t *testing.T) {
	for _, c := range []struct {
		wish string
		best level
		want level
		fail string // part of the error
	}{
		{"", levelAVX512, levelAVX512, ""},
		{"", levelGo, levelGo, ""},
		{"go", levelAVX512, levelGo, ""},
		{"avx2", levelAVX512, levelAVX2, ""},
		{"avx2", levelAVX2, levelAVX2, ""},
		{"avx512", levelAVX2, 0, `the best it can do is "avx2"`},
		{"avx2", levelGo, 0, `the best it can do is "go"`},
		{"neon", levelAVX512, 0, "use go, avx2 or avx512"},
		{"AVX2", levelAVX512, 0, "use go, avx2 or avx512"},
	} {
		got, err := chooseLevel(c.wish, c.best)
		if c.fail == "" && (err != nil || got != c.want) {
			t.Errorf("%q with %v: %v, %v; want %v", c.wish, c.best, got, err, c.want)
		}
		if c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail) || !strings.Contains(err.Error(), kernelVariable)) {
			t.Errorf("%q with %v: error %v, want one with %q", c.wish, c.best, err, c.fail)
		}
	}
}
