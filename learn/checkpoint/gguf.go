package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// ggufAlignment is where tensors begin in a GGUF file, the format's default.
const ggufAlignment = 32

// KV is one piece of metadata of a GGUF file. Value is a string, bool, uint32,
// int32, float32, []string or []int32.
type KV struct {
	Key   string
	Value any
}

// ggufTypes are the numbers the format gives to element types.
var ggufTypes = map[DType]uint32{F32: 0, F16: 1, BF16: 30}

// WriteGGUF writes a GGUF file, version 3, little-endian, that appears whole or
// not at all. Metadata and tensors keep the order given. Tensors are F32, F16
// or BF16 and have one to four dimensions; a shape (out, in) is written as the
// format wants it, fastest dimension first.
//
// It's the container only: what keys and names an engine expects is for the
// caller, or for Llama.
func WriteGGUF(path string, meta []KV, entries []Entry) error {
	list := make([]ggufTensor, len(entries))
	for i, e := range entries {
		list[i] = ggufTensor{Entry: e}
	}
	return Atomic(path, func(w io.Writer) error { return encodeGGUF(w, path, meta, list) })
}

// ggufTensor is an entry whose rows may still have to be brought into the
// order of interleaved rotary pairs, heads by heads; 0: as they are.
type ggufTensor struct {
	Entry
	heads int
}

func encodeGGUF(w io.Writer, file string, meta []KV, list []ggufTensor) error {
	head, err := appendGGUF(nil, meta, list)
	if err != nil {
		err.File = file
		return err
	}
	out := bufio.NewWriterSize(w, chunk)
	offset, e := int64(0), error(nil)
	put := func(b []byte) {
		if e == nil {
			_, e = out.Write(b)
			offset += int64(len(b))
		}
	}
	put(head)
	for _, t := range list {
		if t.heads > 0 {
			t.Tensor = interleaveRotary(t.Tensor, t.heads)
		}
		size, err := t.size()
		n := int64(0)
		if err == nil {
			n, err = t.emit(out, size)
		}
		if err != nil {
			return &Error{Op: "write", File: file, Tensor: t.Name, Offset: offset + n, Err: cause(err)}
		}
		offset += n
		put(make([]byte, padding(offset)))
	}
	if e == nil {
		e = out.Flush()
	}
	if e != nil {
		return &Error{Op: "write", File: file, Offset: offset, Err: cause(e)}
	}
	return nil
}

// padding is the bytes from n up to the next multiple of ggufAlignment.
func padding(n int64) int64 { return -n & (ggufAlignment - 1) }

// appendGGUF appends everything before the tensors' bytes, padded.
func appendGGUF(b []byte, meta []KV, list []ggufTensor) ([]byte, *Error) {
	fail := func(name string, err error) ([]byte, *Error) {
		return nil, &Error{Op: "write", Tensor: name, Offset: -1, Err: err}
	}
	le := binary.LittleEndian
	b = append(b, "GGUF"...)
	b = le.AppendUint32(b, 3)
	b = le.AppendUint64(b, uint64(len(list)))
	b = le.AppendUint64(b, uint64(len(meta)))
	seen := map[string]bool{}
	for _, kv := range meta {
		if kv.Key == "" || seen[kv.Key] {
			return fail("", fmt.Errorf("the key %q is empty or given twice", kv.Key))
		}
		seen[kv.Key] = true
		var ok bool
		if b, ok = appendGGUFValue(appendGGUFString(b, kv.Key), kv.Value); !ok {
			return fail("", fmt.Errorf("the value of %s has the Go type %T, which this writer doesn't know", kv.Key, kv.Value))
		}
	}
	clear(seen)
	offset := int64(0)
	for _, t := range list {
		size, err := t.size()
		if err != nil {
			return fail(t.Name, err)
		}
		kind, ok := ggufTypes[t.dtype()]
		switch shape := t.shape(); {
		case !ok:
			return fail(t.Name, fmt.Errorf("%w %s in GGUF", ErrUnsupported, t.dtype()))
		case len(shape) < 1 || len(shape) > 4:
			return fail(t.Name, fmt.Errorf("shape %v has not one to four dimensions", shape))
		case t.Name == "" || len(t.Name) >= 64: // GGML_MAX_NAME, with its final zero byte
			return fail(t.Name, errors.New("the name is empty or longer than 63 bytes"))
		case seen[t.Name]:
			return fail(t.Name, errors.New("the name is given twice"))
		default:
			seen[t.Name] = true
			b = le.AppendUint32(appendGGUFString(b, t.Name), uint32(len(shape)))
			for i := range shape {
				b = le.AppendUint64(b, uint64(shape[len(shape)-1-i]))
			}
		}
		b = le.AppendUint64(le.AppendUint32(b, kind), uint64(offset))
		offset += size + padding(size)
	}
	return append(b, make([]byte, padding(int64(len(b))))...), nil
}

func appendGGUFString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Numbers of the format for types of values.
const (
	ggufUint32  = 4
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9
)

// appendGGUFValue appends a value with its type; false for Go types without one.
func appendGGUFValue(b []byte, value any) ([]byte, bool) {
	le := binary.LittleEndian
	array := func(kind uint32, n int) {
		b = le.AppendUint32(b, ggufArray)
		b = le.AppendUint32(b, kind)
		b = le.AppendUint64(b, uint64(n))
	}
	switch v := value.(type) {
	case string:
		b = appendGGUFString(le.AppendUint32(b, ggufString), v)
	case bool:
		b = append(le.AppendUint32(b, ggufBool), 0)
		if v {
			b[len(b)-1] = 1
		}
	case uint32:
		b = le.AppendUint32(le.AppendUint32(b, ggufUint32), v)
	case int32:
		b = le.AppendUint32(le.AppendUint32(b, ggufInt32), uint32(v))
	case float32:
		b = le.AppendUint32(le.AppendUint32(b, ggufFloat32), math.Float32bits(v))
	case []string:
		array(ggufString, len(v))
		for _, s := range v {
			b = appendGGUFString(b, s)
		}
	case []int32:
		array(ggufInt32, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, uint32(x))
		}
	default:
		return b, false
	}
	return b, true
}
