package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of tensor's type tile.
const (
	tileK    = 0
	tileA    = 8
	tileRS   = 16
	tileCS   = 24
	tileB    = 32
	tileLDB  = 40
	tileBP   = 48
	tileC    = 56
	tileLDC  = 64
	tileMask = 72
	tileAcc  = 76
	tileNext = 80
)

// gemm writes the tile kernels. A tile is rows × 2 vectors of c; few rows get
// several panels of b at once, since each element is one chain of dependent
// multiply-adds and eight chains are needed to fill the pipeline.
func (g *gen) gemm() {
	rows := 6
	if g.wide {
		rows = 14
	}
	for mr := 1; mr <= rows; mr++ {
		g.gemmTile(mr, 0)
		g.gemmTile(mr, 1)
	}
	g.gemmTile(1, 4)
	g.gemmTile(2, 2)
	g.gemmTile(3, 2)
	g.packTrans()
	g.packCopy()
}

// gemmTile computes c = a·b or c += a·b for mr rows and np panels of two
// vectors, or the first vector of one panel if np is 0. Columns beyond the mask are neither read nor written (one
// panel, AVX-512 only; AVX2 writes whole vectors).
func (g *gen) gemmTile(mr, np int) {
	name, doc := fmt.Sprintf("gemm%dx%d", mr, np), fmt.Sprintf("multiplies %d rows and %d panels of columns.", mr, np)
	width := 2 // vectors of a panel
	if np == 0 {
		name, doc = fmt.Sprintf("gemm%dHalf", mr), fmt.Sprintf("multiplies %d rows and half a panel of columns.", mr)
		np, width = 1, 1
	}
	g.fn(name, "(t *tile)", doc)
	t := g.arg("t")
	field := func(off int) reg.GPVirtual {
		r := g.GP64()
		g.MOVQ(at(t, off), r)
		return r
	}
	k, rs, cs := field(tileK), field(tileRS), field(tileCS)
	ldb, c, ldc := field(tileLDB), field(tileC), field(tileLDC)
	size := 4 * g.lanes() // bytes of a vector

	// Five rows of a are reached from one pointer: 0, 1, 2, 3 and 4 strides.
	rs3 := g.GP64()
	g.LEAQ(idx(rs, rs, 2), rs3)
	pa := []reg.GPVirtual{field(tileA)}
	for i := 5; i < mr; i += 5 {
		p := g.GP64()
		g.LEAQ(idx(pa[len(pa)-1], rs, 4), p)
		g.ADDQ(rs, p)
		pa = append(pa, p)
	}
	strided := func(base, s1, s3 reg.Register, j int) operand.Mem {
		switch j {
		case 0:
			return at(base, 0)
		case 3:
			return idx(base, s3, 1)
		}
		return idx(base, s1, uint8(j))
	}
	b := []reg.GPVirtual{field(tileB)}
	if np > 1 {
		bp := field(tileBP)
		for p := 1; p < np; p++ {
			r := g.GP64()
			g.LEAQ(idx(b[p-1], bp, 1), r)
			b = append(b, r)
		}
	}

	mask := []reg.Register{nil, nil}
	if g.wide && np == 1 {
		for v := range mask {
			m := g.K()
			g.KMOVW(at(t, tileMask+2*v), m)
			mask[v] = m
		}
	}

	if np == 1 && mr > 3 {
		// The next tile's part of c, which is far away in memory.
		next := field(tileNext)
		for i := range mr {
			g.PREFETCHT0(at(next, 0))
			if g.wide && width > 1 {
				g.PREFETCHT0(at(next, 64))
			}
			if i < mr-1 {
				g.ADDQ(ldc, next)
			}
		}
	}

	acc := make([][]reg.VecVirtual, mr)
	for i := range acc {
		for range width * np {
			acc[i] = append(acc[i], g.vec())
		}
	}
	// Rows of c, one after the other: load or store.
	rowsOfC := func(store bool) {
		row := g.GP64()
		g.MOVQ(c, row)
		for i := range mr {
			for v := range acc[i] {
				m := at(row, v*size)
				switch {
				case mask[0] != nil && store:
					g.VMOVUPS(acc[i][v], mask[v], m)
				case mask[0] != nil:
					g.VMOVUPS_Z(m, mask[v], acc[i][v])
				case store:
					g.VMOVUPS(acc[i][v], m)
				default:
					g.VMOVUPS(m, acc[i][v])
				}
			}
			if i < mr-1 {
				g.ADDQ(ldc, row)
			}
		}
	}
	fresh, loop, done := g.label("fresh"), g.label("loop"), g.label("done")
	start := g.label("start")
	g.CMPL(at(t, tileAcc), operand.U8(0))
	g.JE(operand.LabelRef(fresh))
	rowsOfC(false)
	g.JMP(operand.LabelRef(start))
	g.Label(fresh)
	for i := range mr {
		for v := range acc[i] {
			g.zero(acc[i][v])
		}
	}
	g.Label(start)
	g.TESTQ(k, k)
	g.JE(operand.LabelRef(done))
	g.Label(loop)
	var bv []operand.Op
	for p := range np {
		for v := range width {
			m := at(b[p], v*size)
			if mr == 1 { // used once: straight from memory
				bv = append(bv, m)
				continue
			}
			r := g.vec()
			g.VMOVUPS(m, r)
			bv = append(bv, r)
		}
	}
	if np == 1 && mr > 3 {
		g.PREFETCHT0(idx(pa[0], cs, 8)) // packed: the next lines of a
	}
	for i := range mr {
		av := g.vec()
		g.VBROADCASTSS(strided(pa[i/5], rs, rs3, i%5), av)
		for v := range bv {
			g.VFMADD231PS(bv[v], av, acc[i][v])
		}
	}
	for _, p := range pa {
		g.ADDQ(cs, p)
	}
	for _, p := range b {
		g.ADDQ(ldb, p)
	}
	g.DECQ(k)
	g.JNE(operand.LabelRef(loop))
	g.Label(done)
	rowsOfC(true)
	g.VZEROUPPER()
	g.RET()
}
