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

// tileKernel is a tile kernel being written: mr rows, np panels of so many
// vectors.
type tileKernel struct {
	*gen
	mr, np, width int
	t             reg.GPVirtual   // the tile's description
	rs, rs3, cs   reg.GPVirtual   // steps of a: a row, three rows, a column
	pa            []reg.GPVirtual // every fifth row of a
	b             []reg.GPVirtual // panels
	ldb, c, ldc   reg.GPVirtual
	mask          []reg.Register // AVX-512, one panel: its columns that exist
	acc           [][]reg.VecVirtual
}

// gemmTile computes c = a·b or c += a·b for mr rows and np panels of two
// vectors, or the first vector of one panel if np is 0. Columns beyond the mask
// are neither read nor written (one panel, AVX-512 only; AVX2 writes whole
// vectors).
func (g *gen) gemmTile(mr, np int) {
	name, doc := fmt.Sprintf("gemm%dx%d", mr, np), fmt.Sprintf("multiplies %d rows and %d panels of columns.", mr, np)
	width := 2
	if np == 0 {
		name, doc = fmt.Sprintf("gemm%dHalf", mr), fmt.Sprintf("multiplies %d rows and half a panel of columns.", mr)
		np, width = 1, 1
	}
	g.fn(name, "(t *tile)", doc)
	k := &tileKernel{gen: g, mr: mr, np: np, width: width, t: g.arg("t")}
	depth := k.field(tileK)
	k.operands()
	k.prefetchNext()
	for range mr {
		var row []reg.VecVirtual
		for range width * np {
			row = append(row, g.vec())
		}
		k.acc = append(k.acc, row)
	}
	fresh, start, loop, done := g.label("fresh"), g.label("start"), g.label("loop"), g.label("done")
	g.CMPL(at(k.t, tileAcc), operand.U8(0))
	g.JE(operand.LabelRef(fresh))
	k.moveC(false)
	g.JMP(operand.LabelRef(start))
	g.Label(fresh)
	for _, row := range k.acc {
		for _, v := range row {
			g.zero(v)
		}
	}
	g.Label(start)
	g.TESTQ(depth, depth)
	g.JE(operand.LabelRef(done))
	// Two columns a turn; an odd one goes first.
	g.SHRQ(operand.U8(1), depth)
	g.JCC(operand.LabelRef(loop))
	k.step()
	g.TESTQ(depth, depth)
	g.JE(operand.LabelRef(done))
	g.Label(loop)
	k.step()
	k.step()
	g.DECQ(depth)
	g.JNE(operand.LabelRef(loop))
	g.Label(done)
	k.moveC(true)
	g.VZEROUPPER()
	g.RET()
}

// field loads a field of the tile.
func (k *tileKernel) field(off int) reg.GPVirtual {
	r := k.GP64()
	k.MOVQ(at(k.t, off), r)
	return r
}

// operands loads pointers, steps and masks. Five rows of a are reached from
// one pointer: 0, 1, 2, 3 and 4 steps.
func (k *tileKernel) operands() {
	k.rs, k.cs = k.field(tileRS), k.field(tileCS)
	k.ldb, k.c, k.ldc = k.field(tileLDB), k.field(tileC), k.field(tileLDC)
	if k.mr > 3 {
		k.rs3 = k.GP64()
		k.LEAQ(idx(k.rs, k.rs, 2), k.rs3)
	}
	k.pa = []reg.GPVirtual{k.field(tileA)}
	for i := 5; i < k.mr; i += 5 {
		p := k.GP64()
		k.LEAQ(idx(k.pa[len(k.pa)-1], k.rs, 4), p)
		k.ADDQ(k.rs, p)
		k.pa = append(k.pa, p)
	}
	k.b = []reg.GPVirtual{k.field(tileB)}
	if k.np > 1 {
		bp := k.field(tileBP)
		for p := 1; p < k.np; p++ {
			r := k.GP64()
			k.LEAQ(idx(k.b[p-1], bp, 1), r)
			k.b = append(k.b, r)
		}
	}
	if k.wide && k.np == 1 {
		for v := range k.width {
			m := k.K()
			k.KMOVW(at(k.t, tileMask+2*v), m)
			k.mask = append(k.mask, m)
		}
	}
}

