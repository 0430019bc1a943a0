package tensor

import (
	"flag"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// stride is odd, so that a round through all 2³² arguments meets every exponent.
// With 1 all are tried, which takes minutes with the assembly and an hour with
// the twins.
var stride = flag.Uint64("stride", 24_593, "try every so manyth float32 as an argument of the functions")

// ulps is the distance of got from want in units of want's last place as a
// float32, subnormals included.
func ulps(got float32, want float64) float64 {
	if math.IsNaN(want) || math.IsInf(float64(got), 0) || math.IsInf(want, 0) {
		if float32(want) == got || math.IsNaN(want) && got != got {
			return 0
		}
		return math.Inf(1)
	}
	_, e := math.Frexp(want) // want in [2^(e−1), 2^e)
	unit := math.Ldexp(1, max(e-24, -149))
	return math.Abs(float64(got)-want) / unit
}

// TestFunctionsAreAccurate compares with float64. Each bound is the worst that
// a run over all arguments found (0.891, 0.832, 1.362 and 2.402 units), rounded
// up to a tenth: a change for the worse must say so.
func TestFunctionsAreAccurate(t *testing.T) {
	for _, c := range []struct {
		name  string
		f     func(dst, x []float32)
		exact func(float64) float64
		bound float64
	}{
		{"Exp", Exp, math.Exp, 0.9},
		{"Log", Log, math.Log, 0.9},
		{"Tanh", Tanh, math.Tanh, 1.4},
		{"Sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 2.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			step := *stride
			const block = 1 << 16
			var mu sync.Mutex
			var worst float64
			var at float32
			var all sync.WaitGroup
			starts := make(chan uint64)
			for range runtime.GOMAXPROCS(0) {
				all.Go(func() {
					x, y := make([]float32, block), make([]float32, block)
					var mine float64
					for start := range starts {
						for i := range x {
							x[i] = math.Float32frombits(uint32(start + uint64(i)*step))
						}
						c.f(y, x)
						for i, v := range x {
							want := c.exact(float64(v))
							if math.Abs(want) > math.MaxFloat32 && math.Abs(want) < 0x1.ffffffp127 {
								want = math.Copysign(math.MaxFloat32, want) // rounds down
							} else if math.Abs(want) > math.MaxFloat32 {
								want = math.Inf(int(math.Copysign(1, want)))
							}
							if d := ulps(y[i], want); d > mine {
								mine = d
								mu.Lock()
								if d > worst {
									worst, at = d, v
								}
								mu.Unlock()
							}
						}
					}
				})
			}
			for start := uint64(0); start < 1<<32; start += block * step {
				starts <- start
			}
			close(starts)
			all.Wait()
			t.Logf("worst %.3f units in the last place, at %v (%s kernels)", worst, at, Kernels())
			if worst > c.bound {
				t.Errorf("%v units in the last place at %v, want at most %v", worst, at, c.bound)
			}
		})
	}
}

// TestFunctionsAgreeEverywhere: the levels agree on arguments of all exponents.
func TestFunctionsAgreeEverywhere(t *testing.T) {
	step := *stride
	const block = 1 << 16
	x, want, got := make([]float32, block), make([]float32, block), make([]float32, block)
	defer func(l level) { isa = l }(isa)
	for name, f := range map[string]func(dst, x []float32){"Exp": Exp, "Log": Log, "Tanh": Tanh, "Sigmoid": Sigmoid, "GELU": GELU} {
		for start := uint64(0); start < 1<<32; start += block * step {
			for i := range x {
				x[i] = math.Float32frombits(uint32(start + uint64(i)*step))
			}
			isa = levelGo
			Parallel(block, 1<<12, func(lo, hi int) { f(want[lo:hi], x[lo:hi]) })
			for isa = levelAVX2; isa <= bestLevel(); isa++ {
				f(got, x)
				for i := range got {
					if !sameBits(got[i], want[i]) {
						t.Fatalf("%s(%v): %v gives %v, the twin %v", name, x[i], isa, got[i], want[i])
					}
				}
			}
		}
	}
}

// TestFMA holds both forms of fma to exact arithmetic.
func TestFMA(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	exact := func(a, b, c float32) float32 {
		p := new(big.Float).SetPrec(2000) // holds any sum of three float32 exponents
		p.Mul(p.SetFloat64(float64(a)), new(big.Float).SetFloat64(float64(b)))
		p.Add(p, new(big.Float).SetFloat64(float64(c)))
		v, _ := p.Float32()
		return v
	}
	try := func(a, b, c float32) {
		want := exact(a, b, c)
		if got := fmaExact(a, b, c); got != want {
			t.Errorf("fmaExact(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
		if got := fma(a, b, c); got != want {
			t.Errorf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
	// (1+2⁻¹²)² = 1 + 2⁻¹¹ + 2⁻²⁴ is half way between two floats; the addend,
	// which float64 loses, decides.
	try(1+0x1p-12, 1+0x1p-12, 0x1p-60)
	try(1+0x1p-12, 1+0x1p-12, -0x1p-60)
	try(-1-0x1p-12, 1+0x1p-12, -0x1p-60)
	try(0x1.fffffep0, 0x1p-149, 0x1p-149)
	try(math.MaxFloat32, 1, 0x1p102)
	try(math.MaxFloat32, 1, 0x1p103)
	for range 20_000 {
		finite := func() float32 {
			for {
				if v := math.Float32frombits(r.Uint32()); v-v == 0 {
					return v
				}
			}
		}
		a, b, c := finite(), finite(), finite()
		try(a, b, c)
		// Addends near the product and near half its last place.
		p := a * b
		try(a, b, -p)
		try(a, b, p*0x1p-24)
		try(1+a*0, 1+float32(r.IntN(1<<12))*0x1p-23, float32(r.IntN(9)-4)*0x1p-60)
	}
	inf := float32(math.Inf(1))
	for _, v := range []float32{fma(inf, 1, -inf), fma(inf, 0, 1), fma(float32(math.NaN()), 1, 1)} {
		if v == v {
			t.Errorf("fma gives %v, want NaN", v)
		}
	}
	if v := fma(inf, -1, 5); v != -inf {
		t.Errorf("fma gives %v, want -Inf", v)
	}
}
