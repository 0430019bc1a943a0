package tensor

import "math"

// Sum adds x in the package's fixed order. Empty is 0.
func Sum(x []float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	switch isa {
	case levelAVX512:
		return sumAVX512(n, &x[0])
	case levelAVX2:
		return sumAVX2(n, &x[0])
	}
	var l lanes
	for i, v := range x {
		l[i&15] += v
	}
	return l.fold()
}

// Dot is Σ x·y in the package's fixed order; y is at least as long as x.
func Dot(x, y []float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	y = y[:n]
	switch isa {
	case levelAVX512:
		return dotAVX512(n, &x[0], &y[0])
	case levelAVX2:
		return dotAVX2(n, &x[0], &y[0])
	}
	var l lanes
	for i, v := range x {
		l[i&15] = fma(v, y[i], l[i&15])
	}
	return l.fold()
}

// dot3 is Σ (x·y)·z, the product x·y rounded.
func dot3(x, y, z []float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	y, z = y[:n], z[:n]
	switch isa {
	case levelAVX512:
		return dot3AVX512(n, &x[0], &y[0], &z[0])
	case levelAVX2:
		return dot3AVX2(n, &x[0], &y[0], &z[0])
	}
	var l lanes
	for i, v := range x {
		l[i&15] = fma(float32(v*y[i]), z[i], l[i&15])
	}
	return l.fold()
}

// Max is the largest element, −Inf if x is empty, NaN if any element is NaN.
// A largest of zero is +0.
func Max(x []float32) float32 {
	n := len(x)
	if n == 0 {
		return float32(math.Inf(-1))
	}
	switch isa {
	case levelAVX512:
		return maxAVX512(n, &x[0])
	case levelAVX2:
		return maxAVX2(n, &x[0])
	}
	return maxTwin(x)
}

func maxTwin(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v) // of NaN: NaN
	}
	return m + 0
}

// SoftmaxRow writes softmax(scale·src + bias) over the first n elements of a
// row to dst, and zeros after them. bias is nil or at least n long; −Inf
// forbids an element, and one that is less than the largest by more than 64 gets
// 0, its share being below 1.6e−28. A row where everything is forbidden becomes zeros, not
// NaN; a NaN or +Inf makes the whole row NaN. dst may be src.
func SoftmaxRow(dst, src []float32, n int, scale float32, bias []float32) {
	dst = dst[:len(src)]
	clear(dst[n:])
	dst, src = dst[:n], src[:n]
	m := scaleBiasMax(dst, src, bias, scale)
	if math.IsInf(float64(m), -1) {
		clear(dst)
		return
	}
	Scale(dst, dst, 1/expShift(dst, m))
}

// scaleBiasMax writes scale·src + bias, rounded once, and returns the largest.
func scaleBiasMax(dst, src, bias []float32, scale float32) float32 {
	n := len(src)
	if n == 0 {
		return float32(math.Inf(-1))
	}
	if bias == nil {
		switch isa {
		case levelAVX512:
			return scaleMaxAVX512(n, &dst[0], &src[0], scale)
		case levelAVX2:
			return scaleMaxAVX2(n, &dst[0], &src[0], scale)
		}
		for i, v := range src {
			dst[i] = v * scale
		}
		return maxTwin(dst)
	}
	bias = bias[:n]
	switch isa {
	case levelAVX512:
		return scaleBiasMaxAVX512(n, &dst[0], &src[0], &bias[0], scale)
	case levelAVX2:
		return scaleBiasMaxAVX2(n, &dst[0], &src[0], &bias[0], scale)
	}
	for i, v := range src {
		dst[i] = fma(v, scale, bias[i])
	}
	return maxTwin(dst)
}

// expShift replaces x by e^(x−m), 0 below shareFloor, and returns the sum.
func expShift(x []float32, m float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	switch isa {
	case levelAVX512:
		return expShiftAVX512(n, &x[0], m)
	case levelAVX2:
		return expShiftAVX2(n, &x[0], m)
	}
	var l lanes
	for i, v := range x {
		x[i] = shareTwin(v - m)
		l[i&15] += x[i]
	}
	return l.fold()
}

// SoftmaxGradRow adds scale·p∘(dp − Σ p·dp) to dsrc, the gradient of SoftmaxRow
// with respect to src, for p = its result and dp the gradient of that.
func SoftmaxGradRow(dsrc, p, dp []float32, scale float32) {
	n := len(p)
	if n == 0 {
		return
	}
	dsrc, dp = dsrc[:n], dp[:n]
	d := Dot(p, dp)
	switch isa {
	case levelAVX512:
		softmaxGradAVX512(n, &dsrc[0], &p[0], &dp[0], scale, d)
	case levelAVX2:
		softmaxGradAVX2(n, &dsrc[0], &p[0], &dp[0], scale, d)
	default:
		for i, v := range p {
			dsrc[i] = fma(float32(v*scale), dp[i]-d, dsrc[i])
		}
	}
}

// LogSumExp is log Σ exp(x), with the maximum taken out. −Inf if x is empty.
// Trainer and sampler both take log-probabilities as x[i] − LogSumExp(x).
func LogSumExp(x []float32) float32 {
	m := Max(x)
	if math.IsInf(float64(m), 0) || m != m {
		return m
	}
	var s float32
	switch isa {
	case levelAVX512:
		s = expSumAVX512(len(x), &x[0], m)
	case levelAVX2:
		s = expSumAVX2(len(x), &x[0], m)
	default:
		var l lanes
		for i, v := range x {
			l[i&15] += shareTwin(v - m)
		}
		s = l.fold()
	}
	return m + logTwin(s)
}
