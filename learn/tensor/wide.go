package tensor

import "fmt"

// Mat64 is Mat in float64.
type Mat64 struct {
	Data       []float64
	Rows, Cols int
	Stride     int
	Trans      bool
}

// M64 views a slice as a contiguous (rows, cols) matrix.
func M64(data []float64, rows, cols int) Mat64 {
	return Mat64{Data: data, Rows: rows, Cols: cols, Stride: cols}
}

// T is the transposed view.
func (m Mat64) T() Mat64 {
	m.Rows, m.Cols, m.Trans = m.Cols, m.Rows, !m.Trans
	return m
}

func (m Mat64) at(i, j int) float64 {
	if m.Trans {
		i, j = j, i
	}
	return m.Data[i*m.Stride+j]
}

func (m Mat64) fits() bool {
	return Mat{Data: nil, Rows: m.Rows, Cols: m.Cols, Stride: m.Stride, Trans: m.Trans}.within(len(m.Data))
}

// Operand is a matrix that Gemm64 reads as float64: Wide, Narrow or Difference.
type Operand struct {
	wide          Mat64
	narrow, minus Mat
	kind          operandKind
}

type operandKind int8

const (
	kindWide operandKind = iota
	kindNarrow
	kindDifference
)

// Wide is a matrix that is float64 already.
func Wide(m Mat64) Operand { return Operand{wide: m} }

// Narrow is a float32 matrix, widened where it is read and never stored wide.
func Narrow(m Mat) Operand { return Operand{narrow: m, kind: kindNarrow} }

// Difference is a − b in float64, taken where it is read and never stored. It
// panics if the shapes disagree.
func Difference(a, b Mat) Operand {
	if a.Rows != b.Rows || a.Cols != b.Cols {
		panic(fmt.Sprintf("tensor.Difference: (%d,%d) − (%d,%d): the shapes disagree", a.Rows, a.Cols, b.Rows, b.Cols))
	}
	return Operand{narrow: a, minus: b, kind: kindDifference}
}

// T is the transposed operand.
func (o Operand) T() Operand {
	o.wide, o.narrow, o.minus = o.wide.T(), o.narrow.T(), o.minus.T()
	return o
}

// Shape is rows and columns.
func (o Operand) Shape() (rows, cols int) {
	if o.kind == kindWide {
		return o.wide.Rows, o.wide.Cols
	}
	return o.narrow.Rows, o.narrow.Cols
}

// sideways tells whether neighbouring rows lie side by side in memory.
func (o Operand) sideways() bool {
	if o.kind == kindWide {
		return o.wide.Trans
	}
	return o.narrow.Trans
}

func (o Operand) at(i, j int) float64 {
	switch o.kind {
	case kindWide:
		return o.wide.at(i, j)
	case kindNarrow:
		return float64(o.narrow.at(i, j))
	}
	return float64(o.narrow.at(i, j)) - float64(o.minus.at(i, j))
}

func (o Operand) fits() bool {
	switch o.kind {
	case kindWide:
		return o.wide.fits()
	case kindNarrow:
		return o.narrow.fits()
	}
	return o.narrow.fits() && o.minus.fits()
}

// Gemm64 computes c = a·b, or c += a·b when acc is set, in float64.
//
//	a (M, K), b (K, N), c (M, N); c is not transposed and overlaps neither.
//
// Every element is one chain of fused multiply-adds over k ascending, as in
// Gemm. It panics if the shapes disagree or a view leaves its slice.
func Gemm64(c Mat64, a, b Operand, acc bool) {
	m, k := a.Shape()
	kb, n := b.Shape()
	switch {
	case m != c.Rows || n != c.Cols || k != kb || c.Trans:
		panic(fmt.Sprintf("tensor.Gemm64: (%d,%d) = (%d,%d)·(%d,%d), c transposed %v: the shapes disagree", c.Rows, c.Cols, m, k, kb, n, c.Trans))
	case !c.fits() || !a.fits() || !b.fits():
		panic("tensor.Gemm64: a view is larger than its slice")
	case c.Rows > 1 && c.Stride < c.Cols:
		panic(fmt.Sprintf("tensor.Gemm64: rows of c overlap: %d columns, stride %d", c.Cols, c.Stride))
	case m == 0 || n == 0:
		return
	}
	if !acc {
		for i := range m {
			clear(c.Data[i*c.Stride : i*c.Stride+n])
		}
	}
	if isa == levelGo {
		gemm64Twin(c, a, b)
		return
	}
	gemm64(c, a, b)
}
