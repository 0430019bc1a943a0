package grok

import "orrery/learn/tensor"

// full is the gradient over the whole table, all M² pairs, for σ(x) = x².
// Write ã, b̃, c̃ for the columns without their means and m_j for the sum of
// node j's means of a and b. Then
//
//	h_j(x, y) = 2ã_j(x)b̃_j(y) + f_j(x) + g_j(y) + κ_j
//	f = ã² + 2mã less its mean, g likewise, κ = m² + mean(ã²) + mean(b̃²)
//
// and over the whole table the four kinds of term are orthogonal to each
// other, while the centred labels have only the first kind. So, with the Gram
// matrices U = ÃᵀÃ, V = B̃ᵀB̃, Q = C̃ᵀC̃ (all (K, K)),
//
//	Σ‖õ − (onehot − 1/M)‖² = 4·1ᵀ(U∘V∘Q)1 − 4·Σ_{x,y,j} ã_j(x)b̃_j(y)c̃_j(xy)
//	    + M‖FC̃ᵀ‖² + M‖GC̃ᵀ‖² + M²‖C̃κ‖² + M² − M
//
// which costs products of K²·M, not of M²·K·M.
type full struct {
	m, k, kp, mp int
	rowAt        []int32 // (M): where a row begins
	// Where the row of the other factor of a label begins: of xy for (x, y), of
	// xy for (y, x), and of the y that makes xy = t for (t, x). All (M, M).
	byX, byY, byT []int32

	a, b       []float32 // ã, b̃ (M, K) padded; c̃ is the readout's
	at, bt     []float32 // (K, M) padded
	meanA      []float32 // (K); later m
	meanB      []float32 // (K); later dm
	kappa      []float32 // (K)
	dkappa     []float32 // (K)
	f, g       []float32 // (M, K) padded
	df, dg     []float32 // (M, K) padded; before that the labels' sums for da and db
	lc         []float32 // (M, K) padded; the labels' sums for dc
	da, db, dc []float32 // (M, K) padded
	ox, oy     []float32 // (M, M) padded: M·FC̃ᵀ, M·GC̃ᵀ
	vq, uq, uv []float32 // (K, K) padded, symmetric: V∘Q, U∘Q, U∘V, the lower triangle of panels
	panels     []panel
}

const (
	// panelCols is how many columns of the Gram matrices are made and multiplied
	// with each other before the next: they stay in the second cache.
	panelCols = 64
	// labelCols is how many columns of the labels' sums are made at once.
	labelCols = 256
)

// panel is the scratch of one range of columns.
type panel struct {
	u, v, q []float32 // (K, panelCols), padded
	sum     float64
}

func newFull(g table, k int) *full {
	m := g.Order()
	f := &full{m: m, k: k, kp: padded(k), mp: padded(m)}
	f.byX, f.byY, f.byT = make([]int32, m*m), make([]int32, m*m), make([]int32, m*m)
	for x := range m {
		f.rowAt = append(f.rowAt, int32(x*f.kp))
		for y := range m {
			t := g.Mul(x, y)
			f.byX[x*m+y], f.byY[y*m+x], f.byT[t*m+x] = int32(t*f.kp), int32(t*f.kp), int32(y*f.kp)
		}
	}
	for _, x := range []*[]float32{&f.a, &f.b, &f.f, &f.g, &f.df, &f.dg, &f.lc, &f.da, &f.db, &f.dc} {
		*x = make([]float32, m*f.kp)
	}
	f.at, f.bt = make([]float32, k*f.mp), make([]float32, k*f.mp)
	f.ox, f.oy = make([]float32, m*f.mp), make([]float32, m*f.mp)
	f.vq, f.uq, f.uv = make([]float32, k*f.kp), make([]float32, k*f.kp), make([]float32, k*f.kp)
	for _, x := range []*[]float32{&f.meanA, &f.meanB, &f.kappa, &f.dkappa} {
		*x = make([]float32, k)
	}
	f.panels = make([]panel, (k+panelCols-1)/panelCols)
	for i := range f.panels {
		s := func() []float32 { return make([]float32, k*padded(panelCols)) }
		f.panels[i] = panel{u: s(), v: s(), q: s()}
	}
	return f
}

// wide views one of the padded (M, K) arrays.
func (f *full) wide(x []float32) tensor.Mat {
	return tensor.Mat{Data: x, Rows: f.m, Cols: f.k, Stride: f.kp}
}

// row is columns [j0, j1) of row r of one of them.
func (f *full) row(x []float32, r, j0, j1 int) []float32 { return x[r*f.kp+j0 : r*f.kp+j1] }

