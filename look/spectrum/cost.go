package spectrum

// Cost estimates what Compare needs for one pair of (m, n) matrices: floating
// point operations, of which a core does some 10⁹ to 10¹⁰ a second, and bytes
// beside the two matrices. Mode none costs nothing.
func Cost(m, n int, o Options) (flops, bytes float64) {
	if o.mode() == None || m < 1 || n < 1 {
		return 0, 0
	}
	k := float64(o.clippedK(m, n))
	kd := min(max(k, SubspaceSize), float64(min(m, n)))
	mf, nf, c := float64(m), float64(n), float64(min(m, n))
	for _, ki := range []float64{k, k, kd} { // W0, W1, ΔW
		l := min(ki+oversampling, c)
		thin := (mf + nf) * l
		flops += 2*mf*nf*ki + 8*thin*l // residuals, orthogonalisation
		if o.mode() == Exact {
			// Gram matrix, tridiagonal reduction, the leading vectors.
			flops += mf*nf*c + 4./3*c*c*c + 2*mf*nf*2*ki + 4*c*c*ki
		} else {
			flops += 2*mf*nf*l*(2+2*powerRounds) + 4*mf*nf*lanczosSteps
		}
		bytes = max(bytes, 8*4*thin)
	}
	flops += 2 * 2 * mf * nf * k // energies
	if o.mode() == Exact {
		bytes += 8 * c * c
	}
	return flops, bytes
}
