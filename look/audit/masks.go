package audit

import (
	"context"
	"math"
	"math/bits"

	"orrery/learn/tensor"
)

// maskSource is a matrix of the base, for its masks.
type maskSource struct {
	rows, cols int64
	// codes fills dst with the bf16 codes of the entries from lo on.
	codes func(dst []uint16, lo int64) error
	// The rank-k approximation U·diag(σ)·Vᵀ, float32: us (rows, k) holds U·diag(σ),
	// v (cols, k). k = 0: there is none.
	us, v []float32
	k     int
}

// maskSet is the masks of a matrix: one bit an entry.
type maskSet struct {
	low   []uint64 // the m entries of least |W0|
	princ []uint64 // the m entries where the approximation is largest; nil without one
	all   *classes
}

// maskSize is m = ⌊αn+½⌋.
func maskSize(alpha float64, n int64) int64 { return int64(math.Floor(alpha*float64(n) + 0.5)) }

// blockRows is how many rows are worked on at a time: about 2²⁰ entries, and a
// multiple of 64, so that no word of a mask belongs to two blocks.
func (s *maskSource) blockRows() int64 {
	step := int64(64)
	for d := s.cols; d%2 == 0 && step > 1; d /= 2 {
		step /= 2
	}
	return step * max(1, (1<<20)/(step*s.cols))
}

// maskWork is one goroutine's buffers and counts.
type maskWork struct {
	codes          []uint16
	near           []float32
	low, high      []int64  // histograms: of codes, of the upper or lower half of approximations
	lowTie, prTies []uint32 // entries of the block that tie, counted from its first
}

// block is the rows [lo, hi) of block i.
func (s *maskSource) block(i int) (lo, hi int64) {
	step := s.blockRows()
	lo = int64(i) * step
	return lo, min(lo+step, s.rows)
}

func (w *maskWork) read(s *maskSource, i int) ([]uint16, error) {
	lo, hi := s.block(i)
	n := int((hi - lo) * s.cols)
	if cap(w.codes) < n {
		w.codes = make([]uint16, n)
	}
	w.codes = w.codes[:n]
	return w.codes, s.codes(w.codes, lo*s.cols)
}

// approximate computes the block's rows of the rank-k approximation.
func (w *maskWork) approximate(s *maskSource, i int) []float32 {
	lo, hi := s.block(i)
	n := int((hi - lo) * s.cols)
	if cap(w.near) < n {
		w.near = make([]float32, n)
	}
	w.near = w.near[:n]
	c := tensor.M(w.near, int(hi-lo), int(s.cols))
	a := tensor.M(s.us[lo*int64(s.k):hi*int64(s.k)], int(hi-lo), s.k)
	tensor.Gemm(c, a, tensor.M(s.v, int(s.cols), s.k).T(), false)
	return w.near
}

// threshold finds in counts by size the place of the m-th from one end: all
// beyond it are taken, and take of those at it.
func threshold(hist []int64, m int64, descending bool) (at int, take int64) {
	for i := range hist {
		at = i
		if descending {
			at = len(hist) - 1 - i
		}
		if m <= hist[at] {
			return at, m
		}
		m -= hist[at]
	}
	return at, m
}

