package grad

import (
	"fmt"

	"orrery/learn/tensor"
)

// Var is a value on a tape, a constant, or a parameter: a value that outlives
// tapes and whose gradient accumulates until ZeroGrad.
type Var struct {
	Name string         // for messages; optional
	Val  *tensor.Tensor // never nil
	Grad *tensor.Tensor // nil: none yet, or not wanted, or passed on already
	Keep bool           // of an intermediate value: keep Grad after Backward

	need  bool // a gradient is wanted
	param bool
}

// NewParam makes a parameter of t, with a zero gradient.
func NewParam(name string, t *tensor.Tensor) *Var {
	return &Var{Name: name, Val: t, Grad: tensor.New(t.Shape...), need: true, param: true}
}

// Const makes a value without a gradient.
func Const(t *tensor.Tensor) *Var { return &Var{Val: t} }

// ZeroGrad clears a parameter's gradient.
func (v *Var) ZeroGrad() {
	if v.Grad != nil {
		clear(v.Grad.Data)
	}
}

// Shape is the shape of the value.
func (v *Var) Shape() []int { return v.Val.Shape }

// Tape runs operations and remembers them for Backward. The zero value is
// ready. A tape belongs to one goroutine; its operations use the threads of
// package tensor inside.
type Tape struct {
	NoGrad   bool // evaluate only: remember nothing
	CheckNaN bool // look for the first operation that yields a NaN or an infinity

	ops   []op
	place string
	err   *NaNError
	arena arena
}

type op struct {
	name, place string
	out         *Var
	back        func()
}

// NewTape is new(Tape).
func NewTape() *Tape { return new(Tape) }

// Reset forgets all operations and takes their buffers back: values and
// gradients made on the tape since the last Reset must not be used any more.
func (t *Tape) Reset() {
	clear(t.ops)
	t.ops = t.ops[:0]
	t.err = nil
	t.place = ""
	t.arena.reset()
}

// At names the place (a module, "model.layers.3.mlp") that the operations
// which follow belong to, for NaNError.
func (t *Tape) At(place string) { t.place = place }

// Backward adds the gradient of a scalar loss to every parameter that it
// depends on, and to Grad of every other value whose Keep is set. The error is
// nil or a *NaNError (only if CheckNaN is set).
func (t *Tape) Backward(loss *Var) error {
	if loss.Val.Len() != 1 {
		panic(fmt.Sprintf("grad.Backward: the loss must be one number, its shape is %v", loss.Shape()))
	}
	if t.err != nil {
		return t.err
	}
	if !loss.need {
		return nil
	}
	g, _ := t.grad(loss)
	g[0] = 1
	for i := len(t.ops) - 1; i >= 0; i-- {
		o := &t.ops[i]
		if o.out.Grad == nil {
			continue // the loss does not depend on it
		}
		if t.CheckNaN && t.check(o.name, o.place, o.out, true) {
			return t.err
		}
		o.back()
		if !o.out.Keep && o.out.Grad != nil {
			t.arena.put(o.out.Grad.Data)
			o.out.Grad = nil
		}
	}
	return nil
}

// node makes the Var of an operation's result; its elements are not set.
func (t *Tape) node(shape []int, ins ...*Var) *Var {
	v := &Var{}
	if !t.NoGrad {
		for _, in := range ins {
			v.need = v.need || in != nil && in.need
		}
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	v.Val = tensor.Of(t.arena.get(n), shape...)
	return v
}

// done files a finished operation.
func (t *Tape) done(name string, out *Var, back func()) *Var {
	if t.CheckNaN {
		t.check(name, t.place, out, false)
	}
	if out.need {
		t.ops = append(t.ops, op{name, t.place, out, back})
	}
	return out
}

// grad gives the buffer of v's gradient. fresh says that its elements are not
// set yet: the caller must write them all instead of adding to them.
func (t *Tape) grad(v *Var) (g []float32, fresh bool) {
	if v.Grad == nil {
		v.Grad = tensor.Of(t.arena.get(v.Val.Len()), v.Val.Shape...)
		fresh = true
	}
	return v.Grad.Data, fresh
}

// gradSum gives the buffer of v's gradient to add to, nil if none is wanted.
func (t *Tape) gradSum(v *Var) []float32 {
	if v == nil || !v.need {
		return nil
	}
	g, fresh := t.grad(v)
	if fresh {
		clear(g)
	}
	return g
}

// matrix sees a value as rows of its last dimension; a scalar is (1, 1).
func matrix(v *Var) (rows, cols int) {
	s := v.Val.Shape
	if len(s) == 0 {
		return 1, 1
	}
	cols, rows = s[len(s)-1], 1
	for _, d := range s[:len(s)-1] {
		rows *= d
	}
	return rows, cols
}

// grain is how many rows of that many elements are worth a goroutine.
func grain(cols int) int { return max(1, 1<<14/max(1, cols)) }

// rowwise runs f over ranges of n rows of that many columns, in parallel.
func rowwise(n, cols int, f func(lo, hi int)) { tensor.Parallel(n, grain(cols), f) }

// flat runs f over ranges of n elements, in parallel.
func flat(n int, f func(lo, hi int)) { tensor.Parallel(n, 1<<14, f) }

// sumBlock is the number of rows that are added into one partial sum. It is
// fixed so that the order of addition does not depend on the threads.
const sumBlock = 64

// sumRows adds to sum (cols) what f adds to its partial sum for each of n rows.
func (t *Tape) sumRows(sum []float32, n int, f func(row int, part []float32)) {
	cols := len(sum)
	blocks := (n + sumBlock - 1) / sumBlock
	parts := t.arena.get(blocks * cols)
	tensor.Parallel(blocks, 1, func(lo, hi int) {
		for b := lo; b < hi; b++ {
			part := parts[b*cols : (b+1)*cols]
			clear(part)
			for i := b * sumBlock; i < min(n, (b+1)*sumBlock); i++ {
				f(i, part)
			}
		}
	})
	for b := range blocks {
		tensor.Add(sum, sum, parts[b*cols:(b+1)*cols])
	}
	t.arena.put(parts)
}

// misuse panics with an operation's name and the shapes it was given.
func misuse(op, want string, vs ...*Var) {
	msg := "grad." + op + ": want " + want + ", have"
	for _, v := range vs {
		if v != nil {
			msg += fmt.Sprintf(" %v", v.Shape())
		}
	}
	panic(msg)
}
