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

// rows is the view of rows [lo, hi), not empty.
func (m Mat) rows(lo, hi int) Mat {
	step, _ := m.steps()
	m.Data, m.Rows = m.Data[lo*step:], hi-lo
	return m
}

// steps are the distances in Data between neighbouring rows and columns.
func (m Mat) steps() (row, col int) {
	if m.Trans {
		return 1, m.Stride
	}
	return m.Stride, 1
}

// fits reports whether every element of the view lies inside Data.
func (m Mat) fits() bool { return m.within(len(m.Data)) }

// within reports whether every element of the view lies inside n elements.
func (m Mat) within(n int) bool {
	if m.Rows < 0 || m.Cols < 0 || m.Stride < 0 {
		return false
	}
	if m.Rows == 0 || m.Cols == 0 {
		return true
	}
	rs, cs := m.steps()
	return (m.Rows-1)*rs+(m.Cols-1)*cs < n
}

// Gemm computes c = a·b, or c += a·b when acc is set.
//
//	a (M, K), b (K, N), c (M, N); c is not transposed and overlaps neither.
//
// Every element is one chain of fused multiply-adds over k ascending, whatever
// the sizes, views and threads (see the package comment). K = 0 gives zeros
// (or leaves c when accumulating). It uses up to Threads() goroutines where
// that pays. It panics if the shapes disagree or a view leaves its slice.
func Gemm(c, a, b Mat, acc bool) {
	check("Gemm", c, a, b)
	multiply(c, a, b, nil, acc, true)
}

// GemmSerial is Gemm on the caller's goroutine alone, bit for bit: for callers
// that are themselves pieces of parallel work.
func GemmSerial(c, a, b Mat, acc bool) {
	check("GemmSerial", c, a, b)
	multiply(c, a, b, nil, acc, false)
}

func check(op string, c, a, b Mat) {
	if a.Rows != c.Rows || b.Cols != c.Cols || a.Cols != b.Rows || c.Trans {
		panic(fmt.Sprintf("tensor.%s: (%d,%d) = (%d,%d)·(%d,%d), c transposed %v: the shapes disagree", op, c.Rows, c.Cols, a.Rows, a.Cols, b.Rows, b.Cols, c.Trans))
	}
	for i, m := range [...]Mat{c, a, b} {
		if !m.fits() {
			panic(fmt.Sprintf("tensor.%s: operand %c: view (%d,%d), stride %d, transposed %v, is larger than its %d elements", op, "cab"[i], m.Rows, m.Cols, m.Stride, m.Trans, len(m.Data)))
		}
	}
	if c.Rows > 1 && c.Stride < c.Cols {
		panic(fmt.Sprintf("tensor.%s: rows of c overlap: %d columns, stride %d", op, c.Cols, c.Stride))
	}
}

// GemmBatch is Gemm over many independent triples, spread over the threads.
// The three slices are equally long; no c overlaps another.
func GemmBatch(c, a, b []Mat, acc bool) {
	if len(a) != len(c) || len(b) != len(c) {
		panic(fmt.Sprintf("tensor.GemmBatch: %d results, %d left and %d right operands", len(c), len(a), len(b)))
	}
	var work int
	for i := range c {
		check("GemmBatch", c[i], a[i], b[i])
		work += c[i].Rows * c[i].Cols * a[i].Cols
	}
	// Few large products: threads share each. Many: each thread takes its own.
	if len(c) < 2*Threads() && work > len(c)*threadWork {
		for i := range c {
			multiply(c[i], a[i], b[i], nil, acc, true)
		}
		return
	}
	j := batches.get()
	j.c, j.a, j.b, j.acc = c, a, b, acc
	Parallel(len(c), 1+len(c)*threadWork/(2*max(work, 1)), j.run)
	j.c, j.a, j.b = nil, nil, nil
	batches.put(j)
}

// batch is a call of GemmBatch; run is bound once so that a call allocates
// nothing.
type batch struct {
	c, a, b []Mat
	acc     bool
	run     func(lo, hi int)
}

var batches = newPool(func() *batch {
	j := &batch{}
	j.run = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			multiply(j.c[i], j.a[i], j.b[i], nil, j.acc, false)
		}
	}
	return j
})

// Packed is a right-hand operand stored in the kernel's own layout, for
// products with many left-hand sides (the weights of a model in decoding).
// It is immutable and may be used by several goroutines.
type Packed struct {
	b      Mat // shape; the data as well where there are no kernels
	nr     int // columns of a panel, 0 where there are no kernels
	panels []float32
}

// Pack stores a copy of b (K, N) for GemmPacked.
func Pack(b Mat) *Packed {
	if !b.fits() {
		panic(fmt.Sprintf("tensor.Pack: view (%d,%d), stride %d is larger than its %d elements", b.Rows, b.Cols, b.Stride, len(b.Data)))
	}
	p := &Packed{b: b}
	p.b.Data = nil
	if isa == levelGo { // row-major, which the twin reads fastest
		p.panels = make([]float32, b.Rows*b.Cols)
		for k := range b.Rows {
			for j := range b.Cols {
				p.panels[k*b.Cols+j] = b.at(k, j)
			}
		}
		p.b = M(p.panels, b.Rows, b.Cols)
		return p
	}
	_, p.nr = isa.geometry()
	n := (b.Cols + p.nr - 1) / p.nr
	p.panels = alignedFloats(n * b.Rows * p.nr)
	Parallel(n, 1+packWork/max(1, b.Rows*p.nr), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			packB(p.panels[i*b.Rows*p.nr:], b, 0, b.Rows, i*p.nr, p.nr)
		}
	})
	return p
}

// Rows and Cols are K and N of the packed operand.
func (p *Packed) Rows() int { return p.b.Rows }

// Cols is N of the packed operand.
func (p *Packed) Cols() int { return p.b.Cols }

// GemmPacked is Gemm with a packed right-hand side, bit for bit.
func GemmPacked(c, a Mat, b *Packed, acc bool) {
	v := b.b
	if b.nr != 0 {
		v.Data, v.Stride, v.Trans = b.panels, v.Cols, false // large enough for the check
	}
	check("GemmPacked", c, a, v)
	if b.nr == 0 {
		multiply(c, a, v, nil, acc, true)
		return
	}
	multiply(c, a, v, b, acc, true)
}
