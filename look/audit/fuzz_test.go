package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// Any rename is refused, or is a rule that is applied to any name without panic.
func FuzzParseRename(f *testing.F) {
	f.Add("s/^model\\.//", "model.layers.0")
	f.Add(`s#(a+)b#\1$2${x}#g`, "aab")
	f.Add("s////", "")
	f.Fuzz(func(t *testing.T, rule, name string) {
		r, err := ParseRename(rule)
		if err != nil {
			return
		}
		renamed([]string{name}, []Rename{r})
	})
}

// What an earlier audit left, of any bytes: refused and left as it is, or read
// up to its last whole line, from where it goes on.
func FuzzStore(f *testing.F) {
	f.Add([]byte("{\"key\": \"k\", \"tensor\": {}}\n{\"key"))
	f.Add([]byte("\n"))
	f.Add([]byte("null\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, storeFile)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openStore(dir)
		if err != nil {
			if after, err := os.ReadFile(path); err != nil || string(after) != string(b) {
				t.Fatalf("%q was refused and is now %q, %v", b, after, err)
			}
			return
		}
		had := len(s.known)
		if err := s.add("new", &Tensor{}, nil); err != nil {
			t.Fatal(err)
		}
		s.close()
		again, err := openStore(dir)
		if err != nil {
			t.Fatalf("%q, after a tensor was added: %v", b, err)
		}
		defer again.close()
		if _, ok := again.known["new"]; !ok || len(again.known) < had {
			t.Fatalf("%q had %d tensors, and with one more %d", b, had, len(again.known))
		}
	})
}

// A config.json of any bytes is refused or gives shapes that are none or fit.
func FuzzModelConfig(f *testing.F) {
	f.Add([]byte(`{"hidden_size": 8, "num_attention_heads": 2}`), int64(8), int64(8))
	f.Add([]byte(`{"text_config": {"n_embd": 8, "n_head": -2}}`), int64(4), int64(0))
	f.Add([]byte(`null`), int64(-1), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, rows, cols int64) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(dir)
		if err != nil {
			return
		}
		for _, kind := range []string{"q_proj", "o_proj", "qkv_proj", "up_proj"} {
			if r, k := c.heads(kind, rows, cols); r < 0 || k < 0 {
				t.Fatalf("%q: a head of %s has %d rows and %d columns", b, kind, r, k)
			}
		}
	})
}
