// Command rival is built as a C library for rival.py, which times package
// tensor and NumPy in one process by turns.
package main

import "C"

import (
	"unsafe"

	"orrery/learn/tensor"
)

func view(p *float32, n int) []float32 { return unsafe.Slice(p, n) }

//export Threads
func Threads(n int) { tensor.SetThreads(n) }

// Product is c (m, n) = a (m, k) · b, with b (k, n), or (n, k) if trans is set.
//
//export Product
func Product(c, a, b *float32, m, n, k, trans int) {
	right := tensor.M(view(b, k*n), k, n)
	if trans != 0 {
		right = tensor.M(view(b, k*n), n, k).T()
	}
	tensor.Gemm(tensor.M(view(c, m*n), m, n), tensor.M(view(a, m*k), m, k), right, false)
}

var packed *tensor.Packed

// Pack keeps b (n, k) for Decode.
//
//export Pack
func Pack(b *float32, n, k int) { packed = tensor.Pack(tensor.M(view(b, n*k), n, k).T()) }

// Decode is c (m, n) = a (m, k) · the packed operand.
//
//export Decode
func Decode(c, a *float32, m, n, k int) {
	tensor.GemmPacked(tensor.M(view(c, m*n), m, n), tensor.M(view(a, m*k), m, k), packed, false)
}

// Exp and Tanh are elementwise.
//
//export Exp
func Exp(dst, x *float32, n int) { tensor.Exp(view(dst, n), view(x, n)) }

//export Tanh
func Tanh(dst, x *float32, n int) { tensor.Tanh(view(dst, n), view(x, n)) }

//export Softmax
func Softmax(dst, x *float32, rows, n int) {
	for i := range rows {
		tensor.SoftmaxRow(view(dst, rows*n)[i*n:(i+1)*n], view(x, rows*n)[i*n:(i+1)*n], n, 1, nil)
	}
}

func main() {}
