package grad

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"orrery/learn/tensor"
)

// TestBadNumbersPass: every operation passes a NaN or an infinity in any of its
// floating inputs on to its result, instead of swallowing it. The exceptions
// are those whose mathematics has a finite limit, or which look at part of
// their input; they are listed.
func TestBadNumbersPass(t *testing.T) {
	// In attention a score of −Inf forbids a key, and an infinite query or key
	// may make one; so may an infinite logit or bias elsewhere.
	limits := map[string]bool{
		"Tanh": true, "Sigmoid": true, "Clamp": true, "Min": true, "Softmax row bias": true, "Softmax bias": true,
		"Slice": true, "Slice last": true, "Embed": true, "Rows": true, "Max": true, "Div": true,
		"CrossEntropy": true, "CrossEntropy weighted": true, "CrossEntropy shared": true, "LogProb": true,
		"Attention causal": true, "Attention bidirectional": true, "Attention masked": true, "Attention blocks": true, "Attention of itself": true,
	}
	for _, c := range opCases() {
		for i, v := range c.vars {
			for _, bad := range []float32{float32(math.NaN()), inf} {
				if bad == inf && limits[c.name] {
					continue
				}
				at := 0
				if strings.HasPrefix(c.name, "Slice") {
					at = 2 // the first that takes part
				}
				old := v.Val.Data[at]
				v.Val.Data[at] = bad
				tape := &Tape{CheckNaN: true}
				out := c.f(tape, c.vars)
				found := slices.ContainsFunc(out.Val.Data, func(f float32) bool { return f != f || math.IsInf(float64(f), 0) })
				v.Val.Data[at] = old
				if !found {
					t.Errorf("%s: %v in variable %d left no trace", c.name, bad, i)
				} else if tape.Err() == nil {
					t.Errorf("%s: %v in variable %d was not reported", c.name, bad, i)
				}
			}
		}
	}
}

func TestNaNErrorNamesTheFirst(t *testing.T) {
	x := NewParam("x", tensor.Of([]float32{-1, 2}, 2))
	tape := &Tape{CheckNaN: true}
	tape.At("model.layers.3")
	y := tape.Log(x)
	tape.At("model.norm")
	loss := tape.Sum(tape.Exp(y))
	err := tape.Backward(loss)
	var nan *NaNError
	if !errors.As(err, &nan) || nan.Op != "Log" || nan.Place != "model.layers.3" || nan.Index != 0 || nan.Gradient {
		t.Fatalf("error %v, want the Log in model.layers.3", err)
	}
	if !strings.Contains(err.Error(), "Log in model.layers.3") {
		t.Errorf("message %q", err)
	}
	tape.Reset()
	x.Val.Data[0] = 0
	if err := tape.Backward(tape.Sum(tape.Sqrt(x))); err != nil {
		t.Errorf("√0 itself is finite, and its gradient is the parameter's: %v", err)
	}
	tape.Reset()
	err = tape.Backward(tape.Sum(tape.Sqrt(tape.Scale(x, 1))))
	if !errors.As(err, &nan) || nan.Op != "Scale" || !nan.Gradient {
		t.Errorf("error %v, want the gradient of Scale", err)
	}
	quiet := NewTape()
	if err := quiet.Backward(quiet.Sum(quiet.Log(NewParam("", tensor.Of([]float32{-1}, 1))))); err != nil || quiet.Err() != nil {
		t.Error("a tape that was not asked to look reported something")
	}
}

