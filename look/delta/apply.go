package delta

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"orrery/learn/checkpoint"
)

// ApplyOptions are how an update is applied. The zero value is the usual way.
type ApplyOptions struct {
	Workers  int // goroutines; 0 means one a processor
	Progress Progress
}

// Apply rebuilds from base and an update the checkpoint that the update was
// made of, as the folder or the file out, which must not exist. Every byte read
// from the base and every byte written is held to its checksum before out
// appears, flushed to disk; on any error, or if ctx ends, nothing appears.
func Apply(ctx context.Context, base, update, out string, o ApplyOptions) (_ *Info, err error) {
	fail := func(path string, err error, hint string) (*Info, error) {
		if _, ok := errors.AsType[*Error](err); ok {
			return nil, err
		}
		return nil, &Error{Op: "apply", Path: path, Err: err, Hint: hint}
	}
	if err := absent(out); err != nil {
		return fail(out, err, absentHint(err))
	}
	d, err := Open(update)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	from, err := openSource(base)
	if err != nil {
		return fail(base, err, "")
	}
	defer from.file.Close()
	a := &applier{Delta: d, from: from, tensors: map[string]*tensor{}}
	if err := a.pair(); err != nil {
		return fail(base, err, "")
	}
	// Everything is made inside a hidden folder beside out, then renamed.
	dir, name := filepath.Split(filepath.Clean(out))
	temp, err := os.MkdirTemp(cmp.Or(dir, "."), "."+name+"-*.tmp")
	if err != nil {
		return fail(out, reason(err), "")
	}
	defer os.RemoveAll(temp)
	if err := a.rebuild(ctx, filepath.Join(temp, "out"), o); err != nil {
		return fail(update, err, "")
	}
	made := filepath.Join(temp, "out")
	if !d.manifest.Folder {
		made = filepath.Join(made, d.manifest.Weights[0].Path)
	}
	if err := absent(out); err != nil {
		return fail(out, err, absentHint(err))
	}
	if err := os.Rename(made, out); err != nil {
		return fail(out, reason(err), "")
	}
	syncDir(cmp.Or(dir, "."))
	return d.Info(), nil
}

// applier is an update being applied.
type applier struct {
	*Delta
	from    *source
	tensors map[string]*tensor // the manifest's, by name
}

// wrongBase is an error that names the tensor.
func (a *applier) wrongBase(name, format string, args ...any) error {
	return &Error{Op: "apply", Path: a.from.path, Tensor: name, Err: fmt.Errorf("%w: %s", ErrWrongBase, fmt.Sprintf(format, args...)),
		Hint: "give the checkpoint that 'orrery delta make' was given as BASE"}
}

// pair checks that the base has what the update builds on, before anything is
// written.
func (a *applier) pair() error {
	for i := range a.manifest.Tensors {
		t := &a.manifest.Tensors[i]
		a.tensors[t.Name] = t
		if t.Base == "" {
			continue
		}
		info, ok := a.from.file.Info(t.Name)
		switch {
		case !ok:
			return a.wrongBase(t.Name, "it has no such tensor")
		case info.DType != t.DType || !slices.Equal(info.Shape, t.Shape):
			return a.wrongBase(t.Name, "it is %s %v, not %s %v", info.DType, info.Shape, t.DType, t.Shape)
		}
	}
	for _, c := range a.manifest.Carried {
		if c.Stored == nil && !a.from.sameFile(c.Path, c.Bytes, c.SHA256) {
			return &Error{Op: "apply", Path: a.from.path, Err: fmt.Errorf("%w: its file %q is missing or another", ErrWrongBase, c.Path),
				Hint: "give the folder that 'orrery delta make' was given as BASE"}
		}
	}
	return nil
}

// target is a tensor to write: a place in an output file.
type target struct {
	*tensor
	out *os.File
	at  int64
}

