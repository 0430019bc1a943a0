package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"orrery/internal/server"
	"orrery/record"
)

// A key sees what was asked with it, wherever it looks; a key that sees all sees all,
// and the runs of the machine besides.
func TestWhoSeesWhat(t *testing.T) {
	operator := server.NewKey("operator", "root")
	operator.SeesAll = true
	r := startRecorded(t, paced(time.Millisecond, 30), record.KeepAll, server.NewKey("alice", "a"), server.NewKey("bob", "b"), operator)
	key := func(k string) []string { return []string{"Authorization", "Bearer " + k} }
	status, _, reply := r.do("POST", "/api/asks", `{"question": "alice's", "method": "majority", "params": {"budget": 2, "k": 5}}`, key("a")...)
	var asked struct{ ID string }
	if json.Unmarshal([]byte(reply), &asked); status != http.StatusAccepted {
		t.Fatalf("asking: %d %s", status, reply)
	}
	r.page.Wait()
	if err := r.journal.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs, err := r.store.List(t.Context(), record.Filter{Request: asked.ID})
	if err != nil || len(runs) != 1 || runs[0].Client != "alice" {
		t.Fatalf("recorded: %+v, %v", runs, err)
	}
	training := r.folder("train", map[string]string{"metrics.jsonl": `{"step":1,"loss":1}`, "report.html": "x"})
	id := runs[0].ID
	for _, c := range []struct {
		method, path, body string
		alice, bob, root   int
	}{
		{"GET", "/api/asks/" + asked.ID + "/tokens", "", 200, 404, 200},
		{"POST", "/api/asks/" + asked.ID + "/stop", "", 204, 404, 204},
		{"GET", "/api/history/" + id, "", 200, 404, 200},
		{"GET", "/api/history/" + id + "/tokens", "", 200, 404, 200},
		{"GET", "/api/history/" + id + "/traces/0", "", 200, 404, 200},
		{"POST", "/api/history/" + id + "/replay", "{}", 200, 404, 200},
		{"GET", "/api/runs", "", 403, 403, 200},
		{"GET", "/api/runs/" + training.ID, "", 403, 403, 200},
		{"GET", "/api/runs/" + id, "", 403, 403, 200},
		{"POST", "/api/runs/" + training.ID + "/report", "", 403, 403, 200},
		{"GET", "/api/runs/" + training.ID + "/weights/1", "", 403, 403, 404},
	} {
		for k, want := range map[string]int{"a": c.alice, "b": c.bob, "root": c.root} {
			if status, _, body := r.do(c.method, c.path, c.body, key(k)...); status != want {
				t.Errorf("%s %s with %s: %d, want %d: %.100s", c.method, c.path, k, status, want, body)
			}
		}
	}
	// Nor does it hear of others' runs by the beginnings of their ids.
	for _, other := range []string{id, id[:4], id[:len(id)-1], training.ID[:4], "none"} {
		if status, _, body := r.do("GET", "/api/history/"+other, "", key("b")...); status != 404 || body != `{"error":{"message":"there is no such run","type":"invalid_request_error","param":null,"code":null}}`+"\n" {
			t.Errorf("bob asks for %s and hears %d %s", other, status, body)
		}
	}
	for k, want := range map[string]bool{"a": true, "b": false, "root": true} {
		if _, _, body := r.do("GET", "/api/history", "", key(k)...); strings.Contains(body, "alice's") != want {
			t.Errorf("the history of %s is %.200s", k, body)
		}
		all := k == "root"
		for topic, seen := range map[string]bool{"asks": want, "ask/" + asked.ID: want, "trace/" + asked.ID + "/0": want, "runs": all, "run/" + training.ID: all, "asks@alice": false, "none": false, "run/" + id: all} {
			l := r.listenWith(key(k), "", topic)
			e := l.next()
			l.stop()
			sign := map[string]string{"asks": "alice's", "ask": "alice's", "trace": `"text":`, "runs": "train of a test", "run": `"run":{`}[strings.Split(topic, "/")[0]]
			if sign == "" {
				sign = "alice"
			}
			if e.Topic != topic || strings.Contains(string(e.Body), sign) != seen {
				t.Errorf("%s watches %s and sees %s: %.200s", k, topic, e.Topic, e.Body)
			}
		}
	}
	// What a stream of one key was told is no place in that of another.
	l := r.listenWith(key("root"), "", "asks")
	l.next()
	l.stop()
	b := r.listenWith(key("b"), l.last, "asks")
	defer b.stop()
	r.do("POST", "/api/asks", `{"question": "bob's"}`, key("b")...)
	for {
		body := string(b.next().Body)
		if strings.Contains(body, "alice") {
			t.Fatalf("bob sees %s", body)
		}
		if strings.Contains(body, "bob's") {
			break
		}
	}
}
