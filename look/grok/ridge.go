package grok

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"orrery/learn/tensor"
)

// ridge keeps the output matrix at the minimum of the loss with decay for the
// hidden nodes as they are (arXiv 2509.21519, figs. 10-13):
//
//	V = (FᵀF + ηI)⁻¹Fᵀ(Y − 1/M), η = decay·n/2
//
// which is where ∂L/∂V + decay·V vanishes.
type ridge struct {
	pairs samples
	eta   float64
	m, k  int
	s, f  []float32 // (n, K): argument, hidden layer
	gram  []float64 // (K, K)
	right []float64 // (K, M)
}

func newRidge(g table, n *Net, pairs []int, decay float64) *ridge {
	r := &ridge{pairs: newSamples(g, pairs), eta: decay * float64(len(pairs)) / 2, m: n.M, k: n.K}
	r.s, r.f = make([]float32, len(pairs)*n.K), make([]float32, len(pairs)*n.K)
	r.gram, r.right = make([]float64, n.K*n.K), make([]float64, n.K*n.M)
	return r
}

// solve writes V to n.C.
func (r *ridge) solve(n *Net) error {
	k, m, count := r.k, r.m, len(r.pairs.x)
	for i := range count {
		x, y := int(r.pairs.x[i]), int(r.pairs.y[i])
		tensor.Add(r.s[i*k:(i+1)*k], n.A[x*k:(x+1)*k], n.B[y*k:(y+1)*k])
	}
	n.Act.apply(r.f, r.s)
	f := tensor.Narrow(tensor.M(r.f, count, k))
	tensor.Gemm64(tensor.M64(r.gram, k, k), f.T(), f, false)
	clear(r.right)
	for i := range count {
		t := int(r.pairs.t[i])
		for j, h := range r.f[i*k : (i+1)*k] {
			r.right[j*m+t] += float64(h)
		}
	}
	for j := range k {
		row := r.right[j*m : (j+1)*m]
		sum := 0.0
		for _, x := range row {
			sum += x
		}
		for s := range row {
			row[s] -= sum / float64(m)
		}
		r.gram[j*k+j] += r.eta
	}
	var chol mat.Cholesky
	var v mat.Dense
	if !chol.Factorize(mat.NewSymDense(k, r.gram)) {
		return fmt.Errorf("ridge solution of the output matrix: FᵀF + ηI is singular to rounding at η = %g: use more decay, or a lower learning rate", r.eta)
	}
	if err := chol.SolveTo(&v, mat.NewDense(k, m, r.right)); err != nil {
		return fmt.Errorf("ridge solution of the output matrix, η = %g: %w: use more decay, or a lower learning rate", r.eta, err)
	}
	for s := range m {
		for j := range k {
			n.C[s*k+j] = float32(v.At(j, s))
		}
	}
	return nil
}
