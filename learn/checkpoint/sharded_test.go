package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"orrery/learn/tensor"
)

// bytesOf is an entry of n bytes, all of value v.
func bytesOf(name string, n int, v byte) Entry {
	return Entry{Name: name, DType: U8, Shape: []int{n}, From: func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{v}, n))
		return err
	}}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every split of five tensors: no shard above the limit but for a tensor that
// is above it alone, order kept, everything there once and readable.
func TestEverySplit(t *testing.T) {
	sizes := []int{3, 1, 4, 0, 5}
	var entries []Entry
	for i, n := range sizes {
		entries = append(entries, bytesOf(string(rune('e'-i)), n, byte(i)))
	}
	for limit := int64(1); limit <= 14; limit++ {
		dir := filepath.Join(t.TempDir(), "new")
		if err := WriteSharded(dir, entries, nil, limit); err != nil {
			t.Fatal(err)
		}
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, s := range f.Shards() {
			held := int64(0)
			for _, info := range s.Tensors {
				held += info.Bytes
			}
			if nonzero := slices.DeleteFunc(slices.Clone(s.Tensors), func(i Info) bool { return i.Bytes == 0 }); held > limit && len(nonzero) > 1 {
				t.Errorf("limit %d: %s holds %d", limit, s.Name, held)
			}
			part := []string{}
			for _, info := range s.Tensors {
				part = append(part, info.Name)
			}
			slices.Sort(part) // within a shard the format's order, e to a reversed
			slices.Reverse(part)
			order = append(order, part...)
		}
		if strings.Join(order, "") != "edcba" {
			t.Errorf("limit %d: order %v", limit, order)
		}
		for i, n := range sizes {
			if b, _, err := f.Raw(string(rune('e' - i))); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Errorf("limit %d: tensor %d is %v %v", limit, i, b, err)
			}
		}
		if single := len(f.Shards()) == 1; single != (limit >= 13) || single != (f.Index() == "") || len(f.Warnings()) > 0 {
			t.Errorf("limit %d: %d shards, index %q, warnings %q", limit, len(f.Shards()), f.Index(), f.Warnings())
		}
		if f.Index() != "" && f.Metadata()["total_size"] != "13" {
			t.Errorf("limit %d: metadata %v", limit, f.Metadata())
		}
		f.Close()
	}
	empty := t.TempDir()
	if err := WriteSharded(empty, nil, nil, 0); err != nil || !slices.Equal(list(t, empty), []string{"model.safetensors"}) {
		t.Errorf("no tensors: %v, %v", list(t, empty), err)
	}
}

func TestWriteShardedRefusals(t *testing.T) {
	broken := errors.New("broken")
	good := bytesOf("a", 2, 1)
	for _, c := range []struct {
		name    string
		entries []Entry
		before  string // a file that is there already
		limit   int64
		want    string
	}{
		{"twice, in two shards", []Entry{good, bytesOf("b", 2, 1), good}, "", 2, "given twice"},
		{"source fails", []Entry{good, {Name: "b", DType: U8, Shape: []int{2}, From: func(io.Writer) error { return broken }}}, "", 2, "broken"},
		{"source too short", []Entry{good, {Name: "b", DType: U8, Shape: []int{2}, From: func(w io.Writer) error { _, err := w.Write([]byte{1}); return err }}}, "", 2, "ended after 1 of 2 bytes"},
		{"source too long", []Entry{good, {Name: "b", DType: U8, Shape: []int{2}, From: func(w io.Writer) error { _, err := w.Write([]byte{1, 2, 3}); return err }}}, "", 2, "more than the 2 bytes"},
		{"source too long, error dropped", []Entry{good, {Name: "b", DType: U8, Shape: []int{2}, From: func(w io.Writer) error { w.Write([]byte{1, 2, 3}); return nil }}}, "", 2, "ended after 0 of 2"},
		{"two sources", []Entry{{Name: "b", DType: U8, Shape: []int{0}, Raw: []byte{}, From: good.From}}, "", 2, "more than one of"},
		{"half a byte", []Entry{{Name: "b", DType: F4, Shape: []int{1}, From: good.From}}, "", 2, "no whole number"},
		{"negative dimension", []Entry{{Name: "b", DType: F4, Shape: []int{-1}, From: good.From}}, "", 2, "negative"},
		{"negative limit", []Entry{good}, "", -1, "impossible"},
		{"a model is there", []Entry{good}, "model.safetensors", 2, "another folder"},
		{"an index is there", []Entry{good}, "x.safetensors.index.json", 2, "another folder"},
	} {
		dir := t.TempDir()
		var before []string
		if c.before != "" {
			before = []string{c.before}
			if err := os.WriteFile(filepath.Join(dir, c.before), []byte("before"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := WriteSharded(dir, c.entries, nil, c.limit)
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), c.want) || e.File == "" {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if !slices.Equal(list(t, dir), before) {
			t.Errorf("%s: left %v", c.name, list(t, dir))
		}
	}
}

// A run that is killed while it writes its second shard leaves nothing that
// opens; another run then completes the folder.
func TestKilledWhileSharding(t *testing.T) {
	const env = "CHECKPOINT_KILLED_IN"
	entries := []Entry{bytesOf("a", 2, 1), bytesOf("b", 2, 2), bytesOf("c", 2, 3)}
	if dir := os.Getenv(env); dir != "" {
		entries[1].From = func(io.Writer) error { os.Exit(7); return nil }
		WriteSharded(dir, entries, nil, 2)
		return
	}
	dir := t.TempDir()
	run := exec.Command(os.Args[0], "-test.run=^TestKilledWhileSharding$")
	run.Env = append(os.Environ(), env+"="+dir)
	out, err := run.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "model-00001-of-00003.safetensors")); err != nil {
		t.Fatal("the run was to be killed after its first shard", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "neither model.safetensors nor an index") {
		t.Errorf("half a checkpoint opens: %v", err)
	}
	if err := WriteSharded(dir, entries, nil, 2); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Names()) != 3 || len(f.Warnings()) > 0 {
		t.Errorf("names %v, warnings %q", f.Names(), f.Warnings())
	}
}

// A tensor streamed from a file that is cut meanwhile names that file.
func TestEntryOfAFileThatShrinks(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.safetensors"), filepath.Join(dir, "to.safetensors")
	if err := Write(from, []Entry{{Name: "w", Tensor: tensor.New(100)}}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := f.Entry("w")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(from, 200); err != nil {
		t.Fatal(err)
	}
	if err := Write(to, []Entry{e}, nil); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), from) || !strings.Contains(err.Error(), to) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	if _, err := f.Entry("x"); !errors.Is(err, ErrNoTensor) {
		t.Error(err)
	}
}

// allocated is the bytes that f allocates, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Gigabytes pass through a fixed buffer.
func TestStreamingTakesNoMemory(t *testing.T) {
	const size, count = 1 << 28, 8 // 2 GiB in all
	block := make([]byte, 1<<20)
	var entries []Entry
	for i := range count {
		entries = append(entries, Entry{Name: fmt.Sprint(i), DType: BF16, Shape: []int{size / 2}, From: func(w io.Writer) error {
			for range size / len(block) {
				if _, err := w.Write(block); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	var out counter
	got := allocated(func() {
		if err := Encode(&out, entries, nil); err != nil {
			t.Error(err)
		}
	})
	if out < size*count {
		t.Errorf("%d bytes came out", out)
	}
	if got > 1<<20 { // one buffer of 256 KiB, the header, and what the runtime adds
		t.Errorf("%d bytes allocated", got)
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }
