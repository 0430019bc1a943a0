package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/tensor"
)

// build makes a safetensors file from header text and data.
func build(header string, data string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// The published description of the format, byte for byte: length, JSON, data.
func TestParseHandMadeFile(t *testing.T) {
	f, err := Parse("x", build(`{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},"a":{"shape":[1,2],"data_offsets":[0,8],"dtype":"F32"}}   `,
		"\x00\x00\x80\x3f\x00\x00\x00\xc0"+"\x80\x3f\x00\xc0"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("names %v", got)
	}
	if f.Metadata()["format"] != "pt" {
		t.Errorf("metadata %v", f.Metadata())
	}
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.Data, []float32{1, -2}) {
			t.Errorf("%s is %v", name, x.Data)
		}
	}
	if i, _ := f.Info("a"); !slices.Equal(i.Shape, []int{1, 2}) || i.DType != F32 || i.Elements() != 2 {
		t.Errorf("info %+v", i)
	}
	_, err = f.Tensor("c")
	if e, ok := errors.AsType[*Error](err); !ok || e.Tensor != "c" || !errors.Is(err, ErrNoTensor) {
		t.Errorf("missing tensor: %v", err)
	}
}

func TestHostileHeaders(t *testing.T) {
	one := func(info string) string { return `{"w":` + info + `}` }
	good := `{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for _, c := range []struct {
		name, header, data, want string
		tensor                   string
	}{
		{"duplicate tensor", `{"w":` + good + `,"w":` + good + `}`, "01234567", "stands twice", ""},
		{"duplicate by escape", `{"w":` + good + `,"\u0077":` + good + `}`, "01234567", "stands twice", ""},
		{"duplicate field", one(`{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}`), "01234567", "stands twice", "w"},
		{"duplicate metadata", `{"__metadata__":{},"__metadata__":{}}`, "", "stands twice", ""},
		{"duplicate metadata key", `{"__metadata__":{"a":"1","a":"2"}}`, "", "stands twice", ""},
		{"metadata not strings", `{"__metadata__":{"a":1}}`, "", "expected a string", ""},
		{"key in capitals", one(`{"DTYPE":"F32","shape":[2],"data_offsets":[0,8]}`), "01234567", "unknown key", "w"},
		{"extra key", one(`{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":[]}`), "01234567", "unknown key", "w"},
		{"missing key", one(`{"dtype":"F32","data_offsets":[0,8]}`), "01234567", "are all needed", "w"},
		{"unknown dtype", one(`{"dtype":"F33","shape":[2],"data_offsets":[0,8]}`), "01234567", "unknown dtype", "w"},
		{"half a byte", one(`{"dtype":"F4","shape":[3],"data_offsets":[0,2]}`), "01", "no whole number of bytes", "w"},
		{"negative dimension", one(`{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}`), "01234567", "not a whole number", "w"},
		{"fractional dimension", one(`{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}`), "01234567", "not a whole number", "w"},
		{"string dimension", one(`{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}`), "01234567", "not a whole number", "w"},
		{"overflow", one(`{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}`), "01234567", "overflows", "w"},
		{"overflow to the right size", one(`{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}`), "01234567", "overflows", "w"},
		{"overflow behind zero", one(`{"dtype":"U8","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}`), "", "overflows", "w"},
		{"dimension above int64", one(`{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,8]}`), "01234567", "not a whole number", "w"},
		{"too many dimensions", one(`{"dtype":"F32","shape":[` + strings.Repeat("1,", 64) + `2],"data_offsets":[0,8]}`), "01234567", "more than 64", "w"},
		{"length is not dtype times shape", one(`{"dtype":"F32","shape":[3],"data_offsets":[0,8]}`), "01234567", "takes 12 bytes, data_offsets span 8", "w"},
		{"offsets reversed", one(`{"dtype":"F32","shape":[2],"data_offsets":[8,0]}`), "01234567", "before they begin", "w"},
		{"one offset", one(`{"dtype":"F32","shape":[2],"data_offsets":[0]}`), "01234567", "not a begin and an end", "w"},
		{"three offsets", one(`{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}`), "01234567", "more than 2", "w"},
		{"past the end", one(good), "0123456", "pass the end", "w"},
		{"far past the end", one(`{"dtype":"U8","shape":[1152921504606846975],"data_offsets":[0,1152921504606846975]}`), "x", "pass the end", "w"},
		{"hole at the start", one(`{"dtype":"F32","shape":[2],"data_offsets":[4,12]}`), "0123456789ab", "belong to no tensor", "w"},
		{"overlap", `{"a":` + good + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, "0123456789ab", `overlap those of "a"`, "b"},
		{"same bytes twice", `{"a":` + good + `,"b":` + good + `}`, "01234567", `overlap those of "a"`, "b"},
		{"trailing bytes", one(good), "012345678", "after the last tensor", ""},
		{"not an object", `[]`, "", "doesn't begin with {", ""},
		{"leading blank", ` {}`, "", "doesn't begin with {", ""},
		{"unclosed", `{"w":` + good, "01234567", "unexpected EOF", ""},
		{"something after", `{}x`, "", "only blanks may follow", ""},
		{"two objects", `{}{}`, "", "only blanks may follow", ""},
		{"not UTF-8", "{\"\xff\":" + good + "}", "01234567", "isn't UTF-8", ""},
		{"tensor is a number", `{"w":1}`, "", "expected", "w"},
		{"deep nesting", one(strings.Repeat("[", 100_000)), "", "expected", "w"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("file.safetensors", build(c.header, c.data))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(e.Error(), c.want) || e.Tensor != c.tensor || e.File != "file.safetensors" || e.Offset < 0 {
				t.Errorf("got %v (tensor %q, offset %d), want %q in tensor %q", e, e.Tensor, e.Offset, c.want, c.tensor)
			}
		})
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty file", nil, "takes 8"},
		{"short file", []byte("1234567"), "takes 8"},
		{"header past the end", append(build(`{}`, "")[:8], '{'), "passes the end"},
		{"header above the limit", binary.LittleEndian.AppendUint64(nil, 100_000_001), "above the limit"},
		{"header length negative as int64", binary.LittleEndian.AppendUint64(nil, 1<<63+8), "above the limit"},
	} {
		if _, err := Parse("x", c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// A claim of a huge tensor or header must fail before it allocates: the whole
// parse of a small file stays below what its size justifies.
func TestLiesAllocateLittle(t *testing.T) {
	lie := build(`{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}`, "1234")
	got := testing.AllocsPerRun(10, func() {
		if _, err := Parse("x", lie); err == nil {
			t.Error("accepted")
		}
	})
	if got > 200 { // some dozens of tokens and the error; a terabyte would not even start
		t.Errorf("%v allocations", got)
	}
}

// sample is one tensor of every type, with every bfloat16 and half code.
func sample() []Entry {
	all := tensor.New(256, 256)
	half := tensor.New(1<<16 - 2048)
	n := 0
	for c := range 1 << 16 {
		all.Data[c] = BF16To(uint16(c))
		if c&0x7c00 != 0x7c00 {
			half.Data[n] = F16To(uint16(c))
			n++
		}
	}
	entries := []Entry{
		{Name: "bf16", Tensor: all, DType: BF16},
		{Name: "f16", Tensor: half, DType: F16},
		{Name: "f32", Tensor: all, DType: F32},
		{Name: "default", Tensor: tensor.Of([]float32{1.5, float32(math.Pi), math.SmallestNonzeroFloat32}, 3)},
		{Name: "f64", Tensor: tensor.Of([]float32{-0.1, float32(math.Copysign(0, -1))}, 1, 2, 1), DType: F64},
		{Name: "scalar", Tensor: tensor.Of([]float32{7}), DType: F32},
		{Name: "empty", Tensor: tensor.New(0, 5), DType: F16},
		{Name: `odd "name" \ äöü` + "\n\x01", Tensor: tensor.New(1)},
	}
	for _, d := range []DType{I8, U8, I16, U16, I32, U32, I64, U64, Bool, C64, F8E8M0, F4, F6E2M3, F6E3M2} {
		raw := make([]byte, 4*d.Bits()/8)
		for i := range raw {
			raw[i] = byte(i) & 1
		}
		entries = append(entries, Entry{Name: "raw " + string(d), DType: d, Raw: raw, Shape: []int{4}})
	}
	return entries
}

func TestRoundTrip(t *testing.T) {
	entries := sample()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	meta := map[string]string{"format": "pt", "b": "<&>", "a": ""}
	if err := Write(path, entries, meta); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := leUint64(first); n%8 != 0 {
		t.Errorf("the data begin at %d, not at a multiple of 8", n+8)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Names()) != len(entries) || !maps.Equal(f.Metadata(), meta) {
		t.Fatalf("names %q, metadata %v", f.Names(), f.Metadata())
	}
	var again []Entry
	for _, e := range entries {
		raw, info, err := f.Raw(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if info.DType != e.dtype() || !slices.Equal(info.Shape, e.shape()) || info.Offset%int64(max(info.DType.Size(), 1)) != 0 {
			t.Errorf("%q is %+v", e.Name, info)
		}
		again = append(again, Entry{Name: e.Name, DType: info.DType, Raw: raw, Shape: info.Shape})
		if e.Tensor == nil {
			if !bytes.Equal(raw, e.Raw) {
				t.Errorf("%q came back changed", e.Name)
			}
			if _, err := f.Tensor(e.Name); errors.Is(err, ErrUnsupported) == info.DType.Float() {
				t.Errorf("%q as float32: %v", e.Name, err)
			}
			continue
		}
		x, err := f.Tensor(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range x.Data {
			if math.Float32bits(v) != math.Float32bits(e.Tensor.Data[i]) {
				if v != v && info.DType == F64 {
					continue
				}
				t.Fatalf("%q[%d] is %g (%08x), was %g", e.Name, i, v, math.Float32bits(v), e.Tensor.Data[i])
			}
		}
	}
	slices.Reverse(again) // the order of entries must not matter
	var second bytes.Buffer
	if err := Encode(&second, again, meta); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second.Bytes()) {
		t.Error("the same tensors gave other bytes")
	}
}

// One file by the reference's rules, written out: compact JSON, metadata
// first, wide types first, then names, blanks to a multiple of 8.
func TestWrittenBytes(t *testing.T) {
	var b bytes.Buffer
	err := Encode(&b, []Entry{
		{Name: "z", Tensor: tensor.Of([]float32{1}, 1), DType: BF16},
		{Name: "b", Tensor: tensor.Of([]float32{-2}, 1), DType: F32},
		{Name: "a", Tensor: tensor.Of([]float32{2}, 1), DType: F32},
	}, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	head := `{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"z":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]}}`
	for len(head)%8 != 0 {
		head += " "
	}
	if want := build(head, "\x00\x00\x00\x40\x00\x00\x00\xc0\x80\x3f"); !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got  %q\nwant %q", b.Bytes(), want)
	}
}

// Outputs of the reference implementation, as its own tests record them: the
// length of the header, its text and its blanks.
func TestReferenceOutputs(t *testing.T) {
	six := tensor.Of([]float32{0, 1, 2, 3, 4, 5}, 1, 2, 3)
	data := "\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40"
	for _, c := range []struct {
		entries []Entry
		meta    map[string]string
		length  int
		want    string
	}{
		{[]Entry{{Name: "attn.0", Tensor: six}}, nil, 64, `{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}` + data},
		{[]Entry{{Name: "attn0", Tensor: tensor.Of(six.Data, 1, 1, 2, 3)}}, nil, 72, `{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       ` + data},
		{nil, nil, 8, "{}      "},
		{nil, map[string]string{"framework": "pt"}, 40, `{"__metadata__":{"framework":"pt"}}     `},
	} {
		var b bytes.Buffer
		if err := Encode(&b, c.entries, c.meta); err != nil {
			t.Fatal(err)
		}
		if got := b.Bytes(); leUint64(got) != uint64(c.length) || string(got[8:]) != c.want {
			t.Errorf("got  %d %q\nwant %d %q", leUint64(got), got[8:], c.length, c.want)
		}
	}
}

func TestWriteRefusals(t *testing.T) {
	x := tensor.New(2)
	for _, c := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"twice", []Entry{{Name: "a", Tensor: x}, {Name: "a", Tensor: x}}, "given twice"},
		{"reserved", []Entry{{Name: "__metadata__", Tensor: x}}, "reserved"},
		{"integer from float", []Entry{{Name: "a", Tensor: x, DType: I64}}, "unsupported dtype"},
		{"scale from float", []Entry{{Name: "a", Tensor: x, DType: F8E8M0}}, "unsupported dtype"},
		{"complex from float", []Entry{{Name: "a", Tensor: x, DType: C64}}, "unsupported dtype"},
		{"fp8 overflow", []Entry{{Name: "a", Tensor: tensor.Of([]float32{465}, 1), DType: F8E4M3}}, "element 0, 465, is beyond"},
		{"both", []Entry{{Name: "a", Tensor: x, Raw: []byte{}}}, "more than one of"},
		{"raw too short", []Entry{{Name: "a", Raw: []byte{1}, DType: I16, Shape: []int{1}}}, "takes 2 bytes, 1 are given"},
		{"half overflow", []Entry{{Name: "a", Tensor: tensor.Of([]float32{0, 65520}, 2), DType: F16}}, "element 1, 65520, is beyond"},
		{"bfloat16 overflow", []Entry{{Name: "a", Tensor: tensor.Of([]float32{math.MaxFloat32}, 1), DType: BF16}}, "element 0"},
		{"not UTF-8", []Entry{{Name: "\xff", Tensor: x}}, "isn't UTF-8"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.safetensors")
		if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Write(path, c.entries, nil)
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), c.want) || e.File != path || e.Tensor != c.entries[0].Name {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		kept, _ := os.ReadFile(path)
		list, _ := os.ReadDir(dir)
		if string(kept) != "before" || len(list) != 1 {
			t.Errorf("%s: a failed write left %v, content %q", c.name, list, kept)
		}
	}
	inf := tensor.Of([]float32{float32(math.Inf(-1)), float32(math.NaN())}, 2)
	if err := Encode(io.Discard, []Entry{{Name: "a", Tensor: inf, DType: F16}}, nil); err != nil {
		t.Errorf("infinities that were infinite already: %v", err)
	}
}

func shards(t *testing.T) fstest.MapFS {
	file := func(names ...string) *fstest.MapFile {
		var entries []Entry
		for i, n := range names {
			entries = append(entries, Entry{Name: n, Tensor: tensor.Of([]float32{float32(i)}, 1)})
		}
		var b bytes.Buffer
		if err := Encode(&b, entries, nil); err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: b.Bytes()}
	}
	return fstest.MapFS{
		"m/model.safetensors.index.json":     {Data: []byte(`{"metadata":{"total_size":12,"x":"y"},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}}`)},
		"m/m-1.safetensors":                  file("a", "c"),
		"m/m-2.safetensors":                  file("b"),
		"m/config.json":                      {Data: []byte(`{}`)},
		"single/model.safetensors":           file("a"),
		"both/model.safetensors":             file("a"),
		"both/x.safetensors.index.json":      {Data: []byte(`{`)},
		"other/weights.safetensors":          file("a"),
		"none/readme":                        {},
		"several/a.safetensors.index.json":   {},
		"several/b.safetensors.index.json":   {},
		"m/sub.safetensors/ignored":          {},
		"m/not-a-shard.safetensors.json.bak": {},
	}
}

