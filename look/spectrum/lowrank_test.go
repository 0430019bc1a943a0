package spectrum

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestLowRankIsTheDenseSpectrum: QR and core SVD give the singular values of the
// dense product, for ranks below, at and above the sides, and rank-deficient factors.
func TestLowRankIsTheDenseSpectrum(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for _, size := range [][3]int{{30, 4, 20}, {20, 1, 30}, {6, 6, 9}, {5, 8, 12}, {12, 8, 5}, {4, 9, 3}, {1, 1, 1}} {
		out, rank, in := size[0], size[1], size[2]
		b, a := randomMatrix(r, out, rank), randomMatrix(r, rank, in)
		if rank == 4 { // rank 3 in truth
			copy(a.Data[in:2*in], a.Data[:in])
		}
		const scale = -1.75
		l, err := NewLowRank(b, a, scale)
		if err != nil {
			t.Fatal(err)
		}
		dense := b.wide().times(a.wide())
		for i := range dense.data {
			dense.data[i] *= scale
		}
		_, s, v := jacobi(dense)
		if len(l.Sigma) > len(s) {
			t.Errorf("%v: %d singular values", size, len(l.Sigma))
		}
		var fro float64
		for i, want := range s {
			got := 0.0
			if i < len(l.Sigma) {
				got = l.Sigma[i]
			}
			if math.Abs(got-want) > 1e-13*s[0] {
				t.Errorf("%v: σ_%d is %v, dense %v", size, i, got, want)
			}
			fro += want * want
		}
		if want := fro / square(s[0]); math.Abs(float64(l.Srank)-want) > 1e-12*want {
			t.Errorf("%v: stable rank %v, dense %v", size, l.Srank, want)
		}
		want := min(out, rank, in)
		if rank == 4 {
			want = 3
		}
		if l.Rank != want || l.Update.Dim() != want {
			t.Errorf("%v: rank %d, subspace of %d, want %d", size, l.Rank, l.Update.Dim(), want)
		}
		if sim := Similarity(&l.Update, &Subspace{v.first(want)}); math.Abs(float64(sim)-1) > 1e-12 {
			t.Errorf("%v: similarity with the dense right vectors is %v", size, sim)
		}
	}
}

