package grad

import (
	"fmt"
	"math"

	"orrery/learn/tensor"
)

// AttnSpec says how Attention reads its rows.
type AttnSpec struct {
	Lens           []int // lengths of the sequences, which follow each other; ΣLens = N
	Heads, KVHeads int   // KVHeads divides Heads: query head h reads key head h/(Heads/KVHeads)
	Causal         bool  // row i sees keys [0, i] of its sequence; otherwise all of them

	// Allow forbids more: query q of a sequence sees key k if it says so. Nil
	// allows all. Mask turns it into Bias; set Bias to do so only once for
	// many calls.
	Allow func(seq, q, k int) bool

	// Bias is nil, or for each sequence nil or (L, L) numbers that are added
	// to the scaled scores; −Inf forbids.
	Bias [][]float32

	// Probs is nil, or receives the attention weights of each sequence,
	// (Heads, L, L), in memory that survives the tape's Reset.
	Probs *[]*tensor.Tensor
}

// Mask writes what allow says as biases of Attention: 0 or −Inf, (L, L) for
// each sequence.
func Mask(lens []int, allow func(seq, q, k int) bool) [][]float32 {
	out := make([][]float32, len(lens))
	for s, l := range lens {
		out[s] = make([]float32, l*l)
		for i := range out[s] {
			if !allow(s, i/l, i%l) {
				out[s][i] = float32(math.Inf(-1))
			}
		}
	}
	return out
}

// attnBlock is the number of query rows that are worked on at once. It bounds
// the scratch, and lets causal attention skip most of the upper triangle.
const attnBlock = 64

// attn is one call of Attention.
type attn struct {
	AttnSpec
	starts  []int // first row of each sequence
	hd      int
	scale   float32
	q, k, v []float32
}

// Attention is softmax(q·kᵀ/√hd + bias)·v for each head of each sequence:
// q (N, Heads·hd), k and v (N, KVHeads·hd); the result is (N, Heads·hd). A row
// that may see nothing gives zeros. The weights are not stored: Backward
// computes them again, block by block, which costs less than moving them
// through memory.
func (t *Tape) Attention(q, k, v *Var, at AttnSpec) *Var {
	n, width := matrix(q)
	nk, wk := matrix(k)
	nv, wv := matrix(v)
	if at.Heads <= 0 || at.KVHeads <= 0 || at.Heads%at.KVHeads != 0 || width%at.Heads != 0 ||
		wk != width/at.Heads*at.KVHeads || wv != wk || nk != n || nv != n {
		misuse("Attention", fmt.Sprintf("q (N, %d·hd), k and v (N, %d·hd)", at.Heads, at.KVHeads), q, k, v)
	}
	a := &attn{AttnSpec: at, hd: width / at.Heads, q: q.Val.Data, k: k.Val.Data, v: v.Val.Data}
	a.Lens = append([]int(nil), at.Lens...)
	a.scale = float32(1 / math.Sqrt(float64(a.hd)))
	sum := 0
	for _, l := range a.Lens {
		a.starts = append(a.starts, sum)
		sum += l
	}
	if sum != n {
		panic(fmt.Sprintf("grad.Attention: sequence lengths add up to %d, q has %d rows", sum, n))
	}
	if at.Allow != nil {
		if at.Bias != nil {
			panic("grad.Attention: Allow and Bias are both set")
		}
		a.Bias = Mask(a.Lens, at.Allow)
	}
	for s, b := range a.Bias {
		if b != nil && len(b) != a.Lens[s]*a.Lens[s] {
			panic(fmt.Sprintf("grad.Attention: bias of sequence %d has %d elements, want %d²", s, len(b), a.Lens[s]))
		}
	}
	if at.Probs != nil {
		*at.Probs = nil
		for _, l := range a.Lens {
			*at.Probs = append(*at.Probs, tensor.New(a.Heads, l, l))
		}
	}
	out := t.node(q.Shape(), q, k, v)
	a.each(func(s, kv int) { a.forward(&t.arena, out.Val.Data, s, kv) })
	return t.done("Attention", out, func() {
		g := attnGrads{dy: out.Grad.Data, dk: t.gradSum(k), dv: t.gradSum(v)}
		if q.need {
			g.dq, g.fresh = t.grad(q)
		}
		a.each(func(s, kv int) { a.backward(&t.arena, g, s, kv) })
	})
}

// each runs f for every sequence and key head, in parallel.
func (a *attn) each(f func(s, kv int)) {
	tensor.Parallel(len(a.Lens)*a.KVHeads, 1, func(lo, hi int) {
		for u := lo; u < hi; u++ {
			if s := u / a.KVHeads; a.Lens[s] > 0 {
				f(s, u%a.KVHeads)
			}
		}
	})
}

