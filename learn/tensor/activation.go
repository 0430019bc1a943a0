package tensor

// Exp writes e^x, within 1 unit in the last place. It overflows to +Inf from
// 88.72 on; below −103.97 it is 0; NaN stays NaN.
func Exp(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		expAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		expAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			dst[i] = expTwin(v)
		}
	}
}

// Log writes ln x, within 1 unit in the last place: −Inf for ±0, NaN below.
func Log(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		logAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		logAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			dst[i] = logTwin(v)
		}
	}
}

// Tanh writes tanh x, within 1.4 units in the last place.
func Tanh(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		tanhAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		tanhAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			dst[i] = tanhTwin(v)
		}
	}
}

// Sigmoid writes σ(x) = 1/(1+e^−x), within 2.5 units in the last place.
func Sigmoid(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		sigmoidAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		sigmoidAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			dst[i] = sigmoidTwin(v)
		}
	}
}

// SiLU writes x·σ(x). At −Inf it is NaN.
func SiLU(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		siluAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		siluAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			dst[i] = v * sigmoidTwin(v)
		}
	}
}

// siluSlope is 1 + x(1−σ) for σ = σ(x); times σ it is the derivative of SiLU.
func siluSlope(x, s float32) float32 { return fma(1-s, x, 1) }

// SiLUGrad adds dy·σ(x)(1 + x(1−σ(x))) to dx.
func SiLUGrad(dx, dy, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dx, dy = dx[:n], dy[:n]
	switch isa {
	case levelAVX512:
		siluGradAVX512(n, &dx[0], &dy[0], &x[0])
	case levelAVX2:
		siluGradAVX2(n, &dx[0], &dy[0], &x[0])
	default:
		for i, v := range x {
			s := sigmoidTwin(v)
			dx[i] = fma(float32(dy[i]*s), siluSlope(v, s), dx[i])
		}
	}
}

// SwiGLU writes silu(gate)·up.
func SwiGLU(dst, gate, up []float32) {
	n := len(gate)
	if n == 0 {
		return
	}
	dst, up = dst[:n], up[:n]
	switch isa {
	case levelAVX512:
		swigluAVX512(n, &dst[0], &gate[0], &up[0])
	case levelAVX2:
		swigluAVX2(n, &dst[0], &gate[0], &up[0])
	default:
		for i, v := range gate {
			dst[i] = v * sigmoidTwin(v) * up[i]
		}
	}
}

// SwiGLUGrad adds the gradients of SwiGLU to dgate and dup.
func SwiGLUGrad(dgate, dup, dy, gate, up []float32) {
	n := len(gate)
	if n == 0 {
		return
	}
	dgate, dup, dy, up = dgate[:n], dup[:n], dy[:n], up[:n]
	switch isa {
	case levelAVX512:
		swigluGradAVX512(n, &dgate[0], &dup[0], &dy[0], &gate[0], &up[0])
	case levelAVX2:
		swigluGradAVX2(n, &dgate[0], &dup[0], &dy[0], &gate[0], &up[0])
	default:
		for i, v := range gate {
			s := sigmoidTwin(v)
			dys := float32(dy[i] * s)
			dup[i] = fma(dys, v, dup[i])
			dgate[i] = fma(float32(dys*up[i]), siluSlope(v, s), dgate[i])
		}
	}
}

// geluC is √(2/π) and geluD the other constant of the tanh form of GELU
// (arXiv 1606.08415).
const (
	geluC = 0.7978845608028654
	geluD = 0.044715
)

// geluBent is tanh(√(2/π)(x + 0.044715x³)).
func geluBent(x float32) float32 {
	z := float32(x * x)
	return tanhTwin(x * fma(geluC*geluD, z, geluC))
}

// GELU writes ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
func GELU(dst, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dst = dst[:n]
	switch isa {
	case levelAVX512:
		geluAVX512(n, &dst[0], &x[0])
	case levelAVX2:
		geluAVX2(n, &dst[0], &x[0])
	default:
		for i, v := range x {
			h := float32(0.5 * v)
			dst[i] = fma(geluBent(v), h, h)
		}
	}
}

// GELUGrad adds the gradient of GELU to dx.
func GELUGrad(dx, dy, x []float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dx, dy = dx[:n], dy[:n]
	switch isa {
	case levelAVX512:
		geluGradAVX512(n, &dx[0], &dy[0], &x[0])
	case levelAVX2:
		geluGradAVX2(n, &dx[0], &dy[0], &x[0])
	default:
		for i, v := range x {
			t := geluBent(v)
			slope := fma(3*geluC*geluD, float32(v*v), geluC)
			bend := float32(float32(0.5*v) * fma(-t, t, 1))
			dx[i] = fma(dy[i], fma(bend, slope, fma(t, 0.5, 0.5)), dx[i])
		}
	}
}
