package checkpoint

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

// Merged is a base with an adapter over it, to be read as a checkpoint: each
// tensor as it is in the base, or replaced, or with the difference added and
// rounded once to the type it has. Nothing is stored: what is read is computed,
// from the base's bytes and the two factors. It is safe for concurrent use.
type Merged struct {
	base    *File
	adapter *Adapter
}

// Over lays the adapter over a base. It is an error if a low-rank difference is
// of a tensor that the base doesn't have or that has another shape. Both must
// stay open while the result is in use.
func (a *Adapter) Over(base *File) (*Merged, error) {
	for _, target := range a.Targets() {
		if err := a.fits(base, target); err != nil {
			return nil, err
		}
	}
	return &Merged{base, a}, nil
}

// fits says why an adapter's change of a tensor is not one of this base.
func (a *Adapter) fits(base *File, target string) error {
	fail := func(hint, format string, args ...any) error {
		return &Error{Op: "merge", File: filepath.Join(a.dir, adapterWeightsFile), Tensor: target, Offset: -1, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	f := a.factors[target]
	if f == nil {
		return nil
	}
	info, ok := base.Info(target)
	if key, replaced := a.full[target]; replaced {
		info, ok = a.file.Info(key)
	}
	if !ok {
		return fail(fmt.Sprintf("is it an adapter of this base? It was trained on %q", a.config.base), "%w in the base %s", ErrNoTensor, base.name)
	}
	if !slices.Equal(f.shape(), info.Shape) {
		hint := "is it an adapter of this base?"
		if s := f.shape(); slices.Equal(info.Shape, []int{s[1], s[0]}) {
			hint = "its fan_in_fan_out is that of another layer"
		}
		return fail(hint, "the difference has shape %v, the base %v", f.shape(), info.Shape)
	}
	if err := info.DType.encodes(); err != nil {
		return fail("merge with an unquantised base", "%w", err)
	}
	return nil
}

// Names lists the tensors, sorted: those of the base, and those that the
// adapter brings whole, such as a new head.
func (m *Merged) Names() []string {
	names := m.base.Names()
	for name := range m.adapter.full {
		if _, ok := m.base.Info(name); !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// source is where a tensor's stored bytes are, and under which name.
func (m *Merged) source(name string) (*File, string) {
	if key, ok := m.adapter.full[name]; ok {
		return m.adapter.file, key
	}
	return m.base, name
}

// Info describes a tensor. A replaced one keeps the type and shape that it has
// in the adapter. File and Offset are those of the stored tensor, to which a
// difference may be added.
func (m *Merged) Info(name string) (Info, bool) {
	f, key := m.source(name)
	info, ok := f.Info(key)
	if ok {
		info.Name = name
	}
	return info, ok
}

// Section is a tensor's bytes as a stream, little-endian.
func (m *Merged) Section(name string) (*io.SectionReader, Info, error) {
	f, key := m.source(name)
	w0, info, err := f.Section(key)
	if err != nil {
		return nil, info, err
	}
	info.Name = name
	if m.adapter.factors[name] == nil {
		return w0, info, nil
	}
	l, err := m.adapter.LowRank(name)
	if err != nil {
		return nil, info, err
	}
	sum, err := l.Over(w0, info.DType, info.DType)
	if err != nil {
		return nil, info, err
	}
	return io.NewSectionReader(placed{sum, info}, 0, info.Bytes), info, nil
}

// placed adds the place to the errors of a merge.
type placed struct {
	r    io.ReaderAt
	info Info
}

func (p placed) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.r.ReadAt(b, off)
	if err != nil && err != io.EOF {
		err = &Error{Op: "merge", File: p.info.File, Tensor: p.info.Name, Offset: p.info.Offset + off + int64(n), Err: cause(err)}
	}
	return n, err
}

// Entries is the merged model for Write and WriteSharded, in the order of the
// names.
func (m *Merged) Entries() []Entry {
	var list []Entry
	for _, name := range m.Names() {
		info, _ := m.Info(name)
		list = append(list, Entry{Name: name, DType: info.DType, Shape: info.Shape, From: func(w io.Writer) error {
			r, info, err := m.Section(name)
			if err != nil {
				return err
			}
			return pour(w, r, info)
		}})
	}
	return list
}
