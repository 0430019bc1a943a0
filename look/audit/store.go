package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// storeVersion changes with the meaning of what is kept.
const storeVersion = "audit 1"

// storeFile is the file of finished tensors in a run folder: one JSON object a
// line, in the order they were finished.
const storeFile = "tensors.jsonl"

// store keeps finished pairs, so that an interrupted audit goes on where it
// stopped. A pair is known again by the SHA-256 of both tensors and by whatever
// else its numbers depend on: a changed file is measured anew.
type store struct {
	path  string
	file  *os.File
	known map[string]finished
}

type finished struct {
	Key    string   `json:"key"`
	Tensor Tensor   `json:"tensor"`
	Bound  *float64 `json:"iid_bound"`
}

// openStore reads what an earlier run left. A last line that was cut off by a
// crash is dropped.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("audit: make the run folder: %w", err)
	}
	s := &store{path: filepath.Join(dir, storeFile), known: map[string]finished{}}
	raw, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit: read what the run folder has: %w", err)
	}
	whole := raw[:bytes.LastIndexByte(raw, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(whole))
	lines.Buffer(nil, 1<<30)
	for n := 1; lines.Scan(); n++ {
		var f finished
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil || f.Key == "" {
			return nil, fmt.Errorf("audit: read %s: line %d is no finished tensor: delete the file and they are measured anew", s.path, n)
		}
		s.known[f.Key] = f
	}
	if s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return nil, fmt.Errorf("audit: open the run folder's file: %w", err)
	}
	if err = s.file.Truncate(int64(len(whole))); err == nil {
		_, err = s.file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		s.file.Close()
		return nil, fmt.Errorf("audit: go on in %s: %w", s.path, err)
	}
	return s, nil
}

func (s *store) close() error { return s.file.Close() }

// add keeps a finished pair.
func (s *store) add(key string, t *Tensor, bound *float64) error {
	f := finished{key, *t, bound}
	line, err := json.Marshal(f)
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the finished tensor in %s: %w", s.path, err)
	}
	s.known[key] = f
	return nil
}

// pairKey names a pair by content and by what else decides its numbers.
func (a *auditor) pairKey(m match, hashes [2]string, spans []span) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%q %v\x00%v %v\x00%v\x00", storeVersion, m.name, hashes, m.base.DType, m.other.DType, m.base.Shape)
	fmt.Fprintf(h, "%v %v %d %d %v %v", a.Spectra == SpectraNone, a.mode(m.name), a.K, a.MaskK, a.Alpha, spans)
	return hex.EncodeToString(h.Sum(nil))
}

// hash is the SHA-256 of a tensor's bytes.
func hash(ctx context.Context, r *io.SectionReader) (string, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for at := int64(0); at < r.Size(); {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n := min(int64(len(buf)), r.Size()-at)
		k, err := r.ReadAt(buf[:n], at)
		if int64(k) < n {
			return "", fmt.Errorf("at byte %d of the tensor: %w", at+int64(k), errors.Join(err))
		}
		h.Write(buf[:n])
		at += n
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
