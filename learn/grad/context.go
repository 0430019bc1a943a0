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
	total  []int     // keys of each sequence
	groups [][]chunk // what has rows in common, whose gradients must not be added to at once
	hd     int
	scale  float32
	q      []float32
	k, v   []*Var
}

// chunk is some neighbouring query rows that are worked on at once: a part of one
// sequence, or several short ones that begin with the same keys.
type chunk struct {
	lo, hi int // query rows
	n      int // most keys that a row sees
	tiles  []tile
}

// tile is a rectangle of a chunk's scores: query rows [lo, hi) against a span,
// which is their keys from number at on.
type tile struct {
	lo, hi, at int
	Span
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
	c.each(func(ch chunk, h, kv int) { c.forward(&t.arena, out.Val.Data, ch, h, kv) })
	return t.done("Context", out, func() {
		g := contextGrads{dy: out.Grad.Data, dq: t.gradSum(q)}
		for i := range c.k {
			g.dk, g.dv = append(g.dk, t.gradSum(c.k[i])), append(g.dv, t.gradSum(c.v[i]))
		}
		c.each(func(ch chunk, h, kv int) { c.backward(&t.arena, g, ch, h, kv) })
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
	var starts []int // first query row of each sequence
	sum := 0
	for s, l := range c.Lens {
		starts = append(starts, sum)
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
			if sees := c.Sees[starts[s]+i]; sees < 0 || sees > c.total[s] {
				panic(fmt.Sprintf("grad.Context: row %d of sequence %d sees %d of %d keys", i, s, sees, c.total[s]))
			}
		}
	}
	for _, group := range sharing(at.Keys) {
		var chunks []chunk
		for len(group) > 0 {
			n := c.together(group)
			chunks = append(chunks, c.chunks(group[:n], starts)...)
			group = group[n:]
		}
		c.groups = append(c.groups, chunks)
	}
	return c
}

// together is how many of a group's first sequences can be one chunk:
// neighbours that begin with the same span and have few rows in all.
func (c *context) together(group []int) int {
	n, rows := 1, c.Lens[group[0]]
	for n < len(group) && group[n] == group[n-1]+1 && len(c.Keys[group[n]]) > 0 && len(c.Keys[group[0]]) > 0 &&
		c.Keys[group[n]][0] == c.Keys[group[0]][0] && rows+c.Lens[group[n]] <= attnBlock {
		rows += c.Lens[group[n]]
		n++
	}
	return n
}

// chunks makes the chunks of sequences that go together; one alone may be long.
func (c *context) chunks(seqs, starts []int) (out []chunk) {
	first, last := seqs[0], seqs[len(seqs)-1]
	for lo := starts[first]; lo < starts[last]+c.Lens[last]; lo += attnBlock {
		ch := chunk{lo: lo, hi: min(lo+attnBlock, starts[last]+c.Lens[last])}
		ch.n = slices.Max(c.Sees[ch.lo:ch.hi])
		common := c.Keys[first]
		for _, s := range seqs[1:] {
			same := 0
			for same < min(len(common), len(c.Keys[s])) && common[same] == c.Keys[s][same] {
				same++
			}
			common = common[:same]
		}
		at := c.tile(&ch, ch.lo, ch.hi, 0, common)
		for _, s := range seqs {
			if lo, hi := max(ch.lo, starts[s]), min(ch.hi, starts[s]+c.Lens[s]); lo < hi {
				c.tile(&ch, lo, hi, at, c.Keys[s][len(common):])
			}
		}
		out = append(out, ch)
	}
	return out
}

// tile adds the tiles of rows [lo, hi) against spans, the keys from number at
// on, as far as one of the rows sees them. It returns where the keys end.
func (c *context) tile(ch *chunk, lo, hi, at int, spans []Span) int {
	most := slices.Max(c.Sees[lo:hi])
	for _, p := range spans {
		end := at + p.Hi - p.Lo
		if p.Hi = min(p.Hi, p.Lo+most-at); p.Hi > p.Lo {
			ch.tiles = append(ch.tiles, tile{lo, hi, at, p})
		}
		at = end
	}
	return at
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

// each runs f for every chunk and head: in parallel, but chunks that share keys,
// and heads that share a key head, one after the other, in Attention's order.
func (c *context) each(f func(ch chunk, h, kv int)) {
	heads := c.Heads / c.KVHeads
	tensor.Parallel(len(c.groups)*c.KVHeads, 1, func(lo, hi int) {
		for u := lo; u < hi; u++ {
			kv := u % c.KVHeads
			for h := kv * heads; h < (kv+1)*heads; h++ {
				for _, ch := range c.groups[u/c.KVHeads] {
					f(ch, h, kv)
				}
			}
		}
	})
}

// head views rows [lo, hi) in one head of x, a (N, heads·hd) matrix.
func (c *context) head(x []float32, heads, h, lo, hi int) tensor.Mat {
	stride := heads * c.hd
	return tensor.Mat{Data: x[lo*stride+h*c.hd:], Rows: hi - lo, Cols: c.hd, Stride: stride}
}

// of views a tile of m (rows of the chunk, n).
func (t tile) of(ch chunk, m []float32) tensor.Mat {
	return tensor.Mat{Data: m[(t.lo-ch.lo)*ch.n+t.at:], Rows: t.hi - t.lo, Cols: t.Hi - t.Lo, Stride: ch.n}
}

// weights fills p (rows, n) with a chunk's attention weights, zeros for what a
// row doesn't see.
func (c *context) weights(p []float32, ch chunk, h, kv int) {
	for _, t := range ch.tiles {
		keys := c.head(c.k[t.Source].Val.Data, c.KVHeads, kv, t.Lo, t.Hi)
		tensor.Gemm(t.of(ch, p), c.head(c.q, c.Heads, h, t.lo, t.hi), keys.T(), false)
	}
	for i := ch.lo; i < ch.hi; i++ {
		row := p[(i-ch.lo)*ch.n : (i-ch.lo+1)*ch.n]
		tensor.SoftmaxRow(row, row, c.Sees[i], c.scale, nil)
	}
}

func (c *context) forward(mem *arena, y []float32, ch chunk, h, kv int) {
	p := mem.get((ch.hi - ch.lo) * ch.n)
	defer mem.put(p)
	c.weights(p, ch, h, kv)
	for i := ch.lo; i < ch.hi; i++ {
		if c.Sees[i] == 0 {
			clear(c.head(y, c.Heads, h, i, i+1).Data[:c.hd])
		}
	}
	for _, t := range ch.tiles {
		values := c.head(c.v[t.Source].Val.Data, c.KVHeads, kv, t.Lo, t.Hi)
		tensor.Gemm(c.head(y, c.Heads, h, t.lo, t.hi), t.of(ch, p), values, t.at > 0)
	}
	if c.Probs != nil {
		c.show(p, ch, h)
	}
}

// show copies a chunk's weights to Probs.
func (c *context) show(p []float32, ch chunk, h int) {
	start := 0
	for s, l := range c.Lens {
		for i := max(ch.lo, start); i < min(ch.hi, start+l); i++ {
			row := (*c.Probs)[s].Data[(h*l+i-start)*c.total[s]:][:c.total[s]]
			copy(row[:c.Sees[i]], p[(i-ch.lo)*ch.n:])
		}
		start += l
	}
}

// contextGrads are the gradients of one Context; those not wanted are nil.
type contextGrads struct {
	dy, dq []float32
	dk, dv [][]float32
}

// backward adds one head's share of a chunk, by the equations at attn.backward.
func (c *context) backward(mem *arena, g contextGrads, ch chunk, h, kv int) {
	n := ch.n
	size := (ch.hi - ch.lo) * n
	buf := mem.get(3 * size)
	defer mem.put(buf)
	p, dp, ds := buf[:size], buf[size:2*size], buf[2*size:]
	c.weights(p, ch, h, kv)
	for _, t := range ch.tiles {
		dy := c.head(g.dy, c.Heads, h, t.lo, t.hi)
		if dv := g.dv[t.Source]; dv != nil {
			tensor.Gemm(c.head(dv, c.KVHeads, kv, t.Lo, t.Hi), t.of(ch, p).T(), dy, true)
		}
		values := c.head(c.v[t.Source].Val.Data, c.KVHeads, kv, t.Lo, t.Hi)
		tensor.Gemm(t.of(ch, dp), dy, values.T(), false)
	}
	clear(ds)
	for i := range ch.hi - ch.lo {
		lo, hi := i*n, i*n+c.Sees[ch.lo+i]
		tensor.SoftmaxGradRow(ds[lo:hi], p[lo:hi], dp[lo:hi], c.scale)
	}
	for _, t := range ch.tiles {
		if g.dq != nil {
			keys := c.head(c.k[t.Source].Val.Data, c.KVHeads, kv, t.Lo, t.Hi)
			tensor.Gemm(c.head(g.dq, c.Heads, h, t.lo, t.hi), t.of(ch, ds), keys, true)
		}
		if dk := g.dk[t.Source]; dk != nil {
			tensor.Gemm(c.head(dk, c.KVHeads, kv, t.Lo, t.Hi), t.of(ch, ds).T(), c.head(c.q, c.Heads, h, t.lo, t.hi), true)
		}
	}
}
