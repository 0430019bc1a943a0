package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Atomic writes a file through write so that path either keeps what it held or
// holds all of the new content, whatever happens meanwhile: a temporary name
// in the same folder, flushed to disk, then renamed. On an error the temporary
// file is gone.
func Atomic(path string, write func(io.Writer) error) (err error) {
	fail := func(err error) error {
		return &Error{Op: "write", File: path, Offset: -1, Err: cause(err)}
	}
	dir, base := filepath.Split(path)
	f, err := createTemp(dir, base)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		if _, ok := errors.AsType[*Error](err); ok {
			return err
		}
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fail(err)
	}
	syncDir(cmpDir(dir))
	return nil
}

// createTemp makes a new hidden file with the usual permissions; os.CreateTemp
// would keep it from everyone but its owner.
func createTemp(dir, base string) (*os.File, error) {
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// syncDir makes the rename durable where the system can; where folders can't
// be flushed the file is whole all the same, so failures are not errors.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
