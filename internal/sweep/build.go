package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// Build names the program that runs: its revision where it was built from a
// clean one, else a hash of the executable; and the processor, on which the last
// bits of results depend.
var Build = sync.OnceValues(func() (string, error) {
	on := " " + runtime.Version() + " " + runtime.GOARCH
	if info, ok := debug.ReadBuildInfo(); ok {
		var revision, modified string
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value
			}
		}
		if len(revision) >= 12 && modified == "false" {
			return revision[:12] + on, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the program's file, whose hash names it: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hashing the program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hashing the program: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)[:6]) + on, nil
})
