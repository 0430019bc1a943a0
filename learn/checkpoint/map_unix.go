//go:build unix

package checkpoint

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// mappedFile maps a whole file for reading only.
type mappedFile struct {
	file *os.File
	data []byte
}

// open maps the file at the size it has now: pages beyond its end would fault.
func (m *mappedFile) open() ([]byte, error) {
	st, err := m.file.Stat()
	if err != nil {
		return nil, err
	}
	size := st.Size()
	if !st.Mode().IsRegular() || size == 0 || size > math.MaxInt {
		return nil, errors.ErrUnsupported
	}
	m.data, err = unix.Mmap(int(m.file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOMEM) {
		return nil, errors.ErrUnsupported // a file system or an address space that has no maps: read instead
	}
	return m.data, err
}

func (m *mappedFile) close() error {
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return unix.Munmap(data)
}
