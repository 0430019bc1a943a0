package tensor

import "math"

// tile64 describes one call of a float64 product kernel; package asmgen knows
// the offsets of its fields. a holds mr values for each k, b nr.
//
//	c[i][j] += Σ_k a[k][i]·b[k][j], one chain over k ascending
type tile64 struct {
	k   int
	a   *float64
	b   *float64
	c   *float64
	ldc uintptr // between rows of c, in bytes
}

// geometry64 is the shape of a float64 tile.
func (l level) geometry64() (mr, nr int) {
	if l == levelAVX512 {
		return 12, 16
	}
	return 6, 8
}

func (t *tile64) run() {
	if isa == levelAVX512 {
		gemm64AVX512(t)
	} else {
		gemm64AVX2(t)
	}
}

const (
	depth64 = 256  // k of one packed block: a panel of a stays in the first-level cache
	strip64 = 8    // panels of a that a goroutine packs together
	cols64  = 1024 // columns of b packed together: 2 MiB
	turn64  = 32   // k packed in turn for the panels of a strip where they share lines of a
)

// pack64 is the buffers of one packed strip.
type pack64 struct {
	wide          []float64
	narrow, minus []float32
	edge          []float64
}

var packs64 = newPool(func() *pack64 { return &pack64{} })

// gemm64 adds a·b to c by packed blocks.
func gemm64(c Mat64, a, b Operand) {
	mr, nr := isa.geometry64()
	m, depth := a.Shape()
	_, n := b.Shape()
	pb := packs64.get()
	defer packs64.put(pb)
	strip := mr * strip64
	for j0 := 0; j0 < n; j0 += cols64 {
		cols := min(cols64, n-j0)
		panels := (cols + nr - 1) / nr
		for k0 := 0; k0 < depth; k0 += depth64 {
			k1 := min(k0+depth64, depth)
			pb.wide = grow64(pb.wide, panels*nr*(k1-k0))
			bt, packed := b.T(), pb.wide
			Parallel(panels, 8, func(lo, hi int) {
				s := packs64.get()
				defer packs64.put(s)
				for p := lo; p < hi; p++ {
					s.panel(packed[p*nr*(k1-k0):], bt, j0+p*nr, nr, k0, k1)
				}
			})
			Parallel((m+strip-1)/strip, 1, func(lo, hi int) {
				s := packs64.get()
				defer packs64.put(s)
				s.edge = grow64(s.edge, mr*nr)
				for i := lo * strip; i < min(hi*strip, m); i += strip {
					s.strip(c, a, packed, i, min(strip, m-i), j0, cols, k0, k1)
				}
			})
		}
	}
}

// strip multiplies rows [i0, i0+rows) of a by the packed panels of b.
func (s *pack64) strip(c Mat64, a Operand, b []float64, i0, rows, j0, cols, k0, k1 int) {
	mr, nr := isa.geometry64()
	depth := k1 - k0
	panels := (rows + mr - 1) / mr
	s.wide = grow64(s.wide, panels*mr*depth)
	turn := depth
	if a.sideways() {
		turn = turn64
	}
	for k := k0; k < k1; k += turn {
		for p := range panels {
			s.panel(s.wide[(p*depth+k-k0)*mr:], a, i0+p*mr, mr, k, min(k+turn, k1))
		}
	}
	t := tile64{k: depth}
	for p := range panels {
		i := i0 + p*mr
		t.a = &s.wide[p*mr*depth]
		for j := 0; j < cols; j += nr {
			t.b = &b[j*depth]
			dst := c.Data[i*c.Stride+j0+j:]
			if have, wide := min(mr, i0+rows-i), min(nr, cols-j); have < mr || wide < nr {
				s.runEdge(&t, dst, c.Stride, have, wide)
				continue
			}
			t.c, t.ldc = &dst[0], uintptr(8*c.Stride)
			t.run()
		}
	}
}

// runEdge runs a tile of which c has only some rows and columns.
func (s *pack64) runEdge(t *tile64, c []float64, stride, rows, cols int) {
	_, nr := isa.geometry64()
	for i := range rows {
		copy(s.edge[i*nr:i*nr+cols], c[i*stride:])
	}
	t.c, t.ldc = &s.edge[0], uintptr(8*nr)
	t.run()
	for i := range rows {
		copy(c[i*stride:i*stride+cols], s.edge[i*nr:])
	}
}

// panel stores rows [i0, i0+width) and columns [k0, k1) of o, width values for
// each k, zeros for rows that o lacks.
func (s *pack64) panel(dst []float64, o Operand, i0, width, k0, k1 int) {
	rows, _ := o.Shape()
	have := min(width, rows-i0)
	n := (k1 - k0) * width
	if o.kind == kindWide {
		packWide(dst[:n], o.wide, i0, have, width, k0, k1)
		return
	}
	s.narrow = grow(s.narrow, n)
	packStrip(s.narrow, width, o.narrow, i0, have, width, k0, k1)
	if o.kind == kindNarrow {
		widen(dst[:n], s.narrow)
		return
	}
	s.minus = grow(s.minus, n)
	packStrip(s.minus, width, o.minus, i0, have, width, k0, k1)
	widenSub(dst[:n], s.narrow, s.minus)
}

// packWide is panel for a float64 matrix.
func packWide(dst []float64, m Mat64, i0, have, width, k0, k1 int) {
	if have < width {
		clear(dst)
	}
	if m.Trans {
		src := m.Data[k0*m.Stride+i0:]
		for k := range k1 - k0 {
			switch d, s := dst[k*width:], src[k*m.Stride:]; {
			case have == 8 && width == 8: // AVX2's panel of b, in line
				*(*[8]float64)(d) = *(*[8]float64)(s)
			case have == 16 && width == 16: // AVX-512's
				*(*[16]float64)(d) = *(*[16]float64)(s)
			default:
				copy(d[:have], s)
			}
		}
		return
	}
	for i := range have {
		row := m.Data[(i0+i)*m.Stride+k0 : (i0+i)*m.Stride+k1]
		for k, v := range row {
			dst[k*width+i] = v
		}
	}
}

// gemm64Twin is the definition of a float64 product.
func gemm64Twin(c Mat64, a, b Operand) {
	m, depth := a.Shape()
	_, n := b.Shape()
	wide := make([]float64, depth*n) // b, row-major
	for k := range depth {
		for j := range n {
			wide[k*n+j] = b.at(k, j)
		}
	}
	Parallel(m, 1+threadWork/max(1, depth*n), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := c.Data[i*c.Stride : i*c.Stride+n]
			for k := range depth {
				v, bk := a.at(i, k), wide[k*n:(k+1)*n]
				for j := range row {
					row[j] = math.FMA(v, bk[j], row[j])
				}
			}
		}
	})
}

// grow64 is grow for float64.
func grow64(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}
