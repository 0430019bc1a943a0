package audit

import "math/bits"

// consensus gathers the Jaccard indices of several runs.
type consensus struct {
	out   Consensus
	total *overlapSums
}

// overlapSums are sums over entries for every pair of runs.
type overlapSums struct {
	n                  int64
	size               []int64
	both, either       [][]int64
	nullBoth, nullEach [][]float64 // ΣP_aP_b and Σ(P_a+P_b−P_aP_b)
	allBF16            bool
}

func newSums(runs int) *overlapSums {
	s := &overlapSums{size: make([]int64, runs), allBF16: true}
	for range runs {
		s.both, s.either = append(s.both, make([]int64, runs)), append(s.either, make([]int64, runs))
		s.nullBoth, s.nullEach = append(s.nullBoth, make([]float64, runs)), append(s.nullEach, make([]float64, runs))
	}
	return s
}

func newConsensus(runs []*comparison) *consensus {
	c := &consensus{total: newSums(len(runs))}
	c.out.Tensors = []ConsensusTensor{}
	c.out.Histogram = make([]int64, len(runs)+1)
	for _, r := range runs {
		c.out.Runs = append(c.out.Runs, r.tuned.path)
	}
	return c
}

// add compares the masks of one tensor, if every run has it.
func (c *consensus) add(name string, g *group) {
	runs := len(c.out.Runs)
	if len(g.masks) != runs {
		return
	}
	for _, m := range g.masks {
		if m == nil {
			return
		}
	}
	s := newSums(runs)
	s.n, s.allBF16 = g.rows*g.cols, g.bf16
	all := classesOf(g.hist)
	sigma := make([]float64, runs)
	for i := range runs {
		s.size[i] = onesCount(g.masks[i])
		if g.bf16 {
			sigma[i] = all.sigma(s.size[i])
		}
	}
	for i := range runs {
		for j := range i {
			for w, x := range g.masks[i] {
				s.both[i][j] += int64(bits.OnesCount64(x & g.masks[j][w]))
			}
			s.either[i][j] = s.size[i] + s.size[j] - s.both[i][j]
			if g.bf16 {
				s.nullBoth[i][j], s.nullEach[i][j] = nullJaccard(all, sigma[i], sigma[j])
			}
		}
	}
	t := ConsensusTensor{Name: name, Pairwise: s.pairwise(), Histogram: make([]int64, runs+1)}
	t.Layer, t.Kind = place(name)
	t.draw(g)
	for i, n := range t.Histogram {
		c.out.Histogram[i] += n
	}
	c.out.Tensors = append(c.out.Tensors, t)
	c.total.merge(s)
}

func (s *overlapSums) merge(t *overlapSums) {
	s.n += t.n
	s.allBF16 = s.allBF16 && t.allBF16
	for i := range s.size {
		s.size[i] += t.size[i]
		for j := range i {
			s.both[i][j] += t.both[i][j]
			s.either[i][j] += t.either[i][j]
			s.nullBoth[i][j] += t.nullBoth[i][j]
			s.nullEach[i][j] += t.nullEach[i][j]
		}
	}
}

// pairwise turns the sums into indices. The diagonal is 1, or nil for an empty set.
func (s *overlapSums) pairwise() Pairwise {
	runs := len(s.size)
	var p Pairwise
	var means, base, null []*float64
	table := func() [][]*float64 {
		t := make([][]*float64, runs)
		for i := range t {
			t[i] = make([]*float64, runs)
		}
		return t
	}
	p.Jaccard, p.Baseline, p.Precision = table(), table(), table()
	for i := range runs {
		one := ratio(s.size[i], s.size[i])
		p.Jaccard[i][i], p.Baseline[i][i], p.Precision[i][i] = one, one, one
		for j := range i {
			jac := ratio(s.both[i][j], s.either[i][j])
			a, b := float64(s.size[i])/float64(s.n), float64(s.size[j])/float64(s.n)
			rnd := num(a * b / (a + b - a*b))
			var prec *float64
			if s.allBF16 {
				prec = ratio(s.nullBoth[i][j], s.nullEach[i][j])
			}
			p.Jaccard[i][j], p.Jaccard[j][i] = jac, jac
			p.Baseline[i][j], p.Baseline[j][i] = rnd, rnd
			p.Precision[i][j], p.Precision[j][i] = prec, prec
			means, base, null = append(means, jac), append(base, rnd), append(null, prec)
		}
	}
	p.Mean, p.MeanBaseline, p.MeanPrecision = stats(means).Mean, stats(base).Mean, stats(null).Mean
	return p
}

// draw makes histogram, profiles and map of C, the mean of the masks.
func (t *ConsensusTensor) draw(g *group) {
	runs := len(g.masks)
	n := g.rows * g.cols
	h, w := min(g.rows, MapCells), min(g.cols, MapCells)
	cells := make([]int64, h*w)
	var rows, cols []int64
	if profile := g.rows <= profileLimit && g.cols <= profileLimit; profile {
		rows, cols = make([]int64, g.rows), make([]int64, g.cols)
	}
	cellOf := make([]int64, 0, g.cols)
	if g.cols <= profileLimit {
		for c := range g.cols {
			cellOf = append(cellOf, c*w/g.cols)
		}
	}
	column := func(c int64) int64 {
		if len(cellOf) > 0 {
			return cellOf[c]
		}
		return c * w / g.cols
	}
	zero := n
	row, start := int64(0), int64(0)
	for word := range g.masks[0] {
		var any uint64
		for _, m := range g.masks {
			any |= m[word]
		}
		for ; any != 0; any &= any - 1 {
			bit := bits.TrailingZeros64(any)
			at := int64(64*word + bit)
			k := int64(0)
			for _, m := range g.masks {
				k += int64(m[word] >> bit & 1)
			}
			t.Histogram[k]++
			zero--
			if at >= start+g.cols {
				row = at / g.cols
				start = row * g.cols
			}
			if rows != nil {
				rows[row] += k
				cols[at-start] += k
			}
			cells[row*h/g.rows*w+column(at-start)] += k
		}
	}
	t.Histogram[0] = zero
	if rows != nil && g.rows > 1 {
		t.Rows, t.Cols = bins(rows, g.cols*int64(runs)), bins(cols, g.rows*int64(runs))
	} else {
		t.Rows, t.Cols = []float64{}, []float64{}
	}
	t.Map = [][]float64{}
	if g.rows < 2 {
		return
	}
	for i := range h {
		line := make([]float64, w)
		for j := range w {
			// The cell's rows are those r with r·h/rows = i: from ⌈i·rows/h⌉ on.
			area := (ceil((i+1)*g.rows, h) - ceil(i*g.rows, h)) * (ceil((j+1)*g.cols, w) - ceil(j*g.cols, w))
			line[j] = float64(cells[i*w+j]) / float64(area*int64(runs))
		}
		t.Map = append(t.Map, line)
	}
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// finish gives the report's part.
func (c *consensus) finish() *Consensus {
	c.out.Pairwise = c.total.pairwise()
	return &c.out
}
