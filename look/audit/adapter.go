package audit

import (
	"fmt"
	"path/filepath"
	"slices"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
	"orrery/look/spectrum"
)

// adapted is a base with an adapter laid over it, rounded once to the base's type.
type adapted struct {
	*checkpoint.Merged
	adapter *checkpoint.Adapter
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
	merged, err := a.Over(file)
	if err != nil {
		a.Close()
		return nil, err
	}
	c := &Checkpoint{path: path, kind: "adapter", source: &adapted{merged, a}, config: base.config, close: a.Close}
	c.addFiles(a.File().Shards())
	for _, w := range a.Warnings() {
		c.warnings = append(c.warnings, filepath.Base(path)+": "+w)
	}
	c.warnings = append(c.warnings, filepath.Base(path)+": the adapter is added in float64 and rounded once; PEFT's own merge may differ in the last bit")
	return c, nil
}

// lowRank is the exact spectrum of the difference that an adapter makes; nil
// for a tensor that it leaves alone or replaces.
func (s *adapted) lowRank(name string) (*spectrum.LowRank, error) {
	if _, full := s.adapter.Full(name); full || !slices.Contains(s.adapter.Targets(), name) {
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
