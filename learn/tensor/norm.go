package tensor

import "math"

// RMSNormRow writes x·w/rms(x), rms = √(mean(x²)+eps), and returns 1/rms.
func RMSNormRow(dst, x, w []float32, eps float32) float32 {
	n := len(x)
	r := float32(1 / math.Sqrt(float64(Dot(x, x)/float32(n)+eps)))
	if n == 0 {
		return r
	}
	dst, w = dst[:n], w[:n]
	switch isa {
	case levelAVX512:
		scaleMulAVX512(n, &dst[0], &x[0], &w[0], r)
	case levelAVX2:
		scaleMulAVX2(n, &dst[0], &x[0], &w[0], r)
	default:
		for i, v := range x {
			dst[i] = v * r * w[i]
		}
	}
	return r
}

// RMSNormGradRow adds the gradients of RMSNormRow to dx and dw, given its
// result's gradient dy and its returned r = 1/rms.
//
//	dx = r·(w∘dy) − x·r³/n·Σ(w∘dy∘x),  dw = dy∘x·r
func RMSNormGradRow(dx, dw, dy, x, w []float32, r float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dx, dw, dy, w = dx[:n], dw[:n], dy[:n], w[:n]
	c := dot3(dy, w, x) * r * r * r / float32(n)
	switch isa {
	case levelAVX512:
		rmsGradAVX512(n, &dx[0], &dw[0], &dy[0], &x[0], &w[0], r, c)
	case levelAVX2:
		rmsGradAVX2(n, &dx[0], &dw[0], &dy[0], &x[0], &w[0], r, c)
	default:
		for i, v := range x {
			dx[i] += fma(-v, c, float32(w[i]*r*dy[i]))
			dw[i] = fma(dy[i], float32(v*r), dw[i])
		}
	}
}

// LayerNormRow writes (x−mean)·rstd·w + b, rstd = 1/√(var+eps), variance over
// n; b may be nil. It returns mean and rstd.
func LayerNormRow(dst, x, w, b []float32, eps float32) (mean, rstd float32) {
	n := len(x)
	mean = Sum(x) / float32(n)
	rstd = float32(1 / math.Sqrt(float64(spreadOf(x, mean)/float32(n)+eps)))
	if n == 0 {
		return mean, rstd
	}
	dst, w = dst[:n], w[:n]
	if b != nil {
		b = b[:n]
	}
	switch {
	case isa == levelAVX512 && b != nil:
		centerBiasAVX512(n, &dst[0], &x[0], &w[0], &b[0], mean, rstd)
	case isa == levelAVX512:
		centerAVX512(n, &dst[0], &x[0], &w[0], mean, rstd)
	case isa == levelAVX2 && b != nil:
		centerBiasAVX2(n, &dst[0], &x[0], &w[0], &b[0], mean, rstd)
	case isa == levelAVX2:
		centerAVX2(n, &dst[0], &x[0], &w[0], mean, rstd)
	case b != nil:
		for i, v := range x {
			dst[i] = fma(float32((v-mean)*rstd), w[i], b[i])
		}
	default:
		for i, v := range x {
			dst[i] = (v - mean) * rstd * w[i]
		}
	}
	return mean, rstd
}

// spreadOf is Σ (x−mean)².
func spreadOf(x []float32, mean float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	switch isa {
	case levelAVX512:
		return spreadAVX512(n, &x[0], mean)
	case levelAVX2:
		return spreadAVX2(n, &x[0], mean)
	}
	var l lanes
	for i, v := range x {
		d := v - mean
		l[i&15] = fma(d, d, l[i&15])
	}
	return l.fold()
}

// LayerNormGradRow adds the gradients of LayerNormRow to dx, dw and db (db may
// be nil).
//
//	g = w∘dy, x̂ = (x−mean)·rstd:  dx = rstd·(g − mean(g) − x̂·mean(g∘x̂))
func LayerNormGradRow(dx, dw, db, dy, x, w []float32, mean, rstd float32) {
	n := len(x)
	if n == 0 {
		return
	}
	dx, dw, dy, w = dx[:n], dw[:n], dy[:n], w[:n]
	mg, mgx := layerSums(dy, x, w, mean, rstd)
	mg, mgx = mg/float32(n), mgx/float32(n)
	switch isa {
	case levelAVX512:
		layerGradAVX512(n, &dx[0], &dw[0], &dy[0], &x[0], &w[0], mean, rstd, mg, mgx)
	case levelAVX2:
		layerGradAVX2(n, &dx[0], &dw[0], &dy[0], &x[0], &w[0], mean, rstd, mg, mgx)
	default:
		for i, v := range x {
			xh := float32((v - mean) * rstd)
			t := fma(-xh, mgx, float32(dy[i]*w[i])-mg)
			dx[i] = fma(t, rstd, dx[i])
			dw[i] = fma(dy[i], xh, dw[i])
		}
	}
	if db != nil {
		Add(db[:n], db[:n], dy)
	}
}

// layerSums are Σg and Σ g·x̂, in two sets of lanes.
func layerSums(dy, x, w []float32, mean, rstd float32) (sg, sgx float32) {
	n := len(x)
	switch isa {
	case levelAVX512:
		return layerSumsAVX512(n, &dy[0], &x[0], &w[0], mean, rstd)
	case levelAVX2:
		return layerSumsAVX2(n, &dy[0], &x[0], &w[0], mean, rstd)
	}
	var a, b lanes
	for i, v := range x {
		g := float32(dy[i] * w[i])
		a[i&15] += g
		b[i&15] = fma(g, float32((v-mean)*rstd), b[i&15])
	}
	return a.fold(), b.fold()
}
