package delta

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"orrery/learn/checkpoint"
)

// carry takes the files beside the weights: by their checksum where the base
// folder has the same, otherwise whole, compressed if that is smaller.
func (m *maker) carry(ctx context.Context) error {
	list, err := m.to.others()
	if err != nil || len(list) == 0 {
		return err
	}
	sp, err := m.spool()
	if err != nil {
		return err
	}
	limit := cmp.Or(m.CarryLimit, defaultCarryLimit)
	for _, rel := range list {
		path := join(m.to.folder, rel)
		sum, err := hashFile(path)
		if err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		c := carried{Path: rel, SHA256: sum, Bytes: st.Size()}
		if !m.from.sameFile(rel, c.Bytes, sum) {
			if c.Bytes > limit {
				return fmt.Errorf("%s, %d bytes, is %w: the limit is %d", rel, c.Bytes, ErrTooLarge, limit)
			}
			entry := checkpoint.Entry{Name: rel + suffixFile, DType: checkpoint.U8}
			var stored *io.SectionReader
			if c.Stored, stored, err = m.store(ctx, sp, path, c.Bytes); err != nil {
				return err
			}
			entry.From = from(ctx, stored)
			entry.Shape = []int{int(c.Stored.Bytes)}
			m.entries = append(m.entries, entry)
		}
		m.manifest.Carried = append(m.manifest.Carried, c)
	}
	return sp.flush()
}

// store appends a file to a spool, as a zstd frame if that is smaller.
func (m *maker) store(ctx context.Context, sp *spool, path string, size int64) (*blob, *io.SectionReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	at := sp.end
	b := &blob{Raw: size, Coding: Plain}
	if !m.Plain {
		z, err := zstd.NewWriter(sp, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(carryWindow))
		if err != nil {
			return nil, nil, err
		}
		if _, err := copyPieces(ctx, z, f); err != nil {
			return nil, nil, err
		}
		if err := z.Close(); err != nil {
			return nil, nil, err
		}
		b.Coding = Zstd
	}
	if b.Coding == Plain || sp.end-at >= size {
		if err := sp.rewind(at); err != nil {
			return nil, nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, nil, err
		}
		n, err := copyPieces(ctx, sp, f)
		if err == nil && n != size {
			err = errChanging
		}
		if err != nil {
			return nil, nil, err
		}
		b.Coding = Plain
	}
	b.Bytes = sp.end - at
	return b, sp.section(at), nil
}

// carryWindow is the memory that a carried file's compression looks back on.
const carryWindow = 4 << 20

// copyCarried writes a file that is beside the weights, from the update or the
// base folder.
func (a *applier) copyCarried(ctx context.Context, dir string, c carried) (err error) {
	var r io.Reader
	if c.Stored == nil {
		f, err := os.Open(join(a.from.folder, c.Path))
		if err != nil {
			return reason(err)
		}
		defer f.Close()
		r = f
	} else {
		section, _, err := a.file.Section(c.Path + suffixFile)
		if err != nil {
			return err
		}
		r = bufio.NewReader(section)
		if c.Stored.Coding == Zstd {
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(carryWindow))
			if err != nil {
				return err
			}
			defer z.Close()
			r = z
		}
	}
	path := join(dir, c.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return reason(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return reason(err)
	}
	defer f.Close() // again after the last line, which is harmless
	h := sha256.New()
	// One byte more than the file should have shows that it is too long.
	n, err := copyPieces(ctx, io.MultiWriter(f, h), io.LimitReader(r, c.Bytes+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return damaged("the file %q: %v", c.Path, err)
	case n != c.Bytes || hex.EncodeToString(h.Sum(nil)) != c.SHA256:
		return damaged("the file %q doesn't have the checksum it states", c.Path)
	}
	return reason(f.Close())
}
