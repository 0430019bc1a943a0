package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"orrery/learn/tensor"
)

// Entry is one tensor to write: Tensor converted to DType, a float type, or
// bytes of DType and Shape as they are, held (Raw) or asked for when their turn
// comes (From), so that no more than one tensor need be in memory.
type Entry struct {
	Name   string
	Tensor *tensor.Tensor
	DType  DType // zero means F32
	Raw    []byte
	From   func(io.Writer) error // writes the bytes, as many as DType and Shape take
	Shape  []int                 // of Raw and From
}

func (e Entry) dtype() DType { return cmp.Or(e.DType, F32) }

func (e Entry) shape() []int {
	if e.Tensor != nil {
		return e.Tensor.Shape
	}
	return e.Shape
}

// size is the bytes that the entry takes. The error is a contradiction within
// the entry.
func (e Entry) size() (int64, error) {
	d := e.dtype()
	if err := d.check(); err != nil {
		return 0, err
	}
	size, err := byteSize(d, e.shape())
	if err != nil {
		return 0, err
	}
	switch {
	case !utf8.ValidString(e.Name):
		return 0, fmt.Errorf("the name %q isn't UTF-8", e.Name)
	case e.Name == "__metadata__":
		return 0, errors.New("the name is reserved by the format")
	case len(e.shape()) > maxRank:
		return 0, fmt.Errorf("%d dimensions are more than %d", len(e.shape()), maxRank)
	case e.Tensor != nil && (e.Raw != nil || e.From != nil) || e.Raw != nil && e.From != nil:
		return 0, errors.New("more than one of Tensor, Raw and From is given")
	case e.Tensor != nil && d.encodes() != nil:
		return 0, d.encodes()
	case e.Tensor != nil && int64(len(e.Tensor.Data)) != size/int64(d.Size()):
		return 0, fmt.Errorf("shape %v doesn't fit %d elements", e.shape(), len(e.Tensor.Data))
	case e.Tensor == nil && e.From == nil && int64(len(e.Raw)) != size:
		return 0, fmt.Errorf("shape %v of %s takes %d bytes, %d are given", e.shape(), d, size, len(e.Raw))
	}
	return size, nil
}

// Entry is a tensor of f to write again, streamed when its turn comes; f must
// be open until then.
func (f *File) Entry(name string) (Entry, error) {
	r, info, err := f.Section(name)
	return Entry{Name: name, DType: info.DType, Shape: info.Shape, From: func(w io.Writer) error {
		return pour(w, io.NewSectionReader(r, 0, info.Bytes), info)
	}}, err
}

// pour writes a tensor's bytes from where they are stored.
func pour(w io.Writer, r *io.SectionReader, info Info) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, min(chunk, max(info.Bytes, 1))))
	if err == nil && n < info.Bytes {
		err = &Error{Op: "read", File: info.File, Tensor: info.Name, Offset: info.Offset + n, Err: io.ErrUnexpectedEOF, Hint: "the file was cut after it was opened"}
	}
	return err
}

// Write writes a safetensors file that appears whole or not at all (see
// Atomic). The bytes depend on nothing but the arguments, and not on the order
// of the entries: wider types first, then by name, as the reference
// implementation orders them; metadata keys sorted. A finite value that DType
// can't hold is an error, not an infinity.
func Write(path string, entries []Entry, metadata map[string]string) error {
	return Atomic(path, func(w io.Writer) error { return encode(w, path, entries, metadata) })
}

// Encode writes the bytes of Write to w.
func Encode(w io.Writer, entries []Entry, metadata map[string]string) error {
	return encode(w, "safetensors stream", entries, metadata)
}

func encode(w io.Writer, file string, entries []Entry, metadata map[string]string) error {
	p, err := layOut(file, entries, metadata)
	if err != nil {
		return err
	}
	return p.writeTo(w)
}

// plan is a file to write: its header and, in the order of their bytes, its
// tensors.
type plan struct {
	file    string // for errors
	head    []byte // with the length
	entries []Entry
	sizes   []int64
}

