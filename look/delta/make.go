package delta

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"orrery/learn/checkpoint"
)

// Options are how an update is made. The zero value is the usual way.
type Options struct {
	// Plain leaves every blob as its encoding defines it, for readers that know
	// no entropy coding; the file is larger, and exactly as large as Counter says.
	Plain bool
	// CarryLimit is the most bytes of a changed file beside the weights that is
	// put into the update; 0 means 64 MiB. A larger one is an error.
	CarryLimit int64
	// WeightsOnly leaves the files beside the weights out.
	WeightsOnly bool
	// Workers is how many goroutines work; 0 means one a processor.
	Workers  int
	Progress Progress
}

const defaultCarryLimit = 64 << 20

// Make writes to out the update that turns base into tuned: folders in Hugging
// Face form, indexes, or single safetensors files. The result depends on the
// checkpoints and Plain alone. out must not exist; it appears whole or not at
// all.
func Make(ctx context.Context, base, tuned, out string, o Options) (_ *Info, err error) {
	fail := func(path string, err error, hint string) (*Info, error) {
		if _, ok := errors.AsType[*Error](err); ok {
			return nil, err
		}
		return nil, &Error{Op: "make", Path: path, Err: err, Hint: hint}
	}
	if err := absent(out); err != nil {
		return fail(out, err, absentHint(err))
	}
	from, err := openSource(base)
	if err != nil {
		return fail(base, err, "")
	}
	defer from.file.Close()
	to, err := openSource(tuned)
	if err != nil {
		return fail(tuned, err, "")
	}
	defer to.file.Close()
	m := &maker{Options: o, dir: filepath.Dir(filepath.Clean(out)), from: from, to: to,
		manifest: manifest{Folder: to.folder != "", Weights: []weights{}, Tensors: []tensor{}, Removed: []removed{}, Carried: []carried{}}, headers: map[string]string{}}
	defer m.close()
	if err := m.pair(); err != nil {
		return fail(tuned, err, "")
	}
	if !o.WeightsOnly {
		if err := m.carry(ctx); err != nil {
			return fail(tuned, err, "raise --carry-limit, or leave the files beside the weights out with --weights-only")
		}
	}
	if err := m.compare(ctx); err != nil {
		return fail(tuned, err, "")
	}
	if err := m.write(ctx, out); err != nil {
		return fail(out, err, "")
	}
	st, err := os.Stat(out)
	if err != nil {
		return fail(out, reason(err), "")
	}
	return m.manifest.info(st.Size()), nil
}

// maker is an update being made.
type maker struct {
	Options
	dir      string // for temporary files: where the update goes
	from, to *source
	manifest manifest
	headers  map[string]string
	jobs     []*job
	entries  []checkpoint.Entry // of carried files; those of tensors are in the jobs
	spools   chan *spool        // all that were made
}

// job is one tuned tensor: a place in the manifest and what it is made from.
type job struct {
	*tensor
	tuned *io.SectionReader
	base  *io.SectionReader // nil: the base has none of this name, type and shape
	idx   *io.SectionReader // coded, where the tensor has one
	val   *io.SectionReader
}

// pair lists the tuned checkpoint's files and tensors, each beside the base's
// tensor of that name, and what only the base has.
func (m *maker) pair() error {
	seen := map[string]string{}
	for _, s := range m.to.file.Shards() {
		header, err := s.Header()
		if err != nil {
			return err
		}
		m.headers[s.Name] = string(header[8:])
		m.manifest.Weights = append(m.manifest.Weights, weights{s.Name, s.Size})
		for _, info := range s.Tensors {
			if other, ok := seen[info.Name]; ok {
				return &Error{Op: "make", Path: m.to.path, Tensor: info.Name,
					Err: fmt.Errorf("it is in %s and in %s", other, s.Name), Hint: "remove it from the one that the index doesn't name"}
			}
			seen[info.Name] = s.Name
			m.manifest.Tensors = append(m.manifest.Tensors, tensor{Name: info.Name, DType: info.DType, Shape: append([]int{}, info.Shape...)})
			j := &job{tuned: s.Section(info)}
			if was, ok := m.from.file.Info(info.Name); ok && was.DType == info.DType && slices.Equal(was.Shape, info.Shape) {
				if j.base, _, err = m.from.file.Section(info.Name); err != nil {
					return err
				}
			}
			m.jobs = append(m.jobs, j)
		}
	}
	for i, j := range m.jobs {
		j.tensor = &m.manifest.Tensors[i]
	}
	for _, name := range m.from.file.Names() {
		if _, ok := seen[name]; !ok {
			info, _ := m.from.file.Info(name)
			m.manifest.Removed = append(m.manifest.Removed, removed{name, info.DType, append([]int{}, info.Shape...)})
		}
	}
	m.spools = make(chan *spool, 2*m.workers()+1)
	return nil
}

