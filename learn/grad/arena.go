package grad

import (
	"math/bits"
	"sync"
)

// arena lends float32 buffers and takes them back all at once. Buffers are of
// size classes four to an octave, so that batches of changing length find what
// earlier ones left behind; at most a quarter of a buffer is unused. It may be
// used from several goroutines.
type arena struct {
	mu   sync.Mutex
	free map[int][][]float32    // by capacity
	lent map[*float32][]float32 // by first element
}

// class is the smallest size class that holds n > 0 elements.
func class(n int) int {
	if n <= 64 {
		return 64
	}
	step := 1 << (bits.Len(uint(n-1)) - 3) // a quarter of the octave below n
	return (n + step - 1) / step * step
}

// get lends n elements of unknown content.
func (a *arena) get(n int) []float32 {
	if n == 0 {
		return nil
	}
	c := class(n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.free == nil {
		a.free, a.lent = map[int][][]float32{}, map[*float32][]float32{}
	}
	var b []float32
	if l := a.free[c]; len(l) > 0 {
		b, a.free[c] = l[len(l)-1], l[:len(l)-1]
	} else {
		b = make([]float32, c)
	}
	a.lent[&b[0]] = b
	return b[:n]
}

// put takes one buffer back early. A buffer that was not lent is left alone.
func (a *arena) put(b []float32) {
	if len(b) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if whole, ok := a.lent[&b[0]]; ok {
		delete(a.lent, &b[0])
		a.free[len(whole)] = append(a.free[len(whole)], whole)
	}
}

// reset takes all buffers back.
func (a *arena) reset() {
	for _, b := range a.lent {
		a.free[len(b)] = append(a.free[len(b)], b)
	}
	clear(a.lent)
}
