//go:build !arm64

package tensor

// fma is a·b + c, rounded once.
func fma(a, b, c float32) float32 { return fmaExact(a, b, c) }