func (m *maker) workers() int { return cmp.Or(m.Workers, runtime.GOMAXPROCS(0)) }

func (m *maker) spool() (*spool, error) {
	s, err := newSpool(m.dir)
	if err == nil {
		m.spools <- s
	}
	return s, err
}

func (m *maker) close() {
	for {
		select {
		case s := <-m.spools:
			s.close()
		default:
			return
		}
	}
}

// errChanging is the cause when a file has other bytes when it is read again.
var errChanging = errors.New("the file changes while it is being read")

// compare makes all tensors' blobs, the largest first so that no processor is
// left with a large one at the end.
func (m *maker) compare(ctx context.Context) error {
	progress := &meter{tell: m.Progress}
	for _, j := range m.jobs {
		progress.total += j.bytes()
	}
	jobs := slices.Clone(m.jobs)
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(b.bytes(), a.bytes()) })
	if len(jobs) == 0 {
		return nil
	}
	size := min(chunk, jobs[0].bytes())
	return each(ctx, m.workers(), jobs, func() (*comparer, error) {
		idx, err := m.spool()
		if err != nil {
			return nil, err
		}
		val, err := m.spool()
		return &comparer{plain: m.Plain, idx: idx, val: val, meter: progress, pack: &packer{},
			a: make([]byte, size), b: make([]byte, size), masks: make([]uint64, size/64+1)}, err
	}, func(ctx context.Context, c *comparer, j *job) error {
		err := c.tensor(ctx, j)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return &Error{Op: "make", Path: m.to.path, Tensor: j.Name, Err: err}
	})
}

// comparer compares tensors, one at a time.
type comparer struct {
	plain    bool
	idx, val *spool
	pack     *packer
	meter    *meter
	a, b     []byte // a chunk of the base and of the tuned tensor
	masks    []uint64
}

func (c *comparer) tensor(ctx context.Context, j *job) error {
	var n Counter
	var err error
	if j.base == nil {
		j.Encoding, j.Changed = Dense, j.elements()
		j.Tuned, err = c.hash(ctx, j)
	} else {
		n, err = c.count(ctx, j)
		j.Encoding, _ = n.Cheapest(j.elements(), width(j.DType))
		j.Changed = n.Changed()
	}
	if err != nil || j.Encoding == None {
		return err
	}
	codeIdx, codeVal := !c.plain, !c.plain
	idxAt, valAt := c.idx.end, c.val.end
	for {
		again, err := c.encode(ctx, j, codeIdx, codeVal)
		switch {
		case err != nil:
			return err
		case j.base != nil && again != n:
			return errChanging
		}
		idxOK := j.Idx == nil || j.Idx.Coding == Plain || j.Idx.Bytes < j.Idx.Raw
		valOK := j.Val.Coding == Plain || j.Val.Bytes < j.Val.Raw
		if idxOK && valOK {
			break
		}
		codeIdx, codeVal = codeIdx && idxOK, codeVal && valOK
		if err := errors.Join(c.idx.rewind(idxAt), c.val.rewind(valAt)); err != nil {
			return err
		}
	}
	j.val = c.val.section(valAt)
	if j.Idx != nil {
		j.idx = c.idx.section(idxAt)
	}
	return errors.Join(c.idx.flush(), c.val.flush())
}

// read fills the chunks at an offset of the tensor and returns their length; of
// the base if there is one.
func (c *comparer) read(ctx context.Context, j *job, at int64) (n int, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	n = int(min(chunk, j.bytes()-at))
	if err := readAt(j.tuned, c.b[:n], at); err != nil {
		return 0, fmt.Errorf("the tuned tensor, byte %d: %w", at, err)
	}
	if j.base != nil {
		if err := readAt(j.base, c.a[:n], at); err != nil {
			return 0, fmt.Errorf("the base's tensor, byte %d: %w", at, err)
		}
	}
	return n, nil
}

func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return reason(err)
}

