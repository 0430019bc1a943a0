package tensor

import "fmt"

// Mat is a strided view of a matrix inside a slice. Element (i, j) of the view
// is Data[i*Stride+j], or Data[j*Stride+i] when Trans is set; Rows and Cols are
// those of the view, after transposition.
type Mat struct {
	Data       []float32
	Rows, Cols int
	Stride     int
	Trans      bool
}

// M views a slice as a contiguous (rows, cols) matrix.
func M(data []float32, rows, cols int) Mat {
	return Mat{Data: data, Rows: rows, Cols: cols, Stride: cols}
}

// T is the transposed view.
func (m Mat) T() Mat {
	m.Rows, m.Cols, m.Trans = m.Cols, m.Rows, !m.Trans
	return m
}

func (m Mat) at(i, j int) float32 {
	if m.Trans {
		i, j = j, i
	}
	return m.Data[i*m.Stride+j]
}

// Gemm computes c = a·b, or c += a·b when acc is set.
//
//	a (M, K), b (K, N), c (M, N); c is not transposed and overlaps neither.
//
// K = 0 gives zeros (or leaves c when accumulating).
func Gemm(c, a, b Mat, acc bool) {
	if a.Rows != c.Rows || b.Cols != c.Cols || a.Cols != b.Rows || c.Trans {
		panic(fmt.Sprintf("tensor.Gemm: (%d,%d) = (%d,%d)·(%d,%d)", c.Rows, c.Cols, a.Rows, a.Cols, b.Rows, b.Cols))
	}
	gemmTwin(c, a, b, acc)
}

// GemmBatch is Gemm over many independent triples, spread over the threads.
func GemmBatch(c, a, b []Mat, acc bool) {
	for i := range c {
		Gemm(c[i], a[i], b[i], acc)
	}
}

// Packed is a right-hand operand stored in the kernel's own layout, for
// products with many left-hand sides (the weights of a model in decoding).
type Packed struct {
	b Mat
}

// Pack stores a copy of b (K, N) for GemmPacked.
func Pack(b Mat) *Packed { return &Packed{b} }

// GemmPacked is Gemm with a packed right-hand side, bit for bit.
func GemmPacked(c, a Mat, b *Packed, acc bool) { Gemm(c, a, b.b, acc) }
