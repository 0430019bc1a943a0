package li2

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Eta is the decay of the paper's objective J = ½‖P(Y−FV)‖² + ½η‖V‖² that
// training with weight decay wd on n samples amounts to: the code's loss is a
// mean, 2/n times the paper's.
func Eta(wd float64, n int) float64 { return wd * float64(n) / 2 }

// GF is −∂J/∂F = P(Y−FV)Vᵀ (n, K) for centred labels y (n, M), hidden values
// f (n, K) and the output layer v (K, M).
func GF(y, f, v *mat.Dense) *mat.Dense { return product(Residual(y, f, v), v.T()) }

// Residual is P(Y−FV) (n, M): what the network leaves unexplained. As the
// Target of an Energy it is what nodes climb once others have learned.
func Residual(y, f, v *mat.Dense) *mat.Dense {
	r := product(Centre(f), v)
	r.Sub(y, r)
	return r
}

// StageOne is ỸỸᵀF̃ (n, K), which G_F is a multiple of as long as V is small:
// G_F(t) = t·ỸỸᵀF̃ + O(V(0)) + O(t²).
func StageOne(y, f *mat.Dense) *mat.Dense { return product(y, product(y.T(), Centre(f))) }

// RidgeV is the output layer (F̃ᵀF̃+ηI)⁻¹F̃ᵀỸ (K, M) that is best for frozen
// hidden nodes.
func RidgeV(y, f *mat.Dense, eta float64) (*mat.Dense, error) {
	return ridgeV(y, Centre(f), eta)
}

// CodeRidgeV is the same for the loss that is trained, which takes means over
// outputs where the paper takes them over samples: (FᵀF+ηI)⁻¹Fᵀ(Y−1/M).
func (s *Samples) CodeRidgeV(f *mat.Dense, eta float64) (*mat.Dense, error) {
	y := mat.NewDense(s.Len(), s.M, nil)
	for i, h := range s.H {
		row := y.RawRowView(i)
		for k := range row {
			row[k] = -1 / float64(s.M)
		}
		row[h]++
	}
	return ridgeV(y, f, eta)
}

func ridgeV(y, f *mat.Dense, eta float64) (*mat.Dense, error) {
	chol, err := normal(f, eta)
	if err != nil {
		return nil, err
	}
	var v mat.Dense
	if err := chol.SolveTo(&v, product(f.T(), y)); err != nil {
		return nil, fmt.Errorf("ridge solution of the output layer, η = %g: %w: use a larger η, or LimitG, which needs none", eta, err)
	}
	return &v, nil
}

// normal factors FᵀF+ηI.
func normal(f *mat.Dense, eta float64) (*mat.Cholesky, error) {
	if !(eta > 0) {
		return nil, fmt.Errorf("ridge solution of the output layer: η is %g, want more than 0: train with weight decay", eta)
	}
	_, k := f.Dims()
	a := mat.NewSymDense(k, nil)
	a.SymOuterK(1, f.T())
	for j := range k {
		a.SetSym(j, j, a.At(j, j)+eta)
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		return nil, fmt.Errorf("ridge solution of the output layer: FᵀF+ηI is singular to rounding at η = %g: use a larger η", eta)
	}
	return &chol, nil
}

// LimitG is G_F at V = RidgeV (n, K):
//
//	G_F(∞) = η(F̃F̃ᵀ+ηI)⁻¹ ỸỸᵀF̃ (F̃ᵀF̃+ηI)⁻¹
//
// by the SVD F̃ = USQᵀ. With Z = ỸỸᵀU·diag(s/(s²+η)) it is
// [U·diag(η/(s²+η))·UᵀZ + (I−UUᵀ)Z]Qᵀ; the form above loses all digits for
// η ≪ s². It costs n·K·min(n, K).
func LimitG(y, f *mat.Dense, eta float64) (*mat.Dense, error) {
	if !(eta >= 0) {
		return nil, fmt.Errorf("ridge limit of G_F: η is %g, want 0 or more", eta)
	}
	c := Centre(f)
	var svd mat.SVD
	if !svd.Factorize(c, mat.SVDThin) {
		return nil, fmt.Errorf("ridge limit of G_F: the SVD of F̃ did not converge: the hidden values are not finite")
	}
	var u, q mat.Dense
	svd.UTo(&u)
	svd.VTo(&q)
	s := svd.Values(nil)
	z := product(y, product(y.T(), &u))
	n, r := z.Dims()
	// Directions that F̃ does not have are zero to rounding: V has nothing there.
	floor := s[0] * 1e-13 * math.Sqrt(float64(n))
	shrink := make([]float64, r) // η/(s²+η)
	for j := range r {
		scale := 0.0
		shrink[j] = 1
		if s[j] > floor {
			scale = s[j] / (s[j]*s[j] + eta)
			shrink[j] = eta / (s[j]*s[j] + eta)
		}
		for i := range n {
			z.Set(i, j, scale*z.At(i, j))
		}
	}
	inner := product(u.T(), z) // UᵀZ
	out := product(&u, inner)
	out.Sub(z, out)
	for i := range r {
		row := inner.RawRowView(i)
		for j := range row {
			row[j] *= shrink[i]
		}
	}
	out.Add(out, product(&u, inner))
	return product(out, q.T()), nil
}

// Cosine is of two matrices as vectors, NaN if one is zero.
func Cosine(a, b *mat.Dense) float64 {
	rows, _ := a.Dims()
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range rows {
		x, y := a.RawRowView(i), b.RawRowView(i)
		ab += dot(x, y)
		aa += norm2(x)
		bb += norm2(y)
	}
	return ab / math.Sqrt(aa*bb)
}
