package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// raw is a tensor of bytes to write.
type raw struct {
	name  string
	dtype checkpoint.DType
	shape []int
	data  []byte
}

func write(t testing.TB, path string, list []raw, md map[string]string) {
	t.Helper()
	var entries []checkpoint.Entry
	for _, r := range list {
		if r.data == nil {
			r.data = []byte{}
		}
		entries = append(entries, checkpoint.Entry{Name: r.name, DType: r.dtype, Shape: r.shape, Raw: r.data})
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Write(path, entries, md); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// tree is every file of a folder, or the one file, by path.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		b, err := os.ReadFile(path)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameTree(t testing.TB, got, want string) {
	t.Helper()
	g, w := tree(t, got), tree(t, want)
	for name, b := range w {
		if g[name] != b {
			t.Errorf("%s is not the tuned one: %d bytes of %d", name, len(g[name]), len(b))
		}
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s is too much", name)
		}
	}
}

// onlyThese fails if anything but the named is in a folder: temporary files, or
// output of something refused.
func onlyThese(t testing.TB, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !slices.Contains(names, e.Name()) {
			t.Errorf("%s stayed behind", e.Name())
		}
	}
}

// roundTrip makes and applies, and holds every size to the prediction.
func roundTrip(t testing.TB, base, tuned string, o Options) *Info {
	t.Helper()
	dir := t.TempDir()
	update, out := filepath.Join(dir, "update.safetensors"), filepath.Join(dir, "out")
	made, err := Make(context.Background(), base, tuned, update, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), base, update, out, ApplyOptions{Workers: o.Workers}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, out, tuned)
	onlyThese(t, dir, "update.safetensors", "out")
	d, err := Open(update)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a, _ := json.Marshal(made)
	b, _ := json.Marshal(d.Info())
	if !bytes.Equal(a, b) {
		t.Errorf("Make says %s, the file %s", a, b)
	}
	for _, ti := range made.Tensors {
		var stored int64
		for _, suffix := range []string{suffixIdx, suffixVal} {
			if info, ok := d.file.Info(ti.Name + suffix); ok {
				stored += info.Bytes
			}
		}
		if stored != ti.Stored {
			t.Errorf("%s: %d bytes are stored, %d reported", ti.Name, stored, ti.Stored)
		}
		if ti.Stored > ti.Predicted || o.Plain && ti.Stored != ti.Predicted {
			t.Errorf("%s: %d bytes are stored, %d predicted", ti.Name, ti.Stored, ti.Predicted)
		}
	}
	return made
}

// patterns are sets of changed elements among n.
var patterns = []struct {
	name string
	hit  func(r *rand.Rand, i, n int) bool
}{
	{"none", func(*rand.Rand, int, int) bool { return false }},
	{"first", func(_ *rand.Rand, i, n int) bool { return i == 0 }},
	{"last", func(_ *rand.Rand, i, n int) bool { return i == n-1 }},
	{"all", func(*rand.Rand, int, int) bool { return true }},
	{"all but one", func(_ *rand.Rand, i, n int) bool { return i != n/2 }},
	{"alternating", func(_ *rand.Rand, i, n int) bool { return i%2 == 0 }},
	{"sparse", func(r *rand.Rand, i, n int) bool { return r.Float64() < 0.01 }},
	{"third", func(r *rand.Rand, i, n int) bool { return r.Float64() < 0.3 }},
	{"most", func(r *rand.Rand, i, n int) bool { return r.Float64() < 0.95 }},
	// Gaps at the borders of LEB128: 126, 127 and 128 unchanged elements, and
	// 16383 and 16384 where the tensor is long enough.
	{"borders", func(_ *rand.Rand, i, n int) bool {
		return slices.Contains([]int{0, 127, 255, 384, 511, 512, 513 + 16383, 513 + 2*16384, 40000}, i)
	}},
}

