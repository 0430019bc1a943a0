package checkpoint

import (
	"errors"
	"io"
	"path"
	"path/filepath"
	"sync"
)

// Shard is one safetensors file of an open checkpoint, for readers that stream
// whole files or make them again byte for byte.
type Shard struct {
	Name     string            // in its folder, without the folder
	Size     int64             // bytes
	Data     int64             // where the tensors' bytes begin: after the header and its length
	Tensors  []Info            // in the order of their bytes, those too that the index doesn't name; not to be modified
	Metadata map[string]string // the file's own __metadata__, nil if there is none; not to be modified
	Source   string            // the path or name that errors print

	r      io.ReaderAt
	close  func() error           // nil if there is nothing to close
	mapped func() ([]byte, error) // the whole file in memory, nil if it can't be mapped
}

// newShard is a shard of size bytes whose header is still to be read.
func newShard(source string, r io.ReaderAt, size int64) *Shard {
	name := path.Base(filepath.ToSlash(source))
	return &Shard{Name: name, Source: source, Size: size, r: r}
}

// mapWith makes the shard's file readable in place; the file is mapped when it
// is first needed.
func (s *Shard) mapWith(m mapper) {
	s.mapped = sync.OnceValues(m.open)
	closeFile := s.close
	s.close = func() error {
		err := m.close()
		if closeFile != nil {
			err = errors.Join(err, closeFile())
		}
		return err
	}
}

// Header reads what stands before the tensors' bytes: the eight bytes of the
// length and the JSON, padding included, exactly as stored.
func (s *Shard) Header() ([]byte, error) {
	b := make([]byte, s.Data)
	if n, err := io.ReadFull(s.Reader(), b); err != nil {
		return nil, &Error{Op: "read", File: s.Source, Offset: int64(n), Err: cause(err)}
	}
	return b, nil
}

// Reader is the whole file as a stream.
func (s *Shard) Reader() *io.SectionReader { return io.NewSectionReader(s.r, 0, s.Size) }

// Section is the bytes of one of the shard's Tensors as a stream.
func (s *Shard) Section(t Info) *io.SectionReader {
	return io.NewSectionReader(s.r, t.Offset, t.Bytes)
}
