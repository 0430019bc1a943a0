package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"orrery/learn/tensor"
)

// File is an open checkpoint: one safetensors file, or all the shards that an
// index names, seen as one. It is safe for concurrent use.
type File struct {
	closed   atomic.Bool
	name     string
	index    string // path of the index, "" for a single file
	shards   []*Shard
	tensors  map[string]entry
	metadata map[string]string
	warnings []string
}

type entry struct {
	Info
	shard int
}

// Open opens a safetensors file, an index (*.safetensors.index.json) with its
// shards, or a folder that holds model.safetensors or one index.
func Open(name string) (*File, error) {
	dir, base := filepath.Split(filepath.Clean(name))
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		dir, base = name, "."
	}
	return openFS(os.DirFS(cmpDir(dir)), base, name, func(n string) string { return filepath.Join(dir, n) })
}

func cmpDir(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// OpenFS is Open inside a file system, such as an embedded one. The name is a
// slash-separated path; "." is the file system's own root folder.
func OpenFS(fsys fs.FS, name string) (*File, error) {
	dir, base := path.Split(path.Clean(name))
	if st, err := fs.Stat(fsys, name); err == nil && st.IsDir() {
		dir, base = name, "."
	}
	sub, err := fs.Sub(fsys, path.Clean(dir))
	if err != nil {
		return nil, &Error{Op: "open", File: name, Offset: -1, Err: err}
	}
	return openFS(sub, base, name, func(n string) string { return path.Join(dir, n) })
}

// Parse reads a safetensors file held in memory. The data must not change
// while the File is in use. The name is for errors.
func Parse(name string, data []byte) (*File, error) {
	f := &File{name: name}
	if err := f.add(held(name, data)); err != nil {
		return nil, err
	}
	return f, f.single()
}

// held is a shard whose bytes are in memory.
func held(source string, data []byte) *Shard {
	s := newShard(source, bytes.NewReader(data), int64(len(data)))
	s.mapWith(inMemory(data))
	return s
}

// openFS opens base inside a folder; show turns a name in the folder into the
// one that errors print.
func openFS(fsys fs.FS, base, name string, show func(string) string) (f *File, err error) {
	f = &File{name: name}
	defer func() {
		if err != nil {
			f.Close()
			f = nil
		}
	}()
	if base == "." {
		if base, err = f.choose(fsys); err != nil {
			return f, err
		}
	}
	if strings.HasSuffix(base, ".json") {
		return f, f.openIndex(fsys, base, show)
	}
	if err := f.openShard(fsys, base, show(base)); err != nil {
		return f, err
	}
	return f, f.single()
}

// choose picks the checkpoint of a folder.
func (f *File) choose(fsys fs.FS) (string, error) {
	fail := func(hint, format string, args ...any) error {
		return &Error{Op: "open", File: f.name, Offset: -1, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	list, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", fail("", "%w", err)
	}
	var indexes, others []string
	single := false
	for _, e := range list {
		switch n := e.Name(); {
		case e.IsDir():
		case n == "model.safetensors":
			single = true
		case strings.HasSuffix(n, ".safetensors.index.json"):
			indexes = append(indexes, n)
		case strings.HasSuffix(n, ".safetensors"):
			others = append(others, n)
		}
	}
	switch {
	case single:
		for _, n := range indexes {
			f.warn("%s is ignored, model.safetensors stands beside it", n)
		}
		return "model.safetensors", nil
	case len(indexes) == 1:
		return indexes[0], nil
	case len(indexes) > 1:
		return "", fail("name one of them", "the folder has several indexes, %s", strings.Join(indexes, ", "))
	case slices.Contains(others, adapterWeightsFile):
		return "", fail("give the base as well", "the folder holds an adapter, which is a difference from a base")
	case len(others) > 0:
		return "", fail("name the file itself", "neither model.safetensors nor an index is in the folder, only %s", strings.Join(others, ", "))
	}
	return "", fail("give a folder in Hugging Face form or a .safetensors file", "no safetensors file is in the folder")
}

// openShard opens one safetensors file of a folder and reads its header.
func (f *File) openShard(fsys fs.FS, base, show string) error {
	file, err := fsys.Open(base)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "check the path, and that all shards were fetched"
		}
		return &Error{Op: "open", File: show, Offset: -1, Err: cause(err), Hint: hint}
	}
	st, err := file.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("it is a folder, not a file")
	}
	if err != nil {
		file.Close()
		return &Error{Op: "open", File: show, Offset: -1, Err: cause(err)}
	}
	if r, ok := file.(io.ReaderAt); ok {
		s := newShard(show, r, st.Size())
		s.close = file.Close
		if disk, ok := file.(*os.File); ok {
			s.mapWith(&mappedFile{file: disk})
		}
		return f.add(s)
	}
	// A file system without random access: hold the file, which is the only
	// case where a shard is in memory whole.
	data, err := io.ReadAll(file)
	file.Close()
	if err != nil {
		return &Error{Op: "read", File: show, Offset: int64(len(data)), Err: cause(err)}
	}
	return f.add(held(show, data))
}

