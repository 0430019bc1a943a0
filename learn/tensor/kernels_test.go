package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// A case is a kernel over rows that its twin must equal bit for bit. Its
// slices are all n long; those from the first writes on are only read. The
// returned numbers are results too.
type kernelCase struct {
	name          string
	slices, write int
	run           func(x [][]float32) []float32
}

func none(f func(x [][]float32)) func(x [][]float32) []float32 {
	return func(x [][]float32) []float32 { f(x); return nil }
}

var kernelCases = []kernelCase{
	{"Add", 3, 1, none(func(x [][]float32) { Add(x[0], x[1], x[2]) })},
	{"Add in place", 2, 1, none(func(x [][]float32) { Add(x[0], x[0], x[1]) })},
	{"Sub", 3, 1, none(func(x [][]float32) { Sub(x[0], x[1], x[2]) })},
	{"Mul", 3, 1, none(func(x [][]float32) { Mul(x[0], x[1], x[2]) })},
	{"Div", 3, 1, none(func(x [][]float32) { Div(x[0], x[1], x[2]) })},
	{"MulAdd", 3, 1, none(func(x [][]float32) { MulAdd(x[0], x[1], x[2]) })},
	{"Scale", 2, 1, none(func(x [][]float32) { Scale(x[0], x[1], 1.7) })},
	{"Axpy", 2, 1, none(func(x [][]float32) { Axpy(x[0], -0.3, x[1]) })},
	{"Exp", 2, 1, none(func(x [][]float32) { Exp(x[0], x[1]) })},
	{"Log", 2, 1, none(func(x [][]float32) { Log(x[0], x[1]) })},
	{"Tanh", 2, 1, none(func(x [][]float32) { Tanh(x[0], x[1]) })},
	{"Sigmoid", 2, 1, none(func(x [][]float32) { Sigmoid(x[0], x[1]) })},
	{"Sigmoid in place", 1, 1, none(func(x [][]float32) { Sigmoid(x[0], x[0]) })},
	{"SiLU", 2, 1, none(func(x [][]float32) { SiLU(x[0], x[1]) })},
	{"SiLUGrad", 3, 1, none(func(x [][]float32) { SiLUGrad(x[0], x[1], x[2]) })},
	{"SwiGLU", 3, 1, none(func(x [][]float32) { SwiGLU(x[0], x[1], x[2]) })},
	{"SwiGLUGrad", 5, 2, none(func(x [][]float32) { SwiGLUGrad(x[0], x[1], x[2], x[3], x[4]) })},
	{"GELU", 2, 1, none(func(x [][]float32) { GELU(x[0], x[1]) })},
	{"GELUGrad", 3, 1, none(func(x [][]float32) { GELUGrad(x[0], x[1], x[2]) })},
	{"RotaryRow", 4, 1, none(func(x [][]float32) { RotaryRow(x[0], x[1], x[2], x[3], false) })},
	{"RotaryRow inverse in place", 3, 1, none(func(x [][]float32) { RotaryRow(x[0], x[0], x[1], x[2], true) })},
	{"AdamStep", 4, 4, none(func(x [][]float32) {
		Mul(x[3], x[3], x[3]) // the second moment is not negative
		AdamStep(x[0], x[1], x[2], x[3], 3e-3, 0.9, 0.95, 1e-8, 0.1, 0.3, 0.2)
	})},
	{"Sum", 1, 0, func(x [][]float32) []float32 { return []float32{Sum(x[0])} }},
	{"Dot", 2, 0, func(x [][]float32) []float32 { return []float32{Dot(x[0], x[1])} }},
	{"Max", 1, 0, func(x [][]float32) []float32 { return []float32{Max(x[0])} }},
	{"LogSumExp", 1, 0, func(x [][]float32) []float32 { return []float32{LogSumExp(x[0])} }},
	{"SoftmaxRow", 2, 1, none(func(x [][]float32) { SoftmaxRow(x[0], x[1], len(x[1]), 0.4, nil) })},
	{"SoftmaxRow biased", 3, 1, none(func(x [][]float32) { SoftmaxRow(x[0], x[1], len(x[1]), 0.4, x[2]) })},
	{"SoftmaxRow partial in place", 1, 1, none(func(x [][]float32) { SoftmaxRow(x[0], x[0], len(x[0])*2/3, 1, nil) })},
	{"SoftmaxGradRow", 3, 1, none(func(x [][]float32) { SoftmaxGradRow(x[0], x[1], x[2], 0.7) })},
	{"RMSNormRow", 3, 1, func(x [][]float32) []float32 { return []float32{RMSNormRow(x[0], x[1], x[2], 1e-5)} }},
	{"RMSNormGradRow", 5, 2, none(func(x [][]float32) { RMSNormGradRow(x[0], x[1], x[2], x[3], x[4], 1.3) })},
	{"LayerNormRow", 4, 1, func(x [][]float32) []float32 {
		m, r := LayerNormRow(x[0], x[1], x[2], x[3], 1e-5)
		return []float32{m, r}
	}},
	{"LayerNormRow without bias", 3, 1, func(x [][]float32) []float32 {
		m, r := LayerNormRow(x[0], x[1], x[2], nil, 1e-5)
		return []float32{m, r}
	}},
	{"LayerNormGradRow", 6, 3, none(func(x [][]float32) { LayerNormGradRow(x[0], x[1], x[2], x[3], x[4], x[5], 0.2, 1.1) })},
}

