package delta

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"orrery/learn/checkpoint"
)

// source is a checkpoint to read: one file, or a folder whose other files
// belong to it.
type source struct {
	path   string
	folder string // "" for a single file
	file   *checkpoint.File
}

func openSource(path string) (*source, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{path: path, file: f}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		s.folder = path
	} else if f.Index() != "" {
		s.folder = filepath.Dir(path)
	}
	return s, nil
}

// bookkeeping are the folders that downloads and version control keep beside a
// checkpoint; they are no part of it.
var bookkeeping = []string{".git", ".cache"}

// others lists the files beside the weights, as slash-separated paths, sorted.
// Links are followed, as download caches make whole folders of them.
func (s *source) others() ([]string, error) {
	if s.folder == "" {
		return nil, nil
	}
	weights := map[string]bool{}
	for _, sh := range s.file.Shards() {
		weights[sh.Name] = true
	}
	var list []string
	err := filepath.WalkDir(s.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.folder, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains(bookkeeping, rel) {
				return fs.SkipDir
			}
			return nil
		}
		if weights[rel] {
			return nil
		}
		st, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case !st.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a plain folder", rel)
		case !localPath(rel):
			return fmt.Errorf("the name of %q can't be used on every system", rel)
		}
		list = append(list, rel)
		return nil
	})
	slices.Sort(list)
	return list, err
}

// sameFile reports whether the folder has a file with this size and sha256.
func (s *source) sameFile(rel string, size int64, sum string) bool {
	if s.folder == "" {
		return false
	}
	path := filepath.Join(s.folder, filepath.FromSlash(rel))
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() != size {
		return false
	}
	got, err := hashFile(path)
	return err == nil && got == sum
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// absent checks that out is free and its folder is there.
func absent(out string) error {
	if _, err := os.Lstat(out); err == nil {
		return ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return reason(err)
	}
	if st, err := os.Stat(filepath.Dir(filepath.Clean(out))); err != nil {
		return fmt.Errorf("its folder: %w", reason(err))
	} else if !st.IsDir() {
		return errors.New("its folder is a file")
	}
	return nil
}

// absentHint is the remedy for what absent returns.
func absentHint(err error) string {
	if errors.Is(err, ErrExists) {
		return "remove it or choose another name"
	}
	return "create the folder first"
}

// spool is a temporary file that one goroutine appends to.
type spool struct {
	f   *os.File
	buf []byte
	end int64 // of what was appended, buffered or not
}

// newSpool makes a spool in a folder, without a name where the system allows,
// so that nothing stays even if the process is killed.
func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, ".orrery-delta-*.tmp")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	return &spool{f: f, buf: make([]byte, 0, 1<<18)}, nil
}

func (s *spool) close() {
	s.f.Close()
	os.Remove(s.f.Name())
}

func (s *spool) Write(b []byte) (int, error) {
	if len(s.buf)+len(b) > cap(s.buf) {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	s.end += int64(len(b))
	if len(b) >= cap(s.buf) {
		return s.f.WriteAt(b, s.end-int64(len(b)))
	}
	s.buf = append(s.buf, b...)
	return len(b), nil
}

func (s *spool) flush() error {
	_, err := s.f.WriteAt(s.buf, s.end-int64(len(s.buf)))
	s.buf = s.buf[:0]
	return err
}

// rewind forgets what was appended from at on; at was an end before.
func (s *spool) rewind(at int64) error {
	err := s.flush()
	s.end = at
	return err
}

// section is what lies from at to the end. The spool must be flushed before it
// is read.
func (s *spool) section(at int64) *io.SectionReader { return io.NewSectionReader(s.f, at, s.end-at) }

func join(folder, rel string) string { return filepath.Join(folder, filepath.FromSlash(rel)) }
