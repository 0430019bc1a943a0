package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"

	"orrery/learn/checkpoint"
)

// Checkpoint is an input: weights, and what is known about them.
type Checkpoint struct {
	path     string
	kind     string // "checkpoint" or "adapter"
	source   Source
	config   *modelConfig
	files    []InputFile
	warnings []string
	readers  []func() io.Reader // of files, in their order
	close    func() error
}

// Open opens a Hugging Face folder, an index or a safetensors file.
func Open(path string) (*Checkpoint, error) {
	if checkpoint.IsAdapter(path) {
		return nil, fmt.Errorf("audit: open %s: an adapter is not a base: give the model that it was trained on first, the adapter second", path)
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{path: path, kind: "checkpoint", source: f, close: f.Close}
	if c.config, err = readConfig(path); err != nil {
		f.Close()
		return nil, err
	}
	c.addFiles(f.Shards())
	for _, w := range f.Warnings() {
		c.warnings = append(c.warnings, filepath.Base(path)+": "+w)
	}
	return c, nil
}

func (c *Checkpoint) addFiles(shards []*checkpoint.Shard) {
	for _, s := range shards {
		c.files = append(c.files, InputFile{Name: s.Name, Bytes: s.Size})
		c.readers = append(c.readers, func() io.Reader { return s.Reader() })
	}
}

// Close closes the files.
func (c *Checkpoint) Close() error { return c.close() }

// Hash computes the files' SHA-256.
func (c *Checkpoint) Hash() error {
	for i := range c.files {
		h := sha256.New()
		if _, err := io.Copy(h, c.readers[i]()); err != nil {
			return fmt.Errorf("audit: hash %s of %s: %w", c.files[i].Name, c.path, err)
		}
		sum := hex.EncodeToString(h.Sum(nil))
		c.files[i].SHA256 = &sum
	}
	return nil
}

// input describes the checkpoint; tied names count once.
func (c *Checkpoint) input(tied []Tied) Input {
	in := Input{Path: c.path, Kind: c.kind, Files: c.files, Tensors: len(c.source.Names())}
	if in.Files == nil {
		in.Files = []InputFile{}
	}
	skip := map[string]bool{}
	for _, t := range tied {
		skip[t.Name] = true
	}
	for _, name := range c.source.Names() {
		if info, ok := c.source.Info(name); ok && info.DType.Float() && !skip[name] {
			in.Params += elementsOf(info.Shape)
		}
	}
	return in
}

// matrix is a matrix inside a stored tensor: all of it, or a span.
type matrix struct {
	r     io.ReaderAt
	d     checkpoint.DType
	whole int64 // columns of the tensor
	span  span
	rows  int64
	cols  int64
}

func newMatrix(r io.ReaderAt, d checkpoint.DType, rows, cols int64, s span) matrix {
	m := matrix{r: r, d: d, whole: cols, span: s}
	m.rows, m.cols = s.size(rows, cols)
	return m
}

// runs calls f with the places in the tensor, in elements, of the matrix's
// entries [lo, hi), in their order.
func (m matrix) runs(lo, hi int64, f func(from, n int64) error) error {
	for lo < hi {
		row, col := lo/m.cols, lo%m.cols
		from, left := m.sourceRow(row)
		n := m.cols - col
		if m.cols == m.whole { // rows of one range follow each other
			n = left*m.cols - col
		}
		n = min(n, hi-lo)
		if err := f(from*m.whole+m.span.lo+col, n); err != nil {
			return err
		}
		lo += n
	}
	return nil
}

// sourceRow is the tensor's row that is the matrix's, and how many follow in its range.
func (m matrix) sourceRow(row int64) (from, left int64) {
	if m.span.rows == nil {
		return row, m.rows - row
	}
	for _, r := range m.span.rows {
		if n := r[1] - r[0]; row < n {
			return r[0] + row, n - row
		} else {
			row -= n
		}
	}
	panic("audit: row beyond the matrix")
}

// read fills dst with the stored bytes of the entries from lo on.
func (m matrix) read(dst []byte, lo int64) error {
	size := int64(m.d.Size())
	hi := lo + int64(len(dst))/size
	return m.runs(lo, hi, func(from, n int64) error {
		part := dst[:n*size]
		dst = dst[n*size:]
		k, err := m.r.ReadAt(part, from*size)
		if k == len(part) {
			return nil
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("at byte %d of the tensor: %w", from*size+int64(k), err)
	})
}

// codes fills dst with the bf16 codes of the entries from lo on.
func (m matrix) codes(dst []uint16, lo int64) error {
	var raw [8 * piece]byte
	var v [piece]float64
	size := m.d.Size()
	for len(dst) > 0 {
		n := min(piece, len(dst))
		if err := m.read(raw[:n*size], lo); err != nil {
			return err
		}
		if m.d == checkpoint.BF16 {
			for i := range n {
				dst[i] = uint16(raw[2*i]) | uint16(raw[2*i+1])<<8
			}
		} else {
			if err := m.d.Decode64(v[:n], raw[:n*size]); err != nil {
				return err
			}
			for i, x := range v[:n] {
				dst[i] = bf16From64(x)
			}
		}
		dst, lo = dst[n:], lo+int64(n)
	}
	return nil
}

// floats reads the whole matrix as float32.
func (m matrix) floats() ([]float32, error) {
	out := make([]float32, m.rows*m.cols)
	buf := make([]byte, 1<<18)
	size := m.d.Size()
	for lo := 0; lo < len(out); {
		n := min(len(buf)/size, len(out)-lo)
		if err := m.read(buf[:n*size], int64(lo)); err != nil {
			return nil, err
		}
		if err := m.d.Decode(out[lo:lo+n], buf[:n*size]); err != nil {
			return nil, err
		}
		lo += n
	}
	return out, nil
}

// mask takes the matrix's bits out of the tensor's.
func (m matrix) mask(bits []uint64) []uint64 {
	if m.span.rows == nil && m.span.hi == 0 {
		return bits
	}
	out := make([]uint64, (m.rows*m.cols+63)/64)
	at := int64(0)
	m.runs(0, m.rows*m.cols, func(from, n int64) error {
		for i := range n {
			out[(at+i)/64] |= bits[(from+i)/64] >> ((from + i) % 64) & 1 << ((at + i) % 64)
		}
		at += n
		return nil
	})
	return out
}
