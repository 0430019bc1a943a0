package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
	"orrery/record"
)

// folder is a run with a folder, in the record.
func (r *recorded) folder(kind string, files map[string]string) *record.Run {
	r.t.Helper()
	dir := r.t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	run := &record.Run{Kind: kind, Name: kind + " of a test", Dir: dir}
	if err := r.store.Begin(r.t.Context(), run); err != nil {
		r.t.Fatal(err)
	}
	return run
}

func (l *listener) followRun() (f followFrame) {
	l.t.Helper()
	e := l.next()
	if err := json.Unmarshal(e.Body, &f); err != nil {
		l.t.Fatalf("%v in %s", err, e.Body)
	}
	return f
}

// A training's curves are told as they grow, also when it resumed from a checkpoint and
// its metrics became shorter, and a line that is half written waits for its end.
func TestFollow(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := r.folder("train", map[string]string{"metrics.jsonl": `{"kind":"step","step":1,"loss":4,"seconds":1}
{"kind":"step","step":2,"loss":3.5,"seconds":1}
not a line of ours
{"kind":"eval","step":2,"accuracy":0.5,"tasks":{"sums":{"accuracy":0.25}},"seconds":2}
{"kind":"step","step":3,"lo`})
	f := newFollow(r.page, run.ID)
	if body, mark := f.frame(nil); body != nil || mark != nil {
		t.Errorf("before anybody has looked it is told as %s", body)
	}
	f.poll(t.Context())
	read := func(since any) (followFrame, any) {
		t.Helper()
		body, now := f.frame(since)
		var out followFrame
		if body != nil {
			if err := json.Unmarshal(body, &out); err != nil {
				t.Fatal(err)
			}
		}
		return out, now
	}
	first, mark := read(nil)
	want := "map[accuracy:{0 [2] [0.5]} loss:{0 [1 2] [4 3.5]} tasks.sums.accuracy:{0 [2] [0.25]}]"
	if got := fmt.Sprint(first.Curves); got != want || first.Axis != "step" || first.Run.State != record.Running {
		t.Errorf("curves %s over %s, want %s", got, first.Axis, want)
	}
	if f.poll(t.Context()) {
		t.Error("there is news where nothing happened")
	}
	appendTo(t, filepath.Join(run.Dir, "metrics.jsonl"), "ss\":3}\n")
	if !f.poll(t.Context()) {
		t.Fatal("a line that was finished is no news")
	}
	second, mark := read(mark)
	if got := fmt.Sprint(second.Curves); got != "map[loss:{2 [3] [3]}]" || second.Run != nil {
		t.Errorf("then came %s", got)
	}
	os.WriteFile(filepath.Join(run.Dir, "metrics.jsonl"), []byte(`{"step":1,"loss":9}`+"\n"), 0o644)
	f.poll(t.Context())
	third, mark := read(mark)
	if got := fmt.Sprint(third.Curves["loss"]); got != "{0 [1] [9]}" {
		t.Errorf("after the metrics became shorter: %s", got)
	}
	os.WriteFile(filepath.Join(run.Dir, "report.html"), []byte("<p>"), 0o644)
	run.State, run.Report = record.Done, filepath.Join(run.Dir, "report.html")
	if err := r.store.End(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	f.poll(t.Context())
	if last, _ := read(mark); last.Run == nil || last.Run.State != record.Done || last.Report == 0 {
		t.Errorf("of its end: %+v", last)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// A curve of any length is kept in bounded room, evenly.
func TestCurveIsThinned(t *testing.T) {
	var c curve
	for i := range 1_000_000 {
		c.add(float64(i), float64(-i))
	}
	if len(c.x) > mostPoints || len(c.x) < mostPoints/2-1 || c.x[0] != 0 {
		t.Fatalf("%d points from %v", len(c.x), c.x[0])
	}
	step := c.x[1] - c.x[0]
	for i := range c.x {
		if c.x[i] != float64(i)*step || c.y[i] != -c.x[i] {
			t.Fatalf("point %d is (%v, %v), steps are %v", i, c.x[i], c.y[i], step)
		}
	}
}

func TestRunsAreListedAndFollowed(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	r.think(`{"question": "no run of its own"}`)
	run := r.folder("train", map[string]string{"metrics.jsonl": `{"epoch":1,"train":{"loss":1}}` + "\n"})
	var page struct{ Runs []pastRun }
	r.get("/api/runs", &page)
	if len(page.Runs) != 1 || page.Runs[0].ID != run.ID || !page.Runs[0].Folder {
		t.Fatalf("runs %+v", page.Runs)
	}
	l := r.listen("", "runs", "run/"+run.ID)
	topics := map[string]bool{}
	for range 2 {
		topics[l.next().Topic] = true
	}
	if !topics["runs"] || !topics["run/"+run.ID] {
		t.Errorf("the stream begins with %v", topics)
	}
	appendTo(t, filepath.Join(run.Dir, "metrics.jsonl"), `{"epoch":2,"train":{"loss":0.5}}`+"\n")
	if f := l.followRun(); fmt.Sprint(f.Curves) != "map[train.loss:{1 [2] [0.5]}]" {
		t.Errorf("as it grew the stream said %v", f.Curves)
	}
	if f := r.listen("", "run/nobody").followRun(); f.Error == "" {
		t.Error("a run that is not there has no error")
	}
}

// TestForgedMetrics: a row that somebody else wrote wrongly ends no stream, and not the
// server that makes their frames.
func TestForgedMetrics(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := &record.Run{Kind: "train", Name: "forged", Metrics: json.RawMessage(`{"loss":`)}
	if err := r.store.Begin(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"runs", "run/" + run.ID} {
		l := r.listen("", topic)
		if e := l.next(); !strings.Contains(string(e.Body), `"name":"forged"`) {
			t.Errorf("%s: %s", topic, e.Body)
		}
		l.stop()
	}
}

// Reports are files that others may have written: shown for a while, without their
// reaching anything, and no other file is.
func TestReports(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := r.folder("audit", map[string]string{"report.html": "<!doctype html><p>found"})
	open := func(id string) string {
		t.Helper()
		status, _, body := r.do("POST", "/api/runs/"+id+"/report", "")
		var out struct{ URL string }
		json.Unmarshal([]byte(body), &out)
		if status != http.StatusOK {
			return fmt.Sprint(status)
		}
		return out.URL
	}
	url := open(run.ID)
	status, h, body := r.do("GET", url, "")
	if status != http.StatusOK || body != "<!doctype html><p>found" {
		t.Fatalf("the report is %d %q", status, body)
	}
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"sandbox allow-scripts;", "default-src 'none'", "frame-ancestors 'self'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("its policy %q lacks %s", csp, want)
		}
	}
	for _, not := range []string{"allow-same-origin", "connect-src", "http"} {
		if strings.Contains(csp, not) {
			t.Errorf("its policy %q has %s", csp, not)
		}
	}
	for _, u := range []string{"/report/x", "/report/../report.html", "/report/" + strings.Repeat("A", 26)} {
		if status, _, _ := r.do("GET", u, ""); status == http.StatusOK {
			t.Errorf("%s is open to everyone", u)
		}
	}
	// Whatever a record says, only an .html file in its own folder is opened.
	secret := filepath.Join(t.TempDir(), "secret.html")
	os.WriteFile(secret, []byte("secret"), 0o600)
	link := filepath.Join(t.TempDir(), "report.html")
	if err := os.Symlink(secret, link); err != nil {
		t.Skip("no links here: " + err.Error())
	}
	for _, path := range []string{"/etc/passwd", "report.html", filepath.Dir(secret), link, filepath.Dir(secret) + "/../nothing.html"} {
		bad := &record.Run{Kind: "audit", Name: "bad", Report: path, State: record.Done}
		if err := r.store.Begin(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		if got := open(bad.ID); got != "404" {
			t.Errorf("a report at %s is opened as %s", path, got)
		}
	}
	r.page.mu.Lock()
	for name, tk := range r.page.tickets {
		r.page.tickets[name] = ticket{tk.path, time.Now().Add(-ticketTime - time.Second)}
	}
	r.page.mu.Unlock()
	if status, _, _ := r.do("GET", url, ""); status != http.StatusNotFound {
		t.Errorf("an address that expired: %d", status)
	}
}

func TestWeights(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	run := r.folder("train", map[string]string{"metrics.jsonl": ""})
	os.MkdirAll(filepath.Join(run.Dir, "checkpoints"), 0o755)
	w := tensor.New(2, 3)
	copy(w.Data, []float32{-2, -1, 0, 1, 2, 0.001})
	if err := checkpoint.Write(filepath.Join(run.Dir, "checkpoints", "epoch-10.safetensors"), []checkpoint.Entry{{Name: "W", Tensor: w}, {Name: "bias", Tensor: tensor.New(3)}}, nil); err != nil {
		t.Fatal(err)
	}
	if f := r.listen("", "run/"+run.ID).followRun(); fmt.Sprint(f.Epochs) != "[10]" {
		t.Errorf("epochs %v", f.Epochs)
	}
	var got struct{ Matrices []matrix }
	r.get("/api/runs/"+run.ID+"/weights/10", &got)
	if len(got.Matrices) != 1 || got.Matrices[0].Scale != 2 || got.Matrices[0].Rows != 2 {
		t.Fatalf("matrices %+v", got.Matrices)
	}
	for i, want := range []int8{-127, -64, 0, 64, 127, 0} {
		if v := int8(got.Matrices[0].Data[i]); v != want {
			t.Errorf("value %d is %d, want %d", i, v, want)
		}
	}
	for _, e := range []string{"11", "-1", "..%2f..%2fetc", "x"} {
		if status, _, _ := r.do("GET", "/api/runs/"+run.ID+"/weights/"+e, ""); status == http.StatusOK {
			t.Errorf("weights of epoch %s are there", e)
		}
	}
}
