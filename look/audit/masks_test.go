package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/checkpoint"
)

var ctx = context.Background()

// codesOf are random weights as bf16 codes.
func codesOf(r *rand.Rand, n int, std float64) []uint16 {
	c := make([]uint16, n)
	for i := range c {
		c[i] = bf16From64(r.NormFloat64() * std)
	}
	return c
}

func sourceOf(codes []uint16, cols int) *maskSource {
	return &maskSource{rows: int64(len(codes) / cols), cols: int64(cols), codes: func(dst []uint16, lo int64) error {
		copy(dst, codes[lo:])
		return nil
	}}
}

// withFactors gives a source a random rank-k approximation and returns it multiplied out.
func withFactors(r *rand.Rand, s *maskSource, k int) []float32 {
	s.k = k
	s.us, s.v = make([]float32, int(s.rows)*k), make([]float32, int(s.cols)*k)
	for i := range s.us {
		s.us[i] = float32(r.NormFloat64())
	}
	for i := range s.v {
		s.v[i] = float32(r.NormFloat64())
	}
	out := make([]float32, s.rows*s.cols)
	for i := range int(s.rows) {
		for j := range int(s.cols) {
			var sum float32
			for l := range k { // the package's order: fused multiply-adds over k ascending
				sum = float32(math.FMA(float64(s.us[i*k+l]), float64(s.v[j*k+l]), float64(sum)))
			}
			out[i*int(s.cols)+j] = sum
		}
	}
	return out
}

// naiveMask sorts all entries by size, then by flat index, and takes m.
func naiveMask(n int, m int64, less func(a, b int) int) []uint64 {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, less)
	mask := make([]uint64, (n+63)/64)
	for _, i := range at[:m] {
		setBit(mask, int64(i))
	}
	return mask
}

// Counting sorts against sorting, with many ties, over shapes whose rows begin
// anywhere in a word, for every α, at every number of workers.
func TestMasksAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, sh := range [][2]int{{1, 1}, {3, 7}, {64, 64}, {130, 33}, {7, 1000}} {
		for _, coarse := range []bool{false, true} {
			codes := codesOf(r, sh[0]*sh[1], 0.02)
			if coarse {
				for i := range codes {
					codes[i] = codes[i] & 0x8000 // zeros of both signs: nothing but ties
					if r.IntN(3) == 0 {
						codes[i] |= 0x3c00
					}
				}
			}
			s := sourceOf(codes, sh[1])
			near := withFactors(r, s, 3)
			if coarse {
				clear(s.us)
				clear(near)
			}
			for _, alpha := range []float64{1e-9, 0.1, 0.5, 0.77, 1 - 1e-9} {
				t.Run(fmt.Sprint(sh, coarse, alpha), func(t *testing.T) {
					m := int64(math.Floor(alpha*float64(len(codes)) + 0.5))
					low := naiveMask(len(codes), m, func(a, b int) int { return cmp.Compare(codes[a]&0x7fff, codes[b]&0x7fff) })
					princ := naiveMask(len(codes), m, func(a, b int) int {
						return -cmp.Compare(math.Abs(float64(near[a])), math.Abs(float64(near[b])))
					})
					for _, workers := range []int{1, 3} {
						set, err := s.masks(ctx, workers, alpha)
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(set.low, low) || !slices.Equal(set.princ, princ) {
							t.Errorf("%d workers: masks differ: %d and %d bits, want %d", workers, onesCount(set.low), onesCount(set.princ), m)
						}
					}
				})
			}
		}
	}
}

