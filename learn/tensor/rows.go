package tensor

import "math"

// Sum adds x in the package's fixed order. Empty is 0.
func Sum(x []float32) float32 { return sumTwin(x) }

// Dot is Σ x·y in the package's fixed order; y is at least as long as x.
func Dot(x, y []float32) float32 { return dotTwin(x, y) }

// Max is the largest element, −Inf if x is empty; NaN if any element is NaN.
func Max(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m || v != v {
			m = v
			if v != v {
				return v
			}
		}
	}
	return m
}

// SoftmaxRow writes softmax(scale·src + bias) over the first n elements of a
// row to dst, and zeros after them. bias is nil or at least n long; −Inf
// forbids an element. A row where everything is forbidden becomes zeros, not
// NaN. dst may be src.
func SoftmaxRow(dst, src []float32, n int, scale float32, bias []float32) {
	m := float32(math.Inf(-1))
	for i := range n {
		v := src[i] * scale
		if bias != nil {
			v += bias[i]
		}
		dst[i] = v
		if v > m || v != v {
			m = v
		}
	}
	clear(dst[n:len(src)])
	if math.IsInf(float64(m), -1) {
		clear(dst[:n])
		return
	}
	for i := range n {
		dst[i] = expTwin(dst[i] - m)
	}
	s := 1 / sumTwin(dst[:n])
	for i := range n {
		dst[i] *= s
	}
}

// SoftmaxGradRow adds scale·p∘(dp − Σ p·dp) to dsrc, the gradient of SoftmaxRow
// with respect to src, for p = its result and dp the gradient of that.
func SoftmaxGradRow(dsrc, p, dp []float32, scale float32) {
	d := dotTwin(p, dp)
	for i, v := range p {
		dsrc[i] += scale * v * (dp[i] - d)
	}
}

// LogSumExp is log Σ exp(x), with the maximum taken out. −Inf if x is empty.
// Trainer and sampler both take log-probabilities as x[i] − LogSumExp(x).
func LogSumExp(x []float32) float32 {
	m := Max(x)
	if math.IsInf(float64(m), 0) || m != m {
		return m
	}
	var l lanes
	for i, v := range x {
		l[i&15] += expTwin(v - m)
	}
	return m + float32(math.Log(float64(l.fold())))
}

// RMSNormRow writes x·w/rms(x), rms = √(mean(x²)+eps), and returns 1/rms.
func RMSNormRow(dst, x, w []float32, eps float32) float32 {
	r := float32(1 / math.Sqrt(float64(dotTwin(x, x)/float32(len(x))+eps)))
	for i, v := range x {
		dst[i] = v * r * w[i]
	}
	return r
}

// RMSNormGradRow adds the gradients of RMSNormRow to dx and dw, given its
// result's gradient dy and its returned r = 1/rms.
//
//	dx = r·(w∘dy) − x·r³/n·Σ(w∘dy∘x),  dw = dy∘x·r
func RMSNormGradRow(dx, dw, dy, x, w []float32, r float32) {
	var l lanes
	for i, v := range x {
		l[i&15] = fma(dy[i]*w[i], v, l[i&15])
	}
	c := l.fold() * r * r * r / float32(len(x))
	for i, v := range x {
		dx[i] += r*w[i]*dy[i] - c*v
		dw[i] += dy[i] * v * r
	}
}

// LayerNormRow writes (x−mean)·rstd·w + b, rstd = 1/√(var+eps), variance over
// n; b may be nil. It returns mean and rstd.
func LayerNormRow(dst, x, w, b []float32, eps float32) (mean, rstd float32) {
	n := float32(len(x))
	mean = sumTwin(x) / n
	var l lanes
	for i, v := range x {
		d := v - mean
		l[i&15] = fma(d, d, l[i&15])
	}
	rstd = float32(1 / math.Sqrt(float64(l.fold()/n+eps)))
	for i, v := range x {
		y := (v - mean) * rstd * w[i]
		if b != nil {
			y += b[i]
		}
		dst[i] = y
	}
	return mean, rstd
}

// LayerNormGradRow adds the gradients of LayerNormRow to dx, dw and db (db may
// be nil).
//
//	g = w∘dy, x̂ = (x−mean)·rstd:  dx = rstd·(g − mean(g) − x̂·mean(g∘x̂))
func LayerNormGradRow(dx, dw, db, dy, x, w []float32, mean, rstd float32) {
	n := float32(len(x))
	var a, b lanes
	for i, v := range x {
		g := dy[i] * w[i]
		a[i&15] += g
		b[i&15] = fma(g, (v-mean)*rstd, b[i&15])
	}
	mg, mgx := a.fold()/n, b.fold()/n
	for i, v := range x {
		xh := (v - mean) * rstd
		dx[i] += rstd * (dy[i]*w[i] - mg - xh*mgx)
		dw[i] += dy[i] * xh
		if db != nil {
			db[i] += dy[i]
		}
	}
}
