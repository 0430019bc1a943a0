package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxHeader is the largest header accepted, the reference implementation's
// own limit; an index file is held to it too.
const maxHeader = 100_000_000

// maxRank bounds a tensor's dimensions; NumPy stops there as well.
const maxRank = 64

// Info is one tensor as its header describes it.
type Info struct {
	Name   string
	DType  DType
	Shape  []int // row-major; none: a scalar
	File   string
	Offset int64 // of its first byte in File
	Bytes  int64
}

// Elements is the number of elements.
func (i Info) Elements() int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d)
	}
	return n
}

// header is a parsed safetensors header: tensors in the order of their bytes.
type header struct {
	data     int64 // where the tensors' bytes begin
	tensors  []Info
	metadata map[string]string
}

// where is an error that knows its tensor and place; readHeader completes it.
func where(tensor string, offset int64, format string, args ...any) *Error {
	return &Error{Op: "read", Tensor: tensor, Offset: offset, Err: fmt.Errorf(format, args...)}
}

// readHeader reads the header of a safetensors file of size bytes and checks
// that the tensors it names tile the rest of the file exactly.
func readHeader(name string, r io.ReaderAt, size int64) (*header, error) {
	fail := func(err *Error) (*header, error) { err.File = name; return nil, err }
	var prefix [8]byte
	if size < int64(len(prefix)) {
		err := where("", 0, "the file has %d bytes, a header length alone takes 8", size)
		err.Hint = "it is empty or truncated: fetch it again"
		return fail(err)
	}
	if _, err := r.ReadAt(prefix[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return fail(where("", 0, "%w", err))
	}
	n := leUint64(prefix[:])
	if n > maxHeader {
		err := where("", 0, "a header of %d bytes is above the limit of %d", n, maxHeader)
		err.Hint = "this is not a safetensors file"
		return fail(err)
	}
	if int64(n) > size-8 {
		err := where("", 0, "a header of %d bytes passes the end of the file, %d bytes", n, size)
		err.Hint = "it is truncated or not a safetensors file"
		return fail(err)
	}
	raw := make([]byte, n)
	if _, err := r.ReadAt(raw, 8); err != nil && !errors.Is(err, io.EOF) {
		return fail(where("", 8, "%w", err))
	}
	h, e := parseHeader(raw)
	if e != nil {
		return fail(e)
	}
	h.data = 8 + int64(n)
	if e := h.tile(h.data, size-h.data); e != nil {
		return fail(e)
	}
	for i := range h.tensors {
		h.tensors[i].File = name
	}
	return h, nil
}

func leUint64(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// tile turns offsets that count from the data's start into places in the file,
// and checks that the tensors fill the data without overlap or hole.
func (h *header) tile(data, length int64) *Error {
	slices.SortFunc(h.tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Name, b.Name))
	})
	var end int64
	for i := range h.tensors {
		t := &h.tensors[i]
		switch {
		case t.Offset < end:
			return where(t.Name, data+t.Offset, "its bytes overlap those of %q", h.tensors[i-1].Name)
		case t.Offset > end:
			return where(t.Name, data+end, "%d bytes before it belong to no tensor", t.Offset-end)
		case t.Bytes > length-t.Offset:
			e := where(t.Name, data+t.Offset, "its %d bytes pass the end of the file, %d bytes", t.Bytes, data+length)
			e.Hint = "the file is truncated: fetch it again"
			return e
		}
		end += t.Bytes
		t.Offset += data
	}
	if end != length {
		return where("", data+end, "%d bytes after the last tensor belong to none", length-end)
	}
	return nil
}

// parser walks the JSON of a header. encoding/json alone would take duplicate
// keys, keys in any case, and bytes that are not UTF-8.
type parser struct {
	d      *json.Decoder
	tensor string
}

// parseHeader parses the JSON of a header, offsets still relative to the data.
func parseHeader(raw []byte) (*header, *Error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, where("", 8, "the header doesn't begin with {")
	}
	if !utf8.Valid(raw) {
		return nil, where("", 8, "the header isn't UTF-8")
	}
	p := newParser(raw)
	h := &header{}
	err := p.object(func(key string) error {
		if key == "__metadata__" {
			h.metadata = map[string]string{}
			return p.object(func(k string) error {
				v, err := p.str()
				h.metadata[k] = v
				return err
			})
		}
		p.tensor = key
		t, err := p.info(key)
		if err == nil {
			h.tensors, p.tensor = append(h.tensors, t), ""
		}
		return err
	})
	if err == nil {
		if rest := bytes.Trim(raw[p.d.InputOffset():], " "); len(rest) > 0 {
			err = fmt.Errorf("after the header's closing brace only blanks may follow, found %q", rest[:min(len(rest), 16)])
		}
	}
	if err != nil {
		return nil, where(p.tensor, 8+p.d.InputOffset(), "%w", err)
	}
	return h, nil
}

