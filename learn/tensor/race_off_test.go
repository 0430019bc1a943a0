//go:build !race

package tensor

// underRace says that the race detector is on.
const underRace = false
