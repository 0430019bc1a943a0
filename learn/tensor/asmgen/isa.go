package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gen writes one file of kernels for one instruction set.
//
// Kernels are described over vectors of sixteen lanes, which are one zmm
// register with AVX-512 and two ymm registers with AVX2, so that one
// description gives both forms and lane i of a reduction is the same sum in
// both.
type gen struct {
	*build.Context
	wide   bool // AVX-512
	decls  []decl
	labels int
	consts map[uint32]operand.Mem
	mask   *operand.Mem
}

// decl is the Go side of a kernel. sig is the signature as Go code sees it;
// avo is given the same with every pointer type replaced by *byte.
type decl struct{ name, sig, doc string }

func newGen(wide bool) *gen {
	g := &gen{Context: build.NewContext(), wide: wide, consts: map[uint32]operand.Mem{}}
	return g
}

func (g *gen) suffix() string {
	if g.wide {
		return "avx512"
	}
	return "avx2"
}

// fn starts a kernel; its name gets the instruction set's suffix.
func (g *gen) fn(name, sig, doc string) {
	if g.wide {
		name += "AVX512"
	} else {
		name += "AVX2"
	}
	g.decls = append(g.decls, decl{name, sig, doc})
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.SignatureExpr("func" + strings.NewReplacer("*tile64", "*byte", "*tile", "*byte", "*copyJob", "*byte").Replace(sig))
}

// label makes a name that is unique in the file.
func (g *gen) label(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

// arg loads a parameter into a general register.
func (g *gen) arg(name string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(name), r)
	return r
}

// vec is a vector register of the instruction set's own width.
func (g *gen) vec() reg.VecVirtual {
	if g.wide {
		return g.ZMM()
	}
	return g.YMM()
}

// lanes is how many float32 one vector register holds.
func (g *gen) lanes() int {
	if g.wide {
		return 16
	}
	return 8
}

// zero clears a vector register.
func (g *gen) zero(v reg.Register) {
	if g.wide {
		g.VPSUBD(v, v, v) // avo knows that this reads nothing; of VPXORD it does not
	} else {
		g.VXORPS(v, v, v)
	}
}

// at is memory at a displacement from a base register.
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// idx is memory at base + index·scale.
func idx(base, index reg.Register, scale uint8) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale}
}

// maskTable is sixteen ones followed by sixteen zeros: loaded at 64 − 4n bytes
// it is the AVX2 mask of the first n lanes.
func (g *gen) maskTable() operand.Mem {
	if g.mask == nil {
		m := g.StaticGlobal("mask_" + g.suffix())
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 32 {
			v := operand.U32(0xffffffff)
			if i >= 16 {
				v = 0
			}
			g.AppendDatum(v)
		}
		g.mask = &m
	}
	return *g.mask
}
