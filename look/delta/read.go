package delta

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"orrery/learn/checkpoint"
)

// Delta is an open update file.
type Delta struct {
	path     string
	size     int64
	file     *checkpoint.File
	manifest *manifest
	headers  map[string]string // of the weight files, by path
}

// Open opens an update and checks that its parts fit together: its metadata has
// the checksum it states, and each blob is there with the size it should have.
// What the blobs hold is checked when they are applied.
func Open(path string) (*Delta, error) {
	fail := func(err error, hint string) (*Delta, error) {
		return nil, &Error{Op: "read", Path: path, Err: err, Hint: hint}
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(reason(err), "give the file that 'orrery delta make' wrote")
	case st.IsDir():
		return fail(errors.New("it is a folder"), "give the file that 'orrery delta make' wrote")
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		return fail(err, "")
	}
	d, err := newDelta(path, f)
	if err != nil {
		f.Close()
		hint := "fetch it again"
		if errors.Is(err, ErrNotDelta) {
			hint = "give the file that 'orrery delta make' wrote"
		}
		return fail(err, hint)
	}
	return d, nil
}

// newDelta reads and checks the metadata of an update.
func newDelta(path string, f *checkpoint.File) (*Delta, error) {
	md := f.Metadata()
	m, err := parseManifest(md)
	if err == nil {
		err = m.match(f)
	}
	if err != nil {
		return nil, err
	}
	d := &Delta{path: path, size: f.Shards()[0].Size, file: f, manifest: m, headers: map[string]string{}}
	for _, w := range m.Weights {
		d.headers[w.Path] = md[keyHeader+w.Path]
	}
	return d, nil
}

// Close closes the file.
func (d *Delta) Close() error { return d.file.Close() }

// match checks that the file holds the manifest's blobs and nothing else.
func (m *manifest) match(f *checkpoint.File) error {
	blobs := 0
	check := func(name string, b *blob, plain checkpoint.DType) error {
		if b == nil {
			return nil
		}
		blobs++
		info, ok := f.Info(name)
		want := checkpoint.U8
		if b.Coding == Plain {
			want = plain
		}
		switch {
		case !ok:
			return damaged("it has no %q", name)
		case info.Bytes != b.Bytes || info.DType != want:
			return damaged("%q is of %d bytes of %s, not %d of %s", name, info.Bytes, info.DType, b.Bytes, want)
		}
		return nil
	}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if err := errors.Join(check(t.Name+suffixIdx, t.Idx, checkpoint.U8), check(t.Name+suffixVal, t.Val, t.valType())); err != nil {
			return err
		}
	}
	for i := range m.Carried {
		if err := check(m.Carried[i].Path+suffixFile, m.Carried[i].Stored, checkpoint.U8); err != nil {
			return err
		}
	}
	if n := len(f.Names()); n != blobs {
		return damaged("it holds %d tensors, its manifest lists %d", n, blobs)
	}
	return nil
}

// reason drops what Error says itself from a file error.
func reason(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}

// Progress is told of work done: bytes of weights of so many. It is called from
// one goroutine at a time.
type Progress func(done, total int64)

// meter counts bytes of several goroutines.
type meter struct {
	tell  Progress
	mu    sync.Mutex
	done  int64
	total int64
}

func (m *meter) add(n int) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += int64(n)
	m.tell(m.done, m.total)
}

// each runs the jobs on so many goroutines, in order of start, until one fails
// or the meter's context ends, and returns the first error. Each goroutine has
// its own worker.
func each[J, W any](ctx context.Context, workers int, jobs []J, newWorker func() (W, error), do func(context.Context, W, J) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan J)
	var wg sync.WaitGroup
	for range min(workers, len(jobs)) {
		wg.Go(func() {
			w, err := newWorker()
			for err == nil {
				j, ok := <-queue
				if !ok {
					return
				}
				err = do(ctx, w, j)
			}
			cancel(err)
		})
	}
	for _, j := range jobs {
		select {
		case queue <- j:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// copyPieces copies r to w in pieces, between which ctx may end it.
func copyPieces(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		k, err := io.CopyN(w, r, 1<<20)
		n += k
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
