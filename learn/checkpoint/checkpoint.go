// Package checkpoint reads and writes weights: safetensors files, single or
// sharded with an index, LoRA adapters as PEFT saves them, and GGUF for
// llama.cpp and its relatives.
//
// What is read is treated as hostile: a header is bounded by the file that
// holds it, every tensor's bytes are inside the file, and tensors neither
// overlap nor leave holes. Nothing is allocated that the size of the file does
// not justify. What is written appears whole or not at all, and the same
// tensors give the same bytes. Neither reading nor writing needs more than one
// tensor in memory, and a tensor that is read in pieces or in place (Section,
// View) not even that.
//
// The package knows names, types, shapes and bytes. What a tensor means is
// for package nn; how two checkpoints differ is for an auditor.
package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoTensor is the cause when a checkpoint has no tensor of that name.
	ErrNoTensor = errors.New("no such tensor")
	// ErrUnsupported is the cause when a data type is known but not readable
	// here, or can't be converted as asked.
	ErrUnsupported = errors.New("unsupported dtype")
)

// Error says what failed, where, why, and what may help. Every error of this
// package that concerns a file is one.
type Error struct {
	Op     string // "open", "read", "map", "merge", "write"
	File   string // path or given name
	Tensor string // "" where no single tensor is meant
	Offset int64  // byte in File where the trouble is, -1 where there is no such place
	Err    error  // cause
	Hint   string // remedy, "" if none is known
}

// Error is one sentence: operation, place, cause, remedy.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checkpoint: %s %s", e.Op, e.File)
	if e.Tensor != "" {
		fmt.Fprintf(&b, ", tensor %.300q", e.Tensor)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", at byte %d", e.Offset)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