// TestEmpty runs operations on dimensions of size 0.
func TestEmpty(t *testing.T) {
	empty, w, b := NewParam("e", tensor.New(0, 4)), NewParam("w", tensor.New(3, 4)), NewParam("b", tensor.New(3))
	g := NewParam("g", tensor.New(4))
	cos, sin := rope(2, 4)
	none, kNone := NewParam("k", tensor.New(3, 0)), NewParam("k", tensor.New(2, 0))
	for name, f := range map[string]func(t *Tape) *Var{
		"Linear":     func(t *Tape) *Var { return t.Linear(empty, w, b) },
		"Linear K=0": func(t *Tape) *Var { return t.Linear(none, kNone, nil) },
		"MatMul":     func(t *Tape) *Var { return t.MatMul(empty, w, false, true) },
		"MatMul K=0": func(t *Tape) *Var { return t.MatMul(empty, empty, true, false) },
		"Add":        func(t *Tape) *Var { return t.Add(empty, empty) },
		"AddBias":    func(t *Tape) *Var { return t.AddBias(empty, g) },
		"Exp":        func(t *Tape) *Var { return t.Exp(empty) },
		"SwiGLU":     func(t *Tape) *Var { return t.SwiGLU(empty, empty) },
		"RMSNorm":    func(t *Tape) *Var { return t.RMSNorm(empty, g, 1e-5) },
		"LayerNorm":  func(t *Tape) *Var { return t.LayerNorm(empty, g, nil, 1e-5) },
		"Rotary":     func(t *Tape) *Var { return t.Rotary(empty, 1, nil, cos, sin) },
		"Attention": func(t *Tape) *Var {
			return t.Attention(empty, empty, empty, AttnSpec{Lens: []int{0, 0}, Heads: 2, KVHeads: 2})
		},
		"Embed":        func(t *Tape) *Var { return t.Embed(w, nil) },
		"ScatterAdd":   func(t *Tape) *Var { return t.ScatterAdd(w, empty, nil) },
		"Softmax":      func(t *Tape) *Var { return t.Softmax(empty, nil) },
		"Softmax n=0":  func(t *Tape) *Var { return t.Softmax(none, nil) },
		"LogSoftmax":   func(t *Tape) *Var { return t.LogSoftmax(empty) },
		"Reshape":      func(t *Tape) *Var { return t.Reshape(empty, 2, 0) },
		"Slice":        func(t *Tape) *Var { return t.Slice(w, 0, 1, 1) },
		"Concat":       func(t *Tape) *Var { return t.Concat(0, empty, w, empty) },
		"Transpose":    func(t *Tape) *Var { return t.Transpose(empty, 0, 1) },
		"Sum":          func(t *Tape) *Var { return t.Sum(empty) },
		"SumAxis":      func(t *Tape) *Var { return t.SumAxis(empty, 0) },
		"Max":          func(t *Tape) *Var { return t.Max(empty, 1) },
		"CrossEntropy": func(t *Tape) *Var { l, _ := t.CrossEntropy(empty, nil, nil); return l },
		"all ignored":  func(t *Tape) *Var { l, _ := t.CrossEntropy(w, []int{-1, -1, -1}, nil); return l },
		"LogProb":      func(t *Tape) *Var { return t.LogProb(empty, nil) },
	} {
		tape := &Tape{CheckNaN: true}
		out := f(tape)
		loss, _ := project(tape, out)
		if err := tape.Backward(loss); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	tape := NewTape()
	if s := tape.SumAxis(empty, 0); !slices.Equal(s.Val.Data, make([]float32, 4)) {
		t.Errorf("a sum of no rows is %v, want zeros", s.Val.Data)
	}
	if m := tape.Max(none, 1); m.Val.Data[0] != -inf {
		t.Errorf("the largest of nothing is %v, want −Inf", m.Val.Data[0])
	}
}

// TestMisusePanics: shapes that do not fit are named in a panic.
func TestMisusePanics(t *testing.T) {
	a, b := Const(tensor.New(2, 3)), Const(tensor.New(4, 5))
	for name, f := range map[string]func(t *Tape){
		"grad.Linear":       func(t *Tape) { t.Linear(a, b, nil) },
		"grad.MatMul":       func(t *Tape) { t.MatMul(a, b, false, false) },
		"grad.BatchMatMul":  func(t *Tape) { t.BatchMatMul(a, Const(tensor.New(1, 3, 2)), false, false) },
		"grad.Add":          func(t *Tape) { t.Add(a, b) },
		"grad.AddBias":      func(t *Tape) { t.AddBias(a, b) },
		"grad.RMSNorm":      func(t *Tape) { t.RMSNorm(a, b, 1) },
		"grad.Rows":         func(t *Tape) { t.Rows(a, []int{2}) },
		"grad.Embed":        func(t *Tape) { t.Embed(a, []int{-2}) },
		"grad.ScatterAdd":   func(t *Tape) { t.ScatterAdd(a, b, nil) },
		"grad.Slice":        func(t *Tape) { t.Slice(a, 1, 2, 4) },
		"grad.Concat":       func(t *Tape) { t.Concat(0, a, b) },
		"grad.Transpose":    func(t *Tape) { t.Transpose(a, 0, 2) },
		"grad.Attention":    func(t *Tape) { t.Attention(a, a, a, AttnSpec{Lens: []int{2}, Heads: 2, KVHeads: 1}) },
		"add up to 1":       func(t *Tape) { t.Attention(a, a, a, AttnSpec{Lens: []int{1}, Heads: 3, KVHeads: 3}) },
		"grad.Rotary":       func(t *Tape) { t.Rotary(a, 1, []int{0, 1}, b.Val, b.Val) },
		"grad.CrossEntropy": func(t *Tape) { t.CrossEntropy(a, []int{0, 3}, nil) },
		"grad.Backward":     func(t *Tape) { t.Backward(a) },
	} {
		func() {
			defer func() {
				if msg, _ := recover().(string); !strings.Contains(msg, name) {
					t.Errorf("%s: panic %q", name, msg)
				}
			}()
			f(NewTape())
		}()
	}
}

// chain is a small net that uses most operations with gradients summed over
// rows, enough of them to be split between threads.
func chain(t *Tape, x, w, b, g *Var) *Var {
	h := t.RMSNorm(t.Linear(x, w, b), g, 1e-5)
	h = t.Attention(h, h, h, AttnSpec{Lens: []int{100, 1, 199}, Heads: 4, KVHeads: 4, Causal: true})
	loss, _ := t.CrossEntropy(t.LayerNorm(t.Add(h, x), g, b, 1e-5), make([]int, 300), nil)
	return loss
}

// TestThreadsDoNotMatter: the same gradients, bit for bit, on one thread and on
// many.
func TestThreadsDoNotMatter(t *testing.T) {
	run := func(threads int) []float32 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		r := rand.New(rand.NewPCG(4, 4))
		vars := []*Var{random(r, 300, 64), random(r, 64, 64), random(r, 64), random(r, 64)}
		tape := NewTape()
		if err := tape.Backward(chain(tape, vars[0], vars[1], vars[2], vars[3])); err != nil {
			t.Fatal(err)
		}
		var all []float32
		for _, v := range vars {
			all = append(all, v.Grad.Data...)
		}
		return all
	}
	one := run(1)
	for range 3 {
		if !slices.Equal(run(8), one) {
			t.Fatal("gradients differ between 1 and 8 threads")
		}
	}
}