// add adds to g half the gradient of Σ‖õ − (onehot − 1/M)‖² over the table, of
// A and B a quarter, and returns that sum. C's part is not centred yet.
func (f *full) add(g *gradient, n *Net, c *readout) float64 {
	tensor.Parallel(2, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			x, xt, w, mean := f.a, f.at, n.A, f.meanA
			if i == 1 {
				x, xt, w, mean = f.b, f.bt, n.B, f.meanB
			}
			centred(x, f.kp, w, f.m, f.k, mean)
			transpose(xt, f.mp, x, f.kp, f.m, f.k)
		}
	})
	tensor.Add(f.meanA, f.meanA, f.meanB)
	blocks := (f.k + labelCols - 1) / labelCols
	tensor.Parallel(blocks, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f.labels(c, i*labelCols, min((i+1)*labelCols, f.k))
		}
	})
	tensor.Parallel(len(f.panels), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f.grams(i, c)
		}
	})
	tensor.Parallel(len(f.panels), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f.panel(i, c)
		}
	})
	loss := float64(f.m)*float64(f.m) - float64(f.m)
	for i := range f.panels {
		loss += f.panels[i].sum
	}
	loss += f.alone(c, f.f, f.df, f.ox)
	loss += f.alone(c, f.g, f.dg, f.oy)
	loss += f.constant(c)
	f.finish(g)
	return loss
}

// labels sums b̃(y)∘c̃(xy), ã(x)∘c̃(xy) and ã(x)∘b̃(y) over the table, for
// columns [j0, j1), into df, dg and lc, and sets f, g and κ there.
func (f *full) labels(c *readout, j0, j1 int) {
	a, b, cc := f.a[j0:], f.b[j0:], c.c[j0:]
	for r := range f.m {
		at, end := r*f.m, (r+1)*f.m
		tensor.SumProducts(f.row(f.df, r, j0, j1), b, f.rowAt, cc, f.byX[at:end])
		tensor.SumProducts(f.row(f.dg, r, j0, j1), a, f.rowAt, cc, f.byY[at:end])
		tensor.SumProducts(f.row(f.lc, r, j0, j1), a, f.rowAt, b, f.byT[at:end])
	}
	m, kappa := f.meanA[j0:j1], f.kappa[j0:j1]
	mean, twice := make([]float32, j1-j0), make([]float32, j1-j0)
	tensor.Mul(kappa, m, m)
	tensor.Add(twice, m, m)
	for _, side := range [2]struct{ x, f []float32 }{{f.a, f.f}, {f.b, f.g}} {
		clear(mean)
		for r := range f.m {
			x, sq := f.row(side.x, r, j0, j1), f.row(side.f, r, j0, j1)
			tensor.Mul(sq, x, x)
			tensor.Add(mean, mean, sq)
		}
		tensor.Scale(mean, mean, 1/float32(f.m))
		tensor.Add(kappa, kappa, mean)
		for r := range f.m {
			sq := f.row(side.f, r, j0, j1)
			tensor.MulAdd(sq, twice, f.row(side.x, r, j0, j1))
			tensor.Sub(sq, sq, mean)
		}
	}
}

// grams makes the rows from the diagonal down of one range of columns of the
// products of Gram matrices.
func (f *full) grams(i int, c *readout) {
	j0 := i * panelCols
	w, rows, stride := min(panelCols, f.k-j0), f.k-j0, padded(panelCols)
	p := &f.panels[i]
	gram := func(dst, t, x []float32) {
		tensor.GemmSerial(tensor.Mat{Data: dst, Rows: rows, Cols: w, Stride: stride},
			tensor.Mat{Data: t[j0*f.mp:], Rows: rows, Cols: f.m, Stride: f.mp},
			tensor.Mat{Data: x[j0:], Rows: f.m, Cols: w, Stride: f.kp}, false)
	}
	gram(p.u, f.at, f.a)
	gram(p.v, f.bt, f.b)
	gram(p.q, c.t, c.c)
	for r := range rows {
		u, v, q := p.u[r*stride:r*stride+w], p.v[r*stride:r*stride+w], p.q[r*stride:r*stride+w]
		at := (j0+r)*f.kp + j0
		tensor.Mul(f.vq[at:at+w], v, q)
		tensor.Mul(f.uq[at:at+w], u, q)
		tensor.Mul(f.uv[at:at+w], u, v)
	}
}

