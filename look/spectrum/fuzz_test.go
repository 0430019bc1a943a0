package spectrum

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A kept spectrum with any header and numbers, and the digest that fits them:
// an error or a base of the size that was asked for.
func FuzzLoadBase(f *testing.F) {
	f.Add([]byte(`{}`), make([]byte, 8*(5+2+2+8)), 2, 2)
	f.Add([]byte(`{}`), make([]byte, 8*(5+2+8)), 2, 0)
	f.Add([]byte(`{"k": -1, "rows": 0}`), []byte{}, 3, -1)
	f.Fuzz(func(t *testing.T, more, numbers []byte, n, sigma int) {
		n = 1 + int(uint(n-1)%6)
		o := Options{K: 2}
		h := o.header("key", n, n)
		h.Sigma = sigma
		json.Unmarshal(more, &h) // what it changes is wrong, or is taken
		line, err := json.Marshal(h)
		if err != nil {
			t.Skip("the header cannot be written")
		}
		b := append(append(append([]byte(baseMagic), line...), '\n'), numbers...)
		digest := sha256.Sum256(b)
		path := filepath.Join(t.TempDir(), "base")
		if err := os.WriteFile(path, append(b, digest[:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		base, err := LoadBase(path, "key", n, n, o)
		if err == nil && (base.f.k != o.clippedK(n, n) || len(base.f.sigma) < base.f.k || len(base.f.u.data) != n*base.f.k) {
			t.Fatalf("%s is read as %+v", line, base.f)
		}
	})
}
