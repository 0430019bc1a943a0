package grad

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"orrery/learn/tensor"
)

// random makes a parameter of normal numbers.
func random(r *rand.Rand, shape ...int) *Var {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return NewParam(fmt.Sprint(shape), x)
}

// positive makes a parameter of numbers in [0.5, 2.5).
func positive(r *rand.Rand, shape ...int) *Var {
	v := random(r, shape...)
	for i := range v.Val.Data {
		v.Val.Data[i] = 0.5 + 2*r.Float32()
	}
	return v
}

// apart makes a parameter of numbers that differ from each other, from
// 0, from 1.875, and from the negatives of another such one of the same
// shape, by more than the steps of the finite differences: kinks stay away.
func apart(r *rand.Rand, shape ...int) *Var {
	v := random(r, shape...)
	n := len(v.Val.Data)
	for i, k := range r.Perm(n) {
		v.Val.Data[i] = float32(k-n/2)*0.5 + 0.125
	}
	return v
}

// project is the test's own loss: Σ c·x with fixed random c, which no
// operation under test helps to compute. It returns the sum in float64 too.
func project(t *Tape, x *Var) (*Var, float64) {
	r := rand.New(rand.NewPCG(7, 7))
	c := make([]float32, x.Val.Len())
	var sum float64
	for i, v := range x.Val.Data {
		c[i] = float32(r.NormFloat64())
		sum += float64(c[i]) * float64(v)
	}
	loss := t.node(nil, x)
	loss.Val.Data[0] = float32(sum)
	return t.done("project", loss, func() {
		d := t.gradSum(x)
		for i := range d {
			d[i] += loss.Grad.Data[0] * c[i]
		}
	}), sum
}

// checkGrad compares the gradient of project(f) in every element of every
// variable with a five-point finite difference accumulated in float64:
//
//	f' ≈ (8(f(h)−f(−h)) − (f(2h)−f(−2h))) / 12h, error O(h⁴)
//
// With h = 2⁻⁵ the truncation is near 1e-6 for functions whose fifth derivative
// is of order one, and rounding of float32 values near 1e-7·√n/h ≈ 1e-5; the
// tolerance of 1e-3 of the largest gradient (at least 1) leaves room for the
// steeper ones and is far below what a wrong term would leave.
func checkGrad(tb testing.TB, vars []*Var, f func(t *Tape) *Var) {
	tb.Helper()
	const h, tol = 1.0 / 32, 1e-3
	value := func() float64 {
		t := &Tape{NoGrad: true}
		_, s := project(t, f(t))
		return s
	}
	for _, v := range vars {
		v.ZeroGrad()
	}
	t := NewTape()
	for range 2 { // twice, the second time in used memory: gradients must add up
		t.Reset()
		loss, _ := project(t, f(t))
		if err := t.Backward(loss); err != nil {
			tb.Fatal(err)
		}
	}
	for n, v := range vars {
		largest := 1.0
		for _, g := range v.Grad.Data {
			largest = max(largest, math.Abs(float64(g)/2))
		}
		for i, x := range v.Val.Data {
			at := func(d float32) float64 {
				v.Val.Data[i] = x + d
				defer func() { v.Val.Data[i] = x }()
				return value()
			}
			want := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
			if got := float64(v.Grad.Data[i]) / 2; !(math.Abs(got-want) <= tol*largest) {
				tb.Errorf("variable %d %v element %d: gradient %g, finite difference %g", n, v.Shape(), i, got, want)
				return
			}
		}
	}
}

var inf = float32(math.Inf(1))

type opCase struct {
	name string
	vars []*Var
	f    func(t *Tape, v []*Var) *Var
}

func rope(positions, hd int) (cos, sin *tensor.Tensor) {
	cos, sin = tensor.New(positions, hd/2), tensor.New(positions, hd/2)
	for i := range cos.Data {
		a := float64(i/(hd/2)) * math.Pow(100, -float64(i%(hd/2))*2/float64(hd))
		cos.Data[i], sin.Data[i] = float32(math.Cos(a)), float32(math.Sin(a))
	}
	return cos, sin
}

