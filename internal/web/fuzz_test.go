package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
)

// Wherever a reader says it was: it is sent whole events whose ids are read again
// as where it then is, which is the topic's end; and once more with that id, nothing.
func FuzzResume(f *testing.F) {
	f.Add("epoch=e&runs=3", "runs", uint8(5))
	f.Add("epoch=e&runs=-1&runs=2", "ask:1", uint8(0))
	f.Add("epoch=x&%zz", "epoch", uint8(2))
	f.Add("epoch=e&a%3Db=99999999999999999999", "a=b\n&c", uint8(9))
	f.Fuzz(func(t *testing.T, id, name string, frames uint8) {
		if name == "epoch" {
			return // no topic is called so: see Page.topic
		}
		n := 0
		tp := &topic{src: counter{&n}}
		tp.since(-1)
		for range frames % 8 {
			n++
			tp.advance()
		}
		read := func(id string) (*stream, []byte) {
			w := httptest.NewRecorder()
			s := &stream{w: w, rc: http.NewResponseController(w), epoch: "e", at: map[string]int{}, topics: []watched{{name, tp}}}
			s.resume(id)
			s.send()
			return s, w.Body.Bytes()
		}
		s, out := read(id)
		if len(out) == 0 {
			if s.at[name] != tp.seq {
				t.Fatalf("%q is sent nothing and is at %d of %d", id, s.at[name], tp.seq)
			}
			return
		}
		var last string
		for event := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte("\n\n")), []byte("\n\n")) {
			lines := strings.Split(string(event), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "id: ") || !strings.HasPrefix(lines[1], "data: ") {
				t.Fatalf("%q is sent the event %.200q", id, event)
			}
			last = strings.TrimPrefix(lines[0], "id: ")
		}
		if place, err := url.ParseQuery(last); err != nil || place.Get("epoch") != "e" {
			t.Fatalf("the last id is %q, %v", last, err)
		}
		if again, more := read(last); len(more) != 0 || again.at[name] != tp.seq {
			t.Fatalf("%q led to %q, from where %d bytes are sent", id, last, len(more))
		}
	})
}

// Whatever a folder's metrics are, what is told of them is JSON and bounded.
func FuzzMetrics(f *testing.F) {
	f.Add([]byte(`{"step":1,"loss":2,"a":{"b":{"c":3}}}` + "\n" + `{"epoch":-1e308,"x":null}` + "\n"))
	f.Add([]byte(`{"step":1e999}` + "\n" + `[1]` + "\n\x00{\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fl := newFollow(nil, "")
		fl.known = true
		if _, err := fl.curves.read(fstest.MapFS{metricsFile: {Data: b}}); err != nil {
			t.Fatal(err)
		}
		c := fl.curves.copied()
		fl.files.curves = c
		body, _ := fl.frame(nil)
		if !json.Valid(body) || len(c.byName) > mostCurves || len(c.order) != len(c.byName) {
			t.Fatalf("%d curves, frame %.200s", len(c.byName), body)
		}
	})
}
