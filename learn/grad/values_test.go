package grad

import (
	"math"
	"math/rand/v2"
	"testing"

	"orrery/learn/tensor"
)

// close64 compares with a float64 computation. 2e-6 of the largest value
// (at least 1) is a dozen float32 roundings, which the sums here don't exceed.
func close64(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	largest := 1.0
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= 2e-6*largest) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], w)
		}
	}
}

// naiveAttention is attention by its definition, one query at a time. sees and
// bias say what a query may look at.
func naiveAttention(q, k, v []float32, lens []int, heads, kvHeads, hd int, sees func(s, i, j int) bool, bias func(s, i, j int) float64) (out, probs []float64) {
	out = make([]float64, len(q))
	start := 0
	for s, l := range lens {
		for h := range heads {
			kv := h / (heads / kvHeads)
			for i := range l {
				w, sum := make([]float64, l), 0.0
				for j := range l {
					if !sees(s, i, j) {
						continue
					}
					var dot float64
					for c := range hd {
						dot += float64(q[((start+i)*heads+h)*hd+c]) * float64(k[((start+j)*kvHeads+kv)*hd+c])
					}
					w[j] = math.Exp(dot/math.Sqrt(float64(hd)) + bias(s, i, j))
					sum += w[j]
				}
				for j := range l {
					if sum > 0 {
						w[j] /= sum
					}
					for c := range hd {
						out[((start+i)*heads+h)*hd+c] += w[j] * float64(v[((start+j)*kvHeads+kv)*hd+c])
					}
				}
				probs = append(probs, w...)
			}
		}
		start += l
	}
	return out, probs
}

func TestAttentionIsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	lens := []int{1, attnBlock, 0, attnBlock + 9, 5}
	n, heads, kvHeads, hd := 143, 4, 2, 6
	q, k, v := random(r, n, heads*hd), random(r, n, kvHeads*hd), random(r, n, kvHeads*hd)
	zero := func(_, _, _ int) float64 { return 0 }
	allow := func(s, i, j int) bool { return (i*7+j*3+s)%4 != 0 && i%9 != 8 } // some rows see nothing
	slope := make([][]float32, len(lens))
	for s, l := range lens {
		for e := range l * l {
			slope[s] = append(slope[s], float32(e%l-e/l)/10)
		}
	}
	for name, c := range map[string]struct {
		at   AttnSpec
		sees func(s, i, j int) bool
		bias func(s, i, j int) float64
	}{
		"causal":        {AttnSpec{Causal: true}, func(_, i, j int) bool { return j <= i }, zero},
		"bidirectional": {AttnSpec{}, func(_, _, _ int) bool { return true }, zero},
		"allowed":       {AttnSpec{Allow: allow}, allow, zero},
		"both":          {AttnSpec{Allow: allow, Causal: true}, func(s, i, j int) bool { return j <= i && allow(s, i, j) }, zero},
		"biased":        {AttnSpec{Causal: true, Bias: slope}, func(_, i, j int) bool { return j <= i }, func(_, i, j int) float64 { return float64(j-i) / 10 }},
	} {
		var probs []*tensor.Tensor
		c.at.Lens, c.at.Heads, c.at.KVHeads = lens, heads, kvHeads
		want, wantProbs := naiveAttention(q.Val.Data, k.Val.Data, v.Val.Data, lens, heads, kvHeads, hd, c.sees, c.bias)
		tape := NewTape()
		plain := tape.Attention(q, k, v, c.at)
		close64(t, name, plain.Val.Data, want)
		c.at.Probs = &probs
		tapped := tape.Attention(q, k, v, c.at)
		for i, x := range plain.Val.Data {
			if tapped.Val.Data[i] != x {
				t.Fatalf("%s: the tap changes element %d", name, i)
			}
		}
		var all []float32
		for _, p := range probs {
			all = append(all, p.Data...)
		}
		close64(t, name+": weights", all, wantProbs)
	}
}

