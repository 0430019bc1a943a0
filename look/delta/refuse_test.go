package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
)

// smallPair is a base and an update of few bytes that uses every encoding,
// coding and kind of file, with the tuned folder.
func smallPair(t testing.TB, o Options) (base, update, tuned string) {
	t.Helper()
	r := rand.New(rand.NewPCG(15, 16))
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	step := func(b []byte, every int) []byte {
		b = slices.Clone(b)
		for i := 0; i < len(b); i += every {
			b[i]++
		}
		return b
	}
	dir := t.TempDir()
	base, tuned, update = filepath.Join(dir, "base"), filepath.Join(dir, "tuned"), filepath.Join(dir, "update.safetensors")
	gap, bitmap, dense, same, small := data(900), data(300), data(180), data(20), data(6)
	write(t, filepath.Join(base, "model.safetensors"), []raw{
		{"gap", checkpoint.BF16, []int{450}, gap}, {"bitmap", checkpoint.BF16, []int{150}, bitmap}, {"dense", checkpoint.F32, []int{45}, dense},
		{"same", checkpoint.F16, []int{10}, same}, {"small", checkpoint.I8, []int{6}, small},
	}, nil)
	write(t, filepath.Join(tuned, "model.safetensors"), []raw{
		{"gap", checkpoint.BF16, []int{450}, step(gap, 40)}, {"bitmap", checkpoint.BF16, []int{150}, step(bitmap, 4)}, {"dense", checkpoint.F32, []int{45}, step(dense, 1)},
		{"same", checkpoint.F16, []int{10}, same}, {"small", checkpoint.I8, []int{6}, step(small, 5)}, {"new", checkpoint.U8, []int{3}, data(3)},
	}, nil)
	writeFile(t, filepath.Join(base, "same.txt"), "the same")
	writeFile(t, filepath.Join(tuned, "same.txt"), "the same")
	writeFile(t, filepath.Join(tuned, "text.txt"), strings.Repeat("a", 200))
	writeFile(t, filepath.Join(tuned, "tiny"), "t")
	if _, err := Make(context.Background(), base, tuned, update, o); err != nil {
		t.Fatal(err)
	}
	return base, update, tuned
}

