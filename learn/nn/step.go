package nn

import (
	"math"

	"orrery/learn/tensor"
)

// buffers are the decoder's matrices of one pass, reused by the next. With n
// rows, W = (Heads+2·KVHeads)·HeadDim and f = Intermediate:
type buffers struct {
	x, h   []float32 // (n, d): residual stream; norm's or projection's result
	qkv    []float32 // (n, W)
	att    []float32 // (n, Heads·HeadDim)
	gateUp []float32 // (n, 2f) with SwiGLU, else (n, f)
	act    []float32 // (n, f)
	last   []float32 // (sequences, d)
	logits []float32 // (sequences, V)
	places []place   // (n)
	tasks  []task
}

// place is where a row belongs: its sequence and its position in it.
type place struct {
	seq *Seq
	pos int
}

// task is a piece of attention: rows [first, first+count) of the batch, which
// belong to one sequence, in one key head.
type task struct {
	first, count, kv int
}

// taskRows is the number of rows of one sequence that attend at once.
const taskRows = 64

// forward runs the layers over new rows, writes their keys and values to the
// cache, moves the sequences on, and leaves in each its last hidden state.
func (d *Decoder) forward(parts []job, n int) {
	c, b := d.m.Config, &d.buf
	x, h := grown(&b.x, n*c.HiddenSize), grown(&b.h, n*c.HiddenSize)
	wide := c.Heads * c.HeadDim
	width := wide + 2*c.KVHeads*c.HeadDim
	qkv, att := grown(&b.qkv, n*width), grown(&b.att, n*wide)
	act := grown(&b.act, n*c.Intermediate)
	d.place(parts)
	d.embed(parts, x)
	for i := range d.layers {
		l, p := &d.m.layers[i], &d.layers[i]
		d.rows(n, func(r int) { d.m.normRow(l.norm1, row(h, r, c.HiddenSize), row(x, r, c.HiddenSize)) })
		p.qkv.on(qkv, h, n)
		d.rows(n, func(r int) { d.remember(i, row(qkv, r, width), b.places[r]) })
		d.attend(i, att, qkv)
		p.o.on(h, att, n)
		d.rows(n, func(r int) {
			xr, hr := row(x, r, c.HiddenSize), row(h, r, c.HiddenSize)
			tensor.Add(xr, xr, hr)
			d.m.normRow(l.norm2, hr, xr)
		})
		gu := grown(&b.gateUp, n*p.gateUp.out)
		p.gateUp.on(gu, h, n)
		f := c.Intermediate
		d.rows(n, func(r int) {
			switch g, to := row(gu, r, p.gateUp.out), row(act, r, f); c.MLP {
			case "swiglu":
				tensor.SwiGLU(to, g[:f], g[f:])
			case "relu":
				copy(to, g)
				for i, v := range to { // −0 stays, as in grad
					if v < 0 {
						to[i] = 0
					}
				}
			default:
				tensor.GELU(to, g)
			}
		})
		p.down.on(h, act, n)
		d.rows(n, func(r int) {
			xr := row(x, r, c.HiddenSize)
			tensor.Add(xr, xr, row(h, r, c.HiddenSize))
		})
	}
	r := 0
	for _, p := range parts {
		r += p.count
		p.seq.n += p.count
		d.m.normRow(d.m.norm, p.seq.hidden, row(x, r-1, c.HiddenSize))
	}
}

// on is y = x·wᵀ + b for n rows.
func (p packedLinear) on(y, x []float32, n int) {
	tensor.GemmPacked(tensor.M(y, n, p.out), tensor.M(x, n, len(x)/n), p.w, false)
	if p.b != nil {
		for r := range n {
			tensor.Add(row(y, r, p.out), row(y, r, p.out), p.b)
		}
	}
}

// rows runs f on each of n rows, in parallel.
func (d *Decoder) rows(n int, f func(r int)) {
	tensor.Parallel(n, max(1, 1<<14/d.m.Config.HiddenSize), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			f(r)
		}
	})
}

// place notes each row's place and splits attention into tasks.
func (d *Decoder) place(parts []job) {
	b := &d.buf
	b.places, b.tasks = b.places[:0], b.tasks[:0]
	for _, p := range parts {
		for lo := 0; lo < p.count; lo += taskRows {
			for kv := range d.m.Config.KVHeads {
				b.tasks = append(b.tasks, task{len(b.places) + lo, min(taskRows, p.count-lo), kv})
			}
		}
		for i := range p.count {
			b.places = append(b.places, place{p.seq, p.seq.n + i})
		}
	}
}

