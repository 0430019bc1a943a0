package tensor

// A product is cut into blocks of K so that a panel of b stays in the first
// cache while the tiles of a pass by, and into blocks of rows and columns that
// bound the packing buffers. An element's chain continues from c at the next
// block of K, so blocking changes no bit.
const (
	blockK = 320
	blockM = 4096 // rows of a packed at a time
	blockN = 4096 // columns of b packed at a time
	// taskRows keeps a task's part of a in the second cache.
	taskRows = 336
	// threadWork is how many multiply-adds pay for waking another thread:
	// about ten microseconds' worth.
	threadWork = 1 << 19
	// twinWork is the same for the twin.
	twinWork = 1 << 14
	// packWork is the same for elements to be packed.
	packWork = 1 << 14
	// packColumns is from how many columns on a is packed: each packed element
	// is then read often enough.
	packColumns = 192
	// directRows is up to how many rows of a a panel of b is read in place.
	directRows = 56
)

// product is one matrix product under way. Its functions for Parallel are
// bound once and its buffers are reused.
type product struct {
	c, a, b Mat
	packed  *Packed
	acc     bool // of the present block of K
	mr, nr  int

	k0, k1   int // present block
	i0, i1   int
	j0, j1   int
	tilesA   int // rows i0 … i1 in tiles of mr or mr−1 rows or so
	panels   int
	copyA    bool
	directB  int // panels read in place, the first ones
	packsB   int // panels to pack
	taskA    int // tiles of a task
	taskB    int // panels of a task
	bufA     []float32
	bufB     []float32
	packRun  func(lo, hi int)
	tasksRun func(lo, hi int)
}

var products = newPool(func() *product {
	p := &product{}
	p.packRun, p.tasksRun = p.pack, p.tasks
	return p
})

// multiply is Gemm after the checks. packed, if given, holds b.
func multiply(c, a, b Mat, packed *Packed, acc, threads bool) {
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	if a.Cols == 0 {
		if !acc {
			for i := range c.Rows {
				clear(c.Data[i*c.Stride : i*c.Stride+c.Cols])
			}
		}
		return
	}
	if isa == levelGo {
		if !threads || Threads() == 1 {
			gemmTwin(c, a, b, acc)
			return
		}
		Parallel(c.Rows, 1+twinWork/(c.Cols*a.Cols), func(lo, hi int) {
			gemmTwin(c.rows(lo, hi), a.rows(lo, hi), b, acc)
		})
		return
	}
	p := products.get()
	p.c, p.a, p.b, p.packed = c, a, b, packed
	p.mr, p.nr = isa.geometry()
	if c.Rows*c.Cols*a.Cols < 2*threadWork {
		threads = false
	}
	p.blocks(acc, threads)
	p.c, p.a, p.b, p.packed = Mat{}, Mat{}, Mat{}, nil
	products.put(p)
}

// parts cuts n into ranges of at most size, equally long, and returns how many.
func parts(n, size int) int { return (n + size - 1) / size }

func (p *product) blocks(acc, threads bool) {
	rows, cols, depth := p.c.Rows, p.c.Cols, p.a.Cols
	kn, mn, nn := parts(depth, blockK), parts(rows, blockM), parts(cols, blockN)
	for jn := range nn {
		// Blocks of columns begin at whole panels.
		all := parts(cols, p.nr)
		p.j0, p.j1 = all*jn/nn*p.nr, min(all*(jn+1)/nn*p.nr, cols)
		p.panels = parts(p.j1-p.j0, p.nr)
		for ik := range kn {
			p.k0, p.k1 = depth*ik/kn, depth*(ik+1)/kn
			p.acc = acc || ik > 0
			for im := range mn {
				p.i0, p.i1 = rows*im/mn, rows*(im+1)/mn
				p.block(threads, im == 0)
			}
		}
	}
}

// block packs what is to be packed and multiplies one block.
func (p *product) block(threads, freshB bool) {
	rows, cols, depth := p.i1-p.i0, p.j1-p.j0, p.k1-p.k0
	p.tilesA = parts(rows, p.mr)
	p.copyA = cols >= packColumns && rows > 3
	p.directB = 0
	if p.packed == nil && (rows <= directRows || spread(p.b.Stride, depth)) && !p.b.Trans {
		p.directB = cols / p.nr
	}
	p.packsB = 0
	if p.packed == nil && freshB {
		p.packsB = p.panels - p.directB
		p.bufB = grow(p.bufB, p.packsB*depth*p.nr)
	}
	packs := p.packsB
	if p.copyA {
		p.bufA = grow(p.bufA, rows*depth)
		packs += p.tilesA
	}
	p.taskA, p.taskB = min(p.tilesA, taskRows/p.mr), p.panels
	if !threads {
		p.pack(0, packs)
		p.tasks(0, parts(p.tilesA, p.taskA))
		return
	}
	Parallel(packs, 1+packWork/(depth*p.nr), p.packRun)
	// About four tasks a thread, each worth its while; cut b first, since a
	// panel is then used by as many tiles as before.
	want := min(4*Threads(), max(1, rows*cols*depth/threadWork))
	if n := parts(p.tilesA, p.taskA); n < want {
		p.taskB = max(1, min(parts(p.panels, parts(want, n)), p.panels))
		if n = n * parts(p.panels, p.taskB); n < want {
			p.taskA = max(1, p.taskA*n/want)
		}
	}
	Parallel(parts(p.tilesA, p.taskA)*parts(p.panels, p.taskB), 1, p.tasksRun)
}