// TestRotaryIsRelative: the product of a turned query and a turned key depends
// on the difference of their positions only, and lengths stay.
func TestRotaryIsRelative(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const hd = 8
	cos, sin := rope(60, hd)
	q, k := random(r, 1, hd), random(r, 1, hd)
	product := func(m, n int) float64 {
		tape := &Tape{NoGrad: true}
		a, b := tape.Rotary(q, 1, []int{m}, cos, sin).Val.Data, tape.Rotary(k, 1, []int{n}, cos, sin).Val.Data
		var s float64
		for i := range a {
			s += float64(a[i]) * float64(b[i])
		}
		return s
	}
	differ := 0.0
	for d := range 20 {
		want := product(0, d)
		differ = max(differ, math.Abs(want-product(0, d+1)))
		for m := range 40 {
			// Products of eight pairs of order 1: a few roundings.
			if got := product(m, m+d); math.Abs(got-want) > 1e-5 {
				t.Fatalf("positions %d and %d: %g, positions 0 and %d: %g", m, m+d, got, d, want)
			}
		}
	}
	if differ < 0.1 {
		t.Error("the position makes no difference")
	}
	cosPart := tensor.Of([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, hd)
	turned := (&Tape{NoGrad: true}).Rotary(Const(cosPart), 1, []int{7}, cos, sin).Val.Data
	// Pair (i, i+hd/2) turns by 7·100^(−2i/hd), the half-split form.
	for i := range hd / 2 {
		a := 7 * math.Pow(100, -2*float64(i)/hd)
		x, y := float64(i+1), float64(i+1+hd/2)
		close64(t, "pair", []float32{turned[i], turned[i+hd/2]}, []float64{x*math.Cos(a) - y*math.Sin(a), y*math.Cos(a) + x*math.Sin(a)})
	}
}

// TestValues compares operations with their definitions in float64.
func TestValues(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const n, d = 7, 19
	x, w, b := random(r, n, d), random(r, d), random(r, d)
	each := func(f func(v float64) float64) []float64 {
		out := make([]float64, n*d)
		for i, v := range x.Val.Data {
			out[i] = f(float64(v))
		}
		return out
	}
	rows := func(f func(row []float64) []float64) []float64 {
		var out []float64
		for all := each(func(v float64) float64 { return v }); len(all) > 0; all = all[d:] {
			out = append(out, f(all[:d])...)
		}
		return out
	}
	scaled := func(row []float64, shift, scale float64, bias []float32) []float64 {
		out := make([]float64, d)
		for i, v := range row {
			out[i] = (v - shift) * scale * float64(w.Val.Data[i])
			if bias != nil {
				out[i] += float64(bias[i])
			}
		}
		return out
	}
	mean := func(row []float64, f func(float64) float64) (s float64) {
		for _, v := range row {
			s += f(v) / float64(len(row))
		}
		return s
	}
	lse := func(row []float64) float64 { return math.Log(float64(d) * mean(row, math.Exp)) }
	targets := []int{3, -1, 0, 18, 5, 5, -1}
	weights := []float32{1, 9, 2, 0.5, 0, 1, 9}
	var logp []float64
	var weighted, plain, total, count float64
	for i, target := range targets {
		logp = append(logp, 0)
		if target >= 0 {
			row := make([]float64, d)
			for j := range row {
				row[j] = float64(x.Val.Data[i*d+j])
			}
			logp[i] = row[target] - lse(row)
			weighted, total = weighted-logp[i]*float64(weights[i]), total+float64(weights[i])
			plain, count = plain-logp[i], count+1
		}
	}
	tape := NewTape()
	loss, _ := tape.CrossEntropy(x, targets, nil)
	lossW, gotLogp := tape.CrossEntropy(x, targets, weights)
	const eps = 1e-3
	for name, c := range map[string]struct {
		got  []float32
		want []float64
	}{
		"RMSNorm": {tape.RMSNorm(x, w, eps).Val.Data, rows(func(row []float64) []float64 {
			return scaled(row, 0, 1/math.Sqrt(mean(row, func(v float64) float64 { return v * v })+eps), nil)
		})},
		"LayerNorm": {tape.LayerNorm(x, w, b, eps).Val.Data, rows(func(row []float64) []float64 {
			m := mean(row, func(v float64) float64 { return v })
			return scaled(row, m, 1/math.Sqrt(mean(row, func(v float64) float64 { return (v - m) * (v - m) })+eps), b.Val.Data)
		})},
		"Softmax": {tape.Softmax(x, nil).Val.Data, rows(func(row []float64) []float64 {
			out := make([]float64, d)
			for i, v := range row {
				out[i] = math.Exp(v - lse(row))
			}
			return out
		})},
		"LogSoftmax": {tape.LogSoftmax(x).Val.Data, rows(func(row []float64) []float64 {
			out := make([]float64, d)
			for i, v := range row {
				out[i] = v - lse(row)
			}
			return out
		})},
		"CrossEntropy":          {loss.Val.Data, []float64{plain / count}},
		"CrossEntropy weighted": {lossW.Val.Data, []float64{weighted / total}},
		"log-probabilities":     {gotLogp, logp},
		"LogProb":               {tape.LogProb(x, targets).Val.Data, logp},
		"Exp":                   {tape.Exp(x).Val.Data, each(math.Exp)},
		"Tanh":                  {tape.Tanh(x).Val.Data, each(math.Tanh)},
		"Sigmoid":               {tape.Sigmoid(x).Val.Data, each(func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })},
		"SiLU":                  {tape.SiLU(x).Val.Data, each(func(v float64) float64 { return v / (1 + math.Exp(-v)) })},
		"SwiGLU":                {tape.SwiGLU(x, x).Val.Data, each(func(v float64) float64 { return v * v / (1 + math.Exp(-v)) })},
		"GELU": {tape.GELU(x).Val.Data, each(func(v float64) float64 {
			return v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		})},
		"ReLU":  {tape.ReLU(x).Val.Data, each(func(v float64) float64 { return max(v, 0) })},
		"Clamp": {tape.Clamp(x, -0.5, 1).Val.Data, each(func(v float64) float64 { return min(max(v, -0.5), 1) })},
		"Sum":   {tape.Sum(x).Val.Data, []float64{mean(each(func(v float64) float64 { return v }), func(v float64) float64 { return v }) * n * d}},
		"Mean":  {tape.Mean(x).Val.Data, []float64{mean(each(func(v float64) float64 { return v }), func(v float64) float64 { return v })}},
	} {
		close64(t, name, c.got, c.want)
	}
}