// embed writes the rows of the residual stream before the first layer.
func (d *Decoder) embed(parts []job, x []float32) {
	dim, r := d.m.Config.HiddenSize, 0
	for _, p := range parts {
		for i := range p.count {
			dst := row(x, r, dim)
			if p.embed != nil {
				clear(dst) // added to zeros, as ScatterAdd does: −0 becomes 0
				tensor.Add(dst, dst, p.embed)
			} else {
				copy(dst, row(d.m.embed.Val.Data, p.tokens[i], dim))
			}
			if d.m.positions != nil {
				tensor.Add(dst, dst, row(d.m.positions.Val.Data, d.buf.places[r].pos, dim))
			}
			r++
		}
	}
}

// remember turns a row's query and keys by its position and writes keys and
// values to the cache. Rows of a sequence write to different slots.
func (d *Decoder) remember(layer int, qkv []float32, at place) {
	c := d.m.Config
	hd := c.HeadDim
	if d.m.cos != nil {
		cos, sin := row(d.m.cos.Data, at.pos, hd/2), row(d.m.sin.Data, at.pos, hd/2)
		for h := range c.Heads + c.KVHeads {
			tensor.RotaryRow(row(qkv, h, hd), row(qkv, h, hd), cos, sin, false)
		}
	}
	slot := at.pos % pageLen
	for kv := range c.KVHeads {
		keys, values := at.seq.pages[at.pos/pageLen].at(layer, kv, c.KVHeads, hd)
		for i, v := range row(qkv, c.Heads+kv, hd) {
			keys[i*pageLen+slot] = v
		}
		copy(row(values, slot, hd), row(qkv, c.Heads+c.KVHeads+kv, hd))
	}
}

// attend computes attention of the batch's rows in one layer.
func (d *Decoder) attend(layer int, att, qkv []float32) {
	c, tasks := d.m.Config, d.buf.tasks
	hd, group := c.HeadDim, c.Heads/c.KVHeads
	wide := c.Heads * hd
	width := wide + 2*c.KVHeads*hd
	work := 1 // multiplications of a typical task
	for _, t := range tasks {
		work = max(work, t.count*group*hd*(d.buf.places[t.first].pos+t.count))
	}
	tensor.Parallel(len(tasks), max(1, 1<<15/work), func(lo, hi int) {
		scratch, _ := d.pool.Get().(*[]float32)
		if scratch == nil {
			scratch = new([]float32)
		}
		defer d.pool.Put(scratch)
		for _, t := range tasks[lo:hi] {
			pl := d.buf.places[t.first]
			h := t.kv * group
			if t.count == 1 { // the group's heads are the rows
				q := tensor.M(row(qkv, t.first, width)[h*hd:(h+group)*hd], group, hd)
				out := tensor.M(row(att, t.first, wide)[h*hd:(h+group)*hd], group, hd)
				d.attendRows(layer, t.kv, out, q, pl, 0, scratch)
				continue
			}
			for ; h < (t.kv+1)*group; h++ {
				q := tensor.Mat{Data: qkv[t.first*width+h*hd:], Rows: t.count, Cols: hd, Stride: width}
				out := tensor.Mat{Data: att[t.first*wide+h*hd:], Rows: t.count, Cols: hd, Stride: wide}
				d.attendRows(layer, t.kv, out, q, pl, 1, scratch)
			}
		}
	})
}

// attendRows is out = softmax(q·kᵀ/√hd)·v over the cache of one key head. Row i
// stands at position at.pos + i·step and sees all up to it. Scores and values
// run over the pages in order, so each sum is one chain, as in grad.Attention.
func (d *Decoder) attendRows(layer, kv int, out, q tensor.Mat, at place, step int, scratch *[]float32) {
	c := d.m.Config
	hd := c.HeadDim
	total := at.pos + step*(q.Rows-1) + 1
	p := grown(scratch, q.Rows*total)
	scale := float32(1 / math.Sqrt(float64(hd)))
	over := func(f func(keys, values []float32, weights tensor.Mat, first bool)) {
		for from := 0; from < total; from += pageLen {
			keys, values := at.seq.pages[from/pageLen].at(layer, kv, c.KVHeads, hd)
			f(keys, values, tensor.Mat{Data: p[from:], Rows: q.Rows, Cols: min(pageLen, total-from), Stride: total}, from == 0)
		}
	}
	over(func(keys, _ []float32, w tensor.Mat, _ bool) {
		tensor.Gemm(w, q, tensor.Mat{Data: keys, Rows: hd, Cols: w.Cols, Stride: pageLen}, false)
	})
	for i := range q.Rows {
		r := row(p, i, total)
		tensor.SoftmaxRow(r, r, at.pos+i*step+1, scale, nil)
	}
	over(func(_, values []float32, w tensor.Mat, first bool) {
		tensor.Gemm(out, w, tensor.M(values[:w.Cols*hd], w.Cols, hd), !first)
	})
}