// masks selects both masks by counting sorts: |W0| by its code; approximations by the
// upper half of a float32, then by the lower half. Ties go to the lower flat index.
func (s *maskSource) masks(ctx context.Context, workers int, alpha float64) (*maskSet, error) {
	n := s.rows * s.cols
	m := maskSize(alpha, n)
	step := s.blockRows()
	blocks := int((s.rows + step - 1) / step)
	start := func() *maskWork { return &maskWork{low: make([]int64, 1<<15), high: make([]int64, 1<<16)} }

	// First pass: |W0| by code, and the upper halves of the approximations.
	all, err := ordered(ctx, workers, blocks, start, func(w *maskWork, i int) error {
		codes, err := w.read(s, i)
		if err != nil {
			return err
		}
		for _, c := range codes {
			w.low[c&magnitude]++
		}
		if s.k > 0 {
			for _, v := range w.approximate(s, i) {
				w.high[math.Float32bits(v)>>16&magnitude]++
			}
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	lowHist, high := merged(all)
	set := &maskSet{low: make([]uint64, (n+63)/64), all: classesOf(lowHist)}
	lowAt, lowTake := threshold(lowHist, m, false)
	edge, take := uint32(0), int64(0)
	if s.k > 0 {
		// Second pass: the lower halves of those in the upper half's bin.
		set.princ = make([]uint64, (n+63)/64)
		bin, rest := threshold(high[:1<<15], m, true)
		all, err := ordered(ctx, workers, blocks, start, func(w *maskWork, i int) error {
			for _, v := range w.approximate(s, i) {
				if b := math.Float32bits(v) & math.MaxInt32; int(b>>16) == bin {
					w.high[b&0xffff]++
				}
			}
			return nil
		}, nil)
		if err != nil {
			return nil, err
		}
		_, lower := merged(all)
		at, left := threshold(lower, rest, true)
		edge, take = uint32(bin)<<16|uint32(at), left
	}
	if m == 0 {
		return set, nil
	}

	// Last pass: set the bits; those that tie are handed out in order.
	_, err = ordered(ctx, workers, blocks, start, func(w *maskWork, i int) error {
		lo, _ := s.block(i)
		at := lo * s.cols
		codes, err := w.read(s, i)
		if err != nil {
			return err
		}
		w.lowTie, w.prTies = w.lowTie[:0], w.prTies[:0]
		for j, c := range codes {
			switch c := int(c & magnitude); {
			case c < lowAt:
				setBit(set.low, at+int64(j))
			case c == lowAt:
				w.lowTie = append(w.lowTie, uint32(j))
			}
		}
		if s.k > 0 {
			for j, v := range w.approximate(s, i) {
				switch b := math.Float32bits(v) & math.MaxInt32; {
				case b > edge:
					setBit(set.princ, at+int64(j))
				case b == edge:
					w.prTies = append(w.prTies, uint32(j))
				}
			}
		}
		return nil
	}, func(w *maskWork, i int) {
		lo, _ := s.block(i)
		lowTake -= setFirst(set.low, lo*s.cols, w.lowTie, lowTake)
		take -= setFirst(set.princ, lo*s.cols, w.prTies, take)
	})
	return set, err
}

func merged(all []*maskWork) (low, high []int64) {
	low, high = all[0].low, all[0].high
	for _, w := range all[1:] {
		for i, n := range w.low {
			low[i] += n
		}
		for i, n := range w.high {
			high[i] += n
		}
	}
	return low, high
}

// setFirst sets the first of the entries from, plus those in list, at most left of them.
func setFirst(mask []uint64, from int64, list []uint32, left int64) int64 {
	n := min(left, int64(len(list)))
	for _, i := range list[:n] {
		setBit(mask, from+int64(i))
	}
	return n
}

func setBit(mask []uint64, i int64) { mask[i/64] |= 1 << (i % 64) }

// counts are a mask's entries, by class, and the changed among them.
type counts struct {
	size, changed int64
	classes       classes
}

// overlaps measures the changed entries against the masks.
func (s *maskSource) overlaps(ctx context.Context, workers int, set *maskSet, changed []uint64, bf16 bool) (*Masks, error) {
	type work struct {
		maskWork
		low, princ, rest counts
	}
	step := s.blockRows()
	blocks := int((s.rows + step - 1) / step)
	all, err := ordered(ctx, workers, blocks, func() *work { return &work{} }, func(w *work, i int) error {
		codes, err := w.read(s, i)
		if err != nil {
			return err
		}
		lo, _ := s.block(i)
		at := lo * s.cols / 64
		for j := 0; j < len(codes); j += 64 {
			word := at + int64(j)/64
			low, princ := set.low[word], uint64(0)
			if set.princ != nil {
				princ = set.princ[word]
			}
			w.low.add(low, changed[word], codes[j:])
			w.princ.add(princ, changed[word], codes[j:])
			w.rest.add(princ&^low, changed[word], codes[j:])
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	var low, princ, rest counts
	for _, w := range all {
		low.merge(&w.low)
		princ.merge(&w.princ)
		rest.merge(&w.rest)
	}
	total, n := onesCount(changed), s.rows*s.cols
	out := &Masks{}
	sigma := 0.0
	if bf16 {
		if sigma = set.all.sigma(total); sigma > 0 {
			out.Sigma = num(sigma)
		}
	}
	out.Low = low.overlap(total, n, set.all, sigma)
	if set.princ != nil {
		out.Princ = princ.overlap(total, n, set.all, sigma)
		out.PrincNotLow = rest.overlap(total, n, set.all, sigma)
	}
	return out, nil
}

func (c *counts) add(mask, changed uint64, codes []uint16) {
	c.size += int64(bits.OnesCount64(mask))
	c.changed += int64(bits.OnesCount64(mask & changed))
	for ; mask != 0; mask &= mask - 1 {
		c.classes[classOf(codes[bits.TrailingZeros64(mask)])]++
	}
}

func (c *counts) merge(d *counts) {
	c.size += d.size
	c.changed += d.changed
	for i, n := range d.classes {
		c.classes[i] += n
	}
}

func (c *counts) overlap(total, n int64, all *classes, sigma float64) *Overlap {
	o := &Overlap{Observed: ratio(c.changed, total), Baseline: ratio(c.size, n), Null: nullOverlap(&c.classes, all, sigma)}
	if o.Observed != nil && o.Null != nil {
		o.MinusNull = num(*o.Observed - *o.Null)
	}
	return o
}
