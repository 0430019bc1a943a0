package tensor

import "math"

// Elementwise kernels work on equally long slices, as long as the first
// operand; they panic if another is shorter. dst may be an operand. They run on
// the caller's goroutine: see Parallel for long ones. An element's result
// depends on its operands alone, not on where it stands.

// Add writes a + b.
func Add(dst, a, b []float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst, b = dst[:n], b[:n]
	switch isa {
	case levelAVX512:
		addAVX512(n, &dst[0], &a[0], &b[0])
	case levelAVX2:
		addAVX2(n, &dst[0], &a[0], &b[0])
	default:
		for i, v := range a {
			dst[i] = v + b[i]
		}
	}
}

// Sub writes a − b.
func Sub(dst, a, b []float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst, b = dst[:n], b[:n]
	switch isa {
	case levelAVX512:
		subAVX512(n, &dst[0], &a[0], &b[0])
	case levelAVX2:
		subAVX2(n, &dst[0], &a[0], &b[0])
	default:
		for i, v := range a {
			dst[i] = v - b[i]
		}
	}
}

// Mul writes a·b.
func Mul(dst, a, b []float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst, b = dst[:n], b[:n]
	switch isa {
	case levelAVX512:
		mulAVX512(n, &dst[0], &a[0], &b[0])
	case levelAVX2:
		mulAVX2(n, &dst[0], &a[0], &b[0])
	default:
		for i, v := range a {
			dst[i] = v * b[i]
		}
	}
}

// Div writes a/b.
func Div(dst, a, b []float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst, b = dst[:n], b[:n]
	switch isa {
	case levelAVX512:
		divAVX512(n, &dst[0], &a[0], &b[0])
	case levelAVX2:
		divAVX2(n, &dst[0], &a[0], &b[0])
	default:
		for i, v := range a {
			dst[i] = v / b[i]
		}
	}
}

// MulAdd adds a·b to dst, rounding once.
func MulAdd(dst, a, b []float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst, b = dst[:n], b[:n]
	switch isa {
	case levelAVX512:
		mulAddAVX512(n, &dst[0], &a[0], &b[0])
	case levelAVX2:
		mulAddAVX2(n, &dst[0], &a[0], &b[0])
	default:
		for i, v := range a {
			dst[i] = fma(v, b[i], dst[i])
		}
	}
}

// Scale writes s·a.
func Scale(dst, a []float32, s float32) {
	n := len(a)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		scaleAVX512(n, &dst[0], &a[0], s)
	case levelAVX2:
		scaleAVX2(n, &dst[0], &a[0], s)
	default:
		for i, v := range a {
			dst[i] = s * v
		}
	}
}

// Axpy adds s·x to dst, rounding once.
func Axpy(dst []float32, s float32, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		axpyAVX512(n, &dst[0], &x[0], s)
	case levelAVX2:
		axpyAVX2(n, &dst[0], &x[0], s)
	default:
		for i, v := range x {
			dst[i] = fma(s, v, dst[i])
		}
	}
}

// RotaryRow rotates one head's vector by the angles of one position: pairs
// (x[i], x[i+n/2]), i < n/2, the half-split form of Hugging Face's Llama.
// cos and sin hold n/2 values. inverse rotates back, which is the gradient.
// dst may be x.
func RotaryRow(dst, x, cos, sin []float32, inverse bool) {
	h := len(x) / 2
	if h == 0 {
		return
	}
	dst, cos, sin = dst[:2*h], cos[:h], sin[:h]
	var sign float32
	if inverse {
		sign = float32(math.Copysign(0, -1))
	}
	switch isa {
	case levelAVX512:
		rotaryAVX512(h, &dst[0], &dst[h], &x[0], &x[h], &cos[0], &sin[0], sign)
	case levelAVX2:
		rotaryAVX2(h, &dst[0], &dst[h], &x[0], &x[h], &cos[0], &sin[0], sign)
	default:
		for i := range h {
			c, s := cos[i], sin[i]
			if inverse {
				s = -s
			}
			a, b := x[i], x[i+h]
			dst[i], dst[i+h] = fma(a, c, -float32(b*s)), fma(b, c, float32(a*s))
		}
	}
}

// AdamStep updates a parameter in place with its first and second moments.
//
//	m = β1·m + (1−β1)g,  v = β2·v + (1−β2)g²,
//	w = w·(1−lr·decay) − lr·(m/c1)/(√(v/c2)+eps),  c = 1−β^t
//
// decay is decoupled (AdamW). For coupled decay (Adam) add decay·w to g first.
func AdamStep(w, g, m, v []float32, lr, beta1, beta2, eps, decay, c1, c2 float32) {
	n := len(g)
	if n == 0 {
		return
	}
	w, m, v = w[:n], m[:n], v[:n]
	rest1, rest2, inv2, rate := 1-beta1, 1-beta2, 1/c2, lr/c1
	keep := 1 - float32(lr*decay)
	switch isa {
	case levelAVX512:
		adamAVX512(n, &w[0], &g[0], &m[0], &v[0], beta1, rest1, beta2, rest2, inv2, eps, rate, keep)
	case levelAVX2:
		adamAVX2(n, &w[0], &g[0], &m[0], &v[0], beta1, rest1, beta2, rest2, inv2, eps, rate, keep)
	default:
		for i, gi := range g {
			m[i] = fma(m[i], beta1, float32(gi*rest1))
			v[i] = fma(v[i], beta2, float32(float32(gi*rest2)*gi))
			root := float32(math.Sqrt(float64(v[i] * inv2)))
			w[i] = fma(w[i], keep, -(float32(m[i]*rate) / (root + eps)))
		}
	}
}
