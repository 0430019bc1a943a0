package circuit

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/tensor"
)

// net is a network on pairs of a table.
type net interface {
	params() []*grad.Var
	// outputs are (pairs, columns), of which the first ones are the elements'.
	outputs(t *grad.Tape, pairs []int) *grad.Var
	// loss is the mean over the pairs.
	loss(t *grad.Tape, out *grad.Var, pairs []int) *grad.Var
	// elements are the vectors (elements, width) by which it knows a first factor.
	elements() *tensor.Tensor
}

func newNet(s Settings, t *table) (net, error) {
	var n net
	var err error
	switch s.Net {
	case transformerNet:
		n, err = newTransformer(s, t)
	default:
		n = newResidual(s, t)
	}
	if err != nil {
		return nil, err
	}
	for _, p := range n.params() {
		if len(p.Shape()) == 2 {
			tensor.Scale(p.Val.Data, p.Val.Data, float32(s.Scale))
		}
	}
	return n, nil
}

// stream is a parameter's own stream of random numbers.
func stream(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// transformer reads "x y =" or "x ∘ y =" and says the product at the last place.
type transformer struct {
	*nn.Model
	table *table
	point bool // the operation is written
}

func newTransformer(s Settings, t *table) (*transformer, error) {
	m, err := nn.New(nn.Config{VocabSize: t.elements + 2, HiddenSize: s.Width, Layers: s.Layers, Heads: s.Heads, Intermediate: s.Hidden,
		MaxPositions: 4, Positions: "learned", Norm: s.Norm, MLP: s.MLP}, s.Seed)
	if err != nil {
		return nil, fmt.Errorf("settings: the transformer: %w", err)
	}
	// Without norms the usual 0.02 is far too small: N(0, 1/width) throughout, as in
	// arXiv 2301.05217.
	if s.Norm == "none" {
		for _, p := range m.Params() {
			rng := stream(s.Seed, p.Name)
			for i := range p.Val.Data {
				p.Val.Data[i] = float32(rng.NormFloat64() / math.Sqrt(float64(s.Width)))
			}
		}
	}
	return &transformer{m, t, s.Prompt == "x.y="}, nil
}

func (m *transformer) params() []*grad.Var { return m.Params() }

func (m *transformer) outputs(t *grad.Tape, pairs []int) *grad.Var {
	point, equals := m.table.elements, m.table.elements+1
	var in nn.Input
	var last []int
	for _, p := range pairs {
		x, y := m.table.pair(p)
		row := []int{x, y, equals}
		if m.point {
			row = []int{x, point, y, equals}
		}
		in.Tokens, in.Lens = append(in.Tokens, row...), append(in.Lens, len(row))
		last = append(last, len(in.Tokens)-1)
	}
	return m.Logits(t, m.Hidden(t, in), last)
}

func (m *transformer) loss(t *grad.Tape, out *grad.Var, pairs []int) *grad.Var {
	targets := make([]int, len(pairs))
	for i, p := range pairs {
		targets[i] = m.table.answer[p]
	}
	l, _ := t.CrossEntropy(out, targets, nil)
	return l
}

func (m *transformer) elements() *tensor.Tensor {
	e := m.Params()[0].Val
	return tensor.Of(e.Data[:m.table.elements*e.Dim(1)], m.table.elements, e.Dim(1))
}

// residual is Li2's network of three layers (arXiv 2509.21519, fig. 17):
//
//	F₁ = relu(XW), F₂ = F₁ + relu(F₁U), Ŷ = F₂V
//
// with the loss of look/grok, ‖o − mean(o) − (onehot − 1/M)‖².
type residual struct {
	table   *table
	w, u, v *grad.Var // (2M, K), (K, K), (M, K)
	centre  *grad.Var // (M, M): I − 1/M
}

func newResidual(s Settings, t *table) *residual {
	m, k := t.elements, s.Width
	draw := func(name string, rows, cols, fanIn int, factor float64) *grad.Var {
		p := grad.NewParam(name, tensor.New(rows, cols))
		rng, bound := stream(s.Seed, name), factor/math.Sqrt(float64(fanIn))
		for i := range p.Val.Data {
			p.Val.Data[i] = float32(bound * (2*rng.Float64() - 1))
		}
		return p
	}
	r := &residual{table: t, w: draw("W", 2*m, k, 2*m, 1), u: draw("U", k, k, k, 1), v: draw("V", m, k, k, s.VInit)}
	c := tensor.New(m, m)
	for i := range c.Data {
		c.Data[i] = -1 / float32(m)
	}
	for i := range m {
		c.Data[i*m+i]++
	}
	r.centre = grad.Const(c)
	return r
}

func (r *residual) params() []*grad.Var { return []*grad.Var{r.w, r.u, r.v} }

func (r *residual) outputs(t *grad.Tape, pairs []int) *grad.Var {
	xs, ys := make([]int, len(pairs)), make([]int, len(pairs))
	for i, p := range pairs {
		x, y := r.table.pair(p)
		xs[i], ys[i] = x, r.table.elements+y
	}
	f1 := t.ReLU(t.Add(t.Embed(r.w, xs), t.Embed(r.w, ys)))
	f2 := t.Add(f1, t.ReLU(t.Linear(f1, r.u, nil)))
	return t.MatMul(t.Linear(f2, r.v, nil), r.centre, false, false)
}

func (r *residual) loss(t *grad.Tape, out *grad.Var, pairs []int) *grad.Var {
	m := r.table.elements
	y := tensor.New(len(pairs), m)
	for i := range y.Data {
		y.Data[i] = -1 / float32(m)
	}
	for i, p := range pairs {
		y.Data[i*m+r.table.answer[p]]++
	}
	return t.Scale(t.Sum(t.Square(t.Sub(out, grad.Const(y)))), 1/float32(len(pairs)))
}

func (r *residual) elements() *tensor.Tensor {
	m, k := r.table.elements, r.w.Val.Dim(1)
	return tensor.Of(r.w.Val.Data[:m*k], m, k)
}
