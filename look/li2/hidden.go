package li2

import (
	"gonum.org/v1/gonum/mat"
)

// Hidden is F = σ(XW) (n, K).
func (s *Samples) Hidden(n *Net) *mat.Dense {
	f := mat.NewDense(s.Len(), n.K, nil)
	for i := range s.Len() {
		s.hidden(n, i, f.RawRowView(i))
	}
	return f
}

// hidden writes row i of F.
func (s *Samples) hidden(n *Net, i int, to []float64) {
	a, b := n.A[s.X[i]*n.K:][:n.K], n.B[s.Y[i]*n.K:][:n.K]
	switch n.Act.Name {
	case Square.Name:
		for j, x := range a {
			z := float64(x) + float64(b[j])
			to[j] = z * z
		}
		return
	case Complex.Name:
		for j := 0; j+1 < n.K; j += 2 {
			re, im := float64(a[j])+float64(b[j]), float64(a[j+1])+float64(b[j+1])
			to[j], to[j+1] = re*re-im*im, 2*re*im
		}
		return
	}
	for j, x := range a {
		to[j] = n.Act.Of(float64(x) + float64(b[j]))
	}
}

// Labels is Ỹ (n, M): one-hot labels without their means over the samples.
func (s *Samples) Labels() *mat.Dense {
	y := mat.NewDense(s.Len(), s.M, nil)
	for i, h := range s.H {
		row := y.RawRowView(i)
		for k := range row {
			row[k] = -s.Count[k] / float64(s.Len())
		}
		row[h]++
	}
	return y
}

// V is the output layer (K, M) in float64.
func (n *Net) V() *mat.Dense {
	v := mat.NewDense(n.K, n.M, nil)
	for k := range n.M {
		for j := range n.K {
			v.Set(j, k, float64(n.C[k*n.K+j]))
		}
	}
	return v
}

// Centre takes the means of columns out of a copy of x: P·x.
func Centre(x *mat.Dense) *mat.Dense {
	c := mat.DenseCopyOf(x)
	rows, cols := c.Dims()
	mean := make([]float64, cols)
	for i := range rows {
		for j, v := range c.RawRowView(i) {
			mean[j] += v / float64(rows)
		}
	}
	for i := range rows {
		r := c.RawRowView(i)
		for j := range r {
			r[j] -= mean[j]
		}
	}
	return c
}

func product(a, b mat.Matrix) *mat.Dense {
	var c mat.Dense
	c.Mul(a, b)
	return &c
}
