package grok

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The files of a run folder, of any bytes: errors, or a history that has a line
// for each whole line of the file; nothing of a line that is still being written.
func FuzzRunFiles(f *testing.F) {
	f.Add([]byte(`{"config": {"recipe": "grok", "settings": {}}}`), []byte("{\"epoch\": 1}\n{\"epo"))
	f.Add([]byte(`{}`), []byte("\n"))
	f.Fuzz(func(t *testing.T, config, metrics []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"config.json": config, "metrics.jsonl": metrics} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, err := ReadMetrics(dir)
		if lines := bytes.Count(metrics, []byte("\n")); err == nil && len(h) != lines {
			t.Fatalf("%q has %d lines and a history of %d", metrics, lines, len(h))
		}
		h.Reached(true, Enough)
		h.Reached(false, Enough)
		(&Gromov{}).lines(dir)
		if c, err := ReadConfig(dir); err == nil {
			flatten(c.Settings)
		}
		if r, err := OpenRun(dir); err == nil && (r.Group == nil || len(r.Metrics) != len(h)) {
			t.Fatalf("%q opens as %+v", config, r)
		}
	})
}

// A kept epoch's file name is one that EpochFile makes, or none.
func FuzzEpochFile(f *testing.F) {
	for _, s := range []string{"epoch-12.safetensors", "epoch--1.safetensors", "epoch-012.safetensors", "epoch-+1.safetensors", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := parseEpochFile(name); ok && (n < 0 || EpochFile(n) != name) {
			t.Fatalf("%q is epoch %d, whose file is %q", name, n, EpochFile(n))
		}
	})
}
