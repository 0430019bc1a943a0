// Package delta is the update between two checkpoints as a file: which elements
// changed and what they became, so that whoever has the base can rebuild the
// tuned checkpoint byte for byte. It compares stored bytes, never values: −0 for
// +0 or another NaN is a change.
//
// What an update says about the training that made it is for package audit,
// which counts with this package's Counter what the file would take.
package delta

// Encoding is how one tensor's update is stored.
type Encoding string

// The encodings of a tensor of n elements of b bytes, c of which changed.
const (
	None   Encoding = "none"   // nothing changed: 0 bytes
	Dense  Encoding = "dense"  // every element: n·b
	Bitmap Encoding = "bitmap" // one bit an element, then the changed ones: ⌈n/8⌉ + c·b
	Gap    Encoding = "gap"    // LEB128 of the unchanged elements before each changed one, then those: Σ⌈bits/7⌉ + c·b
)