// cause drops the operation and path of an fs.PathError, which Error has.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// add reads a shard's header and keeps the shard, which Close closes even if
// the header is bad.
func (f *File) add(s *Shard) error {
	f.shards = append(f.shards, s)
	h, err := readHeader(s.Source, s.r, s.Size)
	if err == nil {
		s.Data, s.Tensors, s.Metadata = h.data, h.tensors, h.metadata
	}
	return err
}

// single makes the one shard the whole checkpoint.
func (f *File) single() error {
	s := f.shards[0]
	f.tensors = make(map[string]entry, len(s.Tensors))
	for _, t := range s.Tensors {
		f.tensors[t.Name] = entry{t, 0}
	}
	f.metadata = s.Metadata
	return nil
}

func (f *File) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}

// Close closes the files. Tensors that were read stay valid, Bytes do not.
func (f *File) Close() error {
	f.closed.Store(true)
	var errs []error
	for _, s := range f.shards {
		if s.close != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// Shards lists the files that hold the tensors, sorted by name; a single file is
// one. It must not be modified.
func (f *File) Shards() []*Shard { return f.shards }

// Index is the path of the index, "" if there is none.
func (f *File) Index() string { return f.index }

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Info describes a tensor.
func (f *File) Info(name string) (Info, bool) {
	e, ok := f.tensors[name]
	return e.Info, ok
}

// Metadata is the __metadata__ of a single file, or an index's metadata with
// values that aren't strings left as their JSON; nil if there is none. It must
// not be modified.
func (f *File) Metadata() map[string]string { return f.metadata }

// Warnings lists what is odd but harmless, such as shards that no tensor uses.
func (f *File) Warnings() []string { return f.warnings }

// Section is a tensor's bytes as a stream, little-endian, for callers that
// work through a tensor in pieces.
func (f *File) Section(name string) (*io.SectionReader, Info, error) {
	e, ok := f.tensors[name]
	if !ok {
		return nil, Info{}, f.missing(name)
	}
	return f.shards[e.shard].Section(e.Info), e.Info, nil
}

// missing is the error for a name that no tensor has.
func (f *File) missing(name string) error {
	err := &Error{Op: "read", File: f.name, Tensor: name, Offset: -1, Err: ErrNoTensor}
	if len(f.tensors) > 0 {
		err.Hint = fmt.Sprintf("the file has %d tensors, such as %q", len(f.tensors), f.Names()[0])
	}
	return err
}

// Raw reads a tensor's bytes, little-endian, of any type.
func (f *File) Raw(name string) ([]byte, Info, error) {
	r, info, err := f.Section(name)
	if err != nil {
		return nil, info, err
	}
	b := make([]byte, info.Bytes)
	if n, err := io.ReadFull(r, b); err != nil {
		return nil, info, &Error{Op: "read", File: info.File, Tensor: name, Offset: info.Offset + int64(n), Err: cause(err)}
	}
	return b, info, nil
}

// chunk is the bytes converted at a time, so that a tensor is never held both
// raw and converted.
const chunk = 1 << 18

// Tensor reads a tensor of a float type as float32. F64 rounds to nearest; the
// others are exact. Integers are refused: see Raw.
func (f *File) Tensor(name string) (*tensor.Tensor, error) {
	r, info, err := f.Section(name)
	if err != nil {
		return nil, err
	}
	if !info.DType.Float() {
		return nil, &Error{Op: "read", File: info.File, Tensor: name, Offset: info.Offset,
			Err: fmt.Errorf("%w: %s doesn't convert to float32", ErrUnsupported, info.DType), Hint: "read its bytes with Raw"}
	}
	t := tensor.New(info.Shape...)
	size := info.DType.Size()
	buf := make([]byte, min(chunk, info.Bytes))
	for done := 0; done < len(t.Data); {
		n := min(len(buf)/size, len(t.Data)-done)
		if _, err := io.ReadFull(r, buf[:n*size]); err != nil {
			return nil, &Error{Op: "read", File: info.File, Tensor: name, Offset: info.Offset + int64(done*size), Err: cause(err)}
		}
		info.DType.decode(t.Data[done:done+n], buf)
		done += n
	}
	return t, nil
}