func newParser(raw []byte) *parser {
	p := &parser{d: json.NewDecoder(bytes.NewReader(raw))}
	p.d.UseNumber()
	return p
}

// object reads an object, calling f after each key to read its value.
func (p *parser) object(f func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	return p.members(f)
}

// members reads what follows an object's opening brace.
func (p *parser) members(f func(key string) error) error {
	keys := map[string]bool{}
	for p.d.More() {
		key, err := p.str()
		if err != nil {
			return err
		}
		if keys[key] {
			return fmt.Errorf("the key %.80q stands twice", key)
		}
		keys[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

// info reads one tensor's description.
func (p *parser) info(name string) (Info, error) {
	t := Info{Name: name}
	var offsets []int64
	keys := 0
	err := p.object(func(key string) (err error) {
		keys++
		switch key {
		case "dtype":
			var s string
			if s, err = p.str(); err == nil {
				t.DType = DType(s)
				err = t.DType.check()
			}
		case "shape":
			var dims []int64
			dims, err = p.naturals(maxRank)
			t.Shape = make([]int, len(dims))
			for i, d := range dims {
				if d > math.MaxInt {
					return fmt.Errorf("the dimension %d doesn't fit this machine's int", d)
				}
				t.Shape[i] = int(d)
			}
		case "data_offsets":
			offsets, err = p.naturals(2)
		default:
			err = fmt.Errorf("unknown key %.80q, where dtype, shape and data_offsets are allowed", key)
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case keys != 3: // no key twice, none unknown: one is missing
		return t, errors.New("dtype, shape and data_offsets are all needed")
	case len(offsets) != 2:
		return t, fmt.Errorf("data_offsets has %d numbers, not a begin and an end", len(offsets))
	case offsets[1] < offsets[0]:
		return t, fmt.Errorf("data_offsets end at %d, before they begin at %d", offsets[1], offsets[0])
	}
	t.Offset, t.Bytes = offsets[0], offsets[1]-offsets[0]
	want, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return t, err
	}
	if want != t.Bytes {
		return t, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets span %d", t.Shape, t.DType, want, t.Bytes)
	}
	return t, nil
}

// byteSize is the bytes of a tensor. It is an error if its bits or any partial
// product of the dimensions overflow, even where a zero would hide it, and if
// the bits of elements smaller than a byte don't fill the last byte: the format
// has no padding.
func byteSize(d DType, shape []int) (int64, error) {
	bits, zero := int64(d.Bits()), false
	for _, dim := range shape {
		switch {
		case dim < 0:
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		case dim == 0:
			zero = true
		case bits > math.MaxInt64/int64(dim):
			return 0, fmt.Errorf("the size of shape %v overflows", shape)
		default:
			bits *= int64(dim)
		}
	}
	switch {
	case zero:
		return 0, nil
	case bits%8 != 0:
		return 0, fmt.Errorf("shape %v of %s takes %d bits, which are no whole number of bytes", shape, d, bits)
	}
	return bits / 8, nil
}

func (p *parser) token() (json.Token, error) {
	t, err := p.d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

func (p *parser) delim(want json.Delim) error {
	t, err := p.token()
	if err == nil && t != want {
		err = fmt.Errorf("expected %q, found %.80v", want.String(), t)
	}
	return err
}

func (p *parser) str() (string, error) {
	t, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("expected a string, found %.80v", t)
	}
	return s, nil
}

// naturals reads an array of at most limit whole numbers from 0 to 2^63-1.
func (p *parser) naturals(limit int) ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	var list []int64
	for p.d.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		num, _ := t.(json.Number)
		v, err := strconv.ParseUint(num.String(), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%.80v is not a whole number from 0 to 2^63-1", t)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers in one list", limit)
		}
		list = append(list, int64(v))
	}
	return list, p.delim(']')
}