// panel makes one range of columns of the products with them and takes the
// labels off: da = 2Ã(V∘Q) − …, db likewise, dc = 4C̃(U∘V) − 2….
func (f *full) panel(i int, c *readout) {
	j0 := i * panelCols
	j1 := min(j0+panelCols, f.k)
	p, w := &f.panels[i], j1-j0
	apply := func(dst, x, s []float32) {
		to := tensor.Mat{Data: dst[j0:], Rows: f.m, Cols: w, Stride: f.kp}
		below := tensor.Mat{Data: s[j0*f.kp+j0:], Rows: f.k - j0, Cols: w, Stride: f.kp}
		tensor.GemmSerial(to, tensor.Mat{Data: x[j0:], Rows: f.m, Cols: f.k - j0, Stride: f.kp}, below, false)
		if j0 > 0 { // above the diagonal is left of it, transposed
			left := tensor.Mat{Data: s[j0*f.kp:], Rows: w, Cols: j0, Stride: f.kp}
			tensor.GemmSerial(to, tensor.Mat{Data: x, Rows: f.m, Cols: j0, Stride: f.kp}, left.T(), true)
		}
	}
	apply(f.da, f.a, f.vq)
	apply(f.db, f.b, f.uq)
	apply(f.dc, c.c, f.uv)
	p.sum = 0
	for r := range f.m {
		da, db, dc := f.row(f.da, r, j0, j1), f.row(f.db, r, j0, j1), f.row(f.dc, r, j0, j1)
		x, l := f.row(c.c, r, j0, j1), f.row(f.lc, r, j0, j1)
		// 1ᵀ(U∘V∘Q)1 = Σ C̃∘(C̃(U∘V)), and Σ ãb̃c̃ = Σ c̃∘(the labels' sums)
		p.sum += 4 * (float64(tensor.Dot(x, dc)) - float64(tensor.Dot(x, l)))
		tensor.Scale(da, da, 2)
		tensor.Sub(da, da, f.row(f.df, r, j0, j1))
		tensor.Scale(db, db, 2)
		tensor.Sub(db, db, f.row(f.dg, r, j0, j1))
		tensor.Scale(dc, dc, 4)
		tensor.Axpy(dc, -2, l)
	}
}

// alone does the terms of x alone, or of y alone: o = M·FC̃ᵀ, dC̃ += oᵀF and
// dF = oC̃. It returns M‖FC̃ᵀ‖².
func (f *full) alone(c *readout, x, dx, out []float32) float64 {
	o := tensor.Mat{Data: out, Rows: f.m, Cols: f.m, Stride: f.mp}
	tensor.Gemm(o, f.wide(x), tensor.Mat{Data: c.t, Rows: f.k, Cols: f.m, Stride: f.mp}, false)
	loss := 0.0
	for r := range f.m {
		row := out[r*f.mp : r*f.mp+f.m]
		loss += float64(tensor.Dot(row, row))
		tensor.Scale(row, row, float32(f.m))
	}
	tensor.Gemm(f.wide(f.dc), o.T(), f.wide(x), true)
	tensor.Gemm(f.wide(dx), o, f.wide(c.c), false)
	return float64(f.m) * loss
}

// constant does the term of neither, M²‖C̃κ‖², and leaves half its gradient
// with respect to κ in dkappa.
func (f *full) constant(c *readout) float64 {
	m2 := float64(f.m) * float64(f.m)
	loss := 0.0
	clear(f.dkappa)
	for s := range f.m {
		x := f.row(c.c, s, 0, f.k)
		o := tensor.Dot(x, f.kappa)
		loss += float64(o) * float64(o)
		tensor.Axpy(f.row(f.dc, s, 0, f.k), float32(m2)*o, f.kappa)
		tensor.Axpy(f.dkappa, float32(m2)*o, x)
	}
	return m2 * loss
}

// finish carries the gradients of f, g and κ to those of ã, b̃ and the means,
// and adds everything up.
func (f *full) finish(g *gradient) {
	k := f.k
	m, dm := f.meanA, f.meanB
	tensor.Mul(dm, m, f.dkappa) // quarters, as all below
	part, mean := make([]float32, k), make([]float32, k)
	tensor.Scale(part, f.dkappa, 1/float32(f.m))
	for _, side := range [2]struct{ x, df, dx []float32 }{{f.a, f.df, f.da}, {f.b, f.dg, f.db}} {
		for r := range f.m {
			x, df, dx := f.row(side.x, r, 0, k), f.row(side.df, r, 0, k), f.row(side.dx, r, 0, k)
			tensor.MulAdd(dm, df, x)   // ∂f/∂m = 2ã
			tensor.MulAdd(dx, df, x)   // ∂f/∂ã = 2ã + 2m; the part of the mean vanishes, since Σ_x df = 0
			tensor.MulAdd(dx, df, m)   //
			tensor.MulAdd(dx, part, x) // ∂κ/∂ã = 2ã/M
		}
	}
	for _, side := range [2]struct{ dx, to []float32 }{{f.da, g.a}, {f.db, g.b}} {
		clear(mean)
		for r := range f.m {
			tensor.Add(mean, mean, f.row(side.dx, r, 0, k))
		}
		tensor.Sub(mean, dm, mean)
		tensor.Scale(mean, mean, 1/float32(f.m))
		for r := range f.m {
			to := side.to[r*k : (r+1)*k]
			tensor.Add(to, to, f.row(side.dx, r, 0, k))
			tensor.Add(to, to, mean)
		}
	}
	for r := range f.m {
		to := g.c[r*k : (r+1)*k]
		tensor.Add(to, to, f.row(f.dc, r, 0, k))
	}
}
