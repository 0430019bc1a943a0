package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"sync/atomic"

	"orrery/learn/checkpoint"
)

const (
	// closeAbs is the tolerance of the predecessor's probe, arXiv 2505.11711.
	closeAbs = 1e-5
	// sumBlock is the elements whose squares are added in one go. It, not the
	// size of a chunk, decides the order of summation.
	sumBlock = 1 << 16
	// piece is the elements that are decoded at a time.
	piece = 1 << 12
	// profileLimit bounds rows and columns of what gets a profile.
	profileLimit = 1 << 22
)

// pair is one tensor in both checkpoints: row-major, equal in shape, floats.
type pair struct {
	base, tuned   io.ReaderAt
	dbase, dtuned checkpoint.DType
	rows, cols    int64
}

func (p pair) n() int64 { return p.rows * p.cols }

// elements are a pair's counts and norms.
type elements struct {
	changed   int64    // codesDiffer
	raw       int64    // stored bytes differ; -1 where the types do
	far       int64    // |ŵ−w| > closeAbs
	unequal   int64    // as values
	nonfinite [2]int64 // base, tuned
	fro0, fro float64  // sums of squares of W0 and ΔW
	maxAbs    float64
	rows      []int64 // changed entries by row and by column; nil beyond profileLimit
	cols      []int64
	hist      []int64  // base codes by magnitude
	bits      []uint64 // changed, if asked for
}

// scan is how a pair is read: results don't depend on it.
type scan struct {
	workers int
	chunk   int64 // bytes of one checkpoint
	// order receives each chunk's mask of differing bytes in the order of the
	// tensor; base and tuned of one type.
	order func(pos int64, raw []uint64)
	bits  bool // keep the mask of changed entries
	tick  func(elements int64)
}

// worker has one goroutine's buffers and counts.
type worker struct {
	elements
	p            pair
	a, b         []byte
	cbits, rbits []uint64
	v0, v1       [piece]float64
	cols         []int64
}

