package tensor

// tile describes one call of a product kernel; package asmgen knows the
// offsets of its fields. Steps are in bytes.
//
//	c[i][j] (+)= Σ_k a[i][k]·b[k][j], one chain over k ascending
type tile struct {
	k      int
	a      *float32
	rs, cs uintptr // between rows of a, and between its columns
	b      *float32
	ldb    uintptr // between the k of a panel of b
	bp     uintptr // between panels
	c      *float32
	ldc    uintptr
	mask   uint32   // columns of c that exist (AVX-512)
	acc    uint32   // start from c, not from zero
	next   *float32 // c of the tile that follows, to be fetched ahead
}

// panelsAtOnce is how many panels a kernel for mr rows takes if it can.
func panelsAtOnce(mr int) int {
	switch mr {
	case 1:
		return 4
	case 2, 3:
		return 2
	}
	return 1
}

// run multiplies mr rows by np panels, or by the first half of one if np is 0.
func (t *tile) run(mr, np int) {
	switch {
	case isa == levelAVX512 && np == 0:
		t.halfAVX512(mr)
	case isa == levelAVX512 && np == 1:
		t.oneAVX512(mr)
	case isa == levelAVX512:
		t.manyAVX512(mr)
	case np == 0:
		t.halfAVX2(mr)
	case np == 1:
		t.oneAVX2(mr)
	default:
		t.manyAVX2(mr)
	}
}

func (t *tile) oneAVX512(mr int) {
	switch mr {
	case 1:
		gemm1x1AVX512(t)
	case 2:
		gemm2x1AVX512(t)
	case 3:
		gemm3x1AVX512(t)
	case 4:
		gemm4x1AVX512(t)
	case 5:
		gemm5x1AVX512(t)
	case 6:
		gemm6x1AVX512(t)
	case 7:
		gemm7x1AVX512(t)
	case 8:
		gemm8x1AVX512(t)
	case 9:
		gemm9x1AVX512(t)
	case 10:
		gemm10x1AVX512(t)
	case 11:
		gemm11x1AVX512(t)
	case 12:
		gemm12x1AVX512(t)
	case 13:
		gemm13x1AVX512(t)
	case 14:
		gemm14x1AVX512(t)
	}
}

func (t *tile) halfAVX512(mr int) {
	switch mr {
	case 1:
		gemm1HalfAVX512(t)
	case 2:
		gemm2HalfAVX512(t)
	case 3:
		gemm3HalfAVX512(t)
	case 4:
		gemm4HalfAVX512(t)
	case 5:
		gemm5HalfAVX512(t)
	case 6:
		gemm6HalfAVX512(t)
	case 7:
		gemm7HalfAVX512(t)
	case 8:
		gemm8HalfAVX512(t)
	case 9:
		gemm9HalfAVX512(t)
	case 10:
		gemm10HalfAVX512(t)
	case 11:
		gemm11HalfAVX512(t)
	case 12:
		gemm12HalfAVX512(t)
	case 13:
		gemm13HalfAVX512(t)
	case 14:
		gemm14HalfAVX512(t)
	}
}

func (t *tile) manyAVX512(mr int) {
	switch mr {
	case 1:
		gemm1x4AVX512(t)
	case 2:
		gemm2x2AVX512(t)
	case 3:
		gemm3x2AVX512(t)
	}
}

func (t *tile) oneAVX2(mr int) {
	switch mr {
	case 1:
		gemm1x1AVX2(t)
	case 2:
		gemm2x1AVX2(t)
	case 3:
		gemm3x1AVX2(t)
	case 4:
		gemm4x1AVX2(t)
	case 5:
		gemm5x1AVX2(t)
	case 6:
		gemm6x1AVX2(t)
	}
}

func (t *tile) halfAVX2(mr int) {
	switch mr {
	case 1:
		gemm1HalfAVX2(t)
	case 2:
		gemm2HalfAVX2(t)
	case 3:
		gemm3HalfAVX2(t)
	case 4:
		gemm4HalfAVX2(t)
	case 5:
		gemm5HalfAVX2(t)
	case 6:
		gemm6HalfAVX2(t)
	}
}

func (t *tile) manyAVX2(mr int) {
	switch mr {
	case 1:
		gemm1x4AVX2(t)
	case 2:
		gemm2x2AVX2(t)
	case 3:
		gemm3x2AVX2(t)
	}
}

// runEdge multiplies mr rows by one panel of which only cols columns exist in
// c, where the kernel has no masks: by way of a whole tile. c is the slice
// behind t.c and stride its row length, in elements.
func (t *tile) runEdge(mr, cols int, c []float32, stride int) {
	_, nr := isa.geometry()
	np := 1
	if cols <= nr/2 {
		np = 0
	}
	if isa == levelAVX512 {
		t.mask = 1<<cols - 1
		t.run(mr, np)
		return
	}
	var whole [6 * 16]float32
	if t.acc != 0 {
		for i := range mr {
			copy(whole[i*nr:], c[i*stride:i*stride+cols])
		}
	}
	u := *t // a copy, so that whole stays on the stack
	u.c, u.ldc = &whole[0], uintptr(4*nr)
	u.run(mr, np)
	for i := range mr {
		copy(c[i*stride:i*stride+cols], whole[i*nr:])
	}
}
