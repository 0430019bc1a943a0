package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"orrery/learn/tensor"
)

// LowRank is the difference ΔW = Scale · B·A that an adapter makes to one
// tensor of a base, (Scale · B·A)ᵀ if Transposed (arXiv 2106.09685, eq. 3). The
// factors are exact: whatever 16- or 8-bit type they have on disk, float32
// holds it.
type LowRank struct {
	Target     string         // the base's tensor
	A          *tensor.Tensor // (r, in)
	B          *tensor.Tensor // (out, r)
	Scale      float64        // alpha/r, or alpha/√r (arXiv 2312.03732)
	Transposed bool           // the base stores it (in, out), not (out, in)
}

// Shape is that of ΔW and of the base's tensor.
func (l *LowRank) Shape() (rows, columns int) {
	if l.Transposed {
		return l.A.Shape[1], l.B.Shape[0]
	}
	return l.B.Shape[0], l.A.Shape[1]
}

// rows calls f with each row of ΔW, in order. Products of float32 are exact in
// float64; each element is their sum over r in order, then times Scale.
func (l *LowRank) rows(f func(row []float64) error) error {
	m, n := l.Shape()
	r := l.A.Shape[0]
	// The left factor's element (i, k) is left[i*rowStep+k*rankStep]; the right
	// factor's row k is contiguous, which the inner loop wants.
	left, rowStep, rankStep, right := l.B.Data, r, 1, l.A.Data
	if l.Transposed {
		left, rowStep, rankStep, right = l.A.Data, 1, m, flip(l.B)
	}
	row := make([]float64, n)
	for i := range m {
		clear(row)
		for k := range r {
			b := float64(left[i*rowStep+k*rankStep])
			for j, a := range right[k*n : (k+1)*n] {
				row[j] += b * float64(a)
			}
		}
		for j := range row {
			row[j] *= l.Scale
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// flip is the transpose of a matrix, row by row.
func flip(t *tensor.Tensor) []float32 {
	m, n := t.Shape[0], t.Shape[1]
	out := make([]float32, m*n)
	for i := range m {
		for j := range n {
			out[j*m+i] = t.Data[i*n+j]
		}
	}
	return out
}

// MergeTo writes W0+ΔW as elements of type to, row by row. It reads W0 from w0
// as elements of type from. The sum is formed in float64 and rounded once.
// PEFT rounds B·A and the sum each to the base's type, so that its merge may
// differ in the last bit. A sum that the type can't hold is an error.
func (l *LowRank) MergeTo(w io.Writer, w0 io.Reader, from, to DType) error {
	if err := to.encodes(); err != nil {
		return err
	}
	if !from.Float() {
		return fmt.Errorf("%w: nothing can be added to %s", ErrUnsupported, from)
	}
	_, n := l.Shape()
	in := make([]byte, n*from.Size())
	base := make([]float64, n)
	out := make([]byte, 0, n*to.Size())
	i := 0
	return l.rows(func(row []float64) error {
		if _, err := io.ReadFull(w0, in); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("row %d of the base: %w", i, err)
		}
		if err := from.Decode64(base, in); err != nil {
			return err
		}
		for j, v := range row {
			base[j] += v
		}
		b, bad, err := to.Encode64(out[:0], base)
		if err == nil && bad >= 0 {
			err = outOfRange(i*n+bad, base[bad], to)
		}
		if err != nil {
			return err
		}
		i++
		_, err = w.Write(b)
		return err
	})
}

// Merge is MergeTo in memory.
func (l *LowRank) Merge(w0 []byte, from, to DType) ([]byte, error) {
	var b bytes.Buffer
	m, n := l.Shape()
	if want := m * n * from.Size(); len(w0) != want {
		return nil, fmt.Errorf("%d×%d elements of %s take %d bytes, %d are given", m, n, from, want, len(w0))
	}
	b.Grow(m * n * to.Size())
	err := l.MergeTo(&b, bytes.NewReader(w0), from, to)
	return b.Bytes(), err
}
