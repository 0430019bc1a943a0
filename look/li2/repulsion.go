package li2

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Repulsion is how the nodes act on each other in stage III through
//
//	B = (F̃ᵀF̃+ηI)⁻¹ (K, K),  [F̃B]_j = b_jj f̃_j + Σ_{l≠j} b_jl f̃_l
//
// b_jl < 0 for nodes that resemble each other once what the other nodes
// explain is taken off: sign b_jl = −sign(f̃_jᵀ P_{η,−jl} f̃_l).
func Repulsion(f *mat.Dense, eta float64) (*mat.SymDense, error) {
	chol, err := normal(Centre(f), eta)
	if err != nil {
		return nil, err
	}
	var b mat.SymDense
	if err := chol.InverseTo(&b); err != nil {
		return nil, fmt.Errorf("repulsion of nodes, η = %g: %w: use a larger η", eta, err)
	}
	return &b, nil
}

// Resemblance is f̃_jᵀ P_{η,−jl} f̃_l, with P_{η,−jl} = I − G(GᵀG+ηI)⁻¹Gᵀ and
// G the columns of F̃ other than j and l.
func Resemblance(f *mat.Dense, eta float64, j, l int) (float64, error) {
	c := Centre(f)
	n, k := c.Dims()
	rest := mat.NewDense(n, max(k-2, 1), nil)
	at := 0
	for i := range k {
		if i == j || i == l {
			continue
		}
		for r := range n {
			rest.Set(r, at, c.At(r, i))
		}
		at++
	}
	chol, err := normal(rest, eta)
	if err != nil {
		return math.NaN(), err
	}
	var x mat.VecDense
	var p mat.VecDense
	p.MulVec(rest.T(), c.ColView(l))
	if err := chol.SolveVecTo(&x, &p); err != nil {
		return math.NaN(), fmt.Errorf("resemblance of nodes %d and %d, η = %g: %w: use a larger η", j, l, eta, err)
	}
	p.MulVec(rest.T(), c.ColView(j))
	return mat.Dot(c.ColView(j), c.ColView(l)) - mat.Dot(&p, &x), nil
}

// Learned is, by component, the share of the centred labels inside it that the
// network explains on the samples: 1 − ‖RΠ_k‖²/‖ỸΠ_k‖² with R = P(Y−FV). Where
// it is 1 nothing is left for other nodes to climb (top-down modulation). It is
// negative where the network is further from the labels than nothing would be.
func (s *Samples) Learned(net *Net) []float64 {
	r, y := Residual(s.Labels(), s.Hidden(net), net.V()), s.Labels()
	out := make([]float64, len(s.Parts))
	for k, c := range s.Parts {
		left, all := 0.0, 0.0
		for i := range s.Len() {
			left += c.Power(r.RawRowView(i))
			all += c.Power(y.RawRowView(i))
		}
		out[k] = 1 - left/all
	}
	return out
}

// rows are a matrix as an Energy's Target.
func rows(x *mat.Dense) [][]float64 {
	n, _ := x.Dims()
	out := make([][]float64, n)
	for i := range out {
		out[i] = x.RawRowView(i)
	}
	return out
}

// LeftEnergy is the energy that is left to climb when the nodes f (n, K) have
// their best output layer at decay η.
func LeftEnergy(s *Samples, act Activation, f *mat.Dense, eta float64) (Energy, error) {
	y := s.Labels()
	v, err := RidgeV(y, f, eta)
	if err != nil {
		return Energy{}, err
	}
	return Energy{s, act, rows(Residual(y, f, v))}, nil
}

// repelling counts the pairs of nodes f (n, K) with cos(f̃_j, f̃_l) > 0.5, and
// those among them with b_jl < 0.
func repelling(f *mat.Dense, eta float64) (alike, repel int, err error) {
	b, err := Repulsion(f, eta)
	if err != nil {
		return 0, 0, err
	}
	c := Centre(f)
	gram := product(c.T(), c)
	k, _ := gram.Dims()
	for j := range k {
		for l := range j {
			if gram.At(j, l) > 0.5*math.Sqrt(gram.At(j, j)*gram.At(l, l)) {
				alike++
				if b.At(j, l) < 0 {
					repel++
				}
			}
		}
	}
	return alike, repel, nil
}

// columns copies some columns of x.
func columns(x *mat.Dense, which []int) *mat.Dense {
	n, _ := x.Dims()
	out := mat.NewDense(n, len(which), nil)
	for i := range n {
		for c, j := range which {
			out.Set(i, c, x.At(i, j))
		}
	}
	return out
}