var specials = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)),
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-39, 0x1p-126, math.MaxFloat32, -math.MaxFloat32,
	88.7, 88.8, -87.3, -103.9, -104.1, 0.625, 20, -20, 9.1, 1, 0.70710677, 1e19, 1e-19,
}

// TestKernelsAgainstTwins holds every kernel to its twin on odd lengths, slices
// that begin anywhere, and special values; and looks at what lies beyond.
func TestKernelsAgainstTwins(t *testing.T) {
	const beyond = 20
	for _, c := range kernelCases {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(8, uint64(len(c.name))))
			for n := range 70 {
				if n > 50 {
					n = 40 + r.IntN(300)
				}
				for style := range 3 {
					skip := r.IntN(17)
					base := make([][]float32, c.slices)
					for i := range base {
						base[i] = randoms(r, skip+n+beyond)
						for j := range base[i] {
							if style == 1 && r.IntN(4) == 0 {
								base[i][j] *= 40
							}
							if style == 2 && r.IntN(1+n/4) == 0 {
								base[i][j] = specials[r.IntN(len(specials))]
							}
						}
					}
					var want [][]float32
					var wantR []float32
					onLevels(t, func(t *testing.T) {
						all, part := make([][]float32, c.slices), make([][]float32, c.slices)
						for i := range base {
							all[i] = append([]float32(nil), base[i]...)
							part[i] = all[i][skip : skip+n]
						}
						got := c.run(part)
						if isa == levelGo {
							want, wantR = all, got
							for i := range all {
								wantSame(t, "before", all[i][:skip], base[i][:skip])
								wantSame(t, "beyond", all[i][skip+n:], base[i][skip+n:])
								if i >= c.write {
									wantSame(t, "read only", all[i], base[i])
								}
							}
							return
						}
						for i := range all {
							wantSame(t, fmt.Sprintf("n %d, slice %d", n, i), all[i], want[i])
						}
						wantSame(t, fmt.Sprintf("n %d, results", n), got, wantR)
					})
				}
			}
		})
	}
}

// TestElementsDoNotDependOnPlace: in a long slice and alone, an element's
// function is the same.
func TestElementsDoNotDependOnPlace(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 9))
		x := randoms(r, 37)
		for name, f := range map[string]func(dst, x []float32){"Exp": Exp, "Log": Log, "Tanh": Tanh, "Sigmoid": Sigmoid, "SiLU": SiLU, "GELU": GELU} {
			whole, one := make([]float32, len(x)), make([]float32, 1)
			f(whole, x)
			for i := range x {
				f(one, x[i:i+1])
				wantSame(t, name, one, whole[i:i+1])
			}
		}
	})
}

// TestTrailingZerosChangeNothing: sums over a longer row that ends in zeros are
// the same bits, which is what lets a cached row be longer than its content.
func TestTrailingZerosChangeNothing(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(10, 10))
		for n := range 60 {
			x, y := randoms(r, 100), randoms(r, 100)
			clear(x[n:])
			if a, b := Sum(x), Sum(x[:n]); a != b {
				t.Errorf("n %d: sum %v with zeros, %v without", n, a, b)
			}
			if a, b := Dot(x, y), Dot(x[:n], y[:n]); a != b {
				t.Errorf("n %d: dot %v with zeros, %v without", n, a, b)
			}
		}
	})
}

// TestSoftmaxShareFloor: what is 64 or less below the largest has a share, what
// is further below has none, and no result is subnormal.
func TestSoftmaxShareFloor(t *testing.T) {
	onLevels(t, func(t *testing.T) {
		for _, n := range []int{3, 16, 35} {
			x := make([]float32, n)
			for i := range x {
				x[i] = -float32(i) * 100 / float32(n)
			}
			x[n-2], x[n-1] = -64, math.Nextafter32(-64, -65)
			y := make([]float32, n)
			SoftmaxRow(y, x, n, 1, nil)
			for i, v := range y {
				if (v == 0) != (x[i] < -64) {
					t.Errorf("of %d: e^%v has the share %v", n, x[i], v)
				}
			}
			if y[n-2] < 1e-30 || y[n-1] != 0 {
				t.Errorf("of %d: the shares at the floor are %v and %v", n, y[n-2], y[n-1])
			}
		}
	})
}
