package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A training's metrics of any bytes, which may still be written: an error that
// names the line, or a metric for each whole line.
func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte("{\"kind\": \"step\", \"step\": 1, \"loss\": 1}\n{\"kind\": \"ev"))
	f.Add([]byte("{}\nnull\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		metrics, err := readMetrics(bytes.NewReader(b))
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		if lines := bytes.Count(b, []byte("\n")); len(metrics) != lines {
			t.Fatalf("%q has %d lines and %d metrics", b, lines, len(metrics))
		}
		trainPage("r", metrics, "")
	})
}

// Sizes, keys and limits as they are typed: refused, or sound. No key is
// repeated in an error.
func FuzzFlagWords(f *testing.F) {
	for _, s := range []string{"500M", "1e3G", "0", "9999999999999T", "sha256:00", "sha256:" + strings.Repeat("0f", 32), "requests=60,tokens=1", "requests=1,requests=2", "=,=", "a, b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseBytes(s); err == nil && n < 1 {
			t.Fatalf("%q is %d bytes", s, n)
		}
		if _, err := parseKey("name", s); err != nil && len(s) > 16 && strings.Contains(err.Error(), s[7:]) {
			t.Fatalf("%q is repeated: %v", s, err)
		}
		k := keyFlags{limits: s}
		if l, err := k.defaults(); err == nil && (l.Requests < 0 || l.Tokens < 0 || l.Concurrent < 0 || l.Budget < 0) {
			t.Fatalf("%q is %+v", s, l)
		}
	})
}

// Text of models and servers on one line of a terminal: no line break and no
// control character is left.
func FuzzOneLine(f *testing.F) {
	f.Add("a\nb\x1b[2J\u2028\u202e\xff\a")
	f.Fuzz(func(t *testing.T, s string) {
		out := oneLine(s)
		if !utf8.ValidString(out) || strings.IndexFunc(out, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\u202e' }) >= 0 {
			t.Fatalf("%q is shown as %q", s, out)
		}
	})
}