// hash reads a tensor that has no counterpart.
func (c *comparer) hash(ctx context.Context, j *job) (string, error) {
	h := sha256.New()
	for at := int64(0); at < j.bytes(); at += chunk {
		n, err := c.read(ctx, j, at)
		if err != nil {
			return "", err
		}
		h.Write(c.b[:n])
		c.meter.add(n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// count reads both tensors, counts the changes and takes the checksums. Equal
// beginnings are hashed once.
func (c *comparer) count(ctx context.Context, j *job) (Counter, error) {
	var n Counter
	w := width(j.DType)
	tuned, base := sha256.New(), hash.Hash(nil)
	for at := int64(0); at < j.bytes(); at += chunk {
		k, err := c.read(ctx, j, at)
		if err != nil {
			return n, err
		}
		before := n.Changed()
		for i, mask := range changes(c.masks, c.a[:k], c.b[:k], w) {
			n.Mask(at/int64(w)+int64(i)*64, mask)
		}
		if base == nil && n.Changed() > before {
			if base, err = tuned.(hash.Cloner).Clone(); err != nil {
				return n, err
			}
		}
		if base != nil {
			base.Write(c.a[:k])
		}
		tuned.Write(c.b[:k])
		c.meter.add(k)
	}
	j.Tuned = hex.EncodeToString(tuned.Sum(nil))
	j.Base = j.Tuned
	if base != nil {
		j.Base = hex.EncodeToString(base.Sum(nil))
	}
	return n, nil
}

// encode reads both tensors again, writes the blobs and counts once more.
func (c *comparer) encode(ctx context.Context, j *job, codeIdx, codeVal bool) (Counter, error) {
	var n Counter
	w := width(j.DType)
	idxAt, valAt := c.idx.end, c.val.end
	pos := newPositions(c.idx, c.packer(codeIdx))
	stored := j.Changed
	if j.Encoding == Dense {
		stored = j.elements()
	}
	val := newValues(c.val, c.packer(codeVal), stored, w, j.base != nil)
	next := int64(0) // the first element that no gap has counted
	for at := int64(0); at < j.bytes(); at += chunk {
		k, err := c.read(ctx, j, at)
		if err != nil {
			return n, err
		}
		first, elements := at/int64(w), k/w
		if j.base != nil {
			changes(c.masks, c.a[:k], c.b[:k], w)
		}
		for i := 0; i < elements; i += 64 {
			m := ^uint64(0)
			if left := elements - i; left < 64 {
				m = 1<<left - 1
			}
			if j.base != nil {
				n.Mask(first+int64(i), c.masks[i/64])
				if j.Encoding != Dense {
					m = c.masks[i/64]
				}
			}
			if j.Encoding == Bitmap {
				if err := pos.mask(m, min(8, (elements-i+7)/8)); err != nil {
					return n, err
				}
			}
			for ; m != 0; m &= m - 1 {
				e := i + bits.TrailingZeros64(m)
				if j.Encoding == Gap {
					if err := pos.gap(uint64(first + int64(e) - next)); err != nil {
						return n, err
					}
					next = first + int64(e) + 1
				}
				if err := val.add(load(c.b, e, w), load(c.a, e, w)); err != nil {
					return n, err
				}
			}
		}
	}
	if err := errors.Join(pos.flush(), val.flush()); err != nil {
		return n, err
	}
	j.Idx = nil
	if j.Encoding != Dense {
		j.Idx = &blob{pos.raw, coding(codeIdx), c.idx.end - idxAt}
	}
	j.Val = &blob{val.raw, coding(codeVal), c.val.end - valAt}
	return n, nil
}

func coding(coded bool) Coding {
	if coded {
		return FSE
	}
	return Plain
}

// write puts the update together.
func (m *maker) write(ctx context.Context, out string) error {
	md, err := m.manifest.metadata(m.headers)
	if err != nil {
		return err
	}
	entries := m.entries
	for _, j := range m.jobs {
		if j.Idx != nil {
			entries = append(entries, checkpoint.Entry{Name: j.Name + suffixIdx, DType: checkpoint.U8, Shape: []int{int(j.Idx.Bytes)}, From: from(ctx, j.idx)})
		}
		if j.Val == nil {
			continue
		}
		e := checkpoint.Entry{Name: j.Name + suffixVal, DType: checkpoint.U8, Shape: []int{int(j.Val.Bytes)}, From: from(ctx, j.val)}
		if j.Val.Coding == Plain {
			switch e.DType = j.valType(); {
			case j.Encoding == Dense:
				e.Shape = j.Shape
			default:
				e.Shape = []int{int(j.Changed)}
			}
		}
		entries = append(entries, e)
	}
	return checkpoint.Write(out, entries, md)
}

// from writes a blob that lies in a spool.
func from(ctx context.Context, r *io.SectionReader) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := copyPieces(ctx, w, r)
		return err
	}
}

// packer is nil for blobs that are not coded.
func (c *comparer) packer(coded bool) *packer {
	if coded {
		return c.pack
	}
	return nil
}
