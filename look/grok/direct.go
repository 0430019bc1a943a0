package grok

import (
	"sync"

	"orrery/learn/tensor"
)

// samples are pairs with their products, sorted by x and cut into shards
// between two x. A shard is worked through by one goroutine into sums of its
// own, which are then added in the order of shards: the number of shards is
// fixed, so that results do not depend on the number of threads.
type samples struct {
	x, y, t []int32
	cuts    []int // shard i is [cuts[i], cuts[i+1])
}

const shards = 8

func newSamples(g table, pairs []int) samples {
	m := g.Order()
	var s samples
	for _, p := range pairs {
		x, y := p/m, p%m
		s.x, s.y, s.t = append(s.x, int32(x)), append(s.y, int32(y)), append(s.t, int32(g.Mul(x, y)))
	}
	s.cuts = []int{0}
	for i := 1; i <= shards; i++ {
		at := max(len(pairs)*i/shards, s.cuts[len(s.cuts)-1])
		for at > 0 && at < len(pairs) && s.x[at] == s.x[at-1] {
			at++
		}
		s.cuts = append(s.cuts, at)
	}
	return s
}

// table is what the network is trained on.
type table interface {
	Order() int
	Mul(a, b int) int
}

// blockRows is how many samples go through the network together: their hidden
// layer and its gradient stay in the second cache.
func blockRows(k int) int { return max(16, min(128, 1<<15/k)) }

// direct is the gradient sample by sample: rows are gathered, not multiplied by
// one-hot vectors, and only the output matrix needs products.
type direct struct {
	m, k   int
	kp, mp int // padded rows
	parts  [shards]part
	free   sync.Pool // *block
}

// part is what one shard sums up.
type part struct {
	db, dc []float32 // (M, K)
	loss   float64
}

// block is the scratch of one block of samples.
type block struct {
	s, h, d []float32 // (rows, K), padded: argument, hidden layer, its gradient
	r       []float32 // (rows, M), padded: outputs, then residuals
}

func newDirect(m, k int) *direct {
	d := &direct{m: m, k: k, kp: padded(k), mp: padded(m)}
	for i := range d.parts {
		d.parts[i].db, d.parts[i].dc = make([]float32, m*k), make([]float32, m*k)
	}
	d.free.New = func() any {
		rows := blockRows(k)
		hidden := func() []float32 { return make([]float32, rows*d.kp) }
		return &block{s: hidden(), h: hidden(), d: hidden(), r: make([]float32, rows*d.mp)}
	}
	return d
}

// readout is C with the means over outputs taken out, in the two layouts that
// products read in place. Centring the readout centres the outputs.
type readout struct {
	c    []float32 // (M, K) padded
	t    []float32 // (K, M) padded
	mean []float32 // (K)
}

func newReadout(m, k int) *readout {
	return &readout{make([]float32, m*padded(k)), make([]float32, k*padded(m)), make([]float32, k)}
}

func (r *readout) set(n *Net) {
	kp, mp := padded(n.K), padded(n.M)
	centred(r.c, kp, n.C, n.M, n.K, r.mean)
	transpose(r.t, mp, r.c, kp, n.M, n.K)
}

// add adds to g half the gradient of sign·Σ‖õ − (onehot − 1/M)‖² over the
// samples and returns Σ‖…‖². C's part is not centred yet.
func (d *direct) add(g *gradient, n *Net, c *readout, s samples, sign float32) float64 {
	tensor.Parallel(shards, 1, func(lo, hi int) {
		b := d.free.Get().(*block)
		for i := lo; i < hi; i++ {
			d.shard(i, g.a, n, c, s, sign, b)
		}
		d.free.Put(b)
	})
	loss := 0.0
	for i := range d.parts {
		loss += d.parts[i].loss
	}
	tensor.Parallel(d.m*d.k, 1<<14, func(lo, hi int) {
		for i := range d.parts {
			p := &d.parts[i]
			tensor.Axpy(g.b[lo:hi], sign, p.db[lo:hi])
			tensor.Axpy(g.c[lo:hi], sign, p.dc[lo:hi])
		}
	})
	return loss
}

// shard works through one shard. It alone has the rows of ga of its samples.
func (d *direct) shard(i int, ga []float32, n *Net, c *readout, s samples, sign float32, b *block) {
	p := &d.parts[i]
	p.loss = 0
	clear(p.db)
	clear(p.dc)
	rows, k, m := blockRows(d.k), d.k, d.m
	for lo := s.cuts[i]; lo < s.cuts[i+1]; lo += rows {
		hi := min(lo+rows, s.cuts[i+1])
		count := hi - lo
		d.outputs(n, c, s, lo, hi, b)
		for r := range count {
			b.r[r*d.mp+int(s.t[lo+r])]--
		}
		for r := range count { // Σ(õ−onehot)² = Σ(õ−onehot+1/M)² + 1/M
			row := b.r[r*d.mp : r*d.mp+m]
			p.loss += float64(tensor.Dot(row, row)) - 1/float64(m)
		}
		residual := tensor.Mat{Data: b.r, Rows: count, Cols: m, Stride: d.mp}
		hidden := tensor.Mat{Data: b.h, Rows: count, Cols: k, Stride: d.kp}
		tensor.GemmSerial(tensor.M(p.dc, m, k), residual.T(), hidden, true)
		back := tensor.Mat{Data: b.d, Rows: count, Cols: k, Stride: d.kp}
		tensor.GemmSerial(back, residual, tensor.Mat{Data: c.c, Rows: m, Cols: k, Stride: d.kp}, false)
		size := count * d.kp
		n.Act.pull(b.d[:size], b.h[:size], b.s[:size])
		for r := range count {
			x, y, row := int(s.x[lo+r]), int(s.y[lo+r]), b.d[r*d.kp:r*d.kp+k]
			tensor.Axpy(ga[x*k:(x+1)*k], sign, row)
			tensor.Add(p.db[y*k:(y+1)*k], p.db[y*k:(y+1)*k], row)
		}
	}
}

// outputs fills b.s, b.h and, with centred outputs, b.r for samples [lo, hi).
func (d *direct) outputs(n *Net, c *readout, s samples, lo, hi int, b *block) {
	k := d.k
	for r := range hi - lo {
		x, y := int(s.x[lo+r]), int(s.y[lo+r])
		tensor.Add(b.s[r*d.kp:r*d.kp+k], n.A[x*k:(x+1)*k], n.B[y*k:(y+1)*k])
	}
	n.Act.apply(b.h[:(hi-lo)*d.kp], b.s[:(hi-lo)*d.kp])
	tensor.GemmSerial(tensor.Mat{Data: b.r, Rows: hi - lo, Cols: d.m, Stride: d.mp},
		tensor.Mat{Data: b.h, Rows: hi - lo, Cols: k, Stride: d.kp},
		tensor.Mat{Data: c.t, Rows: k, Cols: d.m, Stride: d.mp}, false)
}
