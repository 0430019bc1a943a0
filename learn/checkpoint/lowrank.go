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

// Over is the bytes of W0+ΔW as elements of type to, computed as they are read:
// w0 has W0 as elements of type from. The sum is formed in float64 and rounded
// once. PEFT rounds B·A and the sum each to the base's type, so that its merge
// may differ in the last bit. A sum that the type can't hold is an error. The
// result is safe for concurrent use if w0 is.
func (l *LowRank) Over(w0 io.ReaderAt, from, to DType) (io.ReaderAt, error) {
	if err := to.encodes(); err != nil {
		return nil, err
	}
	if !from.Float() {
		return nil, fmt.Errorf("%w: nothing can be added to %s", ErrUnsupported, from)
	}
	rows, columns := l.Shape()
	s := &sum{w0: w0, from: from, to: to, rows: rows, columns: columns, rank: l.A.Shape[0], scale: l.Scale}
	if l.Transposed {
		s.left, s.rowStep, s.rankStep, s.right = l.A.Data, 1, rows, flip(l.B)
	} else {
		s.left, s.rowStep, s.rankStep, s.right = l.B.Data, s.rank, 1, l.A.Data
	}
	return s, nil
}

// Merge is W0+ΔW in memory: see Over.
func (l *LowRank) Merge(w0 []byte, from, to DType) ([]byte, error) {
	s, err := l.Over(bytes.NewReader(w0), from, to)
	if err != nil {
		return nil, err
	}
	m, n := l.Shape()
	if want := m * n * from.Size(); len(w0) != want {
		return nil, fmt.Errorf("%d×%d elements of %s take %d bytes, %d are given", m, n, from, want, len(w0))
	}
	out := make([]byte, m*n*to.Size())
	_, err = s.ReadAt(out, 0)
	return out, err
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

// sum is W0+ΔW, computed where it is read.
type sum struct {
	w0            io.ReaderAt
	from, to      DType
	rows, columns int
	rank          int
	scale         float64
	// The left factor's element (i, k) is left[i*rowStep+k*rankStep]; row k of
	// the right factor is contiguous, which the inner loop wants.
	left              []float32
	rowStep, rankStep int
	right             []float32 // (rank, columns)
}

// block is how many elements of a row are computed at a time.
const block = 512

// ReadAt computes the elements that the bytes asked for belong to.
func (s *sum) ReadAt(p []byte, off int64) (int, error) {
	size := int64(s.to.Size())
	all := int64(s.rows) * int64(s.columns)
	if off < 0 {
		return 0, fmt.Errorf("offset %d is negative", off)
	}
	stored := make([]byte, block*s.from.Size())
	coded := make([]byte, 0, block*size)
	n := 0
	for n < len(p) {
		at := off + int64(n)
		lo := at / size
		if lo >= all {
			return n, io.EOF
		}
		i, j := int(lo/int64(s.columns)), int(lo%int64(s.columns))
		width := min(block, s.columns-j, int((at%size+int64(len(p)-n)+size-1)/size))
		b, err := s.compute(coded[:0], stored[:width*s.from.Size()], i, j, width)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[at%size:])
	}
	return n, nil
}

// compute appends width elements of row i from column j on. Products of float32
// are exact in float64; their sum over the rank goes in order.
func (s *sum) compute(dst, stored []byte, i, j, width int) ([]byte, error) {
	first := int64(i)*int64(s.columns) + int64(j)
	if k, err := s.w0.ReadAt(stored, first*int64(s.from.Size())); k < len(stored) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("row %d of the base: %w", i, err)
	}
	var base, delta [block]float64
	if err := s.from.Decode64(base[:width], stored); err != nil {
		return nil, err
	}
	for k := range s.rank {
		b := float64(s.left[i*s.rowStep+k*s.rankStep])
		for x, a := range s.right[k*s.columns+j:][:width] {
			delta[x] += b * float64(a)
		}
	}
	for x := range width {
		base[x] += float64(s.scale * delta[x]) // rounded before it is added, on every machine
	}
	out, bad, err := s.to.Encode64(dst, base[:width])
	if err == nil && bad >= 0 {
		err = fmt.Errorf("element %d, %g, is beyond the range of %s: write BF16 or F32", first+int64(bad), base[bad], s.to)
	}
	return out, err
}
