package eval

import (
	"os"
	"path/filepath"
	"testing"
)

// An evaluation's log of any bytes is refused and left as it is, or goes on
// after its last whole record.
func FuzzLog(f *testing.F) {
	f.Add([]byte("{\"run\":\"r\",\"task\":\"t\",\"index\":1}\n{\"run\":\"r"))
	f.Add([]byte("notes of somebody else"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "log.jsonl")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(path)
		after, bad := os.ReadFile(path)
		if bad != nil {
			t.Fatal(bad)
		}
		if err != nil {
			if string(after) != string(b) {
				t.Fatalf("%q was refused (%v) and is now %q", b, err, after)
			}
			return
		}
		l.file.Close()
		if len(after) > 0 && after[len(after)-1] != '\n' || len(after) > len(b) {
			t.Fatalf("%q is opened as %q", b, after)
		}
	})
}
