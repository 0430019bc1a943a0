//go:build race

package answer

// raceFactor is what the race detector slows this package down by at most.
const raceFactor = 10