// TestMoves checks the operations that only move numbers, on numbers that say
// where they came from.
func TestMoves(t *testing.T) {
	x := tensor.New(2, 3, 4)
	for i := range x.Data {
		x.Data[i] = float32(i)
	}
	tape, v := &Tape{NoGrad: true}, Const(x)
	is := func(what string, got *Var, shape []int, at func(i, j, k int) float64) {
		t.Helper()
		want := make([]float64, 0, len(got.Val.Data))
		for i := range shape[0] {
			for j := range shape[1] {
				for k := range shape[2] {
					want = append(want, at(i, j, k))
				}
			}
		}
		for i, d := range shape {
			if got.Shape()[i] != d {
				t.Fatalf("%s: shape %v, want %v", what, got.Shape(), shape)
			}
		}
		close64(t, what, got.Val.Data, want)
	}
	old := func(i, j, k int) float64 { return float64((i*3+j)*4 + k) }
	is("Transpose 0 2", tape.Transpose(v, 0, 2), []int{4, 3, 2}, func(i, j, k int) float64 { return old(k, j, i) })
	is("Transpose 1 2", tape.Transpose(v, -2, -1), []int{2, 4, 3}, func(i, j, k int) float64 { return old(i, k, j) })
	is("Slice", tape.Slice(v, 1, 1, 3), []int{2, 2, 4}, func(i, j, k int) float64 { return old(i, j+1, k) })
	is("Concat", tape.Concat(-1, v, tape.Slice(v, 2, 3, 4)), []int{2, 3, 5}, func(i, j, k int) float64 { return old(i, j, min(k, 3)) })
	is("Reshape", tape.Reshape(v, 1, 6, 4), []int{1, 6, 4}, func(_, j, k int) float64 { return old(0, j, k) })
	is("Rows", tape.Reshape(tape.Rows(v, []int{5, 0, 5}), 1, 3, 4), []int{1, 3, 4}, func(_, j, k int) float64 { return old(0, []int{5, 0, 5}[j], k) })
	is("SumAxis", tape.Reshape(tape.SumAxis(v, 1), 1, 2, 4), []int{1, 2, 4}, func(_, i, k int) float64 { return old(i, 0, k) + old(i, 1, k) + old(i, 2, k) })
	is("MeanAxis", tape.Reshape(tape.MeanAxis(v, 2), 1, 2, 3), []int{1, 2, 3}, func(_, i, j int) float64 { return old(i, j, 0) + 1.5 })
	is("Max", tape.Reshape(tape.Max(v, 0), 1, 3, 4), []int{1, 3, 4}, func(_, j, k int) float64 { return old(1, j, k) })
	is("Embed", tape.Reshape(tape.Embed(v, []int{-1, 2}), 1, 2, 4), []int{1, 2, 4}, func(_, j, k int) float64 { return float64(j) * old(0, 2, k) })
	is("ScatterAdd", tape.Reshape(tape.ScatterAdd(tape.Rows(v, []int{0, 1}), tape.Rows(v, []int{2, 3}), []int{1, 1}), 1, 2, 4), []int{1, 2, 4}, func(_, j, k int) float64 {
		return old(0, j, k) + float64(j)*(old(0, 2, k)+old(1, 0, k))
	})
}

// TestMatMulIsItsDefinition in all four orientations, alone and in a batch.
func TestMatMulIsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const m, k, n = 5, 70, 9
	for _, transA := range []bool{false, true} {
		for _, transB := range []bool{false, true} {
			a, b := random(r, 2, m, k), random(r, 2, k, n)
			tape := &Tape{NoGrad: true}
			want := make([]float64, 2*m*n)
			for s := range 2 {
				for i := range m {
					for j := range n {
						for l := range k {
							want[(s*m+i)*n+j] += float64(a.Val.Data[(s*m+i)*k+l]) * float64(b.Val.Data[(s*k+l)*n+j])
						}
					}
				}
			}
			as, bs := a, b
			if transA {
				as = tape.Transpose(a, 1, 2)
			}
			if transB {
				bs = tape.Transpose(b, 1, 2)
			}
			close64(t, "batch", tape.BatchMatMul(as, bs, transA, transB).Val.Data, want)
			one := func(v *Var) *Var { v = tape.Slice(v, 0, 1, 2); return tape.Reshape(v, v.Shape()[1:]...) }
			close64(t, "single", tape.MatMul(one(as), one(bs), transA, transB).Val.Data, want[m*n:])
			if !transA && transB {
				close64(t, "linear", tape.Linear(one(as), one(bs), nil).Val.Data, want[m*n:])
			}
		}
	}
}