func opCases() []opCase {
	r := rand.New(rand.NewPCG(1, 2))
	n := func(shape ...int) *Var { return random(r, shape...) }
	cos, sin := rope(9, 4)
	banned := func(s, q, k int) bool { return (q+2*k+s)%3 != 0 }
	causal := AttnSpec{Lens: []int{3, 1, 4}, Heads: 4, KVHeads: 2, Causal: true}
	both := AttnSpec{Lens: []int{5, 3}, Heads: 2, KVHeads: 2}
	masked := AttnSpec{Lens: []int{4, 4}, Heads: 2, KVHeads: 1, Allow: banned}
	long := AttnSpec{Lens: []int{attnBlock + 3}, Heads: 2, KVHeads: 1, Causal: true}
	attend := func(at AttnSpec) func(*Tape, []*Var) *Var {
		return func(t *Tape, v []*Var) *Var { return t.Attention(v[0], v[1], v[2], at) }
	}
	targets, weights := []int{2, -1, 0, 4, 1}, []float32{1, 1, 0.5, 2, 0}
	// Two sequences continue one trunk, a third stands alone; the fourth has no rows.
	shared := ContextSpec{Heads: 2, KVHeads: 1, Lens: []int{2, 1, 3, 0}, Keys: [][]Span{
		{{0, 0, 3}, {1, 0, 2}}, {{0, 0, 3}, {1, 2, 3}}, {{1, 3, 6}}, {{0, 1, 2}}}}
	some := ContextSpec{Heads: 2, KVHeads: 2, Lens: []int{4}, Keys: [][]Span{{{1, 1, 3}, {0, 0, 2}, {1, 0, 2}}}, Sees: []int{5, 0, 6, 1}}
	context := func(at ContextSpec) func(*Tape, []*Var) *Var {
		return func(t *Tape, v []*Var) *Var {
			return t.Context(v[0], []*Var{v[1], v[2]}, []*Var{v[3], v[4]}, at)
		}
	}
	return []opCase{
		{"Context shared", []*Var{n(6, 6), n(4, 3), n(6, 3), n(4, 3), n(6, 3)}, context(shared)},
		{"Context some", []*Var{n(4, 6), n(2, 6), n(4, 6), n(2, 6), n(4, 6)}, context(some)},
		{"Linear", []*Var{n(3, 5), n(4, 5)}, func(t *Tape, v []*Var) *Var { return t.Linear(v[0], v[1], nil) }},
		{"Linear bias", []*Var{n(70, 3), n(2, 3), n(2)}, func(t *Tape, v []*Var) *Var { return t.Linear(v[0], v[1], v[2]) }},
		{"Linear 3-d", []*Var{n(2, 3, 5), n(4, 5)}, func(t *Tape, v []*Var) *Var { return t.Linear(v[0], v[1], nil) }},
		{"Embed", []*Var{n(6, 3)}, func(t *Tape, v []*Var) *Var { return t.Embed(v[0], []int{1, -1, 5, 1, 0}) }},
		{"Rows", []*Var{n(2, 3, 4)}, func(t *Tape, v []*Var) *Var { return t.Rows(v[0], []int{5, 5, 0}) }},
		{"ScatterAdd", []*Var{n(4, 3), n(3, 3)}, func(t *Tape, v []*Var) *Var { return t.ScatterAdd(v[0], v[1], []int{2, 0, 2}) }},
		{"RMSNorm", []*Var{n(70, 5), n(5)}, func(t *Tape, v []*Var) *Var { return t.RMSNorm(v[0], v[1], 1e-2) }},
		{"LayerNorm", []*Var{n(70, 5), n(5), n(5)}, func(t *Tape, v []*Var) *Var { return t.LayerNorm(v[0], v[1], v[2], 1e-2) }},
		{"LayerNorm no bias", []*Var{n(4, 5), n(5)}, func(t *Tape, v []*Var) *Var { return t.LayerNorm(v[0], v[1], nil, 1e-2) }},
		{"Rotary", []*Var{n(5, 12)}, func(t *Tape, v []*Var) *Var { return t.Rotary(v[0], 3, []int{0, 8, 1, 1, 3}, cos, sin) }},
		{"Rotary shared", []*Var{n(2, 4)}, func(t *Tape, v []*Var) *Var { return t.Add(v[0], t.Rotary(v[0], 1, []int{2, 5}, cos, sin)) }},
		{"Attention causal", []*Var{n(8, 12), n(8, 6), n(8, 6)}, attend(causal)},
		{"Attention bidirectional", []*Var{n(8, 6), n(8, 6), n(8, 6)}, attend(both)},
		{"Attention masked", []*Var{n(8, 6), n(8, 3), n(8, 3)}, attend(masked)},
		{"Attention blocks", []*Var{n(67, 4), n(67, 2), n(67, 2)}, attend(long)},
		{"Attention of itself", []*Var{n(8, 6)}, func(t *Tape, v []*Var) *Var { return t.Attention(v[0], v[0], v[0], both) }},
		{"Add", []*Var{n(3, 4), n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Add(v[0], v[1]) }},
		{"Add itself", []*Var{n(3)}, func(t *Tape, v []*Var) *Var { return t.Add(v[0], v[0]) }},
		{"SwiGLU", []*Var{n(3, 4), n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.SwiGLU(v[0], v[1]) }},
		{"SwiGLU of itself", []*Var{n(20)}, func(t *Tape, v []*Var) *Var { return t.SwiGLU(v[0], v[0]) }},
		{"Sub", []*Var{n(3, 4), n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Sub(v[0], v[1]) }},
		{"Mul", []*Var{n(3, 4), n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Mul(v[0], v[1]) }},
		{"Mul itself", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.Mul(v[0], v[0]) }},
		{"Div", []*Var{n(3, 4), positive(r, 3, 4)}, func(t *Tape, v []*Var) *Var { return t.Div(v[0], v[1]) }},
		{"Min", []*Var{apart(r, 12), apart(r, 12)}, func(t *Tape, v []*Var) *Var { return t.Min(v[0], t.Scale(v[1], -1)) }},
		{"Scale", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Scale(v[0], -2.5) }},
		{"Exp", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.Exp(v[0]) }},
		{"Log", []*Var{positive(r, 40)}, func(t *Tape, v []*Var) *Var { return t.Log(v[0]) }},
		{"Sqrt", []*Var{positive(r, 40)}, func(t *Tape, v []*Var) *Var { return t.Sqrt(v[0]) }},
		{"Square", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.Square(v[0]) }},
		{"Tanh", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.Tanh(v[0]) }},
		{"Sigmoid", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.Sigmoid(v[0]) }},
		{"ReLU", []*Var{apart(r, 40)}, func(t *Tape, v []*Var) *Var { return t.ReLU(v[0]) }},
		{"GELU", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.GELU(v[0]) }},
		{"SiLU", []*Var{n(40)}, func(t *Tape, v []*Var) *Var { return t.SiLU(v[0]) }},
		{"Clamp", []*Var{apart(r, 40)}, func(t *Tape, v []*Var) *Var { return t.Clamp(v[0], 0, 1.875) }},
		{"AddBias", []*Var{n(70, 3), n(3)}, func(t *Tape, v []*Var) *Var { return t.AddBias(v[0], v[1]) }},
		{"MatMul", []*Var{n(3, 4), n(4, 5)}, func(t *Tape, v []*Var) *Var { return t.MatMul(v[0], v[1], false, false) }},
		{"MatMul A", []*Var{n(4, 3), n(4, 5)}, func(t *Tape, v []*Var) *Var { return t.MatMul(v[0], v[1], true, false) }},
		{"MatMul B", []*Var{n(3, 4), n(5, 4)}, func(t *Tape, v []*Var) *Var { return t.MatMul(v[0], v[1], false, true) }},
		{"MatMul AB", []*Var{n(4, 3), n(5, 4)}, func(t *Tape, v []*Var) *Var { return t.MatMul(v[0], v[1], true, true) }},
		{"MatMul itself", []*Var{n(4, 3)}, func(t *Tape, v []*Var) *Var { return t.MatMul(v[0], v[0], true, false) }},
		{"BatchMatMul", []*Var{n(2, 2, 4, 3), n(2, 2, 5, 4)}, func(t *Tape, v []*Var) *Var { return t.BatchMatMul(v[0], v[1], true, true) }},
		{"Softmax", []*Var{n(3, 6)}, func(t *Tape, v []*Var) *Var { return t.Softmax(v[0], nil) }},
		{"Softmax row bias", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Softmax(v[0], []float32{0, -inf, 1, 0}) }},
		{"Softmax bias", []*Var{n(2, 3)}, func(t *Tape, v []*Var) *Var { return t.Softmax(v[0], []float32{0, -inf, 1, -inf, -inf, -inf}) }},
		{"LogSoftmax", []*Var{n(3, 6)}, func(t *Tape, v []*Var) *Var { return t.LogSoftmax(v[0]) }},
		{"Reshape", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Reshape(v[0], 2, 6) }},
		{"Slice", []*Var{n(3, 4, 2)}, func(t *Tape, v []*Var) *Var { return t.Slice(v[0], 1, 1, 3) }},
		{"Slice last", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Slice(v[0], -1, 2, 4) }},
		{"Concat", []*Var{n(2, 1, 3), n(2, 4, 3)}, func(t *Tape, v []*Var) *Var { return t.Concat(1, v[0], v[1], v[0]) }},
		{"Transpose", []*Var{n(2, 3, 4, 2)}, func(t *Tape, v []*Var) *Var { return t.Transpose(v[0], 1, -1) }},
		{"Sum", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Sum(v[0]) }},
		{"Mean", []*Var{n(3, 4)}, func(t *Tape, v []*Var) *Var { return t.Mean(v[0]) }},
		{"SumAxis", []*Var{n(2, 3, 4)}, func(t *Tape, v []*Var) *Var { return t.SumAxis(v[0], 1) }},
		{"SumAxis last", []*Var{n(2, 3, 4)}, func(t *Tape, v []*Var) *Var { return t.SumAxis(v[0], -1) }},
		{"MeanAxis", []*Var{n(2, 3, 4)}, func(t *Tape, v []*Var) *Var { return t.MeanAxis(v[0], 0) }},
		{"Max", []*Var{apart(r, 4, 10)}, func(t *Tape, v []*Var) *Var { return t.Max(v[0], 0) }},
		{"CrossEntropy", []*Var{n(5, 6)}, func(t *Tape, v []*Var) *Var { l, _ := t.CrossEntropy(v[0], targets, nil); return l }},
		{"CrossEntropy weighted", []*Var{n(5, 6)}, func(t *Tape, v []*Var) *Var { l, _ := t.CrossEntropy(v[0], targets, weights); return l }},
		{"CrossEntropy shared", []*Var{n(5, 6)}, func(t *Tape, v []*Var) *Var {
			l, _ := t.CrossEntropy(t.Add(v[0], v[0]), targets, weights)
			return l
		}},
		{"LogProb", []*Var{n(5, 6)}, func(t *Tape, v []*Var) *Var { return t.LogProb(v[0], targets) }},
	}
}

func TestGradients(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name, func(t *testing.T) {
			checkGrad(t, c.vars, func(tape *Tape) *Var { return c.f(tape, c.vars) })
		})
	}
}

// TestConstantInputs runs every operation with all but one input constant: the
// gradient of that one must not change, and nothing may fall over.
func TestConstantInputs(t *testing.T) {
	for _, c := range opCases() {
		for i, v := range c.vars {
			run := func(vars []*Var) []float32 {
				v.ZeroGrad()
				tape := NewTape()
				loss, _ := project(tape, c.f(tape, vars))
				if err := tape.Backward(loss); err != nil {
					t.Fatal(err)
				}
				return append([]float32(nil), v.Grad.Data...)
			}
			some := make([]*Var, len(c.vars))
			for j, w := range c.vars {
				some[j] = Const(w.Val)
			}
			some[i] = v
			all, alone := run(c.vars), run(some)
			for k := range all {
				if all[k] != alone[k] {
					t.Fatalf("%s: variable %d: gradient %g with the others constant, %g without", c.name, i, alone[k], all[k])
				}
			}
		}
	}
}
