package delta

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A tensor of 256 MiB that takes no disk: memory stays at a few chunks a
// goroutine, whatever the file's size.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 1 GiB of holes: run without -short")
	}
	const size = 1 << 28
	dir := t.TempDir()
	sparse := func(name string, changed ...int64) string {
		header := fmt.Sprintf(`{"x":{"dtype":"BF16","shape":[%d],"data_offsets":[0,%d]}}`, size/2, size)
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		head := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		if _, err := f.Write(head); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(int64(len(head)) + size); err != nil {
			t.Fatal(err)
		}
		for _, at := range changed {
			if _, err := f.WriteAt([]byte{1}, int64(len(head))+at); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	base, tuned := sparse("base.safetensors"), sparse("tuned.safetensors", 0, size/3, size-1)
	var peak uint64
	watch := func(int64, int64) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	info, err := Make(context.Background(), base, tuned, filepath.Join(dir, "u"), Options{Progress: watch})
	if err != nil {
		t.Fatal(err)
	}
	// Apply would write 256 MiB; its memory is that of a patcher, one chunk. Here
	// it is stopped after a quarter.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = Apply(ctx, base, filepath.Join(dir, "u"), filepath.Join(dir, "out"), ApplyOptions{Progress: func(done, total int64) {
		watch(done, total)
		if done > total/4 {
			cancel()
		}
	}})
	if err == nil || ctx.Err() == nil {
		t.Errorf("apply went on after its context ended: %v", err)
	}
	if x := info.Tensors[0]; x.Changed != 3 || x.Encoding != Gap {
		t.Errorf("%d changed, stored as %s", x.Changed, x.Encoding)
	}
	// Two chunks, masks and a spool a goroutine, twice that for the collector.
	if most := uint64(runtime.GOMAXPROCS(0)) * 2 * (3 * chunk); peak > most+16<<20 {
		t.Errorf("%d bytes of heap at the peak, more than %d", peak, most+16<<20)
	}
}