func TestLowRankRefuses(t *testing.T) {
	m := Matrix{[]float32{1, 2}, 1, 2}
	nan := Matrix{[]float32{float32(math.NaN()), 2}, 2, 1}
	for says, f := range map[string]func() (LowRank, error){
		"their ranks differ":                   func() (LowRank, error) { return NewLowRank(m, m, 1) },
		"lora_B has NaN at row 0":              func() (LowRank, error) { return NewLowRank(nan, m, 1) },
		"the scale of a LoRA update is +Inf":   func() (LowRank, error) { return NewLowRank(m.transpose(), m, math.Inf(1)) },
		"lora_A is 0×2: a matrix without elem": func() (LowRank, error) { return NewLowRank(m, Matrix{nil, 0, 2}, 1) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	zero, err := NewLowRank(Matrix{make([]float32, 6), 3, 2}, Matrix{make([]float32, 8), 2, 4}, 1)
	if err != nil || zero.Rank != 0 || zero.Update.Dim() != 0 || !math.IsNaN(float64(zero.Srank)) {
		t.Errorf("a zero update: %+v, %v", zero, err)
	}
}

// TestSimilarity: of equal, orthogonal, overlapping, empty and foreign spans.
func TestSimilarity(t *testing.T) {
	axes := func(rows int, at ...int) *Subspace {
		d := newDense(rows, len(at))
		for j, i := range at {
			d.data[i*d.cols+j] = 1
		}
		return &Subspace{d}
	}
	for _, c := range []struct {
		a, b *Subspace
		want float64
	}{
		{axes(9, 0, 1, 2), axes(9, 2, 1, 0), 1},
		{axes(9, 0, 1), axes(9, 2, 3), 0},
		{axes(9, 0, 1, 2, 3), axes(9, 3, 5, 6, 7), 0.25},
		{axes(9, 0), axes(9, 0, 1), 0.5},
		{axes(9), axes(9, 1), math.NaN()},
		{axes(9, 1), axes(8, 1), math.NaN()},
	} {
		got := float64(Similarity(c.a, c.b))
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("similarity is %v, want %v", got, c.want)
		}
	}
	// Two updates along one planted direction, found by Compare.
	r := rand.New(rand.NewPCG(33, 34))
	w0 := decaying(r, 60, 50)
	step := func(size float32) Matrix {
		w := perturbed(r, w0, 1e-6)
		for i := range w.Rows {
			w.Data[i*w.Cols+7] += size
		}
		return w
	}
	o := Options{K: 4, Seed: "s"}
	a, b := mustCompare(t, w0, step(0.1), o), mustCompare(t, w0, step(0.2), o)
	if a.Update.Dim() != SubspaceSize {
		t.Fatalf("a subspace of %d", a.Update.Dim())
	}
	one := func(s *Subspace) *Subspace { return &Subspace{s.v.first(1)} }
	if s := Similarity(one(a.Update), one(b.Update)); s < 0.999 {
		t.Errorf("the leading directions are %v similar", s)
	}
	// 16 of 50 dimensions: the other 15 of 49 are random, E = (1 + 15·15/49)/16 = 0.35.
	if s := Similarity(a.Update, b.Update); s < 0.2 || s > 0.55 {
		t.Errorf("updates that share one direction are %v similar", s)
	}
}

// TestRank: the float32 rank rule, by the leading values where they decide it.
func TestRank(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	w0 := Matrix{make([]float32, 80*60), 80, 60}
	low := Matrix{make([]float32, 80*60), 80, 60}
	for i := range 80 {
		for j := range 60 {
			low.Data[i*60+j] = float32((i%7)*(j%5)) + float32((i%3)*(j%4))
		}
	}
	full := randomMatrix(r, 80, 60)
	for _, c := range []struct {
		w    Matrix
		mode Mode
		rank float64 // −1: null
	}{{low, Top, 2}, {low, Exact, 2}, {full, Exact, 60}, {full, Top, -1}} {
		res := mustCompare(t, w0, c.w, Options{K: 4, Mode: c.mode})
		got := float64(*res.UpdateRank)
		switch {
		case c.rank >= 0 && (got != c.rank || math.Abs(float64(*res.UpdateRankShare)-c.rank/60) > 1e-15):
			t.Errorf("%s: rank %v, share %v, want %v", c.mode, got, *res.UpdateRankShare, c.rank)
		case c.rank < 0 && (!math.IsNaN(got) || res.UpdateRankAtLeast != SubspaceSize+oversampling):
			t.Errorf("%s: rank %v, at least %d", c.mode, got, res.UpdateRankAtLeast)
		}
	}
}

// TestCost: exact is dearer than top, more is dearer than less, and the
// published figure of path-not-taken §9 comes out: Qwen2.5-1.5B's matrices,
// k = 64, ≈ 1.3 TFLOP a checkpoint of random projections.
func TestCost(t *testing.T) {
	top, bytes := Cost(4096, 4096, Options{})
	ex, exBytes := Cost(4096, 4096, Options{Mode: Exact})
	if !(0 < top && top < ex && 0 < bytes && bytes < exBytes) {
		t.Errorf("top %v flops, %v bytes; exact %v, %v", top, bytes, ex, exBytes)
	}
	if more, _ := Cost(4096, 4096, Options{K: 64}); more <= top {
		t.Errorf("k = 64 costs %v, k = 16 %v", more, top)
	}
	if f, b := Cost(9, 9, Options{Mode: None}); f != 0 || b != 0 {
		t.Errorf("none costs %v, %v", f, b)
	}
	var total float64
	for _, s := range [][2]int{{1536, 1536}, {256, 1536}, {256, 1536}, {1536, 1536}, {8960, 1536}, {8960, 1536}, {1536, 8960}} {
		f, _ := Cost(s[0], s[1], Options{K: 64})
		total += 28 * f / 3 // a pair is three decompositions
	}
	if total < 1.2e12 || total > 1.8e12 { // §9 counts the products alone
		t.Errorf("a checkpoint of Qwen2.5-1.5B costs %.3g", total)
	}
}
