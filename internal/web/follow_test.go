package web

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"orrery/record"
)

// hanging makes a run's folder one of a network that has gone: whoever opens it waits
// until released. Asked is told of each.
func (r *recorded) hanging(run *record.Run) (asked <-chan struct{}, opened *atomic.Int64, release func()) {
	gate, told, n := make(chan struct{}), make(chan struct{}, 100), new(atomic.Int64)
	r.page.openFolder = func(dir string) (folder, error) {
		if dir == run.Dir {
			n.Add(1)
			told <- struct{}{}
			<-gate
		}
		return openFolder(dir)
	}
	var open atomic.Bool
	release = func() {
		if open.CompareAndSwap(false, true) {
			close(gate)
		}
	}
	r.t.Cleanup(release)
	return told, n, release
}

const oneStep = `{"step":1,"loss":4}` + "\n"

// A folder that hangs holds up nothing but what is in it: not the streams of others,
// not the other topics of its own stream, and it is told when it is there.
func TestHangingFolderHoldsUpNobody(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := r.folder("train", map[string]string{"metrics.jsonl": oneStep})
	asked, _, release := r.hanging(run)
	l := r.listen("", "run/"+run.ID, "asks")
	if e := l.next(); e.Topic != "asks" {
		t.Fatalf("first comes %s: %s", e.Topic, e.Body)
	}
	<-asked
	id := r.ask(`{"question": "while it hangs"}`)
	var st state
	r.listen("", "ask/"+id).follow(&st, st.ended)
	for e := l.next(); !strings.Contains(string(e.Body), `"state":"done"`); e = l.next() {
		if e.Topic == "run/"+run.ID && strings.Contains(string(e.Body), "curves") {
			t.Fatalf("what cannot be read is told: %s", e.Body)
		}
	}
	release()
	for e := l.next(); e.Topic != "run/"+run.ID || !strings.Contains(string(e.Body), `"loss":{"at":0,"x":[1],"y":[4]}`); {
		e = l.next()
	}
}

// Of a run whose folder hangs one sees what the record says and what is wrong. It has
// one reader, however often it is watched anew, and goes on when the folder does.
func TestHangingFolderHasOneReader(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := r.folder("train", map[string]string{"metrics.jsonl": oneStep})
	asked, opened, release := r.hanging(run)
	told := func(f *follow) (out followFrame) {
		t.Helper()
		body, _ := f.frame(nil)
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return out
	}
	first := newFollow(r.page, run.ID)
	ctx, cancel := context.WithCancel(t.Context())
	news := make(chan bool)
	go func() { news <- first.poll(ctx) }()
	<-asked
	if body, _ := first.frame(nil); body != nil { // it does not wait either
		t.Errorf("while its folder is read for the first time a run is told as %s", body)
	}
	cancel() // the time for a look is over
	if !<-news {
		t.Error("that a folder hangs is no news")
	}
	if f := told(first); f.Run == nil || f.Run.ID != run.ID || !strings.Contains(f.Error, "does not answer") {
		t.Errorf("a run whose folder hangs is told as %+v", f)
	}
	again := newFollow(r.page, run.ID)
	for range 3 {
		again.poll(t.Context())
		first.poll(t.Context())
	}
	if f := told(again); opened.Load() != 1 || f.Run == nil || !strings.Contains(f.Error, "does not answer") {
		t.Errorf("watched again it has %d readers and is told as %+v", opened.Load(), f)
	}
	release()
	first.reading <- <-first.reading // waits for the reader, and leaves what it found
	for _, f := range []*follow{first, again} {
		f.poll(t.Context())
		if got := told(f); fmt.Sprint(got.Curves) != "map[loss:{0 [1] [4]}]" || got.Error != "" {
			t.Errorf("when the folder is back it is told as %+v", got)
		}
	}
}
