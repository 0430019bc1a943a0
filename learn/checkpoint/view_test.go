package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"orrery/learn/tensor"
)

// onDisk writes a folder with two shards and returns it.
func onDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, entries := range map[string][]Entry{
		"m-1.safetensors": {{Name: "b", Tensor: tensor.Of([]float32{1, 2}, 2)}, {Name: "a", Tensor: tensor.Of([]float32{3}, 1), DType: BF16}, {Name: "spare", DType: U8, Raw: []byte{7}, Shape: []int{1}}},
		"m-2.safetensors": {{Name: "c", Tensor: tensor.Of([]float32{4}, 1)}},
	} {
		if err := Write(filepath.Join(dir, name), entries, map[string]string{"file": name}); err != nil {
			t.Fatal(err)
		}
	}
	index := `{"weight_map":{"c":"m-2.safetensors","a":"m-1.safetensors","b":"m-1.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What Shards gives is all it takes to make every file again, byte for byte.
func TestShardsMakeTheFilesAgain(t *testing.T) {
	dir := onDisk(t)
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := filepath.Join(dir, "model.safetensors.index.json"); f.Index() != want {
		t.Errorf("index %q, want %q", f.Index(), want)
	}
	var names []string
	for _, s := range f.Shards() {
		names = append(names, s.Name)
		want, err := os.ReadFile(s.Source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Header()
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range s.Tensors {
			b, err := io.ReadAll(s.Section(info))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		whole, err := io.ReadAll(s.Reader())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || !bytes.Equal(whole, want) || s.Size != int64(len(want)) || s.Metadata["file"] != s.Name {
			t.Errorf("%s came back changed", s.Name)
		}
	}
	if !slices.Equal(names, []string{"m-1.safetensors", "m-2.safetensors"}) {
		t.Errorf("shards %v", names)
	}
	one, err := Parse("x", build("{}", ""))
	if err != nil || one.Index() != "" || len(one.Shards()) != 1 || one.Shards()[0].Name != "x" {
		t.Errorf("a single file: %+v %v", one, err)
	}
}

// Whichever way bytes are reached, they are the same.
func TestBytesFromEverywhere(t *testing.T) {
	dir := onDisk(t)
	disk, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	fsys, err := OpenFS(hiding{os.DirFS(dir)}, ".")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "m-1.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := Parse("m", raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "\x40\x40", "b": "\x00\x00\x80\x3f\x00\x00\x00\x40"} {
		for where, f := range map[string]*File{"disk": disk, "file system": fsys, "memory": memory} {
			b, info, err := f.Bytes(name)
			if err != nil || string(b) != want || info.Name != name {
				t.Errorf("%s from %s: %x %v", name, where, b, err)
			}
			err = f.View(name, func(b []byte, info Info) error {
				if string(b) != want || cap(b) != len(b) || info.Name != name {
					t.Errorf("view of %s from %s: %x", name, where, b)
				}
				return io.ErrClosedPipe
			})
			if err != io.ErrClosedPipe {
				t.Errorf("view's error: %v", err)
			}
		}
	}
	for _, f := range []*File{disk, fsys, memory} {
		if _, _, err := f.Bytes("nothing"); !errors.Is(err, ErrNoTensor) {
			t.Error(err)
		}
		if err := f.View("nothing", func([]byte, Info) error { return nil }); !errors.Is(err, ErrNoTensor) {
			t.Error(err)
		}
	}
	// On disk and in memory nothing is copied.
	if x, _, _ := memory.Bytes("b"); &x[0] != &raw[memory.tensors["b"].Offset] {
		t.Error("bytes in memory were copied")
	}
	x, _, _ := disk.Bytes("b")
	if y, _, _ := disk.Bytes("b"); &x[0] != &y[0] {
		t.Log("this system doesn't map files")
	}
}

func TestNoBytesAfterClose(t *testing.T) {
	f, err := Open(onDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Bytes("a"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "c"} { // one mapped before, one not
		if _, _, err := f.Bytes(name); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := f.Raw("a"); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// Twenty gigabytes, nearly all of them a hole in the file: its first and last
// bytes are there, and next to nothing is allocated.
func TestHugeFile(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("a 32-bit system has no room to map it")
	}
	size := int64(20 << 30)
	path := filepath.Join(t.TempDir(), "huge.safetensors")
	head := build(fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size, size), "")
	if err := os.WriteFile(path, head, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	end := int64(len(head)) + size
	if _, err := file.WriteAt([]byte{7}, end-1); err != nil {
		t.Skip("no files of that size here, a file system with sparse files would do:", err)
	}
	got := allocated(func() {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.shards[0].mapped(); err != nil {
			t.Skip("this system doesn't map files, so that a view would be a copy:", err)
		}
		if err := f.View("w", func(b []byte, _ Info) error {
			if b[0] != 0 || b[size-1] != 7 {
				t.Error("other bytes")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		r, _, err := f.Section("w")
		if err != nil {
			t.Fatal(err)
		}
		var last [1]byte
		if _, err := r.ReadAt(last[:], size-1); err != nil || last[0] != 7 {
			t.Error(last, err)
		}
	})
	if got > 64<<10 { // the folder's listing, the header, some structures
		t.Errorf("%d bytes allocated", got)
	}
}

// A file that is cut while its bytes are read gives an error that says where,
// and the program goes on; so does one that was cut before it was mapped.
func TestFileShrinksWhileMapped(t *testing.T) {
	const n = 1 << 20 // many pages, so that whole ones vanish
	cut := func(t *testing.T) (*File, string) {
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := Write(path, []Entry{{Name: "w", Tensor: tensor.New(n)}}, nil); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f, path
	}
	check := func(t *testing.T, err error) {
		t.Helper()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Tensor != "w" || !strings.HasSuffix(e.File, "m.safetensors") || e.Offset < 100_000 || e.Offset >= 4*n {
			t.Errorf("got %v", err)
		}
	}
	sum := func(b []byte, _ Info) error { sha256.Sum256(b); return nil }
	t.Run("before", func(t *testing.T) {
		f, path := cut(t)
		if err := os.Truncate(path, 200_000); err != nil {
			t.Fatal(err)
		}
		check(t, f.View("w", sum))
	})
	t.Run("during", func(t *testing.T) {
		f, path := cut(t)
		if _, mapped := f.shards[0].mapped(); mapped != nil {
			t.Skip("this system doesn't map files, so nothing can fault")
		}
		check(t, f.View("w", func(b []byte, info Info) error {
			if err := os.Truncate(path, 200_000); err != nil {
				t.Fatal(err)
			}
			return sum(b, info)
		}))
		// The setting is the goroutine's own and is back where it was: other
		// panics pass through.
		defer func() {
			if recover() != "mine" {
				t.Error("a panic that was no fault was swallowed")
			}
		}()
		f.View("w", func([]byte, Info) error { panic("mine") })
	})
}

func TestViewsAtOnce(t *testing.T) {
	f, err := Open(onDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var group sync.WaitGroup
	for range 8 {
		for _, name := range f.Names() {
			group.Go(func() {
				if err := f.View(name, func(b []byte, info Info) error {
					if int64(len(b)) != info.Bytes {
						t.Error("short")
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
}

// hiding is a file system whose files can only be read from front to back.
type hiding struct{ fs.FS }

func (h hiding) Open(name string) (fs.File, error) {
	f, err := h.FS.Open(name)
	if d, ok := f.(fs.ReadDirFile); ok && name == "." {
		return d, err
	}
	return struct{ fs.File }{f}, err
}

// BenchmarkRead counts the bytes of a cached file that are looked at, mapped and
// read in pieces of 256 KiB.
func BenchmarkRead(b *testing.B) {
	const n = 64 << 20
	path := filepath.Join(b.TempDir(), "m.safetensors")
	if err := Write(path, []Entry{{Name: "w", DType: U8, Raw: make([]byte, n), Shape: []int{n}}}, nil); err != nil {
		b.Fatal(err)
	}
	count := func(p []byte) int { return bytes.Count(p, []byte{1}) } // faster than memory
	total := 0
	for _, way := range []struct {
		name string
		read func(*File) error
	}{
		{"view", func(f *File) error {
			return f.View("w", func(p []byte, _ Info) error { total += count(p); return nil })
		}},
		{"section", func(f *File) error {
			r, _, err := f.Section("w")
			buf := make([]byte, chunk)
			for err == nil {
				if _, err = io.ReadFull(r, buf); err == nil {
					total += count(buf)
				}
			}
			if err == io.EOF {
				err = nil
			}
			return err
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			f, err := Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.SetBytes(n)
			for b.Loop() {
				if err := way.read(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if total != 0 {
		b.Error("the file was zero")
	}
}
