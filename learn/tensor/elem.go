package tensor

import "math"

// Elementwise kernels work on equally long slices; dst may be an operand.

// Add writes a + b.
func Add(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = v + b[i]
	}
}

// Mul writes a·b.
func Mul(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = v * b[i]
	}
}

// MulAdd adds a·b to dst.
func MulAdd(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = fma(v, b[i], dst[i])
	}
}

// Scale writes s·a.
func Scale(dst, a []float32, s float32) {
	for i, v := range a {
		dst[i] = s * v
	}
}

// Axpy adds s·x to dst.
func Axpy(dst []float32, s float32, x []float32) {
	for i, v := range x {
		dst[i] = fma(s, v, dst[i])
	}
}

// Exp, Tanh and Sigmoid write the function of each element.
func Exp(dst, x []float32) {
	for i, v := range x {
		dst[i] = expTwin(v)
	}
}

// Tanh writes tanh(x).
func Tanh(dst, x []float32) {
	for i, v := range x {
		dst[i] = tanhTwin(v)
	}
}

// Sigmoid writes 1/(1+e^−x).
func Sigmoid(dst, x []float32) {
	for i, v := range x {
		dst[i] = sigmoidTwin(v)
	}
}

// SiLU writes x·σ(x).
func SiLU(dst, x []float32) {
	for i, v := range x {
		dst[i] = v * sigmoidTwin(v)
	}
}

// SiLUGrad adds dy·σ(x)(1 + x(1−σ(x))) to dx.
func SiLUGrad(dx, dy, x []float32) {
	for i, v := range x {
		s := sigmoidTwin(v)
		dx[i] += dy[i] * s * (1 + v*(1-s))
	}
}

// SwiGLU writes silu(gate)·up.
func SwiGLU(dst, gate, up []float32) {
	for i, v := range gate {
		dst[i] = v * sigmoidTwin(v) * up[i]
	}
}

// SwiGLUGrad adds the gradients of SwiGLU to dgate and dup.
func SwiGLUGrad(dgate, dup, dy, gate, up []float32) {
	for i, v := range gate {
		s := sigmoidTwin(v)
		dgate[i] += dy[i] * up[i] * s * (1 + v*(1-s))
		dup[i] += dy[i] * v * s
	}
}

// geluC is √(2/π), of the tanh form of GELU (arXiv 1606.08415).
const geluC = 0.7978845608028654

// GELU writes ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
func GELU(dst, x []float32) {
	for i, v := range x {
		dst[i] = 0.5 * v * (1 + tanhTwin(geluC*(v+0.044715*v*v*v)))
	}
}

// GELUGrad adds the gradient of GELU to dx.
func GELUGrad(dx, dy, x []float32) {
	for i, v := range x {
		t := tanhTwin(geluC * (v + 0.044715*v*v*v))
		dx[i] += dy[i] * (0.5*(1+t) + 0.5*v*(1-t*t)*geluC*(1+3*0.044715*v*v))
	}
}

// RotaryRow rotates one head's vector by the angles of one position: pairs
// (x[i], x[i+n/2]), i < n/2, the half-split form of Hugging Face's Llama.
// cos and sin hold n/2 values. inverse rotates back, which is the gradient.
func RotaryRow(dst, x, cos, sin []float32, inverse bool) {
	h := len(x) / 2
	for i := range h {
		c, s := cos[i], sin[i]
		if inverse {
			s = -s
		}
		a, b := x[i], x[i+h]
		dst[i], dst[i+h] = a*c-b*s, b*c+a*s
	}
}

// AdamStep updates a parameter in place with its first and second moments.
//
//	m = β1·m + (1−β1)g,  v = β2·v + (1−β2)g²,
//	w = w·(1−lr·decay) − lr·(m/c1)/(√(v/c2)+eps),  c = 1−β^t
//
// decay is decoupled (AdamW). For coupled decay (Adam) add decay·w to g first.
func AdamStep(w, g, m, v []float32, lr, beta1, beta2, eps, decay, c1, c2 float32) {
	for i, gi := range g {
		m[i] = beta1*m[i] + (1-beta1)*gi
		v[i] = beta2*v[i] + (1-beta2)*gi*gi
		w[i] = w[i]*(1-lr*decay) - lr*(m[i]/c1)/(float32(math.Sqrt(float64(v[i]/c2)))+eps)
	}
}