// TestResetReuses: after the first step, a step takes no buffer from the
// allocator, and dirty buffers change nothing. On one thread: whether those of an attention
// meet in asking for scratch, and so how much there is of it, is chance.
func TestResetReuses(t *testing.T) {
	tensor.SetThreads(1)
	defer tensor.SetThreads(0)
	r := rand.New(rand.NewPCG(4, 4))
	vars := []*Var{random(r, 300, 64), random(r, 64, 64), random(r, 64), random(r, 64)}
	tape := NewTape()
	var first []float32
	step := func() {
		tape.Reset()
		for _, v := range vars {
			v.ZeroGrad()
		}
		if err := tape.Backward(chain(tape, vars[0], vars[1], vars[2], vars[3])); err != nil {
			t.Fatal(err)
		}
		if g := slices.Concat(vars[0].Grad.Data, vars[1].Grad.Data, vars[2].Grad.Data); first == nil {
			first = g
		} else if !slices.Equal(g, first) {
			t.Fatal("a step on used buffers gave other gradients")
		}
		for _, l := range tape.arena.lent { // poison what the next step will be lent
			for i := range l {
				l[i] = float32(math.NaN())
			}
		}
	}
	step()
	held := func() (n int) {
		for _, l := range tape.arena.free {
			n += len(l)
		}
		return n + len(tape.arena.lent)
	}
	before := held()
	for range 3 {
		step()
	}
	if after := held(); after != before {
		t.Errorf("%d buffers after the first step, %d after the fourth", before, after)
	}
}

// TestSizeClasses: a class holds what is asked, wastes at most a quarter above
// the smallest, and there are four to an octave.
func TestSizeClasses(t *testing.T) {
	seen := map[int]bool{}
	for n := 1; n <= 1<<16; n++ {
		c := class(n)
		if c < n || n > 64 && c-n > n/4 || class(c) != c {
			t.Fatalf("class of %d is %d", n, c)
		}
		seen[c] = true
	}
	if want := 1 + 4*10; len(seen) != want { // 64, then 2⁶ to 2¹⁶
		t.Errorf("%d classes up to 2¹⁶, want %d", len(seen), want)
	}
}

// TestKeep: gradients of intermediate values are there when asked for.
func TestKeep(t *testing.T) {
	x := NewParam("x", tensor.Of([]float32{1, 2}, 2))
	tape := NewTape()
	kept, other := tape.Scale(x, 3), tape.Scale(x, 2)
	kept.Keep = true
	both := tape.Add(tape.Reshape(kept, 1, 2), Const(tensor.New(1, 2)))
	both.Keep = true
	loss := tape.Sum(tape.Mul(tape.Reshape(both, 2), other))
	if err := tape.Backward(loss); err != nil {
		t.Fatal(err)
	}
	if kept.Grad == nil || !slices.Equal(kept.Grad.Data, []float32{2, 4}) {
		t.Errorf("kept gradient %v, want 2x = [2 4]", kept.Grad)
	}
	if both.Grad == nil || !slices.Equal(both.Grad.Data, []float32{2, 4}) {
		t.Errorf("kept gradient of a sum is %v, want 2x = [2 4]", both.Grad)
	}
	if other.Grad != nil {
		t.Error("a gradient that was not kept is still there")
	}
	if !slices.Equal(x.Grad.Data, []float32{12, 24}) {
		t.Errorf("gradient of Σ6x² is %v, want 12x", x.Grad.Data)
	}
}

// TestNoGrad: nothing is remembered, the values are the same.
func TestNoGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	vars := []*Var{random(r, 300, 64), random(r, 64, 64), random(r, 64), random(r, 64)}
	with, without := NewTape(), &Tape{NoGrad: true}
	a, b := chain(with, vars[0], vars[1], vars[2], vars[3]), chain(without, vars[0], vars[1], vars[2], vars[3])
	if a.Val.Data[0] != b.Val.Data[0] || len(without.ops) != 0 {
		t.Errorf("losses %g and %g, %d operations remembered", a.Val.Data[0], b.Val.Data[0], len(without.ops))
	}
	if err := without.Backward(b); err != nil || slices.ContainsFunc(vars[1].Grad.Data, func(f float32) bool { return f != 0 }) {
		t.Error("Backward without a record did something")
	}
}
