//go:build linux

package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The stated bound: two of the largest tensors, as float32 where spectra are
// measured, and 200 MB. The files are sparse, 0.7 GB together.
func TestAuditMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 0.7 GB of zeros; without -short it runs")
	}
	dir := t.TempDir()
	const tensors, rows, cols = 20, 4096, 2048 // BF16, 16 MiB each
	header := map[string]any{}
	for i := range tensors {
		header[fmt.Sprintf("layers.%d.w.weight", i)] = map[string]any{"dtype": "BF16", "shape": []int{rows, cols}, "data_offsets": []int{2 * rows * cols * i, 2 * rows * cols * (i + 1)}}
	}
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		f, err := os.Create(filepath.Join(dir, name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		f.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(raw))))
		f.Write(raw)
		if err := f.Truncate(int64(8 + len(raw) + 2*rows*cols*tensors)); err != nil {
			t.Skipf("no sparse files here (%v): a file system that has them", err)
		}
		f.Close()
	}
	orrery := filepath.Join(dir, "orrery") // the name decides what the test binary does, see TestMain
	if err := os.Symlink(os.Args[0], orrery); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(orrery, "audit", "a.safetensors", "b.safetensors", "--spectra", "none", "--quiet", "--json")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	peak := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	if limit := int64(2*2*rows*cols + 200<<20); peak > limit {
		t.Errorf("peak memory %d MB, the bound is %d MB", peak>>20, limit>>20)
	} else {
		t.Logf("peak memory %d MB, the bound is %d MB", peak>>20, limit>>20)
	}
}