// elements reads a pair once.
func (s scan) elements(ctx context.Context, p pair) (*elements, error) {
	n := p.n()
	size := int64(max(p.dbase.Size(), p.dtuned.Size()))
	step := max(s.chunk/size/sumBlock, 1) * sumBlock
	chunks := int((n + step - 1) / step)
	blocks := (n + sumBlock - 1) / sumBlock
	sum0, sum := make([]float64, blocks), make([]float64, blocks)
	out := &elements{hist: make([]int64, magnitude+1)}
	profile := p.rows <= profileLimit && p.cols <= profileLimit && p.rows > 1
	if profile {
		out.rows, out.cols = make([]int64, p.rows), make([]int64, p.cols)
	}
	if s.bits {
		out.bits = make([]uint64, (n+63)/64)
	}
	start := func() *worker {
		w := &worker{p: p}
		w.hist = make([]int64, magnitude+1)
		if profile {
			w.elements.rows, w.cols = out.rows, make([]int64, p.cols)
		}
		return w
	}
	work := func(w *worker, i int) error {
		lo := int64(i) * step
		return w.chunk(lo, min(lo+step, n), sum0, sum)
	}
	all, err := ordered(ctx, s.workers, chunks, start, work, func(w *worker, i int) {
		lo := int64(i) * step
		if s.bits {
			copy(out.bits[lo/64:], w.cbits)
		}
		if s.order != nil {
			s.order(lo, w.rbits)
		}
		if s.tick != nil {
			s.tick(min(lo+step, n) - lo)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		out.add(w)
	}
	out.finish(p, sum0, sum)
	return out, nil
}

// add takes a worker's counts; all are integers or a maximum, so that the order
// of workers doesn't matter.
func (e *elements) add(w *worker) {
	e.changed += w.changed
	e.raw += w.raw
	e.far += w.far
	e.unequal += w.unequal
	e.nonfinite[0] += w.nonfinite[0]
	e.nonfinite[1] += w.nonfinite[1]
	e.maxAbs = max(e.maxAbs, w.maxAbs)
	for i, c := range w.hist {
		e.hist[i] += c
	}
	for i, c := range w.cols {
		e.cols[i] += c
	}
}

// finish adds up the norms. That of a BF16 base follows from its histogram.
func (e *elements) finish(p pair, sum0, sum []float64) {
	if p.dbase == checkpoint.BF16 {
		sum0 = make([]float64, 0, infCode)
		for c, n := range e.hist[:infCode] {
			v := bf16Value(uint16(c))
			sum0 = append(sum0, float64(n)*v*v)
		}
	}
	if p.dbase == checkpoint.BF16 && p.dtuned == checkpoint.BF16 {
		for _, n := range e.hist[infCode:] {
			e.nonfinite[0] += n
			e.nonfinite[1] += n // special has counted by how much the tuned differs
		}
	}
	e.fro0, e.fro = pairwise(sum0), pairwise(sum)
	if p.dbase != p.dtuned {
		e.raw = -1
	}
}

// pairwise adds by halves: an error of order log₂(n)·2⁻⁵³.
func pairwise(x []float64) float64 {
	if len(x) <= 8 {
		s := 0.0
		for _, v := range x {
			s += v
		}
		return s
	}
	h := len(x) / 2
	return pairwise(x[:h]) + pairwise(x[h:])
}

// compensated is a sum that carries its rounding errors (Neumaier).
type compensated struct{ sum, c float64 }

func (k *compensated) add(v float64) {
	t := k.sum + v
	if math.Abs(k.sum) >= math.Abs(v) {
		k.c += (k.sum - t) + v
	} else {
		k.c += (v - t) + k.sum
	}
	k.sum = t
}

func (k compensated) value() float64 { return k.sum + k.c }

// chunk reads the elements [lo, hi), lo at a multiple of sumBlock, and counts.
func (w *worker) chunk(lo, hi int64, sum0, sum []float64) error {
	n := int(hi - lo)
	var err error
	if w.a, err = readAt(w.p.base, w.a, lo, n, w.p.dbase); err != nil {
		return fmt.Errorf("base: %w", err)
	}
	if w.b, err = readAt(w.p.tuned, w.b, lo, n, w.p.dtuned); err != nil {
		return fmt.Errorf("tuned: %w", err)
	}
	words := (n + 63) / 64
	if cap(w.cbits) < words {
		w.cbits, w.rbits = make([]uint64, words), make([]uint64, words)
	}
	w.cbits, w.rbits = w.cbits[:words], w.rbits[:words]
	both := w.p.dbase == checkpoint.BF16 && w.p.dtuned == checkpoint.BF16
	if !both {
		clear(w.cbits)
		clear(w.rbits)
	}
	for at := 0; at < n; at += sumBlock {
		end := min(at+sumBlock, n)
		block := (lo + int64(at)) / sumBlock
		if both {
			sum[block] = w.bf16(at, end)
		} else {
			sum0[block], sum[block] = w.any(at, end)
		}
	}
	w.changed += onesCount(w.cbits)
	w.raw += onesCount(w.rbits)
	if w.cols != nil {
		w.profile(lo)
	}
	return nil
}

func readAt(r io.ReaderAt, buf []byte, lo int64, n int, d checkpoint.DType) ([]byte, error) {
	return readAtSize(r, buf, lo, n, d.Size())
}

// readAtSize reads n elements of each bytes from element lo on.
func readAtSize(r io.ReaderAt, buf []byte, lo int64, n, each int) ([]byte, error) {
	size := n * each
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	k, err := r.ReadAt(buf, lo*int64(each))
	if k == size {
		return buf, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("at byte %d of the tensor: %w", lo*int64(each)+int64(k), err)
}

// bf16 counts the chunk's elements [at, end) of two BF16 tensors and returns the
// sum of squares of ΔW. Only entries whose bytes differ are looked at one by one.
func (w *worker) bf16(at, end int) float64 {
	a, b := w.a[2*at:2*end], w.b[2*at:2*end]
	cbits, rbits := w.cbits[at/64:(end+63)/64], w.rbits[at/64:(end+63)/64]
	maskBF16(cbits, rbits, a, b)
	histogram(w.hist, a)
	var s compensated
	for i, word := range rbits {
		for ; word != 0; word &= word - 1 {
			j := 2 * (64*i + bits.TrailingZeros64(word))
			c0, c1 := binary.LittleEndian.Uint16(a[j:]), binary.LittleEndian.Uint16(b[j:])
			d := bf16Value(c1) - bf16Value(c0)
			if c0&magnitude >= infCode || c1&magnitude >= infCode {
				w.special(c0, c1)
				continue
			}
			if d == 0 { // +0 and -0
				continue
			}
			w.unequal++
			d = math.Abs(d)
			if d > closeAbs {
				w.far++
			}
			w.maxAbs = max(w.maxAbs, d)
			s.add(d * d)
		}
	}
	return s.value()
}

// special counts an entry whose codes differ where one is not finite. The
// histogram takes the base's non-finite codes for the tuned's too.
func (w *worker) special(c0, c1 uint16) {
	w.unequal++
	w.far++
	if c0&magnitude >= infCode {
		w.nonfinite[1]--
	}
	if c1&magnitude >= infCode {
		w.nonfinite[1]++
	}
}

// histogram counts magnitudes of BF16 codes. Four tables would halve the time
// on equal codes in a row, which weights don't have.
func histogram(hist []int64, codes []byte) {
	h := (*[magnitude + 1]int64)(hist)
	for len(codes) >= 8 {
		x := binary.LittleEndian.Uint64(codes)
		h[x&magnitude]++
		h[x>>16&magnitude]++
		h[x>>32&magnitude]++
		h[x>>48&magnitude]++
		codes = codes[8:]
	}
	for ; len(codes) >= 2; codes = codes[2:] {
		h[binary.LittleEndian.Uint16(codes)&magnitude]++
	}
}

// any is bf16 for every other pair of types; it also returns the sum of squares of W0.
func (w *worker) any(at, end int) (float64, float64) {
	var s0, s compensated
	size0, size1 := w.p.dbase.Size(), w.p.dtuned.Size()
	same := w.p.dbase == w.p.dtuned
	for ; at < end; at += piece {
		n := min(piece, end-at)
		a, b := w.a[at*size0:(at+n)*size0], w.b[at*size1:(at+n)*size1]
		if w.p.dbase.Decode64(w.v0[:n], a) != nil || w.p.dtuned.Decode64(w.v1[:n], b) != nil {
			panic("audit: types that don't decode were paired")
		}
		for i, v0 := range w.v0[:n] {
			v1 := w.v1[i]
			c0 := bf16From64(v0)
			w.hist[c0&magnitude]++
			c1 := c0
			if v1 != v0 || math.Signbit(v1) != math.Signbit(v0) { // NaN included
				c1 = bf16From64(v1)
			}
			bit := uint64(1) << ((at + i) % 64)
			if codesDiffer(c0, c1) {
				w.cbits[(at+i)/64] |= bit
			}
			if same && string(a[i*size0:i*size0+size0]) != string(b[i*size0:i*size0+size0]) {
				w.rbits[(at+i)/64] |= bit
			}
			w.values(v0, v1, c0 == c1, &s0, &s)
		}
	}
	return s0.value(), s.value()
}

// values counts one entry by its values; sameCode decides where both are NaN.
func (w *worker) values(v0, v1 float64, sameCode bool, s0, s *compensated) {
	d := v1 - v0
	if notFinite(v0) || notFinite(v1) {
		if notFinite(v0) {
			w.nonfinite[0]++
		}
		if notFinite(v1) {
			w.nonfinite[1]++
		}
		if v0 != v1 && !(v0 != v0 && v1 != v1 && sameCode) {
			w.unequal++
			w.far++
		}
		return
	}
	s0.add(v0 * v0)
	if d == 0 {
		return
	}
	w.unequal++
	d = math.Abs(d)
	if d > closeAbs {
		w.far++
	}
	w.maxAbs = max(w.maxAbs, d)
	s.add(d * d)
}

func notFinite(v float64) bool { return v-v != 0 }

// profile counts the chunk's changed entries by row and column.
func (w *worker) profile(lo int64) {
	row, start := lo/w.p.cols, lo/w.p.cols*w.p.cols
	end := start + w.p.cols
	count := int64(0)
	for i, word := range w.cbits {
		for ; word != 0; word &= word - 1 {
			at := lo + int64(64*i+bits.TrailingZeros64(word))
			if at >= end {
				atomic.AddInt64(&w.elements.rows[row], count)
				count = 0
				row = at / w.p.cols
				start = row * w.p.cols
				end = start + w.p.cols
			}
			count++
			w.cols[at-start]++
		}
	}
	if count > 0 {
		atomic.AddInt64(&w.elements.rows[row], count)
	}
}
