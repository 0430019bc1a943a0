package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/tensor"
)

// No beginning of a file is a file, and no error lacks its place.
func TestEveryTruncation(t *testing.T) {
	var b bytes.Buffer
	if err := Encode(&b, []Entry{{Name: "a", Tensor: tensor.New(2, 3)}, {Name: "b", DType: U8, Raw: []byte{1, 2}, Shape: []int{2}}}, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		_, err := Parse("cut.safetensors", b.Bytes()[:n])
		e, ok := errors.AsType[*Error](err)
		if !ok || e.File != "cut.safetensors" || e.Offset < 0 || e.Offset > int64(b.Len()) || e.Hint == "" {
			t.Errorf("cut to %d: %v", n, err)
		}
		// Cut within the data: the tensor that lost bytes is named.
		if header := 8 + int(leUint64(b.Bytes())); n >= header && e.Tensor == "" {
			t.Errorf("cut to %d: no tensor in %v", n, err)
		}
	}
}

// Any byte of a header may be any other: the file is refused with a place, or
// what it holds is still all inside it.
func TestEveryDamagedByte(t *testing.T) {
	good := build(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F4","shape":[2,1],"data_offsets":[4,5]}}`, "01234")
	for i := range len(good) - 5 {
		for v := range 256 {
			bad := slices.Clone(good)
			bad[i] = byte(v)
			f, err := Parse("x", bad)
			if err != nil {
				if e, ok := errors.AsType[*Error](err); !ok || e.Offset < 0 {
					t.Fatalf("byte %d as %d: %v", i, v, err)
				}
				continue
			}
			total := int64(0)
			for _, name := range f.Names() {
				raw, info, err := f.Raw(name)
				if err != nil || int64(len(raw)) != info.Bytes {
					t.Fatalf("byte %d as %d: %v", i, v, err)
				}
				total += info.Bytes
			}
			if total != 5 {
				t.Fatalf("byte %d as %d: tensors hold %d bytes", i, v, total)
			}
		}
	}
}

// What a reader allocates is bounded by the bytes there are, whatever they
// claim. A header of n bytes is read (n), turned into tokens and names (n
// each), and kept as Info, map entries and duplicate checks: 32 n and 38 n for the
// shortest descriptions and metadata, garbage of growing maps and slices
// included. The limit leaves room for another version's maps.
func TestHostileFilesAllocateWhatTheirSizeJustifies(t *testing.T) {
	const n = 1 << 20
	fill := func(open, item, end string) []byte {
		var b strings.Builder
		b.WriteString(open)
		for i := 0; b.Len() < n; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			if strings.Contains(item, "%") {
				fmt.Fprintf(&b, item, i)
			} else {
				b.WriteString(item)
			}
		}
		return build(b.String()+end, "")
	}
	length := func(n uint64) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), "{}      "...) }
	for name, data := range map[string][]byte{
		"header of 99 MB claimed":  length(99_000_000),
		"header of 2^63 claimed":   length(1 << 63),
		"tensor of 1 TB claimed":   build(`{"w":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}`, "x"),
		"nothing but tensors":      fill("{", `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, "}"),
		"nothing but metadata":     fill(`{"__metadata__":{`, `"%d":""`, "}}"),
		"one long shape":           fill(`{"w":{"shape":[`, "1", "]}}"),
		"one long list of offsets": fill(`{"w":{"data_offsets":[`, "1", "]}}"),
		"deep nesting":             build(`{"w":`+strings.Repeat("[", n), ""),
		"one long name":            build(`{"`+strings.Repeat("x", n)+`":`, ""),
		"one long string as dtype": build(`{"w":{"dtype":"`+strings.Repeat("x", n)+`"}}`, ""),
	} {
		got := allocated(func() { Parse("x", data) })
		if limit := uint64(64*len(data) + 64<<10); got > limit {
			t.Errorf("%s: %d bytes allocated for %d, more than %d", name, got, len(data), limit)
		} else {
			t.Logf("%s: %d bytes allocated for %d", name, got, len(data))
		}
	}
	index := []byte(`{"weight_map":{"a":"m.safetensors"` + strings.Repeat(" ", n))
	got := allocated(func() { OpenFS(fstest.MapFS{"model.safetensors.index.json": {Data: index}}, ".") })
	if limit := uint64(40 * len(index)); got > limit {
		t.Errorf("index: %d bytes allocated for %d", got, len(index))
	}
}
