package tensor

import "math"

// fma is float32(a*b + c) with the product exact in float64. It can differ from
// a hardware fused multiply-add in the last bit, where rounding happens twice.
func fma(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

func gemmTwin(c, a, b Mat, acc bool) {
	for i := range c.Rows {
		for j := range c.Cols {
			var s float32
			if acc {
				s = c.at(i, j)
			}
			for k := range a.Cols {
				s = fma(a.at(i, k), b.at(k, j), s)
			}
			c.Data[i*c.Stride+j] = s
		}
	}
}

// lanes are the sixteen partial sums of a row reduction.
type lanes [16]float32

func (l *lanes) fold() float32 {
	for w := 8; w >= 1; w /= 2 {
		for i := range w {
			l[i] += l[i+w]
		}
	}
	return l[0]
}

func sumTwin(x []float32) float32 {
	var l lanes
	for i, v := range x {
		l[i&15] += v
	}
	return l.fold()
}

func dotTwin(x, y []float32) float32 {
	var l lanes
	for i, v := range x {
		l[i&15] = fma(v, y[i], l[i&15])
	}
	return l.fold()
}

func expTwin(x float32) float32     { return float32(math.Exp(float64(x))) }
func tanhTwin(x float32) float32    { return float32(math.Tanh(float64(x))) }
func sigmoidTwin(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
