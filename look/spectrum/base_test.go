package spectrum

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBaseOnDisk: a loaded base gives the bytes that a fresh one gives, and any
// other key, option or damage is refused.
func TestBaseOnDisk(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	w0 := decaying(r, 60, 44)
	w1 := perturbed(r, w0, 1e-3)
	ctx := context.Background()
	for _, mode := range bothModes {
		o := Options{K: 8, Mode: mode, Seed: "layers.0.weight"}
		path := filepath.Join(t.TempDir(), "base")
		if _, err := LoadBase(path, "aa", 60, 44, o); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("no file: %v", err)
		}
		b, err := NewBase(ctx, w0, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Save(path, "aa"); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadBase(path, "aa", 60, 44, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := loaded.Compare(ctx, w0, w1)
		if err != nil {
			t.Fatal(err)
		}
		want := mustCompare(t, w0, w1, o)
		gj, _ := json.Marshal(got)
		wj, _ := json.Marshal(want)
		if string(gj) != string(wj) {
			t.Errorf("%s: a loaded base gives\n%s\na fresh one\n%s", mode, gj, wj)
		}
		for name, load := range map[string]func() (*Base, error){
			"key":   func() (*Base, error) { return LoadBase(path, "ab", 60, 44, o) },
			"shape": func() (*Base, error) { return LoadBase(path, "aa", 44, 60, o) },
			"k":     func() (*Base, error) { return LoadBase(path, "aa", 60, 44, Options{K: 9, Mode: mode, Seed: o.Seed}) },
			"seed":  func() (*Base, error) { return LoadBase(path, "aa", 60, 44, Options{K: 8, Mode: mode}) },
		} {
			if _, err := load(); !errors.Is(err, ErrOtherBase) {
				t.Errorf("another %s: %v", name, err)
			}
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(raw); at += 97 {
			bad := append([]byte(nil), raw...)
			bad[at] ^= 4
			mustRefuse(t, path, bad, o)
		}
		for _, n := range []int{0, 10, len(baseMagic), 60, len(raw) - 1} {
			mustRefuse(t, path, raw[:n], o)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".base-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if _, err := NewBase(ctx, w0, Options{Mode: None}); err == nil {
		t.Error("mode none made a base")
	}
	if err := new(Base).Save(filepath.Join(t.TempDir(), "no", "such"), "x"); err == nil {
		t.Error("saved into a folder that does not exist")
	}
}

func mustRefuse(t *testing.T, path string, content []byte, o Options) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadBase(path, "aa", 60, 44, o); err == nil || !strings.Contains(err.Error(), "made anew") {
		t.Errorf("a damaged file of %d bytes: %v", len(content), err)
	}
}
