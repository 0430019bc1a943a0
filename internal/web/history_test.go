package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/record"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// recorded is a site that records, with what it has been asked written down.
type recorded struct {
	*site
	store   *record.Store
	journal *journal.Journal
}

func startRecorded(t *testing.T, g llm.Generator, keep record.Keep, keys ...server.Key) *recorded {
	t.Helper()
	store, err := record.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "r.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New(store, journal.Options{Keep: keep, Warn: func(s string) { t.Error(s) }})
	p := New(Config{Model: g})
	p.Records(store)
	s, err := server.New(server.Config{Generator: g, Page: p, Observers: []server.Observer{p, j}, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.Use(s)
	t.Cleanup(func() {
		p.Close()
		p.Wait()
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
		store.Close()
	})
	return &recorded{&site{t, p, &http.Client{Transport: llmtest.Serve(t, s)}}, store, j}
}

// think asks, waits for the end and for the record.
func (r *recorded) think(body string) (live state, run *record.Run) {
	r.t.Helper()
	id := r.ask(body)
	l := r.listen("", "ask/"+id)
	l.follow(&live, func() bool { return live.ended() })
	l.stop()
	r.page.Wait()
	if err := r.journal.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	runs, err := r.store.List(r.t.Context(), record.Filter{Request: id})
	if err != nil || len(runs) != 1 {
		r.t.Fatalf("the record has %d runs of the request: %v", len(runs), err)
	}
	return live, &runs[0]
}

func (r *recorded) get(path string, into any) {
	r.t.Helper()
	status, _, body := r.do("GET", path, "")
	if status != http.StatusOK {
		r.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorded) replay(id, body string) (out struct {
	Online reason.ReplayedOnline
	Params reason.ReplayedParams
	Shown  json.RawMessage
}, status int) {
	r.t.Helper()
	status, _, reply := r.do("POST", "/api/history/"+id+"/replay", body)
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(reply), &out); err != nil {
			r.t.Fatal(err)
		}
	}
	return out, status
}

// A recorded request is shown as it was shown live, and replayed with its own settings
// it goes as it went.
func TestHistoryIsWhatWasShown(t *testing.T) {
	r := startRecorded(t, paced(0, 150), record.KeepAll)
	live, run := r.think(`{"question": "2+2?", "boxed": true, "method": "deepconf-low", "params": {"budget": 12, "warmup": 4, "seed": 3, "concurrency": 1, "consensus": false}}`)
	var past struct {
		Shown json.RawMessage
		Run   pastRun
	}
	r.get("/api/history/"+run.ID, &past)
	var st state
	st.apply(t, event{Whole: true, Body: past.Shown})
	if *past.Run.Question != "2+2?" || st.head.Question != "2+2?" {
		t.Errorf("the question is %q, in short %q", st.head.Question, *past.Run.Question)
	}
	was, _ := json.Marshal(live.votes)
	if is, _ := json.Marshal(st.votes); string(is) != string(was) || len(st.votes) < 3 {
		t.Errorf("the vote shifted as\n%s\nand live as\n%s", is, was)
	}
	if len(st.traces) != len(live.traces) || st.used != live.used {
		t.Fatalf("%d traces and %d tokens, live %d and %d", len(st.traces), st.used, len(live.traces), live.used)
	}
	for i, tr := range live.traces {
		a, _ := json.Marshal(tr)
		b, _ := json.Marshal(st.traces[i])
		for _, field := range []string{"state", "reason", "answer", "votes", "excluded", "lowest", "tail", "weight", "group", "s", "seed", "phase"} {
			if x, y := fieldOf(a, field), fieldOf(b, field); x != y && !(field == "s" && tr.State == "finished") {
				t.Errorf("trace %d: %s is %s, live %s", i, field, y, x)
			}
		}
		if string(live.groups[i]) != string(st.groups[i]) {
			t.Errorf("trace %d: the groups differ: %d and %d bytes", i, len(live.groups[i]), len(st.groups[i]))
		}
	}
	same, status := r.replay(run.ID, `{}`)
	if status != http.StatusOK || same.Online.TokensUsed != live.used || *same.Online.Answer != *live.head.Result.Answer {
		t.Errorf("replayed as it was: %d, %d tokens, %v", status, same.Online.TokensUsed, same.Online.Answer)
	}
	var again state
	again.apply(t, event{Whole: true, Body: same.Shown})
	for i := range live.traces {
		if string(again.groups[i]) != string(live.groups[i]) || again.tokens[i] != live.tokens[i] || again.traces[i].Reason != live.traces[i].Reason {
			t.Errorf("trace %d replayed: %d tokens, %s; live %d, %s", i, again.tokens[i], again.traces[i].Reason, live.tokens[i], live.traces[i].Reason)
		}
	}
	var tokens struct{ Pieces []piece }
	r.get("/api/history/"+run.ID+"/tokens", &tokens)
	if joined(tokens.Pieces) != live.head.Result.Text || len(tokens.Pieces) < 100 {
		t.Errorf("%d pieces say %q, the winner %q", len(tokens.Pieces), joined(tokens.Pieces), live.head.Result.Text)
	}
	var text textFrame
	r.get("/api/history/"+run.ID+"/traces/0", &text)
	if !strings.Contains(text.Text, "boxed{4}") {
		t.Errorf("trace 0 says %q", text.Text)
	}
}

// TestHistoryHasThoughts: what a latent model's thoughts held is shown of recorded
// requests as well.
func TestHistoryHasThoughts(t *testing.T) {
	script := llmtest.Say(3, "###", " gorpus.")
	script.Thoughts = []llm.Thought{{Number: 1, Holds: []llm.Reading{{Text: "wumpus", P: 0.5}}}}
	r := startRecorded(t, &llmtest.Scripted{Model: "nut", K: 3, Pick: func(llm.Request) llmtest.Script { return script }, Latent: &llm.Latent{Method: "coconut", Thoughts: 1, Trained: 1, Mark: "### "}}, record.KeepDefault)
	_, run := r.think(`{"question": "?", "method": "coconut"}`)
	var past struct{ Shown shown }
	r.get("/api/history/"+run.ID, &past)
	var text textFrame
	r.get("/api/history/"+run.ID+"/traces/0", &text)
	if past.Shown.Traces[0].Head.Thoughts != 1 || len(text.Thoughts) != 1 || text.Thoughts[0].Holds[0].Text != "wumpus" {
		t.Errorf("%d thoughts, %+v", past.Shown.Traces[0].Head.Thoughts, text.Thoughts)
	}
}

// TestHistoryWithoutVotes: of a request that was recorded before votes were, the page
// says that they are not known; of forged ones, that they are damaged.
func TestHistoryWithoutVotes(t *testing.T) {
	r := startRecorded(t, paced(0, 20), record.KeepDefault)
	_, run := r.think(`{"question": "2+2?", "method": "majority", "params": {"budget": 4}}`)
	whole, err := r.store.Run(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	shown := func(votes string) (status int, body string) {
		t.Helper()
		whole.Votes = json.RawMessage(votes)
		if err := r.store.Update(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		status, _, body = r.do("GET", "/api/history/"+run.ID, "")
		return status, body
	}
	if status, body := shown(string(whole.Votes)); status != http.StatusOK || strings.Contains(body, `"no_votes"`) || !strings.Contains(body, `"votes":[{"used"`) {
		t.Errorf("with votes: %d %s", status, body)
	}
	if status, body := shown(""); status != http.StatusOK || !strings.Contains(body, `"no_votes":true`) || strings.Contains(body, `"votes":[{"used"`) {
		t.Errorf("without votes: %d %s", status, body)
	}
	for _, forged := range []string{`{`, `{"answers":["4"],"votes":[{"used":1,"leader":1}]}`, `{"answers":[],"votes":[{"classes":[[0,1,1]]}]}`, `{"answers":["4"],"votes":[{"classes":[[-1,1,1]]}]}`} {
		if status, body := shown(forged); status != http.StatusInternalServerError || !strings.Contains(body, "are damaged") {
			t.Errorf("%s: %d %s", forged, status, body)
		}
	}
}

func fieldOf(b []byte, name string) string {
	var m map[string]json.RawMessage
	json.Unmarshal(b, &m)
	return string(m[name])
}

// Other settings give other decisions: what package reason says of them.
func TestReplay(t *testing.T) {
	r := startRecorded(t, paced(0, 150), record.KeepDefault)
	live, run := r.think(`{"question": "2+2?", "method": "deepconf-high", "params": {"budget": 16, "warmup": 4, "seed": 5, "consensus": false}}`)
	if live.head.Result == nil {
		t.Fatal("no result")
	}
	used := map[string]int{}
	for name, body := range map[string]string{"high": `{"eta": 99}`, "low": `{"eta": 10}`, "window": `{"window": 32}`, "auto": `{"window": "auto"}`, "given": `{"threshold": 100}`, "few": `{"budget": 5}`, "agreed": `{"consensus": true, "tau": 0.5}`} {
		got, status := r.replay(run.ID, body)
		if status != http.StatusOK {
			t.Fatalf("%s: %d", name, status)
		}
		used[name] = got.Online.TokensUsed
		var st state
		st.apply(t, event{Whole: true, Body: got.Shown})
		absent, sum := 0, 0
		for i, tr := range st.traces {
			sum += st.tokens[i]
			if tr.State == "absent" {
				absent++
			}
		}
		if absent != len(st.traces)-len(got.Online.Traces) || sum != got.Online.TokensUsed {
			t.Errorf("%s: %d of %d traces absent, %d launched; %d tokens of %d", name, absent, len(st.traces), len(got.Online.Traces), sum, got.Online.TokensUsed)
		}
	}
	if !(used["low"] < used["high"]) || !(used["given"] < used["low"]) || used["few"] >= used["high"] {
		t.Errorf("tokens used: %v", used)
	}
	for body, want := range map[string]string{`{"eta": 0.0, "mood": 1}`: "field mood is not known", `{"tau": 7}`: "tau", `{"window": -3}`: "window", `no`: "is not JSON",
		`{"warmup": 1.5}`: "field warmup is a JSON number 1.5 where a whole number is expected", `{"consensus": "yes"}`: "field consensus is a JSON string where true or false is expected"} {
		status, _, reply := r.do("POST", "/api/history/"+run.ID+"/replay", body)
		if status != http.StatusBadRequest || !strings.Contains(reply, want) {
			t.Errorf("%s: %d %s, want %q", body, status, reply, want)
		}
		sameWords(t, reply)
	}
	if _, status := r.replay("nobody", `{}`); status != http.StatusNotFound {
		t.Errorf("a run that is not there: %d", status)
	}
}

func TestHistoryIsListed(t *testing.T) {
	r := startRecorded(t, paced(0, 5), record.KeepDefault)
	for i := range pageLength + 3 {
		r.think(fmt.Sprintf(`{"question": "number %03d", "method": "%s", "params": {"seed": %d}}`, i, []string{"single", "majority"}[i%2], i))
	}
	var page struct {
		Runs []pastRun
		More bool
	}
	r.get("/api/history", &page)
	if len(page.Runs) != pageLength || !page.More || *page.Runs[0].Question != fmt.Sprintf("number %03d", pageLength+2) {
		t.Fatalf("%d runs, more %v", len(page.Runs), page.More)
	}
	r.get("/api/history?before="+page.Runs[pageLength-1].ID, &page)
	if len(page.Runs) != 3 || page.More {
		t.Errorf("the second page has %d runs, more %v", len(page.Runs), page.More)
	}
	r.get("/api/history?find=number+007&method=majority&state=done", &page)
	if len(page.Runs) != 1 || *page.Runs[0].Answer != "4" || page.Runs[0].Request == "" {
		t.Errorf("found %+v", page.Runs)
	}
	if status, _, _ := r.do("GET", "/api/history/nobody", ""); status != http.StatusNotFound {
		t.Errorf("a run that is not there: %d", status)
	}
}

func TestNoStore(t *testing.T) {
	s := start(t, paced(0, 5), Config{})
	if status, _, body := s.do("GET", "/api/history", ""); status != http.StatusNotFound || !strings.Contains(body, "--store") {
		t.Errorf("without a store: %d %s", status, body)
	}
}
