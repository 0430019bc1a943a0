package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"orrery/learn/tensor"
)

// Whatever the header and the data, Parse returns; what it accepts tiles the
// data, can be read, and written again gives tensors equal to the byte.
// Further seeds are in testdata/fuzz.
func FuzzHeader(f *testing.F) {
	f.Add(`{}`, []byte{})
	f.Add(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"__metadata__":{"k":"v"}} `, []byte("0123"))
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		file, err := Parse("fuzz", build(header, string(data)))
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.File != "fuzz" || e.Offset < 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var entries []Entry
		total := int64(0)
		for _, name := range file.Names() {
			raw, info, err := file.Raw(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.DType.Float() {
				if _, err := file.Tensor(name); err != nil {
					t.Fatal(err)
				}
			}
			total += info.Bytes
			entries = append(entries, Entry{Name: name, DType: info.DType, Raw: raw, Shape: info.Shape})
		}
		if total != int64(len(data)) {
			t.Fatalf("tensors hold %d bytes, the file %d", total, len(data))
		}
		var out bytes.Buffer
		if err := Encode(&out, entries, file.Metadata()); err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again", out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if raw, _, err := again.Raw(e.Name); err != nil || !bytes.Equal(raw, e.Raw) {
				t.Fatalf("%q came back changed: %v", e.Name, err)
			}
		}
	})
}

// Whatever the index, OpenFS returns; what it accepts names only tensors of
// the shards beside it.
func FuzzIndex(f *testing.F) {
	one := build(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12")
	f.Add([]byte(`{"metadata":{"total_size":2},"weight_map":{"a":"m.safetensors","b":"m.safetensors"}}`))
	f.Fuzz(func(t *testing.T, index []byte) {
		file, err := OpenFS(fstest.MapFS{"d/model.safetensors.index.json": {Data: index}, "d/m.safetensors": {Data: one}, "m.safetensors": {Data: one}}, "d")
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.File == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var text struct {
			Map map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(index, &text); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(file.Names(), slices.Sorted(maps.Keys(text.Map))) {
			t.Fatalf("names %q of the index %q", file.Names(), index)
		}
		for _, name := range file.Names() {
			if raw, _, err := file.Raw(name); err != nil || len(raw) != 1 {
				t.Fatal(err)
			}
		}
	})
}

// Whatever the configuration, the parser returns; what it accepts is JSON with
// a positive rank and a finite scale for every module.
func FuzzAdapterConfig(f *testing.F) {
	f.Add([]byte(`{"peft_type":"LORA","r":8,"lora_alpha":16,"rank_pattern":{"q_proj":4},"alpha_pattern":{"^a.*b$":1.5},"modules_to_save":["x"]}`), "m.q_proj")
	f.Fuzz(func(t *testing.T, raw []byte, module string) {
		c, err := parseAdapterConfig(raw)
		if err != nil {
			if err.Offset < 0 || err.Err == nil {
				t.Fatal(err)
			}
			return
		}
		r, scale := c.scale(module)
		if !json.Valid(raw) || r <= 0 || math.IsNaN(scale) || math.IsInf(scale, 0) {
			t.Fatalf("rank %d and scale %g of %q", r, scale, raw)
		}
	})
}

// Whatever is to be written as GGUF: it is refused with a word about which, or
// an independent reader finds all of it again.
func FuzzGGUF(f *testing.F) {
	f.Add("general.name", "text", "t", uint16(3), uint16(4), 1.5)
	f.Add("", "", "", uint16(0), uint16(0), math.NaN())
	f.Add("k", "\xff", "a name that is longer than the sixty-three bytes that the format has room for", uint16(1), uint16(1), math.Inf(1))
	f.Fuzz(func(t *testing.T, key, value, name string, rows, cols uint16, x float64) {
		shape := []int{int(rows % 50), int(cols % 50)}
		a := tensor.New(shape...)
		for i := range a.Data {
			a.Data[i] = float32(x)
		}
		raw := make([]byte, 2*shape[0])
		entries := []Entry{{Name: name, Tensor: a, DType: F32}, {Name: name + "b", Raw: raw, DType: BF16, Shape: []int{shape[0]}}}
		meta := []KV{{key, value}, {key + "n", []int32{int32(rows)}}, {key + "l", []string{value, name}}, {key + "x", float32(x)}, {key + "t", rows > cols}}
		path := filepath.Join(t.TempDir(), "x.gguf")
		if err := WriteGGUF(path, meta, entries); err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.File != path {
				t.Fatalf("%T: %v", err, err)
			}
			if _, err := os.Stat(path); err == nil {
				t.Fatal("a file that was refused is there")
			}
			return
		}
		r := readGGUF(t, path)
		if got, ok := r.meta[key].(string); !ok || got != value {
			t.Fatalf("%q is %q, was %q", key, r.meta[key], value)
		}
		if len(r.meta) != len(meta) {
			t.Fatalf("%d keys were written and %d are read", len(meta), len(r.meta))
		}
	})
}
