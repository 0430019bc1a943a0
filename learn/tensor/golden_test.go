package tensor

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
)

// TestSameOnEveryMachine holds the results of every kernel, at every level, to
// one digest. Only a change of the arithmetic itself may change it; amd64 with
// and without GOAMD64=v3 and arm64 have given this one.
func TestSameOnEveryMachine(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		h := fnv.New64a()
		digest := func(x []float32) {
			var b [4]byte
			for _, v := range x {
				if v != v {
					v = float32(math.NaN()) // which NaN is nobody's promise
				}
				binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
				h.Write(b[:])
			}
		}
		r := rand.New(rand.NewPCG(12, 12))
		uniform := func(n int) []float32 { // NormFloat64 itself is not the same on every machine
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.IntN(1<<24)-1<<23) / (1 << 21)
			}
			return x
		}
		for _, c := range kernelCases {
			for _, n := range []int{1, 16, 77} {
				x := make([][]float32, c.slices)
				for i := range x {
					x[i] = uniform(n)
				}
				digest(c.run(x))
				for i := range x {
					digest(x[i])
				}
			}
		}
		c := M(make([]float32, 19*37), 19, 37)
		Gemm(c, M(uniform(19*300), 19, 300), M(uniform(300*37), 37, 300).T(), false)
		digest(c.Data)
		const want = "8605289f58ae4dfc"
		if got := fmt.Sprintf("%016x", h.Sum64()); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
	})
}
