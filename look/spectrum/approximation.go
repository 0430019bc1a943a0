package spectrum

// Approximation is the rank-k approximation U·diag(σ)·Vᵀ of the base in
// float32, for callers that look at its entries: us (m, k) is U·diag(σ), v is
// (n, k), both row-major.
func (b *Base) Approximation() (us, v []float32, k int) {
	f := &b.f
	us, v = make([]float32, len(f.u.data)), make([]float32, len(f.v.data))
	for i := range f.u.rows {
		for j, x := range f.u.row(i) {
			us[i*f.k+j] = float32(x * f.sigma[j])
		}
	}
	for i, x := range f.v.data {
		v[i] = float32(x)
	}
	return us, v, f.k
}
