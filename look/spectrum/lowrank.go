package spectrum

import (
	"fmt"
	"math"
)

// LowRank is the exact spectrum of a low-rank update ΔW = scale·B·A: its min(r,
// out, in) singular values descending; all others are zero.
type LowRank struct {
	Sigma  []float64
	Srank  Num      // ‖ΔW‖_F²/‖ΔW‖₂²
	Rank   int      // #σ > σ_1·max(m,n)·2⁻²³
	Fro    float64  // ‖ΔW‖_F
	Update Subspace // leading right singular vectors
}

// NewLowRank computes it from B (out, r) and A (r, in): QR of B and of Aᵀ, SVD
// of the (r, r) core scale·R_B·R_Aᵀ. A rank above a side is cut to that side by
// the SVD of the thin product.
func NewLowRank(b, a Matrix, scale float64) (LowRank, error) {
	if err := b.check("lora_B"); err != nil {
		return LowRank{}, err
	}
	if err := a.check("lora_A"); err != nil {
		return LowRank{}, err
	}
	if b.Cols != a.Rows {
		return LowRank{}, fmt.Errorf("comparing spectra: lora_B is %d×%d and lora_A %d×%d; their ranks differ", b.Rows, b.Cols, a.Rows, a.Cols)
	}
	if scale-scale != 0 {
		return LowRank{}, fmt.Errorf("comparing spectra: the scale of a LoRA update is %v; it must be finite", scale)
	}
	_, rb := triangle(b.wide())
	qa, ra := triangle(a.wide().transposed())
	core := rb.times(ra.transposed())
	for i := range core.data {
		core.data[i] *= scale
	}
	_, s, v := svd(core)
	f := factors{k: len(s), sigma: s, u: dense{rows: b.Rows}, v: qa.times(v)}
	l := LowRank{Sigma: s, Srank: nan}
	var total sum
	for _, x := range s {
		total.add(x * x)
	}
	l.Fro = math.Sqrt(total.value())
	if s[0] > 0 {
		l.Srank = Num(square(l.Fro / s[0]))
		f.complete = true
		l.Rank, _ = f.rank()
		l.Update = Subspace{v: f.leading()}
	} else {
		l.Update = Subspace{v: dense{rows: a.Cols}}
	}
	return l, nil
}

// triangle is a QR factorisation; a matrix with more columns than rows is its
// own R, with Q = I.
func triangle(x dense) (q, r dense) {
	if x.rows >= x.cols {
		return householderQR(x)
	}
	q = newDense(x.rows, x.rows)
	for i := range x.rows {
		q.row(i)[i] = 1
	}
	return q, x
}

// wide is a copy in float64.
func (m Matrix) wide() dense {
	d := newDense(m.Rows, m.Cols)
	for i, v := range m.Data {
		d.data[i] = float64(v)
	}
	return d
}
