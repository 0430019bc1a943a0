package checkpoint

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The files of testdata/golden come from make.py beside them, which shares
// nothing with this package: exact fractions, rounded once.

const golden = "testdata/golden"

func openGolden(t *testing.T, name string) *File {
	t.Helper()
	f, err := Open(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestGoldenTypes(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(golden, "every.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float64
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	f := openGolden(t, "every.safetensors")
	var entries []Entry
	for _, name := range f.Names() {
		b, info, err := f.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, info.Elements())
		if err := info.DType.Decode64(got, b); err != nil || !slices.Equal(got, want[name]) {
			t.Errorf("%s is %v %v, want %v", name, got, err, want[name])
		}
		back, bad, err := info.DType.Encode64(nil, got)
		if err != nil || bad >= 0 || !bytes.Equal(back, b) {
			t.Errorf("%s encodes as %x %d %v, want %x", name, back, bad, err, b)
		}
		e, err := f.Entry(name)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if len(entries) != len(want) {
		t.Errorf("%d tensors, want %d", len(entries), len(want))
	}
	path := filepath.Join(t.TempDir(), "every.safetensors")
	if err := Write(path, entries, f.Metadata()); err != nil {
		t.Fatal(err)
	}
	sameFile(t, path, filepath.Join(golden, "every.safetensors"))
}

func sameFile(t *testing.T, got, want string) {
	t.Helper()
	g, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("%s is\n%q\nwant\n%q", filepath.Base(got), g, w)
	}
}

// goldenOrder is the order in which make.py fills the shards.
var goldenOrder = []string{"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.10.self_attn.q_proj.weight",
	"transformer.h.0.attn.c_attn.weight", "lm_head.weight", "model.norm.weight"}

// A folder written again is the same, byte for byte.
func TestGoldenShards(t *testing.T) {
	f := openGolden(t, "base")
	var entries []Entry
	for _, name := range goldenOrder {
		e, err := f.Entry(name)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	dir := t.TempDir()
	const limit = 104 // bytes: what the first shard holds
	if err := WriteSharded(dir, entries, map[string]string{"format": "pt"}, limit); err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadDir(filepath.Join(golden, "base"))
	got, _ := os.ReadDir(dir)
	if len(got) != len(want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	for _, e := range want {
		sameFile(t, filepath.Join(dir, e.Name()), filepath.Join(golden, "base", e.Name()))
	}
}

// Merged weights are the exact sum, rounded once.
func TestGoldenAdapters(t *testing.T) {
	for _, c := range []struct {
		folder  string
		targets int
	}{{"plain", 4}, {"rslora", 2}, {"fan_in", 1}} {
		base, want := openGolden(t, "base"), openGolden(t, c.folder+"/merged.safetensors")
		a, err := OpenAdapter(filepath.Join(golden, c.folder))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if !slices.Equal(a.Targets(), want.Names()) || len(want.Names()) != c.targets || len(a.Warnings()) != 0 || a.Base() != "base" {
			t.Errorf("%s: targets %q, want %q, warnings %q", c.folder, a.Targets(), want.Names(), a.Warnings())
		}
		merged, err := a.Over(base)
		if err != nil {
			t.Fatal(err)
		}
		entries := merged.Entries()
		if len(entries) != len(base.Names()) {
			t.Errorf("%s: %d tensors, want %d", c.folder, len(entries), len(base.Names()))
		}
		for _, e := range entries {
			from := want
			if !slices.Contains(want.Names(), e.Name) {
				from = base
			}
			w, info, err := from.Raw(e.Name)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := e.From(&got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), w) || e.DType != info.DType || !slices.Equal(e.Shape, info.Shape) {
				t.Errorf("%s: %s is %x, want %x", c.folder, e.Name, got.Bytes(), w)
			}
		}
	}
}
