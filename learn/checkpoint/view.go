package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// mapper opens and closes a file's place in memory.
type mapper interface {
	open() ([]byte, error)
	close() error
}

// errMapped is the cause of a fault in mapped memory.
var errMapped = errors.New("the file's bytes are no longer there")

// View calls f with a tensor's bytes, little-endian and not to be modified.
// They are the file itself, mapped into memory, where the file is on disk and
// the system allows; otherwise a copy, which is read each time. They are valid
// until f returns, and Close must not run meanwhile.
//
// If the file shrinks while f reads, which the processor reports as a fault in
// the middle of f, View returns an *Error that says at which byte. That holds
// for f's own goroutine; goroutines that f starts need a View each.
func (f *File) View(name string, do func(b []byte, info Info) error) (err error) {
	b, info, err := f.Bytes(name)
	if err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		at := int64(-1)
		if fault, ok := cause.(faulty); ok {
			at = int64(fault.Addr()) - int64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
		}
		if at < 0 || at >= int64(len(b)) { // no fault, or not one of ours
			panic(cause)
		}
		err = &Error{Op: "read", File: info.File, Tensor: name, Offset: info.Offset + at, Err: errMapped,
			Hint: "the file was cut or its disk is gone: leave it alone while it is read"}
	}()
	return do(b, info)
}

// faulty is the panic of a fault under debug.SetPanicOnFault.
type faulty interface {
	runtime.Error
	Addr() uintptr
}

// Bytes is a tensor's bytes, little-endian and not to be modified: the mapped
// file itself where the file is on disk and the system allows, otherwise a
// copy. They are valid until Close. Reading mapped bytes of a file that has
// shrunk since ends the program, which View prevents.
func (f *File) Bytes(name string) ([]byte, Info, error) {
	e, ok := f.tensors[name]
	if !ok {
		return nil, Info{}, f.missing(name)
	}
	s := f.shards[e.shard]
	if s.mapped == nil {
		return f.Raw(name)
	}
	all, err := s.mapped()
	switch {
	case f.closed.Load():
		return nil, e.Info, &Error{Op: "map", File: s.Source, Tensor: name, Offset: e.Offset, Err: os.ErrClosed}
	case errors.Is(err, errors.ErrUnsupported):
		return f.Raw(name)
	case err != nil:
		return nil, e.Info, &Error{Op: "map", File: s.Source, Tensor: name, Offset: e.Offset, Err: cause(err)}
	case int64(len(all)) < e.Offset+e.Bytes:
		return nil, e.Info, &Error{Op: "map", File: s.Source, Tensor: name, Offset: int64(len(all)),
			Err: fmt.Errorf("%w: the file has %d bytes now", io.ErrUnexpectedEOF, len(all)), Hint: "it was cut after it was opened"}
	}
	return all[e.Offset : e.Offset+e.Bytes : e.Offset+e.Bytes], e.Info, nil
}

// inMemory is a file that is in memory already.
type inMemory []byte

func (m inMemory) open() ([]byte, error) { return m, nil }
func (m inMemory) close() error          { return nil }
