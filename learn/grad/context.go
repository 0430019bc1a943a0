package grad

import (
	"fmt"
	"math"
	"slices"

	"orrery/learn/tensor"
)

// Span is the rows [Lo, Hi) of one of Context's key and value matrices.
type Span struct{ Source, Lo, Hi int }

// ContextSpec says which keys the rows of Context see.
type ContextSpec struct {
	Heads, KVHeads int // KVHeads divides Heads, as in AttnSpec

	// Lens are how many query rows each sequence has; ΣLens = N.
	Lens []int
	// Keys are each sequence's keys in their order. Sequences may share spans.
	Keys [][]Span
	// Sees (N) says that query row i sees the first Sees[i] keys of its
	// sequence. Nil: the sequence's last keys are its query rows' own, and a row
	// sees all up to its own.
	Sees []int

	// Probs is nil, or receives the attention weights of each sequence, (Heads,
	// L, keys), in memory that survives the tape's Reset.
	Probs *[]*tensor.Tensor
}

// context is one call of Context.
type context struct {
	ContextSpec
	starts []int   // first query row of each sequence
	total  []int   // keys of each sequence
	groups [][]int // sequences that share rows, whose gradients must not be added to at once
	hd     int
	scale  float32
	q      []float32
	k, v   []*Var
}

// Context is attention whose keys were computed elsewhere, in pieces, as a
// cache holds them: softmax(q·kᵀ/√hd)·v for each head of each sequence, where
// q is (N, Heads·hd), k[i] and v[i] are (Mᵢ, KVHeads·hd), and a sequence's keys
// are spans of those. Gradients reach every piece. It is bit for bit Attention
// where both can be used: scores and sums run over the keys in one order.
func (t *Tape) Context(q *Var, k, v []*Var, at ContextSpec) *Var {
	c := newContext(q, k, v, at)
	if at.Probs != nil {
		*at.Probs = nil
		for s, l := range c.Lens {
			*at.Probs = append(*at.Probs, tensor.New(c.Heads, l, c.total[s]))
		}
	}
	out := t.node(q.Shape(), append(append([]*Var{q}, c.k...), c.v...)...)
	c.each(func(s, kv int) { c.forward(&t.arena, out.Val.Data, s, kv) })
	return t.done("Context", out, func() {
		g := contextGrads{dy: out.Grad.Data, dq: t.gradSum(q)}
		for i := range c.k {
			g.dk, g.dv = append(g.dk, t.gradSum(c.k[i])), append(g.dv, t.gradSum(c.v[i]))
		}
		c.each(func(s, kv int) { c.backward(&t.arena, g, s, kv) })
	})
}

func newContext(q *Var, k, v []*Var, at ContextSpec) *context {
	n, width := matrix(q)
	if at.Heads <= 0 || at.KVHeads <= 0 || at.Heads%at.KVHeads != 0 || width%at.Heads != 0 || len(k) != len(v) || len(at.Keys) != len(at.Lens) {
		misuse("Context", fmt.Sprintf("q (N, %d·hd), as many values as keys, spans for each sequence", at.Heads), q)
	}
	c := &context{ContextSpec: at, hd: width / at.Heads, q: q.Val.Data, k: slices.Clone(k), v: slices.Clone(v)}
	c.Lens, c.scale = slices.Clone(at.Lens), float32(1/math.Sqrt(float64(c.hd)))
	for i := range k {
		rows, wide := matrix(k[i])
		if rv, wv := matrix(v[i]); wide != c.hd*at.KVHeads || rv != rows || wv != wide {
			misuse("Context", fmt.Sprintf("k and v (M, %d)", c.hd*at.KVHeads), k[i], v[i])
		}
	}
	sum := 0
	for s, l := range c.Lens {
		c.starts = append(c.starts, sum)
		sum += l
		keys := 0
		for _, p := range at.Keys[s] {
			if p.Source < 0 || p.Source >= len(k) || p.Lo < 0 || p.Hi < p.Lo || p.Hi > k[p.Source].Val.Dim(0) {
				panic(fmt.Sprintf("grad.Context: sequence %d has the span %v, outside of its source", s, p))
			}
			keys += p.Hi - p.Lo
		}
		c.total = append(c.total, keys)
	}
	if sum != n || at.Sees != nil && len(at.Sees) != n {
		panic(fmt.Sprintf("grad.Context: sequence lengths add up to %d, Sees has %d, q has %d rows", sum, len(at.Sees), n))
	}
	c.Sees = slices.Clone(at.Sees)
	for s, l := range c.Lens {
		for i := range l {
			if at.Sees == nil {
				c.Sees = append(c.Sees, c.total[s]-l+i+1)
			}
			if sees := c.Sees[c.starts[s]+i]; sees < 0 || sees > c.total[s] {
				panic(fmt.Sprintf("grad.Context: row %d of sequence %d sees %d of %d keys", i, s, sees, c.total[s]))
			}
		}
	}
	c.groups = sharing(at.Keys)
	return c
}

