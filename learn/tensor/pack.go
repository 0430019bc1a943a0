package tensor

// copyJob describes one call of a packing kernel; package asmgen knows the
// offsets of its fields. Steps are in bytes.
type copyJob struct {
	dst        *float32
	step       uintptr // between the k of dst
	src        *float32
	ld         uintptr // between rows of src
	rows       int     // packTrans: rows of src
	k          int
	load, keep uint32 // lanes to read and to write, as bits
	loadV      [8]int32
	keepV      [8]int32
}

// lanesOf sets the masks of the first n lanes; only the form that the
// instruction set reads is set.
func (t *copyJob) lanesOf(load, keep int) {
	if isa == levelAVX512 {
		t.load, t.keep = 1<<load-1, 1<<keep-1
		return
	}
	for i := range t.loadV {
		t.loadV[i], t.keepV[i] = int32(i-load)>>31, int32(i-keep)>>31
	}
}

func (t *copyJob) transpose() {
	if isa == levelAVX512 {
		packTransAVX512(t)
	} else {
		packTransAVX2(t)
	}
}

func (t *copyJob) copy() {
	if isa == levelAVX512 {
		packCopyAVX512(t)
	} else {
		packCopyAVX2(t)
	}
}

// vectorLanes is how many float32 one register of the packing kernels holds.
func vectorLanes() int {
	if isa == levelAVX512 {
		return 16
	}
	return 8
}

// packB stores rows [k0, k1) and columns [j0, j0+nr) of b as a panel: dst holds
// nr values for each k, zeros where b has no such column.
func packB(dst []float32, b Mat, k0, k1, j0, nr int) {
	if k1 <= k0 {
		return
	}
	_ = dst[(k1-k0)*nr-1]
	w := vectorLanes()
	for j := 0; j < nr; j += w {
		have := min(max(b.Cols-j0-j, 0), w)
		packStrip(dst[j:], nr, b.T(), j0+j, have, w, k0, k1)
	}
}

// packA stores rows [i0, i0+mr) and columns [k0, k1) of a, mr values for each k.
func packA(dst []float32, a Mat, i0, mr, k0, k1 int) {
	if k1 <= k0 {
		return
	}
	_ = dst[(k1-k0)*mr-1]
	packStrip(dst, mr, a, i0, mr, mr, k0, k1)
}

// packStrip writes dst[k*step+r] = m(i0+r, k0+k) for r < rows, zeros for rows ≤
// r < width; width is at most the lanes of a vector.
func packStrip(dst []float32, step int, m Mat, i0, rows, width, k0, k1 int) {
	t := copyJob{dst: &dst[0], step: uintptr(4 * step), ld: uintptr(4 * m.Stride), rows: rows, k: k1 - k0}
	if rows == 0 {
		for k := range k1 - k0 {
			clear(dst[k*step : k*step+width])
		}
		return
	}
	if m.Trans { // the rows of the strip lie side by side
		t.src = &m.Data[k0*m.Stride+i0]
		t.lanesOf(rows, width)
		t.copy()
		return
	}
	t.src = &m.Data[i0*m.Stride+k0]
	t.lanesOf(0, width)
	t.transpose()
}
