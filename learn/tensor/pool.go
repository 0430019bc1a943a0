package tensor

import (
	"sync"
	"unsafe"
)

// pool is a typed sync.Pool.
type pool[T any] struct{ p sync.Pool }

func newPool[T any](fresh func() *T) *pool[T] {
	return &pool[T]{sync.Pool{New: func() any { return fresh() }}}
}

func (p *pool[T]) get() *T  { return p.p.Get().(*T) }
func (p *pool[T]) put(x *T) { p.p.Put(x) }

// cacheLine is what vectors and panels are aligned to, in bytes.
const cacheLine = 64

// alignedFloats allocates n zeros that begin at a cache line.
func alignedFloats(n int) []float32 {
	const line = cacheLine / 4
	s := make([]float32, n+line-1)
	skip := 0
	if len(s) > 0 {
		skip = int(-uintptr(unsafe.Pointer(&s[0]))%cacheLine) / 4
	}
	return s[skip : skip+n : skip+n]
}

// grow returns a buffer of n elements, of unknown content, reusing s if it can.
func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return alignedFloats(n)
	}
	return s[:n]
}