// sharing joins the sequences whose spans have rows in common, in the order of
// their first members.
func sharing(keys [][]Span) [][]int {
	group := make([]int, len(keys)) // sequence → earliest one it is joined with
	root := func(s int) int {
		for group[s] != s {
			s = group[s]
		}
		return s
	}
	type owned struct {
		Span
		seq int
	}
	var all []owned
	for s, list := range keys {
		group[s] = s
		for _, p := range list {
			if p.Hi > p.Lo {
				all = append(all, owned{p, s})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b owned) int {
		if a.Source != b.Source {
			return a.Source - b.Source
		}
		return a.Lo - b.Lo
	})
	end := 0
	for i, p := range all {
		if i > 0 && p.Source == all[i-1].Source && p.Lo < end {
			a, b := root(p.seq), root(all[i-1].seq)
			group[max(a, b)] = min(a, b)
			end = max(end, p.Hi)
			continue
		}
		end = p.Hi
	}
	at := map[int]int{}
	var out [][]int
	for s := range keys {
		r := root(s)
		if _, ok := at[r]; !ok {
			at[r] = len(out)
			out = append(out, nil)
		}
		out[at[r]] = append(out[at[r]], s)
	}
	return out
}

// each runs f for every sequence and key head: in parallel, but those that
// share keys one after the other.
func (c *context) each(f func(s, kv int)) {
	tensor.Parallel(len(c.groups)*c.KVHeads, 1, func(lo, hi int) {
		for u := lo; u < hi; u++ {
			for _, s := range c.groups[u/c.KVHeads] {
				f(s, u%c.KVHeads)
			}
		}
	})
}

// head views rows [lo, hi) in one head of x, a (N, heads·hd) matrix.
func (c *context) head(x []float32, heads, h, lo, hi int) tensor.Mat {
	stride := heads * c.hd
	return tensor.Mat{Data: x[lo*stride+h*c.hd:], Rows: hi - lo, Cols: c.hd, Stride: stride}
}

// over runs f on the spans of a sequence's first n keys, with where they begin.
func (c *context) over(s, n int, f func(p Span, at int)) {
	at := 0
	for _, p := range c.Keys[s] {
		p.Hi = min(p.Hi, p.Lo+n-at)
		if p.Hi > p.Lo {
			f(p, at)
			at += p.Hi - p.Lo
		}
	}
}

// columns views columns [lo, lo+n) of m.
func columns(m tensor.Mat, lo, n int) tensor.Mat {
	return tensor.Mat{Data: m.Data[lo:], Rows: m.Rows, Cols: n, Stride: max(m.Stride, m.Cols)}
}

// weights fills p (hi−lo, n) with the weights of query rows [lo, hi), which
// count from the sequence's first.
func (c *context) weights(p tensor.Mat, h, s, lo, hi int) {
	kv, first := h/(c.Heads/c.KVHeads), c.starts[s]
	q := c.head(c.q, c.Heads, h, first+lo, first+hi)
	c.over(s, p.Cols, func(sp Span, at int) {
		tensor.Gemm(columns(p, at, sp.Hi-sp.Lo), q, c.head(c.k[sp.Source].Val.Data, c.KVHeads, kv, sp.Lo, sp.Hi).T(), false)
	})
	for i := lo; i < hi; i++ {
		row := p.Data[(i-lo)*p.Stride : (i-lo)*p.Stride+p.Cols]
		tensor.SoftmaxRow(row, row, c.Sees[first+i], c.scale, nil)
	}
}

// blocks runs f on a sequence's query rows, at most attnBlock at once, and the
// most keys that one of them sees.
func (c *context) blocks(s int, f func(lo, hi, n int)) {
	for lo := 0; lo < c.Lens[s]; lo += attnBlock {
		hi := min(c.Lens[s], lo+attnBlock)
		f(lo, hi, slices.Max(c.Sees[c.starts[s]+lo:c.starts[s]+hi]))
	}
}

func (c *context) forward(mem *arena, y []float32, s, kv int) {
	group := c.Heads / c.KVHeads
	buf := mem.get(min(c.Lens[s], attnBlock) * c.total[s])
	defer mem.put(buf)
	for h := kv * group; h < (kv+1)*group; h++ {
		c.blocks(s, func(lo, hi, n int) {
			out := c.head(y, c.Heads, h, c.starts[s]+lo, c.starts[s]+hi)
			if n == 0 {
				for i := range out.Rows {
					clear(out.Data[i*out.Stride : i*out.Stride+out.Cols])
				}
				return
			}
			p := tensor.Mat{Data: buf, Rows: hi - lo, Cols: n, Stride: n}
			if c.Probs != nil {
				l := c.Lens[s]
				p = tensor.Mat{Data: (*c.Probs)[s].Data[(h*l+lo)*c.total[s]:], Rows: hi - lo, Cols: n, Stride: c.total[s]}
			}
			c.weights(p, h, s, lo, hi)
			c.over(s, n, func(sp Span, at int) {
				tensor.Gemm(out, columns(p, at, sp.Hi-sp.Lo), c.head(c.v[sp.Source].Val.Data, c.KVHeads, kv, sp.Lo, sp.Hi), at > 0)
			})
		})
	}
}

// contextGrads are the gradients of one Context; those not wanted are nil.
type contextGrads struct {
	dy, dq []float32
	dk, dv [][]float32
}

// backward adds one key head's share for a sequence, by the equations at
// attn.backward.
func (c *context) backward(mem *arena, g contextGrads, s, kv int) {
	group := c.Heads / c.KVHeads
	size := min(c.Lens[s], attnBlock) * c.total[s]
	buf := mem.get(3 * size)
	defer mem.put(buf)
	for h := kv * group; h < (kv+1)*group; h++ {
		c.blocks(s, func(lo, hi, n int) {
			if n == 0 {
				return
			}
			m := hi - lo
			p, dp, ds := tensor.M(buf[:m*n], m, n), tensor.M(buf[size:size+m*n], m, n), tensor.M(buf[2*size:2*size+m*n], m, n)
			c.weights(p, h, s, lo, hi)
			first := c.starts[s]
			dy, q := c.head(g.dy, c.Heads, h, first+lo, first+hi), c.head(c.q, c.Heads, h, first+lo, first+hi)
			c.over(s, n, func(sp Span, at int) {
				width := sp.Hi - sp.Lo
				if dv := g.dv[sp.Source]; dv != nil {
					tensor.Gemm(c.head(dv, c.KVHeads, kv, sp.Lo, sp.Hi), columns(p, at, width).T(), dy, true)
				}
				tensor.Gemm(columns(dp, at, width), dy, c.head(c.v[sp.Source].Val.Data, c.KVHeads, kv, sp.Lo, sp.Hi).T(), false)
			})
			clear(ds.Data)
			for i := range m {
				vis := c.Sees[first+lo+i]
				tensor.SoftmaxGradRow(ds.Data[i*n:i*n+vis], p.Data[i*n:i*n+vis], dp.Data[i*n:i*n+vis], c.scale)
			}
			c.over(s, n, func(sp Span, at int) {
				part := columns(ds, at, sp.Hi-sp.Lo)
				if g.dq != nil {
					tensor.Gemm(c.head(g.dq, c.Heads, h, first+lo, first+hi), part, c.head(c.k[sp.Source].Val.Data, c.KVHeads, kv, sp.Lo, sp.Hi), true)
				}
				if dk := g.dk[sp.Source]; dk != nil {
					tensor.Gemm(c.head(dk, c.KVHeads, kv, sp.Lo, sp.Hi), part.T(), q, true)
				}
			})
		})
	}
}
