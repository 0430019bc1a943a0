package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
	"orrery/task"
)

// TestFollow: snapshots come in the order of their steps, each with what a study of it
// alone finds, and the report shows them.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	items := generated(t, 3, 4, task.Easy)
	want := map[int]*Study{}
	for i, step := range []int{1000, 200} {
		m := small(t, nil)
		for _, p := range m.Params() {
			tensor.Scale(p.Val.Data, p.Val.Data, float32(2+i))
		}
		folder := filepath.Join(dir, fmt.Sprintf("step-%d", step))
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.Save(folder, checkpoint.F32); err != nil {
			t.Fatal(err)
		}
		s, err := NewTrained("trained", m)
		if err != nil {
			t.Fatal(err)
		}
		want[step] = study(t, s, items)
	}
	if err := os.Mkdir(filepath.Join(dir, ".step-1200"), 0o755); err != nil { // not finished
		t.Fatal(err)
	}
	calls := 0
	course, err := Follow(t.Context(), dir, items, Options{Progress: func(done, total int) { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	if len(course) != 2 || course[0].Step != 200 || course[1].Step != 1000 || calls != 2 {
		t.Fatalf("%d calls, %+v", calls, course)
	}
	for _, m := range course {
		var match []float64
		for _, x := range want[m.Step].Match {
			match = append(match, x.Difference())
		}
		if !slices.Equal(m.Match, match) || m.Oracle != want[m.Step].Oracle {
			t.Errorf("step %d: %+v, alone μ is %v and right %v", m.Step, m, match, want[m.Step].Oracle)
		}
	}
	r := NewReport("x", items, "generated", study(t, Constructed{}, items), want[1000])
	r.Course = course
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "at every snapshot") {
		t.Error("the text says nothing of the course")
	}
	if _, err := Follow(t.Context(), t.TempDir(), items, Options{}); err == nil || !strings.Contains(err.Error(), "snapshot_every") {
		t.Errorf("no snapshots: %v", err)
	}
}