// refused checks that a damaged update gives an error and nothing else, or, as
// in the padding of its header, is harmless.
func refused(t *testing.T, base, tuned, dir string, update []byte, what string) (harmless bool) {
	t.Helper()
	// Most are refused when they are opened, which needs no file to show.
	if f, err := checkpoint.Parse("u", update); err != nil {
		return false
	} else if _, err := newDelta("u", f); err != nil {
		return false
	}
	path, out := filepath.Join(dir, "u"), filepath.Join(dir, "out")
	os.Remove(path) // some file systems flush what is overwritten
	if err := os.WriteFile(path, update, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Apply(context.Background(), base, path, out, ApplyOptions{Workers: 1})
	if err != nil {
		onlyThese(t, dir, "u")
		if errors.Is(err, ErrWrongBase) {
			t.Errorf("%s: the base is blamed: %v", what, err)
		}
		return false
	}
	sameTree(t, out, tuned)
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	return true
}

// Every byte, one bit of it flipped; of coded blobs every bit.
func TestEveryFlippedByteIsRefused(t *testing.T) {
	for _, o := range []Options{{}, {Plain: true}} {
		base, update, tuned := smallPair(t, o)
		good, err := os.ReadFile(update)
		if err != nil {
			t.Fatal(err)
		}
		f, err := checkpoint.Open(update)
		if err != nil {
			t.Fatal(err)
		}
		header := int(f.Shards()[0].Data)
		f.Close()
		dir := t.TempDir()
		harmless := 0
		step := 1
		if testing.Short() {
			step = 7 // coprime to 8, so that all bits have their turn
		}
		for i := 0; i < len(good); i += step {
			for bit := range 8 {
				if o.Plain && i < header { // read by the same code as the other's
					break
				}
				if (i < header || o.Plain) && bit != i%8 {
					continue
				}
				bad := slices.Clone(good)
				bad[i] ^= 1 << bit
				if refused(t, base, tuned, dir, bad, fmt.Sprintf("byte %d, bit %d", i, bit)) {
					harmless++
					if o.Plain && i >= header {
						t.Errorf("bit %d of byte %d, in a plain blob, has no meaning", bit, i)
					}
				}
			}
		}
		t.Logf("%d bytes, %d of header; %d flips were harmless", len(good), header, harmless)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	base, update, tuned := smallPair(t, Options{})
	good, err := os.ReadFile(update)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for n := range good {
		if refused(t, base, tuned, dir, good[:n], fmt.Sprintf("%d bytes", n)) {
			t.Errorf("the first %d of %d bytes are enough", n, len(good))
		}
	}
	if refused(t, base, tuned, dir, append(slices.Clone(good), 0), "one more") {
		t.Error("a byte too many goes unnoticed")
	}
}

func TestWrongBaseIsRefused(t *testing.T) {
	base, update, tuned := smallPair(t, Options{})
	other := func(change func(list []raw) []raw) string {
		dir := filepath.Join(t.TempDir(), "other")
		f, err := checkpoint.Open(base)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var list []raw
		for _, name := range f.Names() {
			b, info, err := f.Raw(name)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, raw{name, info.DType, info.Shape, b})
		}
		write(t, filepath.Join(dir, "model.safetensors"), change(list), nil)
		writeFile(t, filepath.Join(dir, "same.txt"), "the same")
		return dir
	}
	flip := func(name string, at int) string {
		return other(func(l []raw) []raw { find(l, name).data[at] ^= 1; return l })
	}
	changedFile := other(func(l []raw) []raw { return l })
	writeFile(t, filepath.Join(changedFile, "same.txt"), "the sAme")
	for _, c := range []struct{ name, base, says string }{
		{"a changed element", flip("gap", 0), `tensor "gap"`},
		{"an element that the update leaves", flip("gap", 3), `tensor "gap"`},
		{"a bit that only the checksum sees", flip("dense", 179), `tensor "dense"`},
		{"an unchanged tensor", flip("same", 7), `tensor "same"`},
		{"a tensor less", other(func(l []raw) []raw { return slices.DeleteFunc(l, func(r raw) bool { return r.name == "bitmap" }) }), `tensor "bitmap": this is not the base that the delta was made on: it has no such tensor`},
		{"another shape", other(func(l []raw) []raw { find(l, "bitmap").shape = []int{3, 50}; return l }), `it is BF16 [3 50], not BF16 [150]`},
		{"another type", other(func(l []raw) []raw { find(l, "bitmap").dtype = checkpoint.F16; return l }), `it is F16 [150], not BF16 [150]`},
		{"another file beside the weights", changedFile, `its file "same.txt" is missing or another`},
		{"the tuned folder itself", tuned, `this is not the base`},
		{"the file without its folder", filepath.Join(base, "model.safetensors"), `its file "same.txt" is missing or another`},
	} {
		dir := t.TempDir()
		_, err := Apply(context.Background(), c.base, update, filepath.Join(dir, "out"), ApplyOptions{})
		if !errors.Is(err, ErrWrongBase) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		onlyThese(t, dir)
	}
	// The same tensors in another file: the base is what it holds.
	dir := t.TempDir()
	again := other(func(l []raw) []raw { slices.Reverse(l); return l })
	if _, err := Apply(context.Background(), again, update, filepath.Join(dir, "out"), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, filepath.Join(dir, "out"), tuned)
}

func TestExistingOutputIsKept(t *testing.T) {
	base, update, tuned := smallPair(t, Options{})
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	writeFile(t, out, "precious")
	if _, err := Apply(context.Background(), base, update, out, ApplyOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("apply over a file: %v", err)
	}
	if _, err := Make(context.Background(), base, tuned, out, Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("make over a file: %v", err)
	}
	if b, _ := os.ReadFile(out); string(b) != "precious" {
		t.Errorf("the file holds %q now", b)
	}
	empty := filepath.Join(dir, "empty")
	os.Mkdir(empty, 0o777)
	if _, err := Apply(context.Background(), base, update, empty, ApplyOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("apply over an empty folder: %v", err)
	}
	gone := filepath.Join(dir, "gone", "out")
	if _, err := Apply(context.Background(), base, update, gone, ApplyOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("apply into a folder that isn't there: %v", err)
	}
	onlyThese(t, dir, "out", "empty")
}

// Work that is cancelled after so many pieces leaves nothing behind.
func TestCancelLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	n := 2*chunk + 100
	zero := make([]byte, n)
	var base, tuned []raw
	for i := range 3 {
		b := slices.Clone(zero)
		b[i*1000] = 1
		base = append(base, raw{fmt.Sprint(i), checkpoint.U8, []int{n}, zero})
		tuned = append(tuned, raw{fmt.Sprint(i), checkpoint.U8, []int{n}, b})
	}
	a, b, good := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "b.safetensors"), filepath.Join(dir, "good")
	write(t, a, base, nil)
	write(t, b, tuned, nil)
	pieces := 0
	if _, err := Make(context.Background(), a, b, good, Options{Progress: func(int64, int64) { pieces++ }}); err != nil {
		t.Fatal(err)
	}
	for stop := range pieces {
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		progress := func(done, total int64) {
			if seen++; seen > stop {
				cancel()
			}
			if done > total {
				t.Errorf("%d of %d bytes", done, total)
			}
		}
		last := stop == pieces-1 // what is left then may be done before the context is looked at
		_, err := Make(ctx, a, b, filepath.Join(dir, "u"), Options{Workers: 2, Progress: progress})
		if !errors.Is(err, context.Canceled) && !last {
			t.Errorf("make cancelled after %d pieces: %v", stop, err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		seen = 0
		_, err = Apply(ctx, a, good, filepath.Join(dir, "out"), ApplyOptions{Workers: 2, Progress: progress})
		if !errors.Is(err, context.Canceled) && !last {
			t.Errorf("apply cancelled after %d pieces: %v", stop, err)
		}
		if last {
			os.Remove(filepath.Join(dir, "u"))
			os.Remove(filepath.Join(dir, "out"))
		}
		onlyThese(t, dir, "a.safetensors", "b.safetensors", "good")
		cancel()
	}
}

// A manifest whose checksum is right may still ask for anything.
func TestHostileManifests(t *testing.T) {
	base, update, _ := smallPair(t, Options{})
	f, err := checkpoint.Open(update)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []checkpoint.Entry
	for _, name := range f.Names() {
		b, info, err := f.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, checkpoint.Entry{Name: name, DType: info.DType, Shape: info.Shape, Raw: b})
	}
	tensorNamed := func(m *manifest, name string) *tensor {
		return &m.Tensors[slices.IndexFunc(m.Tensors, func(t tensor) bool { return t.Name == name })]
	}
	for _, c := range []struct {
		name   string
		change func(m *manifest, md map[string]string)
	}{
		{"a path upwards", func(m *manifest, _ map[string]string) { m.Carried[0].Path = "../evil" }},
		{"an absolute path", func(m *manifest, _ map[string]string) { m.Carried[0].Path = "/evil" }},
		{"a path of another system", func(m *manifest, _ map[string]string) { m.Carried[0].Path = `..\evil` }},
		{"a drive", func(m *manifest, _ map[string]string) { m.Carried[0].Path = "c:evil" }},
		{"weights upwards", func(m *manifest, md map[string]string) {
			md[keyHeader+"../w.safetensors"] = md[keyHeader+m.Weights[0].Path]
			m.Weights[0].Path = "../w.safetensors"
		}},
		{"a path twice", func(m *manifest, _ map[string]string) { m.Carried[0].Path = m.Weights[0].Path }},
		{"a file that is also a folder", func(m *manifest, _ map[string]string) { m.Carried[0].Path = m.Weights[0].Path + "/x" }},
		{"more elements than memory", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Shape = []int{1 << 31, 1 << 31} }},
		{"a negative dimension", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Shape = []int{-450} }},
		{"more changed than there are", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Changed = 451 }},
		{"fewer changed", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Changed = 3 }},
		{"another encoding", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Encoding = Bitmap }},
		{"an unknown encoding", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Encoding = "sparse" }},
		{"an unknown coding", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Val.Coding = "magic" }},
		{"no blob", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Val = nil }},
		{"a blob of a later size", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").Idx.Raw = 1 << 62 }},
		{"an unknown type", func(m *manifest, _ map[string]string) { tensorNamed(m, "gap").DType = "F99" }},
		{"a tensor twice", func(m *manifest, _ map[string]string) { m.Tensors[0].Name = m.Tensors[1].Name }},
		{"a tensor less", func(m *manifest, _ map[string]string) { m.Tensors = m.Tensors[1:] }},
		{"a tensor of no file", func(m *manifest, _ map[string]string) {
			m.Tensors = append(m.Tensors, tensor{Name: "ghost", DType: checkpoint.U8, Shape: []int{1}, Encoding: None, Base: "00", Tuned: "00"})
		}},
		{"a huge file", func(m *manifest, _ map[string]string) { m.Weights[0].Bytes = 1 << 62 }},
		{"a short file", func(m *manifest, _ map[string]string) { m.Weights[0].Bytes = 9 }},
		{"no header", func(m *manifest, md map[string]string) { delete(md, keyHeader+m.Weights[0].Path) }},
		{"a header of something else", func(m *manifest, md map[string]string) {
			md[keyHeader+m.Weights[0].Path] = strings.Repeat("x", len(md[keyHeader+m.Weights[0].Path]))
		}},
		{"a single file with others", func(m *manifest, _ map[string]string) { m.Folder = false }},
		{"a carried file longer than it is", func(m *manifest, _ map[string]string) { m.Carried[0].Bytes++ }},
	} {
		md := map[string]string{}
		for k, v := range f.Metadata() {
			md[k] = v
		}
		var m manifest
		if err := json.Unmarshal([]byte(md[keyManifest]), &m); err != nil {
			t.Fatal(err)
		}
		c.change(&m, md)
		text, _ := json.Marshal(m)
		md[keyManifest] = string(text)
		md[keySHA256] = digest(md)
		dir := t.TempDir()
		path := filepath.Join(dir, "u.safetensors")
		if err := checkpoint.Write(path, slices.Clone(entries), md); err != nil {
			t.Fatal(err)
		}
		_, err := Apply(context.Background(), base, path, filepath.Join(dir, "out"), ApplyOptions{})
		if err == nil {
			t.Errorf("%s is accepted", c.name)
		} else if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: not an error of this package: %v", c.name, err)
		}
		onlyThese(t, dir, "u.safetensors")
	}
}