var allTypes = []checkpoint.DType{checkpoint.F64, checkpoint.F32, checkpoint.F16, checkpoint.BF16, checkpoint.F8E4M3, checkpoint.F8E5M2,
	checkpoint.F8E4M3FNUZ, checkpoint.F8E5M2FNUZ, checkpoint.F8E8M0, checkpoint.F6E2M3, checkpoint.F6E3M2, checkpoint.F4, checkpoint.C64,
	checkpoint.I64, checkpoint.I32, checkpoint.I16, checkpoint.I8, checkpoint.U64, checkpoint.U32, checkpoint.U16, checkpoint.U8, checkpoint.Bool}

// pairs makes a base and a tuned tensor for every type, pattern and shape.
func pairs(r *rand.Rand, dtypes []checkpoint.DType, shapes [][]int) (base, tuned []raw) {
	for _, d := range dtypes {
		for _, shape := range shapes {
			bits := d.Bits()
			for _, s := range shape {
				bits *= s
			}
			if bits%8 != 0 {
				continue // not a whole number of bytes of a small type
			}
			for _, p := range patterns {
				w := width(d)
				n := bits / 8 / w
				a := make([]byte, n*w)
				for i := range a {
					a[i] = byte(r.Uint32())
				}
				b := slices.Clone(a)
				for i := range n {
					if p.hit(r, i, n) {
						b[i*w+r.IntN(w)] ^= byte(1 + r.IntN(255))
					}
				}
				name := fmt.Sprintf("%s %v %s", d, shape, p.name)
				base = append(base, raw{name, d, shape, a})
				tuned = append(tuned, raw{name, d, shape, b})
			}
		}
	}
	return base, tuned
}

// Every type and pattern, from scalars and empty tensors to several blocks,
// coded and plain.
func TestRoundTripOfEveryPattern(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	base, tuned := pairs(r, allTypes, [][]int{{}, {0}, {1}, {8}, {3, 0, 2}, {5, 40}, {64}, {16, 16}, {1000}})
	more, moreTuned := pairs(r, []checkpoint.DType{checkpoint.BF16, checkpoint.U8, checkpoint.F32, checkpoint.F4}, [][]int{{70002}})
	base, tuned = append(base, more...), append(tuned, moreTuned...)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "b.safetensors")
	write(t, a, base, nil)
	write(t, b, tuned, map[string]string{"format": "pt", "note": "ü \" \\ <&> \u2028"})
	want := map[string]Encoding{"none": None, "all": Dense, "all but one": Dense, "alternating": Bitmap, "sparse": Gap, "third": Bitmap, "most": Dense, "last": Gap, "borders": Gap}
	for _, o := range []Options{{}, {Plain: true, Workers: 1}} {
		info := roundTrip(t, a, b, o)
		for _, ti := range info.Tensors {
			var pattern string
			if n, _ := fmt.Sscanf(ti.Name, "BF16 [70002] %s", &pattern); n == 1 {
				pattern = strings.TrimPrefix(ti.Name, "BF16 [70002] ")
				if e, ok := want[pattern]; ok && e != ti.Encoding {
					t.Errorf("%s is stored as %s, not %s", ti.Name, ti.Encoding, e)
				}
			}
			checkPrediction(t, ti, find(base, ti.Name), find(tuned, ti.Name))
		}
	}
}

func find(list []raw, name string) *raw {
	i := slices.IndexFunc(list, func(r raw) bool { return r.name == name })
	return &list[i]
}

// checkPrediction recomputes a tensor's cost by definition.
func checkPrediction(t *testing.T, ti TensorInfo, a, b *raw) {
	t.Helper()
	w := width(a.dtype)
	var pos []int64
	for i := 0; i < len(a.data); i += w {
		if !bytes.Equal(a.data[i:i+w], b.data[i:i+w]) {
			pos = append(pos, int64(i/w))
		}
	}
	enc, size := naiveCost(int64(len(a.data)/w), w, pos)
	if ti.Encoding != enc || ti.Predicted != size || ti.Changed != int64(len(pos)) {
		t.Errorf("%s: %s of %d bytes, %d changed; by definition %s of %d, %d", ti.Name, ti.Encoding, ti.Predicted, ti.Changed, enc, size, len(pos))
	}
	if ti.TunedSHA != fmt.Sprintf("%x", sha256.Sum256(b.data)) || *ti.BaseSHA != fmt.Sprintf("%x", sha256.Sum256(a.data)) {
		t.Errorf("%s: wrong checksums", ti.Name)
	}
}

