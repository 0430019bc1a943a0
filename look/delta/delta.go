// Package delta is the update between two checkpoints as a file: which elements
// changed and what they became, so that whoever has the base can rebuild the
// tuned checkpoint byte for byte, whole folders included. It compares stored
// bytes, never values: −0 for +0 or another NaN is a change. docs/delta.md is
// the format.
//
// Tensors stream through in chunks, a few at a time on as many goroutines as
// there are processors; memory does not grow with the files. What is written
// appears whole, verified and flushed, or not at all.
//
// What an update says about the training that made it is for package audit,
// which counts with this package's Counter what the file would take.
package delta

import (
	"errors"
	"fmt"
	"strings"

	"orrery/learn/checkpoint"
)

// Version is that of the file format, and of the objects that Info prints.
const Version = 1

// Encoding is how one tensor's update is stored.
type Encoding string

// The encodings of a tensor of n elements of b bytes, c of which changed.
const (
	None   Encoding = "none"   // nothing changed: 0 bytes
	Dense  Encoding = "dense"  // every element: n·b
	Bitmap Encoding = "bitmap" // one bit an element, then the changed ones: ⌈n/8⌉ + c·b
	Gap    Encoding = "gap"    // LEB128 of the unchanged elements before each changed one, then those: Σ⌈bits/7⌉ + c·b
)

var (
	// ErrWrongBase is the cause when a checkpoint is not the one that a delta
	// was made on.
	ErrWrongBase = errors.New("this is not the base that the delta was made on")
	// ErrDamaged is the cause when a delta's bytes contradict each other or
	// what they should rebuild.
	ErrDamaged = errors.New("the delta is damaged")
	// ErrNotDelta is the cause when a file is no delta, or one of a later version.
	ErrNotDelta = errors.New("not a delta that this version reads")
	// ErrExists is the cause when there already is what should be written.
	ErrExists = errors.New("it exists already")
	// ErrTooLarge is the cause when a file beside the weights is above
	// Options.CarryLimit.
	ErrTooLarge = errors.New("too large to carry")
)

// Error says what failed, where, why, and what may help.
type Error struct {
	Op     string // "make", "apply", "read"
	Path   string
	Tensor string // "" where no single tensor is meant
	Err    error  // cause
	Hint   string // remedy, "" if none is known
}

// Error is one sentence: operation, place, cause, remedy.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "delta %s: %s", e.Op, e.Path)
	if e.Tensor != "" {
		fmt.Fprintf(&b, ", tensor %q", e.Tensor)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// damaged is ErrDamaged with what was found.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// width is the bytes of one element, so that positions count elements. Types
// smaller than a byte are counted in bytes, and so are those of a size that the
// kernels don't know.
func width(d checkpoint.DType) int {
	switch n := d.Size(); n {
	case 1, 2, 4, 8:
		return n
	}
	return 1
}
