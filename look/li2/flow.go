package li2

import (
	"math"

	"orrery/learn/tensor"
)

// Flow is what reaches the hidden layer.
type Flow struct {
	Norm      float64 // ‖G_F‖
	Alignment float64 // c = cos(G_F, ỸỸᵀF̃); NaN where one of them is zero
}

// Flow measures G_F without forming it. With R = P(Y−FV), S = ỸᵀR and
// H = ỸᵀF̃, of which only M×M and M×K matrices are kept,
//
//	‖G_F‖² = ⟨RᵀR, VᵀV⟩,  ‖ỸỸᵀF̃‖² = ⟨ỸᵀỸ, HHᵀ⟩,  ⟨G_F, ỸỸᵀF̃⟩ = ⟨SVᵀ, H⟩
//
// It costs 2nM(K+M) operations.
func (s *Samples) Flow(net *Net) Flow {
	n, m, k := s.Len(), s.M, net.K
	v := tensor.Narrow(tensor.M(net.C, m, k)) // Vᵀ
	r := make([]float64, n*m)                 // FV, then Ỹ − its centred self
	h := make([]float64, m*k)
	total := make([]float64, k)
	const block = 256
	f := make([]float64, min(block, n)*k)
	for lo := 0; lo < n; lo += block {
		hi := min(lo+block, n)
		for i := lo; i < hi; i++ {
			row := f[(i-lo)*k:][:k]
			s.hidden(net, i, row)
			to := h[s.H[i]*k:][:k]
			for j, x := range row {
				to[j] += x
				total[j] += x
			}
		}
		tensor.Gemm64(tensor.M64(r[lo*m:hi*m], hi-lo, m), tensor.Wide(tensor.M64(f[:(hi-lo)*k], hi-lo, k)), v.T(), false)
	}
	for a := range m {
		share := s.Count[a] / float64(n)
		for j := range k {
			h[a*k+j] -= share * total[j]
		}
	}
	s.residual(r)
	square := func(rows, cols int, x []float64) []float64 { // xᵀx
		out := make([]float64, cols*cols)
		w := tensor.Wide(tensor.M64(x, rows, cols))
		tensor.Gemm64(tensor.M64(out, cols, cols), w.T(), w, false)
		return out
	}
	outer := func(x tensor.Operand) []float64 { // xxᵀ (M, M)
		out := make([]float64, m*m)
		tensor.Gemm64(tensor.M64(out, m, m), x, x.T(), false)
		return out
	}
	rr, vv, hh := square(n, m, r), outer(v), outer(tensor.Wide(tensor.M64(h, m, k)))
	sum := make([]float64, m*m) // S = ỸᵀR = YᵀR, R being centred
	for i := range n {
		to := sum[s.H[i]*m:][:m]
		for c, x := range r[i*m:][:m] {
			to[c] += x
		}
	}
	sv := make([]float64, m*k)
	tensor.Gemm64(tensor.M64(sv, m, k), tensor.Wide(tensor.M64(sum, m, m)), v, false)
	yy := 0.0 // ⟨diag(count) − count·countᵀ/n, HHᵀ⟩
	for a := range m {
		yy += s.Count[a] * hh[a*m+a]
		for b := range m {
			yy -= s.Count[a] * s.Count[b] / float64(n) * hh[a*m+b]
		}
	}
	gg := dot(rr, vv)
	return Flow{Norm: math.Sqrt(max(gg, 0)), Alignment: dot(sv, h) / math.Sqrt(gg*yy)}
}

// residual turns outputs FV (n, M) into P(Y−FV).
func (s *Samples) residual(o []float64) {
	n, m := s.Len(), s.M
	mean := make([]float64, m)
	for i := range n {
		for c, x := range o[i*m:][:m] {
			mean[c] += x / float64(n)
		}
	}
	for i := range n {
		row := o[i*m:][:m]
		for c := range row {
			row[c] = mean[c] - row[c] - s.Count[c]/float64(n)
		}
		row[s.H[i]]++
	}
}

// Diagonality is mean|off-diagonal| / mean|diagonal| of F̃ᵀF̃ and of PFFᵀ,
// over at most 512 nodes and 512 samples, evenly spread. Where the first is
// small the nodes don't see each other; the paper has it at 8 % or less in
// its Fig. 3.
func (s *Samples) Diagonality(net *Net) (nodes, pairs float64) {
	const most = 512
	n, k := s.Len(), net.K
	mean := make([]float64, k)
	row := make([]float64, k)
	for i := range n {
		s.hidden(net, i, row)
		for j, x := range row {
			mean[j] += x / float64(n)
		}
	}
	js := spread(k, most)
	cols := make([]float64, n*len(js)) // F̃ (n, nodes)
	is := spread(n, most)
	raw, centred := make([]float64, len(is)*k), make([]float64, len(is)*k)
	at := 0
	for i := range n {
		s.hidden(net, i, row)
		for c, j := range js {
			cols[i*len(js)+c] = row[j] - mean[j]
		}
		if at < len(is) && is[at] == i {
			copy(raw[at*k:], row)
			for j := range row {
				centred[at*k+j] = row[j] - mean[j]
			}
			at++
		}
	}
	c := tensor.Wide(tensor.M64(cols, n, len(js)))
	gram := make([]float64, len(js)*len(js))
	tensor.Gemm64(tensor.M64(gram, len(js), len(js)), c.T(), c, false)
	other := make([]float64, len(is)*len(is))
	tensor.Gemm64(tensor.M64(other, len(is), len(is)), tensor.Wide(tensor.M64(centred, len(is), k)), tensor.Wide(tensor.M64(raw, len(is), k)).T(), false)
	return diagonality(gram, len(js)), diagonality(other, len(is))
}

func diagonality(x []float64, n int) float64 {
	on, off := 0.0, 0.0
	for i, v := range x {
		if i/n == i%n {
			on += math.Abs(v) / float64(n)
		} else {
			off += math.Abs(v) / float64(n*(n-1))
		}
	}
	return off / on
}

// spread are at most so many of 0 … n−1, evenly spread, ascending.
func spread(n, most int) []int {
	count := min(n, most)
	out := make([]int, count)
	for i := range out {
		out[i] = i * n / count
	}
	return out
}