// head views rows [lo, hi) of sequence s in one head of x, a (N, heads·hd)
// matrix, as (hi−lo, hd).
func (a *attn) head(x []float32, heads, h, s, lo, hi int) tensor.Mat {
	stride := heads * a.hd
	return tensor.Mat{Data: x[(a.starts[s]+lo)*stride+h*a.hd:], Rows: hi - lo, Cols: a.hd, Stride: stride}
}

// seen is how many keys a block of query rows that ends before row hi sees.
func (a *attn) seen(s, hi int) int {
	if a.Causal {
		return hi
	}
	return a.Lens[s]
}

// weights fills p (hi−lo, n) with the attention weights of rows [lo, hi).
func (a *attn) weights(p tensor.Mat, h, s, lo, hi int) {
	group := a.Heads / a.KVHeads
	n := p.Cols
	tensor.Gemm(p, a.head(a.q, a.Heads, h, s, lo, hi), a.head(a.k, a.KVHeads, h/group, s, 0, n).T(), false)
	for i := lo; i < hi; i++ {
		row, vis := p.Data[(i-lo)*p.Stride:(i-lo)*p.Stride+n], n
		if a.Causal {
			vis = i + 1
		}
		var bias []float32
		if a.Bias != nil && a.Bias[s] != nil {
			bias = a.Bias[s][i*a.Lens[s] : (i+1)*a.Lens[s]]
		}
		tensor.SoftmaxRow(row, row, vis, a.scale, bias)
	}
}

func (a *attn) forward(mem *arena, y []float32, s, kv int) {
	l, group := a.Lens[s], a.Heads/a.KVHeads
	buf := mem.get(min(l, attnBlock) * l)
	defer mem.put(buf)
	for h := kv * group; h < (kv+1)*group; h++ {
		for lo := 0; lo < l; lo += attnBlock {
			hi := min(l, lo+attnBlock)
			n := a.seen(s, hi)
			p := tensor.M(buf[:(hi-lo)*n], hi-lo, n)
			if a.Probs != nil {
				all := (*a.Probs)[s].Data[(h*l+lo)*l : (h*l+hi)*l]
				p = tensor.Mat{Data: all, Rows: hi - lo, Cols: n, Stride: l}
			}
			a.weights(p, h, s, lo, hi)
			tensor.Gemm(a.head(y, a.Heads, h, s, lo, hi), p, a.head(a.v, a.KVHeads, kv, s, 0, n), false)
		}
	}
}

// attnGrads are the gradients of one Attention; those not wanted are nil.
type attnGrads struct {
	dy, dq, dk, dv []float32
	fresh          bool // dq holds nothing yet
}

// backward adds one key head's share, for the rows of a block:
//
//	dV += Pᵀ·dY,  dP = dY·Vᵀ,  dS = scale·P∘(dP − rowsum(P∘dP)),
//	dQ = dS·K,  dK += dSᵀ·Q
func (a *attn) backward(mem *arena, g attnGrads, s, kv int) {
	l, group := a.Lens[s], a.Heads/a.KVHeads
	size := min(l, attnBlock) * l
	buf := mem.get(3 * size)
	defer mem.put(buf)
	for h := kv * group; h < (kv+1)*group; h++ {
		for lo := 0; lo < l; lo += attnBlock {
			hi := min(l, lo+attnBlock)
			m, n := hi-lo, a.seen(s, hi)
			p, dp, ds := tensor.M(buf[:m*n], m, n), tensor.M(buf[size:size+m*n], m, n), tensor.M(buf[2*size:2*size+m*n], m, n)
			a.weights(p, h, s, lo, hi)
			dy := a.head(g.dy, a.Heads, h, s, lo, hi)
			if g.dv != nil {
				tensor.Gemm(a.head(g.dv, a.KVHeads, kv, s, 0, n), p.T(), dy, true)
			}
			if g.dq == nil && g.dk == nil {
				continue
			}
			tensor.Gemm(dp, dy, a.head(a.v, a.KVHeads, kv, s, 0, n).T(), false)
			clear(ds.Data)
			for i := range m {
				vis := n
				if a.Causal {
					vis = lo + i + 1
				}
				tensor.SoftmaxGradRow(ds.Data[i*n:i*n+vis], p.Data[i*n:i*n+vis], dp.Data[i*n:i*n+vis], a.scale)
			}
			if g.dq != nil {
				tensor.Gemm(a.head(g.dq, a.Heads, h, s, lo, hi), ds, a.head(a.k, a.KVHeads, kv, s, 0, n), !g.fresh)
			}
			if g.dk != nil {
				tensor.Gemm(a.head(g.dk, a.KVHeads, kv, s, 0, n), ds.T(), a.head(a.q, a.Heads, h, s, lo, hi), true)
			}
		}
	}
}