// Changes on the principal mask only overlap it wholly; independent flips give
// α; and overlaps with disjoint parts add up.
func TestPlantedOverlaps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	codes := codesOf(r, 512*256, 0.02)
	s := sourceOf(codes, 256)
	withFactors(r, s, 8)
	for _, alpha := range []float64{0.3, 0.5} {
		set, err := s.masks(ctx, 2, alpha)
		if err != nil {
			t.Fatal(err)
		}
		on, err := s.overlaps(ctx, 2, set, set.princ, true)
		if err != nil {
			t.Fatal(err)
		}
		if *on.Princ.Observed != 1 {
			t.Errorf("α %g: changes on the mask overlap it by %g", alpha, *on.Princ.Observed)
		}
		flips := make([]uint64, len(set.low))
		for i := range codes {
			if r.Float64() < 0.2 {
				setBit(flips, int64(i))
			}
		}
		off, err := s.overlaps(ctx, 2, set, flips, true)
		if err != nil {
			t.Fatal(err)
		}
		// 26,000 flips: a standard deviation of 0.003; five of them.
		for name, o := range map[string]*Overlap{"princ": off.Princ, "low": off.Low} {
			if math.Abs(*o.Observed-alpha) > 0.015 || math.Abs(*o.Baseline-alpha) > 1e-5 {
				t.Errorf("α %g: independent flips overlap %s by %g, baseline %g", alpha, name, *o.Observed, *o.Baseline)
			}
		}
		none, err := s.overlaps(ctx, 2, set, make([]uint64, len(set.low)), true)
		if err != nil {
			t.Fatal(err)
		}
		if none.Low.Observed != nil || none.Low.Null != nil || none.Sigma != nil || none.Low.Baseline == nil {
			t.Errorf("no change: observed %v, null %v", none.Low.Observed, none.Low.Null)
		}
	}
}

// P of a class against counting: the share of steps that change a code.
func TestChangeProbability(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, code := range []uint16{0, 1, 0x7f, 0x80, 0x81, 0x100, 0x101, 0x3c00, 0x3c01, 0x3cff, 0xbc80, 0xbcff} {
		v := bf16Value(code)
		ulp := bf16Value(code&magnitude+1) - math.Abs(v)
		for _, sigma := range []float64{0.1, 0.4, 1, 5} {
			const n = 40000
			changed := 0
			for range n {
				if codesDiffer(bf16From64(v+r.NormFloat64()*sigma*ulp), code) {
					changed++
				}
			}
			// The tails towards zero and away from it; a step of many ulps crosses
			// binades, but not back to the code.
			want := changeProbability(classOf(code&magnitude), sigma*ulp)
			if got := float64(changed) / n; math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/n)+1e-4 {
				t.Errorf("code %#x, σ = %g ulp: %g, want %g", code, sigma, got, want)
			}
		}
	}
}