// layOut orders the entries and makes the header.
func layOut(file string, entries []Entry, metadata map[string]string) (*plan, error) {
	p := &plan{file: file, entries: slices.Clone(entries), sizes: make([]int64, len(entries))}
	slices.SortFunc(p.entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(kinds[b.dtype()].rank, kinds[a.dtype()].rank), cmp.Compare(a.Name, b.Name))
	})
	names := map[string]bool{}
	for i, e := range p.entries {
		size, err := e.size()
		if err == nil && names[e.Name] {
			err = errors.New("the name is given twice")
		}
		if err != nil {
			return nil, &Error{Op: "write", File: file, Tensor: e.Name, Offset: -1, Err: err}
		}
		names[e.Name], p.sizes[i] = true, size
	}
	var err error
	if p.head, err = p.header(metadata); err != nil {
		return nil, &Error{Op: "write", File: file, Offset: -1, Err: err}
	}
	return p, nil
}

// writeTo writes the file, one tensor after the other.
func (p *plan) writeTo(w io.Writer) error {
	out := bufio.NewWriterSize(w, chunk)
	if _, err := out.Write(p.head); err != nil {
		return &Error{Op: "write", File: p.file, Offset: 0, Err: cause(err)}
	}
	offset := int64(len(p.head))
	for i, e := range p.entries {
		n, err := e.emit(out, p.sizes[i])
		if err != nil {
			return &Error{Op: "write", File: p.file, Tensor: e.Name, Offset: offset + n, Err: cause(err)}
		}
		offset += n
	}
	if err := out.Flush(); err != nil {
		return &Error{Op: "write", File: p.file, Offset: -1, Err: cause(err)}
	}
	return nil
}

// emit writes the entry's bytes, size of them, and returns how many came out.
func (e Entry) emit(w io.Writer, size int64) (int64, error) {
	count := &exactly{w: w, want: size}
	err := e.writeTo(count)
	if err == nil && count.n < size {
		err = fmt.Errorf("its source ended after %d of %d bytes", count.n, size)
	}
	return count.n, err
}

// exactly lets through as many bytes as are wanted.
type exactly struct {
	w       io.Writer
	n, want int64
}

func (e *exactly) Write(b []byte) (int, error) {
	if int64(len(b)) > e.want-e.n {
		return 0, fmt.Errorf("its source has more than the %d bytes that its shape takes", e.want)
	}
	n, err := e.w.Write(b)
	e.n += int64(n)
	return n, err
}

// header is the length and the JSON, padded with blanks so that the data begin
// at a multiple of 8.
func (p *plan) header(metadata map[string]string) ([]byte, error) {
	b := append(make([]byte, 8), '{')
	if metadata != nil {
		b = append(b, `"__metadata__":{`...)
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(k) || !utf8.ValidString(metadata[k]) {
				return nil, fmt.Errorf("metadata %q isn't UTF-8", k)
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(append(appendQuoted(b, k), ':'), metadata[k])
		}
		b = append(b, '}')
		if len(p.entries) > 0 {
			b = append(b, ',')
		}
	}
	var offset int64
	for i, e := range p.entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, e.Name), `:{"dtype":"`...)
		b = append(append(b, e.dtype()...), `","shape":[`...)
		for j, d := range e.shape() {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(strconv.AppendInt(append(b, `],"data_offsets":[`...), offset, 10), ',')
		if p.sizes[i] > math.MaxInt64-offset {
			return nil, errors.New("the tensors take more than 2^63 bytes")
		}
		offset += p.sizes[i]
		b = append(strconv.AppendInt(b, offset, 10), "]}"...)
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return nil, fmt.Errorf("the header takes %d bytes, readers refuse more than %d", len(b)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// appendQuoted appends a JSON string, escaping only what JSON demands.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	short := map[byte]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}
	b = append(b, '"')
	for i := range len(s) {
		c := s[i]
		if e, ok := short[c]; ok {
			b = append(b, '\\', e)
		} else if c < 0x20 {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// writeTo writes the entry's bytes.
func (e Entry) writeTo(w io.Writer) error {
	switch {
	case e.From != nil:
		return e.From(w)
	case e.Tensor == nil:
		_, err := w.Write(e.Raw)
		return err
	}
	d := e.dtype()
	step := chunk / d.Size()
	buf := make([]byte, 0, min(chunk, d.Size()*len(e.Tensor.Data)))
	for lo := 0; lo < len(e.Tensor.Data); lo += step {
		part := e.Tensor.Data[lo:min(lo+step, len(e.Tensor.Data))]
		b, bad, err := d.Encode(buf[:0], part)
		if err == nil && bad >= 0 {
			err = fmt.Errorf("element %d, %g, is beyond the range of %s: write BF16 or F32", lo+bad, part[bad], d)
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