// rebuild writes all files into the folder dir and flushes them.
func (a *applier) rebuild(ctx context.Context, dir string, o ApplyOptions) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return reason(err)
	}
	var jobs []target
	seen := map[string]bool{}
	for _, w := range a.manifest.Weights {
		f, err := a.lay(dir, w)
		if err != nil {
			return err
		}
		defer f.out.Close()
		for _, info := range f.tensors {
			t := a.tensors[info.Name]
			if t == nil || seen[info.Name] || t.DType != info.DType || !slices.Equal(t.Shape, info.Shape) {
				return &Error{Op: "apply", Path: a.path, Tensor: info.Name, Err: damaged("the header of %s places it, the manifest says otherwise", w.Path)}
			}
			seen[info.Name] = true
			jobs = append(jobs, target{t, f.out, info.Offset})
		}
	}
	if len(seen) != len(a.tensors) {
		return damaged("its manifest lists %d tensors, its headers place %d", len(a.tensors), len(seen))
	}
	if err := a.weights(ctx, jobs, o); err != nil {
		return err
	}
	for _, c := range a.manifest.Carried {
		if err := a.copyCarried(ctx, dir, c); err != nil {
			return err
		}
	}
	return syncTree(dir)
}

// laid is a weight file whose header is written and whose tensors are not.
type laid struct {
	out     *os.File
	tensors []checkpoint.Info
}

