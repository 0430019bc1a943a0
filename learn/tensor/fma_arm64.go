package tensor

// fma is a·b + c, rounded once: on this architecture the compiler makes one
// FMADDS of it, and a test compares it with fmaExact.
func fma(a, b, c float32) float32 { return a*b + c }