func TestSharded(t *testing.T) {
	fsys := shards(t)
	f, err := OpenFS(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b", "c"}) || len(f.Warnings()) != 0 {
		t.Fatalf("names %v, warnings %q", got, f.Warnings())
	}
	if c, err := f.Tensor("c"); err != nil || c.Data[0] != 1 {
		t.Errorf("c: %v %v", c, err)
	}
	if m := f.Metadata(); m["total_size"] != "12" || m["x"] != "y" {
		t.Errorf("metadata %v", m)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"m/model.safetensors.index.json", "single", "both", "other/weights.safetensors"} {
		f, err := OpenFS(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "both" && len(f.Warnings()) != 1 {
			t.Errorf("an index that isn't used: warnings %q", f.Warnings())
		}
		f.Close()
	}
	root, _ := fs.Sub(fsys, "m")
	if _, err := OpenFS(root, "."); err != nil {
		t.Error(err)
	}
	// The same folder on disk, and through Open.
	dir := t.TempDir()
	if err := os.CopyFS(dir, root); err != nil {
		t.Fatal(err)
	}
	disk, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if i, _ := disk.Info("b"); i.File != filepath.Join(dir, "m-2.safetensors") {
		t.Errorf("b is in %s", i.File)
	}
}

func TestHostileFolders(t *testing.T) {
	for _, c := range []struct{ name, open, index, want string }{
		{"no model", "none", "", "no safetensors file"},
		{"other name", "other", "", "weights.safetensors"},
		{"several", "several", "", "several indexes"},
		{"absent", "nowhere/x.safetensors", "", "does not exist"},
		{"missing shard", "m", `{"weight_map":{"a":"m-3.safetensors"}}`, "m-3.safetensors, tensor \"a\": file does not exist"},
		{"absent from its shard", "m", `{"weight_map":{"b":"m-1.safetensors"}}`, "doesn't hold it"},
		{"parent folder", "m", `{"weight_map":{"a":"../single/model.safetensors"}}`, "path separator"},
		{"backslash", "m", `{"weight_map":{"a":"..\\model.safetensors"}}`, "path separator"},
		{"other file", "m", `{"weight_map":{"a":"config.json"}}`, "isn't that of a .safetensors file"},
		{"shard is a folder", "m", `{"weight_map":{"a":"sub.safetensors"}}`, "a folder"},
		{"duplicate tensor", "m", `{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}`, "stands twice"},
		{"no map", "m", `{}`, "no weight_map"},
		{"trailing", "m", `{"weight_map":{}} {}`, "closing brace"},
		{"truncated", "m", `{"weight_map":`, "unexpected EOF"},
	} {
		fsys := shards(t)
		if c.index != "" {
			fsys["m/model.safetensors.index.json"].Data = []byte(c.index)
		}
		_, err := OpenFS(fsys, c.open)
		if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	fsys := shards(t)
	fsys["m/model.safetensors.index.json"].Data = []byte(`{"weight_map":{"a":"m-1.safetensors"}}`)
	f, err := OpenFS(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"m-2.safetensors is in the folder but not in the index", `tensor "c" of m-1.safetensors is not in the index`}; !slices.Equal(f.Warnings(), want) {
		t.Errorf("warnings %q, want %q", f.Warnings(), want)
	}
}

// Truncation after opening shows as an error that names the byte.
func TestFileShrinksWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := Write(path, []Entry{{Name: "w", Tensor: tensor.New(100)}}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 200); err != nil {
		t.Fatal(err)
	}
	_, err = f.Tensor("w")
	if e, ok := errors.AsType[*Error](err); !ok || e.Tensor != "w" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if _, _, err = f.Raw("w"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}
