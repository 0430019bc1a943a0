package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lock makes this process the only one that writes the run folder. Closing the
// file gives it up; so does the end of the process, a killed one included. The
// empty file stays: removing it would let two processes lock two files.
func (s store) lock() (*os.File, error) {
	path := filepath.Join(s.dir, ".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("locking the run folder: %w: choose a folder that can be written", err)
	}
	if err := tryLock(f); err != nil {
		return nil, fmt.Errorf("locking the run folder %s: %w: another process is training there, wait for it or choose another folder", s.dir, errors.Join(err, f.Close()))
	}
	return f, nil
}