// lay makes a weight file of its full size, header first. Reading it back tells
// where each tensor goes, and that the header fits the size.
func (a *applier) lay(dir string, w weights) (*laid, error) {
	path := join(dir, w.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, reason(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, reason(err)
	}
	header := a.headers[w.Path]
	head := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	_, err = f.Write(head)
	if err == nil {
		err = f.Truncate(w.Bytes)
	}
	if err != nil {
		f.Close()
		return nil, reason(err)
	}
	ck, err := checkpoint.Open(path)
	if err != nil {
		f.Close()
		if e, ok := errors.AsType[*checkpoint.Error](err); ok {
			err = e.Err
		}
		return nil, damaged("the header of %s: %v", w.Path, err)
	}
	defer ck.Close()
	return &laid{f, ck.Shards()[0].Tensors}, nil
}

// weights writes all tensors, the largest first.
func (a *applier) weights(ctx context.Context, jobs []target, o ApplyOptions) error {
	progress := &meter{tell: o.Progress}
	for _, j := range jobs {
		progress.total += j.bytes()
	}
	jobs = slices.Clone(jobs)
	slices.SortStableFunc(jobs, func(x, y target) int { return cmp.Compare(y.bytes(), x.bytes()) })
	return each(ctx, cmp.Or(o.Workers, runtime.GOMAXPROCS(0)), jobs, func() (*patcher, error) {
		return &patcher{applier: a, meter: progress, buf: make([]byte, min(chunk, jobs[0].bytes()))}, nil
	}, func(ctx context.Context, p *patcher, j target) error {
		err := p.tensor(ctx, j)
		if _, ok := errors.AsType[*Error](err); err == nil || ok || ctx.Err() != nil {
			return err
		}
		hint := ""
		if errors.Is(err, ErrDamaged) {
			hint = "fetch it again"
		}
		return &Error{Op: "apply", Path: a.path, Tensor: j.Name, Err: err, Hint: hint}
	})
}

// patcher rebuilds tensors, one at a time.
type patcher struct {
	*applier
	meter  *meter
	buf    []byte
	unpack unpacker
}

func (p *patcher) tensor(ctx context.Context, j target) error {
	patch, err := p.open(j.tensor)
	if err != nil {
		return err
	}
	var base io.ReaderAt
	var baseHash hash.Hash
	if j.Base != "" {
		if base, _, err = p.from.file.Section(j.Name); err != nil {
			return err
		}
		if baseHash = sha256.New(); j.Encoding == None {
			baseHash = nil // the tuned checksum is the same
		}
	}
	tuned := sha256.New()
	for at := int64(0); at < j.bytes(); at += chunk {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b := p.buf[:min(chunk, j.bytes()-at)]
		if base != nil {
			if err := readAt(base, b, at); err != nil {
				return &Error{Op: "apply", Path: p.from.path, Tensor: j.Name, Err: fmt.Errorf("byte %d: %w", at, err)}
			}
		}
		if baseHash != nil {
			baseHash.Write(b)
		}
		if err := patch.chunk(b, at); err != nil {
			return err
		}
		tuned.Write(b)
		if _, err := j.out.WriteAt(b, j.at+at); err != nil {
			return fmt.Errorf("write: %w", reason(err))
		}
		p.meter.add(len(b))
	}
	if baseHash != nil && hex.EncodeToString(baseHash.Sum(nil)) != j.Base {
		return p.wrongBase(j.Name, "its bytes are others")
	}
	if err := patch.end(); err != nil {
		return err
	}
	if hex.EncodeToString(tuned.Sum(nil)) != j.Tuned {
		if j.Encoding == None {
			return p.wrongBase(j.Name, "its bytes are others")
		}
		return damaged("the tensor it makes doesn't have the checksum it states")
	}
	return nil
}

// patch is one tensor's update being read.
type patch struct {
	*tensor
	w    int
	n    int64 // elements
	pos  *positionReader
	val  *valueReader
	next int64 // next changed element of a gap encoding
	left int64 // changed elements not yet applied
}

func (p *patcher) open(t *tensor) (*patch, error) {
	r := &patch{tensor: t, w: width(t.DType), n: t.elements(), left: t.Changed}
	if t.Encoding == None {
		return r, nil
	}
	section, _, err := p.file.Section(t.Name + suffixVal)
	if err != nil {
		return nil, err
	}
	r.val = newValueReader(section, t.Val, &p.unpack, r.w, t.Base != "")
	if t.Idx == nil {
		r.left = r.n
		return r, nil
	}
	if section, _, err = p.file.Section(t.Name + suffixIdx); err != nil {
		return nil, err
	}
	r.pos = newPositionReader(section, t.Idx, &p.unpack)
	if t.Encoding == Gap {
		r.next = -1
		err = r.advance()
	}
	return r, err
}

// advance finds the next position, past the tensor's end if there is none.
func (r *patch) advance() error {
	if r.left == 0 {
		r.next = r.n
		return nil
	}
	g, err := r.pos.gap()
	if err != nil {
		return err
	}
	if g >= r.n-r.next-1 {
		return damaged("a position is past the tensor's %d elements", r.n)
	}
	r.next += g + 1
	return nil
}

// chunk applies the update to the bytes b, which begin at byte at.
func (r *patch) chunk(b []byte, at int64) error {
	first, n := at/int64(r.w), len(b)/r.w
	switch r.Encoding {
	case Dense:
		for e := range n {
			if err := r.set(b, e); err != nil {
				return err
			}
		}
	case Bitmap:
		for i := 0; i < n; i += 64 {
			mask, err := r.pos.mask(min(8, (n-i+7)/8))
			if err != nil {
				return err
			}
			for ; mask != 0; mask &= mask - 1 {
				e := i + bits.TrailingZeros64(mask)
				if e >= n {
					return damaged("the bitmap has bits past the tensor's %d elements", r.n)
				}
				if err := r.set(b, e); err != nil {
					return err
				}
			}
		}
	case Gap:
		for r.next < first+int64(n) {
			if err := r.set(b, int(r.next-first)); err != nil {
				return err
			}
			if err := r.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// set makes element e of b the next of the values.
func (r *patch) set(b []byte, e int) error {
	v, err := r.val.take(load(b, e, r.w))
	if err != nil {
		return err
	}
	r.left--
	store(b, e, r.w, v)
	return nil
}

// end checks that the update was used up.
func (r *patch) end() error {
	if r.left != 0 {
		return damaged("it changes %d elements, not the %d that it says", r.Changed-r.left, r.Changed)
	}
	if r.pos != nil {
		if err := r.pos.end(); err != nil {
			return err
		}
	}
	if r.val != nil {
		return r.val.end()
	}
	return nil
}

// syncTree flushes every file and folder of a tree.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			syncDir(path)
			return nil
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0) // some systems flush only what is open for writing
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// syncDir makes names durable where the system can; where folders can't be
// flushed the files are whole all the same, so failures are not errors.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
