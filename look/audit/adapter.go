package audit

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
	"orrery/look/spectrum"
)

// adapted is a base with an adapter laid over it. A tensor that the adapter
// changes is made when it is asked for, rounded once to the base's type.
type adapted struct {
	base    *checkpoint.File
	adapter *checkpoint.Adapter
	entries map[string]checkpoint.Entry // of the tensors that the adapter changes
}

// OpenTuned opens a tuned checkpoint: what Open does, or an adapter (PEFT's
// LoRA folder) of the base.
func OpenTuned(path string, base *Checkpoint) (*Checkpoint, error) {
	if !checkpoint.IsAdapter(path) {
		return Open(path)
	}
	file, ok := base.source.(*checkpoint.File)
	if !ok {
		return nil, fmt.Errorf("audit: open %s: an adapter is laid over a whole checkpoint, and %s is none", path, base.path)
	}
	a, err := checkpoint.OpenAdapter(path)
	if err != nil {
		return nil, err
	}
	entries, err := a.Entries(file)
	if err != nil {
		a.Close()
		return nil, err
	}
	s := &adapted{base: file, adapter: a, entries: map[string]checkpoint.Entry{}}
	changed := map[string]bool{}
	for _, t := range a.Targets() {
		changed[t] = true
	}
	for _, e := range entries {
		if changed[e.Name] {
			s.entries[e.Name] = e
		}
	}
	c := &Checkpoint{path: path, kind: "adapter", source: s, config: base.config, close: a.Close}
	c.addFiles(a.File().Shards())
	for _, w := range a.Warnings() {
		c.warnings = append(c.warnings, filepath.Base(path)+": "+w)
	}
	c.warnings = append(c.warnings, filepath.Base(path)+": the adapter is added in float64 and rounded once; PEFT's own merge may differ in the last bit")
	return c, nil
}

// Names are the base's.
func (s *adapted) Names() []string { return s.base.Names() }

// Info describes a tensor of the merged model.
func (s *adapted) Info(name string) (checkpoint.Info, bool) {
	info, ok := s.base.Info(name)
	if e, changed := s.entries[name]; ok && changed {
		info.DType, info.Shape = e.DType, e.Shape
		info.Bytes = elementsOf(e.Shape) * int64(e.DType.Size())
	}
	return info, ok
}

// Section is a tensor of the merged model; one that the adapter changes is in memory.
func (s *adapted) Section(name string) (*io.SectionReader, checkpoint.Info, error) {
	e, changed := s.entries[name]
	if !changed {
		return s.base.Section(name)
	}
	info, _ := s.Info(name)
	var b bytes.Buffer
	b.Grow(int(info.Bytes))
	if err := e.From(&b); err != nil {
		return nil, info, err
	}
	return io.NewSectionReader(bytes.NewReader(b.Bytes()), 0, int64(b.Len())), info, nil
}

// lowRank is the exact spectrum of the difference that an adapter makes; nil
// for a tensor that it leaves alone or replaces.
func (s *adapted) lowRank(name string) (*spectrum.LowRank, error) {
	if _, changed := s.entries[name]; !changed {
		return nil, nil
	}
	if _, full := s.adapter.Full(name); full {
		return nil, nil
	}
	l, err := s.adapter.LowRank(name)
	if err != nil {
		return nil, err
	}
	b, a := matrixOf(l.B), matrixOf(l.A)
	if l.Transposed { // (B·A)ᵀ = Aᵀ·Bᵀ
		b, a = transposed(l.A), transposed(l.B)
	}
	r, err := spectrum.NewLowRank(b, a, l.Scale)
	return &r, err
}

func matrixOf(t *tensor.Tensor) spectrum.Matrix {
	return spectrum.Matrix{Data: t.Data, Rows: t.Shape[0], Cols: t.Shape[1]}
}

func transposed(t *tensor.Tensor) spectrum.Matrix {
	rows, cols := t.Shape[0], t.Shape[1]
	m := spectrum.Matrix{Data: make([]float32, rows*cols), Rows: cols, Cols: rows}
	for i := range rows {
		for j := range cols {
			m.Data[j*rows+i] = t.Data[i*cols+j]
		}
	}
	return m
}