func TestWhatIsNoDelta(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.safetensors")
	write(t, plain, []raw{{"x", checkpoint.U8, []int{1}, []byte{1}}}, nil)
	later := filepath.Join(dir, "later.safetensors")
	write(t, later, nil, map[string]string{"format": formatName, "version": "2"})
	text := filepath.Join(dir, "text")
	writeFile(t, text, "hello")
	for path, says := range map[string]string{
		plain:                      "not a delta that this version reads: its metadata doesn't say",
		later:                      `format version "2", known is 1`,
		text:                       "a header length alone takes 8",
		dir:                        "it is a folder",
		filepath.Join(dir, "gone"): "no such file",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, says)
		}
	}
}

// A tensor that two shards hold can't be told apart by name.
func TestTensorInTwoShards(t *testing.T) {
	dir := t.TempDir()
	one := raw{"x", checkpoint.U8, []int{1}, []byte{1}}
	write(t, filepath.Join(dir, "tuned", "1.safetensors"), []raw{one, {"y", checkpoint.U8, []int{1}, []byte{1}}}, nil)
	write(t, filepath.Join(dir, "tuned", "2.safetensors"), []raw{one}, nil)
	writeFile(t, filepath.Join(dir, "tuned", "model.safetensors.index.json"), `{"weight_map": {"x": "2.safetensors", "y": "1.safetensors"}}`)
	write(t, filepath.Join(dir, "base.safetensors"), []raw{one}, nil)
	_, err := Make(context.Background(), filepath.Join(dir, "base.safetensors"), filepath.Join(dir, "tuned"), filepath.Join(dir, "u"), Options{})
	if err == nil || !strings.Contains(err.Error(), `tensor "x": it is in 1.safetensors and in 2.safetensors`) {
		t.Errorf("%v", err)
	}
	onlyThese(t, dir, "tuned", "base.safetensors")
}

