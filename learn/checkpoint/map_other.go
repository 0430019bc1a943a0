//go:build !unix

package checkpoint

import (
	"errors"
	"os"
)

// mappedFile is read instead where there is no mmap.
type mappedFile struct{ file *os.File }

func (m *mappedFile) open() ([]byte, error) { return nil, errors.ErrUnsupported }
func (m *mappedFile) close() error          { return nil }
