package grad

import (
	"fmt"
	"math"
)

// NaNError names the first operation whose result, or whose result's gradient,
// held a NaN or an infinity.
type NaNError struct {
	Op       string  // "Linear"
	Place    string  // what Tape.At said, or ""
	Name     string  // the Var's name, or ""
	Shape    []int   // of the result
	Index    int     // of the first bad element, row-major
	Value    float32 // the bad element
	Gradient bool    // found on the way back
}

func (e *NaNError) Error() string {
	what, where := "value", ""
	if e.Gradient {
		what = "gradient"
	}
	if e.Place != "" {
		where = " in " + e.Place
	}
	if e.Name != "" {
		where += " (" + e.Name + ")"
	}
	return fmt.Sprintf("grad: %s%s: element %d of the %s of shape %v is %v; lower the learning rate, clip the gradient, or look at the inputs",
		e.Op, where, e.Index, what, e.Shape, e.Value)
}

// Err is nil, or the *NaNError of the first operation since Reset that yielded
// a NaN or an infinity (only if CheckNaN is set).
func (t *Tape) Err() error {
	if t.err == nil {
		return nil
	}
	return t.err
}

// check looks through an operation's result, or its gradient, and keeps the
// first fault. It says whether there is one.
func (t *Tape) check(op, place string, v *Var, gradient bool) bool {
	if t.err != nil {
		return true
	}
	x := v.Val
	if gradient {
		x = v.Grad
	}
	for i, f := range x.Data {
		if math.Float32bits(f)&0x7f800000 == 0x7f800000 {
			t.err = &NaNError{Op: op, Place: place, Name: v.Name, Shape: append([]int(nil), x.Shape...), Index: i, Value: f, Gradient: gradient}
			return true
		}
	}
	return false
}