// rowA is the memory of a's row i at the present column.
func (k *tileKernel) rowA(i int) operand.Mem {
	base := k.pa[i/5]
	switch i % 5 {
	case 0:
		return at(base, 0)
	case 3:
		return idx(base, k.rs3, 1)
	}
	return idx(base, k.rs, uint8(i%5))
}

// prefetches tells whether the tile is large enough for fetching ahead to pay.
func (k *tileKernel) prefetches() bool { return k.np == 1 && k.mr > 3 }

// prefetchNext fetches the next tile's part of c, which is far away in memory.
func (k *tileKernel) prefetchNext() {
	if !k.prefetches() {
		return
	}
	next := k.field(tileNext)
	for i := range k.mr {
		k.PREFETCHT0(at(next, 0))
		if k.wide && k.width > 1 {
			k.PREFETCHT0(at(next, 64))
		}
		if i < k.mr-1 {
			k.ADDQ(k.ldc, next)
		}
	}
}

// moveC loads the tile's part of c, or stores it.
func (k *tileKernel) moveC(store bool) {
	row := k.GP64()
	k.MOVQ(k.c, row)
	for i := range k.mr {
		for v, r := range k.acc[i] {
			m := at(row, v*4*k.lanes())
			switch {
			case k.mask != nil && store:
				k.VMOVUPS(r, k.mask[v], m)
			case k.mask != nil:
				k.VMOVUPS_Z(m, k.mask[v], r)
			case store:
				k.VMOVUPS(r, m)
			default:
				k.VMOVUPS(m, r)
			}
		}
		if i < k.mr-1 {
			k.ADDQ(k.ldc, row)
		}
	}
}

// step multiplies one column of a by one row of b and moves on.
func (k *tileKernel) step() {
	if regs := k.mr*k.np*k.width + k.np*k.width + 1; !k.wide && regs > ymmRegisters {
		k.stepByColumn()
	} else {
		k.stepByRow()
	}
	for _, p := range k.pa {
		k.ADDQ(k.cs, p)
	}
	for _, p := range k.b {
		k.ADDQ(k.ldb, p)
	}
}

// ymmRegisters is how many AVX2 has. Those above need AVX-512VL's encoding,
// which avo would use without a word.
const ymmRegisters = 16

// panel is the memory of vector v of b's panel p at the present row.
func (k *tileKernel) panel(p, v int) operand.Mem { return at(k.b[p], v*4*k.lanes()) }

// stepByRow holds the row of b and takes the elements of a one after the other.
func (k *tileKernel) stepByRow() {
	var b []operand.Op
	for p := range k.np {
		for v := range k.width {
			if k.mr == 1 { // used once: straight from memory
				b = append(b, k.panel(p, v))
				continue
			}
			r := k.vec()
			k.VMOVUPS(k.panel(p, v), r)
			b = append(b, r)
		}
	}
	if k.prefetches() {
		k.PREFETCHT0(idx(k.pa[0], k.cs, 8)) // where a is packed: its next lines
	}
	for i := range k.mr {
		a := k.vec()
		k.VBROADCASTSS(k.rowA(i), a)
		for v := range b {
			k.VFMADD231PS(b[v], a, k.acc[i][v])
		}
	}
}

// stepByColumn holds the column of a and takes the vectors of b one after the
// other: mr + 1 registers besides the sums instead of np·width + 1.
func (k *tileKernel) stepByColumn() {
	var a []reg.VecVirtual
	for i := range k.mr {
		a = append(a, k.vec())
		k.VBROADCASTSS(k.rowA(i), a[i])
	}
	for p := range k.np {
		for v := range k.width {
			b := k.vec()
			k.VMOVUPS(k.panel(p, v), b)
			for i := range k.mr {
				k.VFMADD231PS(b, a[i], k.acc[i][p*k.width+v])
			}
		}
	}
}
