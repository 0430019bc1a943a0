// Package tensor is dense float32 arrays and the kernels that run over them:
// a plain Go twin for every kernel, AVX2 and AVX-512 assembly generated with
// avo, chosen at run time, and threads. It holds no policy: no graph, no
// gradients, no modules (see packages grad and nn).
//
// # Order of summation
//
// Results do not depend on the number of threads, on how many rows are
// processed together, or on where a row stands in a batch. A matrix product
// computes each element as one chain of fused multiply-adds over k ascending,
// starting from zero (or from the old value when accumulating). A row
// reduction (sum, dot, softmax denominator, norm) adds element i to lane i
// mod 16 in ascending order and then folds the sixteen lanes in a fixed tree
// (8, 4, 2, 1), so that trailing zeros change nothing. That is why a cached
// decoding step gives bit for bit what a full recomputation gives.
//
// The assembly and the twins agree bit for bit: the twins round where the
// assembly rounds, with an exact fused multiply-add, and compute exp, log and
// tanh by the same polynomials. So results are the same on every machine, with
// the exception of which NaN a NaN is.
//
// # Kernels
//
// The best kernels of the processor are used. ORRERY_KERNELS=go, avx2 or avx512
// chooses others; a value that the processor cannot honour, or an unknown one,
// stops the program at the start. NaN and infinities go through every kernel as
// IEEE 754 has it; nothing is flushed to zero.
package tensor

//go:generate go run -C asmgen . ..

import "fmt"

// Tensor is a dense, contiguous, row-major array. The zero value is an empty
// tensor of no dimensions and no elements.
type Tensor struct {
	Data  []float32
	Shape []int
}

// New allocates zeros. A shape without dimensions is a scalar of one element;
// it panics on a negative dimension.
func New(shape ...int) *Tensor {
	return &Tensor{Data: make([]float32, size(shape)), Shape: append([]int(nil), shape...)}
}

// Of wraps data without copying; it panics if the lengths differ.
func Of(data []float32, shape ...int) *Tensor {
	if n := size(shape); n != len(data) {
		panic(fmt.Sprintf("tensor.Of: shape %v has %d elements, data %d", shape, n, len(data)))
	}
	return &Tensor{Data: data, Shape: append([]int(nil), shape...)}
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			panic(fmt.Sprintf("tensor: negative dimension in shape %v", shape))
		}
		n *= d
	}
	return n
}

// Len is the number of elements.
func (t *Tensor) Len() int { return len(t.Data) }

// Dim is the size of dimension i; negative i counts from the end.
func (t *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.Shape)
	}
	return t.Shape[i]
}

// Reshape gives a view with another shape of equal size.
func (t *Tensor) Reshape(shape ...int) *Tensor { return Of(t.Data, shape...) }

// Clone copies shape and data.
func (t *Tensor) Clone() *Tensor {
	return &Tensor{Data: append([]float32(nil), t.Data...), Shape: append([]int(nil), t.Shape...)}
}
