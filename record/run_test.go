package record

import (
	"slices"
	"testing"
	"time"
)

// Ids of one moment are all different and sort as they were made; those of another
// moment sort by it, whatever was made before.
func TestNewID(t *testing.T) {
	at := time.Date(2026, 11, 25, 21, 15, 3, 42e6, time.UTC)
	var ids []string
	for range 10_000 {
		ids = append(ids, NewID(at))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("ids of one millisecond are not in order, or not all different")
	}
	if earlier, later := NewID(at.Add(-time.Millisecond)), NewID(at.Add(time.Millisecond)); earlier >= ids[0] || later <= ids[len(ids)-1] {
		t.Errorf("%s and %s are around %s to %s", earlier, later, ids[0], ids[len(ids)-1])
	}
	for id, want := range map[string]string{"x-222222": "x-222223", "x-22227z": "x-2222a2", "x-2zzzzz": "x-322222", "x-zzzzzz": "x-zzzzzz2"} {
		if got := after(id); got != want || got <= id {
			t.Errorf("after %s comes %s, want %s", id, got, want)
		}
	}
}