// spread reports whether depth rows of b, a panel wide, can stay together in
// the first cache although they are stride elements apart: rows whose distance
// divides the cache's 4 KiB period compete for the same few places.
func spread(stride, depth int) bool {
	const sets, ways = 64, 8 // of at least this many ways; some are left to a and c
	if stride%(cacheLine/4) != 0 {
		return depth <= sets*ways/4
	}
	step := stride / (cacheLine / 4)
	places := 1 // sets that the rows begin at
	for places < sets && step*places%sets != 0 {
		places *= 2
	}
	return depth <= places*ways/2
}

// tileRow is where tile t begins, relative to i0: heights differ by at most
// one, so that no tile is left with too few rows to fill the pipeline.
func (p *product) tileRow(t int) int { return (p.i1 - p.i0) * t / p.tilesA }

// pack stores panels of b, then tiles of a.
func (p *product) pack(lo, hi int) {
	depth := p.k1 - p.k0
	for i := lo; i < hi; i++ {
		if i < p.packsB {
			packB(p.bufB[i*depth*p.nr:], p.b, p.k0, p.k1, p.j0+(p.directB+i)*p.nr, p.nr)
			continue
		}
		r0, r1 := p.tileRow(i-p.packsB), p.tileRow(i-p.packsB+1)
		packA(p.bufA[r0*depth:], p.a, p.i0+r0, r1-r0, p.k0, p.k1)
	}
}

// tasks multiplies rectangles of tiles by panels.
func (p *product) tasks(lo, hi int) {
	across := parts(p.tilesA, p.taskA)
	for i := lo; i < hi; i++ {
		t0, j0 := i%across*p.taskA, i/across*p.taskB
		p.rectangle(t0, min(t0+p.taskA, p.tilesA), j0, min(j0+p.taskB, p.panels))
	}
}

// rectangle multiplies tiles [t0, t1) of a by panels [j0, j1) of b. The panel
// stays in the first cache while the tiles pass by.
func (p *product) rectangle(t0, t1, j0, j1 int) {
	depth, cols := p.k1-p.k0, p.j1-p.j0
	t := tile{k: depth, ldc: uintptr(4 * p.c.Stride), mask: 1<<p.nr - 1}
	if p.acc {
		t.acc = 1
	}
	most := panelsAtOnce(parts(p.i1-p.i0, p.tilesA))
	for j, np := j0, 1; j < j1; j += np {
		np = 1
		if most > 1 && j+most <= j1 && (j+most)*p.nr <= cols && (j >= p.directB || j+most <= p.directB) {
			np = most
		}
		b, ldb, bp := p.panel(j)
		have := min(p.nr, cols-j*p.nr)
		for i := t0; i < t1; i++ {
			r0, r1 := p.tileRow(i), p.tileRow(i+1)
			t.b, t.ldb, t.bp = b, ldb, bp
			if p.copyA {
				t.a, t.rs, t.cs = &p.bufA[r0*depth], 4, uintptr(4*(r1-r0))
			} else {
				rs, cs := p.a.steps()
				t.a, t.rs, t.cs = &p.a.Data[(p.i0+r0)*rs+p.k0*cs], uintptr(4*rs), uintptr(4*cs)
			}
			c := p.c.Data[(p.i0+r0)*p.c.Stride+p.j0+j*p.nr:]
			t.c, t.next = &c[0], &c[0]
			if i+1 < t1 {
				t.next = &c[(r1-r0)*p.c.Stride]
			}
			if have < p.nr {
				t.runEdge(r1-r0, have, c, p.c.Stride)
			} else {
				t.run(r1-r0, np)
			}
		}
	}
}

// panel locates panel j of the block: where it begins, the step between its k
// and the step to the next panel.
func (p *product) panel(j int) (b *float32, ldb, bp uintptr) {
	switch {
	case p.packed != nil:
		at := p.packed.b.Rows * (p.j0 + j*p.nr)
		return &p.packed.panels[at+p.k0*p.nr], uintptr(4 * p.nr), uintptr(4 * p.packed.b.Rows * p.nr)
	case j < p.directB:
		return &p.b.Data[p.k0*p.b.Stride+p.j0+j*p.nr], uintptr(4 * p.b.Stride), uintptr(4 * p.nr)
	}
	depth := p.k1 - p.k0
	return &p.bufB[(j-p.directB)*depth*p.nr], uintptr(4 * p.nr), uintptr(4 * depth * p.nr)
}