// Bad blobs never panic, run for ever or take more than their sizes justify.
func FuzzBlobs(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 0, 7, 7, 7}, uint8(0), int64(3), int64(3))
	f.Add([]byte{2, 9, 0, 1, 1}, []byte{1, 1, 0}, uint8(3), int64(70000), int64(65537))
	f.Fuzz(func(t *testing.T, idx, val []byte, how uint8, n, changed int64) {
		n, changed = n&0xfffff, changed&0xfffff
		enc := []Encoding{Gap, Bitmap}[how&1]
		code := []Coding{Plain, FSE}[how>>1&1]
		ten := &tensor{Name: "x", DType: checkpoint.BF16, Shape: []int{int(n)}, Encoding: enc, Changed: changed, Base: "00",
			Idx: &blob{Raw: int64(len(idx)), Coding: code, Bytes: int64(len(idx))}, Val: &blob{Raw: 2 * changed, Coding: code, Bytes: int64(len(val))}}
		if enc == Bitmap {
			ten.Idx.Raw = bitmapSize(n)
		}
		if code == FSE && enc == Gap {
			ten.Idx.Raw = changed
		}
		if ten.check() != nil {
			return
		}
		var u unpacker
		p := &patch{tensor: ten, w: 2, n: n, left: changed, next: -1,
			pos: newPositionReader(strings.NewReader(string(idx)), ten.Idx, &u), val: newValueReader(strings.NewReader(string(val)), ten.Val, &u, 2, true)}
		if enc == Gap && p.advance() != nil {
			return
		}
		if p.chunk(make([]byte, 2*n), 0) == nil && p.end() == nil && p.left != 0 {
			t.Errorf("%d changes are missing", p.left)
		}
	})
}

func FuzzManifest(f *testing.F) {
	_, update, _ := smallPair(f, Options{})
	file, err := checkpoint.Open(update)
	if err != nil {
		f.Fatal(err)
	}
	md := file.Metadata()
	file.Close()
	f.Add(md[keyManifest])
	f.Fuzz(func(t *testing.T, text string) {
		md := map[string]string{keyFormat: formatName, keyVersion: "1", keyManifest: text, keyHeader + "model.safetensors": md[keyHeader+"model.safetensors"]}
		md[keySHA256] = digest(md)
		m, err := parseManifest(md)
		if err != nil {
			return
		}
		m.info(0)
		for i := range m.Tensors {
			if n := m.Tensors[i].bytes(); n < 0 {
				t.Errorf("%d bytes", n)
			}
		}
	})
}