// Tensors of more than one chunk: positions, groups and hashes go on over the
// border.
func TestRoundTripOverChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	n := chunk + 12345
	var base, tuned []raw
	for _, p := range []float64{0, 0.0005, 0.2, 0.97} {
		a := make([]byte, 2*n)
		for i := range a {
			a[i] = byte(r.Uint32())
		}
		b := slices.Clone(a)
		for i := n/2 - n/5; i < n; i++ { // the first chunk stays equal for a while
			if r.Float64() < p {
				b[2*i]++
			}
		}
		name := fmt.Sprint(p)
		base, tuned = append(base, raw{name, checkpoint.BF16, []int{n}, a}), append(tuned, raw{name, checkpoint.BF16, []int{n}, b})
	}
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "b.safetensors")
	write(t, a, base, nil)
	write(t, b, tuned, nil)
	info := roundTrip(t, a, b, Options{})
	for _, ti := range info.Tensors {
		checkPrediction(t, ti, find(base, ti.Name), find(tuned, ti.Name))
	}
	roundTrip(t, a, b, Options{Plain: true})
}

// folderPair makes two folders in Hugging Face form; the tuned one is sharded
// in another way, and has lost, gained, reshaped and retyped tensors.
func folderPair(t testing.TB) (base, tuned string) {
	r := rand.New(rand.NewPCG(11, 12))
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	nudge := func(b []byte) []byte {
		b = slices.Clone(b)
		for i := 0; i < len(b); i += 2 {
			if r.Float64() < 0.05 {
				b[i]++
			}
		}
		return b
	}
	dir := t.TempDir()
	base, tuned = filepath.Join(dir, "base"), filepath.Join(dir, "tuned")
	q, k, v, same := data(4000), data(4000), data(512), data(600)
	write(t, filepath.Join(base, "model.safetensors"), []raw{
		{"q", checkpoint.BF16, []int{40, 50}, q}, {"k", checkpoint.BF16, []int{2000}, k}, {"v", checkpoint.F32, []int{128}, v},
		{"same", checkpoint.F16, []int{300}, same}, {"lost", checkpoint.I8, []int{7}, data(7)},
	}, map[string]string{"format": "pt"})
	write(t, filepath.Join(tuned, "model-00001-of-00002.safetensors"), []raw{
		{"q", checkpoint.BF16, []int{40, 50}, nudge(q)}, {"same", checkpoint.F16, []int{300}, same},
	}, map[string]string{"format": "pt"})
	write(t, filepath.Join(tuned, "model-00002-of-00002.safetensors"), []raw{
		{"k", checkpoint.BF16, []int{20, 100}, nudge(k)}, // reshaped
		{"v", checkpoint.F16, []int{256}, v},             // retyped
		{"gained.idx", checkpoint.BF16, []int{9}, data(18)},
		{"empty", checkpoint.F32, []int{0, 3}, nil},
	}, nil)
	writeFile(t, filepath.Join(tuned, "model.safetensors.index.json"), `{ "metadata": {"total_size": 1},
 "weight_map": {"q": "model-00001-of-00002.safetensors", "same": "model-00001-of-00002.safetensors",
  "k": "model-00002-of-00002.safetensors", "v": "model-00002-of-00002.safetensors",
  "gained.idx": "model-00002-of-00002.safetensors", "empty": "model-00002-of-00002.safetensors"} }
`)
	for _, d := range []string{base, tuned} {
		writeFile(t, filepath.Join(d, "tokenizer.json"), strings.Repeat("the same in both ", 100))
		writeFile(t, filepath.Join(d, ".git", "HEAD"), "no part of it")
	}
	writeFile(t, filepath.Join(base, "config.json"), `{"a": 1}`)
	writeFile(t, filepath.Join(tuned, "config.json"), `{"a": 2}`)
	writeFile(t, filepath.Join(tuned, "deep", "er", "notes.txt"), strings.Repeat("compressible ", 1000))
	writeFile(t, filepath.Join(tuned, "empty.txt"), "")
	return base, tuned
}

