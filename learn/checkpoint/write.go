package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"orrery/learn/tensor"
)

// Entry is one tensor to write: Tensor converted to DType, a float type, or
// Raw bytes of DType and Shape as they are.
type Entry struct {
	Name   string
	Tensor *tensor.Tensor
	DType  DType // zero means F32
	Raw    []byte
	Shape  []int // of Raw
}

func (e Entry) dtype() DType { return cmp.Or(e.DType, F32) }

func (e Entry) shape() []int {
	if e.Tensor != nil {
		return e.Tensor.Shape
	}
	return e.Shape
}

// check finds contradictions within an entry.
func (e Entry) check() error {
	d := e.dtype()
	if err := d.check(); err != nil {
		return err
	}
	size, err := byteSize(d, e.shape())
	if err != nil {
		return err
	}
	switch {
	case !utf8.ValidString(e.Name):
		return fmt.Errorf("the name %q isn't UTF-8", e.Name)
	case e.Name == "__metadata__":
		return errors.New("the name is reserved by the format")
	case len(e.shape()) > maxRank:
		return fmt.Errorf("%d dimensions are more than %d", len(e.shape()), maxRank)
	case e.Tensor != nil && e.Raw != nil:
		return errors.New("both a tensor and raw bytes are given")
	case e.Tensor != nil && d.encodes() != nil:
		return d.encodes()
	case e.Tensor != nil && int64(len(e.Tensor.Data)) != size/int64(d.Size()):
		return fmt.Errorf("shape %v doesn't fit %d elements", e.shape(), len(e.Tensor.Data))
	case e.Tensor == nil && int64(len(e.Raw)) != size:
		return fmt.Errorf("shape %v of %s takes %d bytes, %d are given", e.shape(), d, size, len(e.Raw))
	}
	return nil
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
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(kinds[b.dtype()].rank, kinds[a.dtype()].rank), cmp.Compare(a.Name, b.Name))
	})
	head, e := appendHeader(make([]byte, 8), entries, metadata)
	if e != nil {
		e.File = file
		return e
	}
	binary.LittleEndian.PutUint64(head, uint64(len(head)-8))
	out := bufio.NewWriterSize(w, chunk)
	if _, err := out.Write(head); err != nil {
		return &Error{Op: "write", File: file, Offset: 0, Err: cause(err)}
	}
	offset := int64(len(head))
	for _, e := range entries {
		n, err := writeElements(out, e)
		if err != nil {
			return &Error{Op: "write", File: file, Tensor: e.Name, Offset: offset + n, Err: cause(err)}
		}
		offset += n
	}
	if err := out.Flush(); err != nil {
		return &Error{Op: "write", File: file, Offset: -1, Err: cause(err)}
	}
	return nil
}

// appendHeader appends the JSON header, padded with blanks so that the data
// begin at a multiple of 8.
func appendHeader(b []byte, entries []Entry, metadata map[string]string) ([]byte, *Error) {
	fail := func(name string, err error) ([]byte, *Error) {
		return nil, &Error{Op: "write", Tensor: name, Offset: -1, Err: err}
	}
	b = append(b, '{')
	if metadata != nil {
		b = append(b, `"__metadata__":{`...)
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(k) || !utf8.ValidString(metadata[k]) {
				return fail("", fmt.Errorf("metadata %q isn't UTF-8", k))
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(append(appendQuoted(b, k), ':'), metadata[k])
		}
		b = append(b, '}')
		if len(entries) > 0 {
			b = append(b, ',')
		}
	}
	var offset int64
	names := map[string]bool{}
	for i, e := range entries {
		if err := e.check(); err != nil {
			return fail(e.Name, err)
		}
		if names[e.Name] {
			return fail(e.Name, errors.New("the name is given twice"))
		}
		names[e.Name] = true
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
		size, _ := byteSize(e.dtype(), e.shape())
		b = append(strconv.AppendInt(append(b, `],"data_offsets":[`...), offset, 10), ',')
		offset += size
		b = append(strconv.AppendInt(b, offset, 10), "]}"...)
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return fail("", fmt.Errorf("the header takes %d bytes, readers refuse more than %d", len(b)-8, maxHeader))
	}
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

// writeElements writes one entry's bytes and returns how many came out.
func writeElements(w io.Writer, e Entry) (int64, error) {
	if e.Tensor == nil {
		n, err := w.Write(e.Raw)
		return int64(n), err
	}
	d := e.dtype()
	step := chunk / d.Size()
	buf := make([]byte, 0, min(chunk, d.Size()*len(e.Tensor.Data)))
	var written int64
	for lo := 0; lo < len(e.Tensor.Data); lo += step {
		part := e.Tensor.Data[lo:min(lo+step, len(e.Tensor.Data))]
		b, bad, err := d.Encode(buf[:0], part)
		if err == nil && bad >= 0 {
			err = fmt.Errorf("element %d, %g, is beyond the range of %s: write BF16 or F32", lo+bad, part[bad], d)
		}
		if err != nil {
			return written + int64(max(bad, 0)*d.Size()), err
		}
		n, err := w.Write(b)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
