package grad_test

import (
	"fmt"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Gradient descent on the squared error finds y = 2x − 1.
func ExampleTape() {
	x := grad.Const(tensor.Of([]float32{-1, 0, 1, 2}, 4, 1))
	y := grad.Const(tensor.Of([]float32{-3, -1, 1, 3}, 4, 1))
	w := grad.NewParam("w", tensor.New(1, 1))
	b := grad.NewParam("b", tensor.New(1))
	t := grad.NewTape()
	for range 200 {
		t.Reset()
		loss := t.Mean(t.Square(t.Sub(t.Linear(x, w, b), y)))
		if err := t.Backward(loss); err != nil {
			fmt.Println(err)
			return
		}
		for _, p := range []*grad.Var{w, b} {
			tensor.Axpy(p.Val.Data, -0.2, p.Grad.Data)
			p.ZeroGrad()
		}
	}
	fmt.Printf("y = %.3fx + %.3f\n", w.Val.Data[0], b.Val.Data[0])
	// Output: y = 2.000x + -1.000
}