func TestRoundTripOfFolders(t *testing.T) {
	base, tuned := folderPair(t)
	for _, o := range []Options{{}, {Plain: true}} {
		dir := t.TempDir()
		update, out := filepath.Join(dir, "u"), filepath.Join(dir, "out")
		info, err := Make(context.Background(), base, tuned, update, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(context.Background(), base, update, out, ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(tuned, ".git")) // left out, as documented
		sameTree(t, out, tuned)
		kinds := map[string]string{}
		for _, f := range info.Files {
			kinds[f.Path] = f.Kind
		}
		want := map[string]string{"model-00001-of-00002.safetensors": "weights", "model-00002-of-00002.safetensors": "weights", "model.safetensors.index.json": "carried",
			"config.json": "carried", "tokenizer.json": "base", "deep/er/notes.txt": "carried", "empty.txt": "carried"}
		if fmt.Sprint(kinds) != fmt.Sprint(want) {
			t.Errorf("files %v, want %v", kinds, want)
		}
		if !slices.Equal(info.Removed, []string{"lost"}) || info.Totals.New != 4 || info.Totals.Unchanged != 1 {
			t.Errorf("removed %v, %d new, %d unchanged", info.Removed, info.Totals.New, info.Totals.Unchanged)
		}
	}
}

// An update is the same, byte for byte, whatever the number of goroutines.
func TestMakeIsDeterministic(t *testing.T) {
	base, tuned := folderPair(t)
	dir := t.TempDir()
	var first []byte
	for i := range 4 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if _, err := Make(context.Background(), base, tuned, path, Options{Workers: 1 + i}); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		if i > 0 && !bytes.Equal(b, first) {
			t.Errorf("with %d goroutines the update differs", 1+i)
		}
		first = b
	}
}

func TestWeightsOnlyAndLimit(t *testing.T) {
	base, tuned := folderPair(t)
	dir := t.TempDir()
	_, err := Make(context.Background(), base, tuned, filepath.Join(dir, "u"), Options{CarryLimit: 1000})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "deep/er/notes.txt, 13000 bytes") {
		t.Errorf("a file over the limit: %v", err)
	}
	onlyThese(t, dir)
	if _, err := Make(context.Background(), base, tuned, filepath.Join(dir, "u"), Options{WeightsOnly: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), base, filepath.Join(dir, "u"), filepath.Join(dir, "out"), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if g := tree(t, filepath.Join(dir, "out")); len(g) != 2 {
		t.Errorf("%d files, not the two shards", len(g))
	}
}

// Small updates whose differences have few values take less than the plain
// form; random ones take no more.
func TestEntropyCoding(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	const n = 1 << 20
	a := make([]byte, 2*n)
	for i := range a {
		a[i] = byte(r.Uint32())
	}
	b := slices.Clone(a)
	for i := range n {
		if r.Float64() < 0.02 {
			store(b, i, 2, load(b, i, 2)+uint64(r.IntN(2)*2-1)) // one step up or down
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.safetensors"), []raw{{"x", checkpoint.BF16, []int{n}, a}}, nil)
	write(t, filepath.Join(dir, "b.safetensors"), []raw{{"x", checkpoint.BF16, []int{n}, b}}, nil)
	info := roundTrip(t, filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "b.safetensors"), Options{})
	// Positions take H₂(p)/p = 7.07 bits at p = 0.02 and the sign 1 bit; a
	// tenth more is allowed for tables and for gaps over 127, whose two bytes
	// are coded as if independent.
	x := info.Tensors[0]
	if most := float64(x.Changed) * (7.07 + 1) / 8 * 1.1; float64(x.Stored) > most {
		t.Errorf("%d bytes for %d changes of one step, more than %.0f", x.Stored, x.Changed, most)
	}
}