// Steps independent of the weights: the fitted σ is the true one, and the
// overlaps are the null's, although the principal one is far below α. The
// specification's case: observed, null and about 0.29 at α = ½.
func TestNullMatchesIndependentUpdates(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const rows, cols, k = 512, 512, 4
	for _, share := range []float64{0.02, 0.3, 1} { // σ as a share of the weights' half ulp
		// Weights whose rank-k part is a third of them: magnitudes and approximation correlate.
		s := sourceOf(make([]uint16, rows*cols), cols)
		near := withFactors(r, s, k)
		codes := make([]uint16, rows*cols)
		for i := range codes {
			codes[i] = bf16From64(0.01 * (float64(near[i]) + r.NormFloat64()))
		}
		s.codes = sourceOf(codes, cols).codes
		sigma := share * math.Ldexp(0.02, -8)
		changed := make([]uint64, rows*cols/64)
		for i, c := range codes {
			if codesDiffer(c, bf16From64(bf16Value(c)+r.NormFloat64()*sigma)) {
				setBit(changed, int64(i))
			}
		}
		set, err := s.masks(ctx, 2, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.overlaps(ctx, 2, set, changed, true)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("σ %.3g: fitted %.3g, princ %.4f null %.4f, low %.4f null %.4f", sigma, *m.Sigma, *m.Princ.Observed, *m.Princ.Null, *m.Low.Observed, *m.Low.Null)
		// 10⁴ changes or more: standard deviations below 0.005.
		if math.Abs(*m.Sigma/sigma-1) > 0.05 || math.Abs(*m.Princ.MinusNull) > 0.01 || math.Abs(*m.Low.MinusNull) > 0.01 {
			t.Errorf("σ %g: fitted %g, princ %g off, low %g off", sigma, *m.Sigma, *m.Princ.MinusNull, *m.Low.MinusNull)
		}
		if *m.Princ.Observed > 0.45 {
			t.Errorf("the case shows nothing: principal overlap %g is near α", *m.Princ.Observed)
		}
	}
}

// Two updates independent of each other: their Jaccard index is above that of
// random sets, and is the precision-only one.
func TestNullJaccard(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	codes := codesOf(r, 1<<18, 0.02)
	hist := make([]int64, 1<<15)
	for _, c := range codes {
		hist[c&magnitude]++
	}
	all := classesOf(hist)
	masks := make([][]uint64, 2)
	for k := range masks {
		masks[k] = make([]uint64, len(codes)/64)
		for i, c := range codes {
			if codesDiffer(c, bf16From64(bf16Value(c)+r.NormFloat64()*[]float64{2e-5, 4e-5}[k])) {
				setBit(masks[k], int64(i))
			}
		}
	}
	g := &group{rows: 512, cols: 512, hist: hist, bf16: true, masks: masks}
	c := newConsensus([]*comparison{{tuned: &Checkpoint{path: "a"}}, {tuned: &Checkpoint{path: "b"}}})
	c.add("w", g)
	got := c.finish()
	jac, rnd, prec := *got.Jaccard[0][1], *got.Baseline[0][1], *got.Precision[0][1]
	// Some 10⁵ changes: a standard deviation of 0.002.
	if math.Abs(jac-prec) > 0.01 || jac < rnd+0.02 {
		t.Errorf("Jaccard %g, precision alone %g, random %g", jac, prec, rnd)
	}
	var sum int64
	for _, n := range got.Histogram {
		sum += n
	}
	if sum != 1<<18 {
		t.Errorf("the histogram counts %d entries", sum)
	}
	if both, either := nullJaccard(all, 0, 1e-4); both != 0 || either <= 0 {
		t.Errorf("without a change: %g, %g", both, either)
	}
	if *got.Mean != jac || *got.Jaccard[1][1] != 1 {
		t.Errorf("mean %g, diagonal %g", *got.Mean, *got.Jaccard[1][1])
	}
}

// A consensus map and its profiles are means of the masks.
func TestConsensusMap(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, sh := range [][2]int64{{3, 5}, {40, 33}, {65, 100}} {
		masks := make([][]uint64, 3)
		var total int64
		for k := range masks {
			masks[k] = make([]uint64, (sh[0]*sh[1]+63)/64)
			for i := range sh[0] * sh[1] {
				if r.IntN(3) == 0 {
					setBit(masks[k], i)
					total++
				}
			}
		}
		var c ConsensusTensor
		c.Histogram = make([]int64, 4)
		c.draw(&group{rows: sh[0], cols: sh[1], masks: masks})
		// The cells' means, weighted by their areas, are the overall mean.
		h, w := int64(len(c.Map)), int64(len(c.Map[0]))
		var sum float64
		for i, line := range c.Map {
			for j, v := range line {
				area := 0
				for a := range sh[0] {
					for b := range sh[1] {
						if a*h/sh[0] == int64(i) && b*w/sh[1] == int64(j) {
							area++
						}
					}
				}
				sum += v * float64(area)
			}
		}
		if math.Abs(sum*3-float64(total)) > 1e-6 {
			t.Errorf("%v: the map holds %g changes, not %d", sh, sum*3, total)
		}
		if got := c.Histogram[1] + 2*c.Histogram[2] + 3*c.Histogram[3]; got != total {
			t.Errorf("%v: the histogram holds %d changes, not %d", sh, got, total)
		}
	}
}

// Sparsity never rises with the size of a step in one direction.
func TestSparsityFallsWithStep(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	base := weights(r, 1<<14, nil)
	step := weights(r, 1<<14, nil)
	a := encode(t, checkpoint.BF16, base)
	naiveDecode(checkpoint.BF16, base, a)
	last := int64(-1)
	for i := -14; i < 3; i++ {
		v := slices.Clone(base)
		for j := range v {
			v[j] += step[j] * math.Exp2(float64(i))
		}
		b := make([]byte, 0, len(a))
		for _, x := range v {
			c := bf16From64(x)
			b = append(b, byte(c), byte(c>>8))
		}
		e, err := scan{workers: 1, chunk: 1}.elements(ctx, pair{bytes.NewReader(a), bytes.NewReader(b), checkpoint.BF16, checkpoint.BF16, 128, 128})
		if err != nil {
			t.Fatal(err)
		}
		if e.changed < last {
			t.Errorf("step 2^%d changes %d entries, half of it %d", i, e.changed, last)
		}
		last = e.changed
	}
}
