package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// site is a server with the page on an in-memory network.
type site struct {
	t      *testing.T
	page   *Page
	client *http.Client
}

func start(t *testing.T, g llm.Generator, cfg Config, keys ...string) *site {
	t.Helper()
	cfg.Model = g
	p := New(cfg)
	sc := server.Config{Generator: g, Page: p, Observers: []server.Observer{p}}
	for _, k := range keys {
		sc.Keys = append(sc.Keys, server.NewKey("", k))
	}
	s, err := server.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	p.Use(s)
	t.Cleanup(func() { // before the network ends
		p.Close()
		p.Wait()
	})
	return &site{t, p, &http.Client{Transport: llmtest.Serve(t, s)}}
}

func (s *site) do(method, path, body string, header ...string) (int, http.Header, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func (s *site) ask(body string) (id string) {
	s.t.Helper()
	status, _, reply := s.do("POST", "/api/asks", body)
	var r struct{ ID string }
	if err := json.Unmarshal([]byte(reply), &r); status != http.StatusAccepted || err != nil {
		s.t.Fatalf("asking %s: %d %s", body, status, reply)
	}
	return r.ID
}

// event is one of the stream's.
type event struct {
	id    string
	Topic string
	Whole bool
	Body  json.RawMessage
}

// listener reads an event stream.
type listener struct {
	t    *testing.T
	in   *bufio.Reader
	stop func()
	last string
}

func (s *site) listen(last string, topics ...string) *listener {
	s.t.Helper()
	return s.listenWith(nil, last, topics...)
}

func (s *site) listenWith(header []string, last string, topics ...string) *listener {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://localhost/api/events?watch="+strings.Join(topics, "&watch="), nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := s.client.Do(r)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("listen: %v %+v", err, resp)
	}
	return &listener{t: s.t, in: bufio.NewReader(resp.Body), stop: func() { cancel(); resp.Body.Close() }, last: last}
}

func (l *listener) next() (e event) {
	l.t.Helper()
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ended: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			e.id = id
		} else if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				l.t.Fatalf("%v in %s", err, data)
			}
		} else if line == "" && e.Topic != "" {
			l.last = e.id
			return e
		}
	}
}

// state is a request put together from frames, as the page does it.
type state struct {
	head   head
	traces []*traceHead
	tokens []int
	groups [][]byte
	votes  []voted
	used   int
	gone   bool
}

func (st *state) apply(t *testing.T, e event) {
	t.Helper()
	if e.Whole {
		*st = state{}
	}
	var f shown
	if err := json.Unmarshal(e.Body, &f); err != nil {
		t.Fatalf("%v in %s", err, e.Body)
	}
	if f.Head != nil {
		st.head = *f.Head
	}
	st.used, st.gone = f.Used, f.Gone
	st.votes = append(st.votes[:min(f.VotesAt, len(st.votes))], f.Votes...)
	for _, tr := range f.Traces {
		for len(st.traces) <= tr.N {
			st.traces, st.tokens, st.groups = append(st.traces, nil), append(st.tokens, 0), append(st.groups, nil)
		}
		if tr.Head != nil {
			st.traces[tr.N] = tr.Head
		}
		if 4*tr.At > len(st.groups[tr.N]) {
			t.Fatalf("trace %d: groups from %d on, %d are known", tr.N, tr.At, len(st.groups[tr.N])/4)
		}
		st.tokens[tr.N] = tr.Tokens
		st.groups[tr.N] = append(st.groups[tr.N][:4*tr.At], tr.Groups...)
	}
}

// told is all of it in one text.
func (st *state) told(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal([]any{st.head, st.traces, st.tokens, st.groups, st.votes, st.used})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (st *state) ended() bool { return st.head.Ended != nil }

func (l *listener) follow(st *state, until func() bool) {
	l.t.Helper()
	for !until() {
		if e := l.next(); strings.HasPrefix(e.Topic, "ask/") {
			st.apply(l.t, e)
		}
	}
}

func paced(delay time.Duration, tokens int) *llmtest.Scripted {
	return &llmtest.Scripted{Model: "m", Delay: delay, Pick: func(r llm.Request) llmtest.Script {
		s := llmtest.Random(r.Seed, llmtest.Shape{Tokens: tokens + int(r.Seed%7), K: 5})
		s.Tokens = append(s.Tokens, llmtest.Words(5, `so \boxed{4} .`).Tokens...)
		return s
	}}
}

// What the stream tells, put together, is what the request's result says, and no more
// messages than one a tick tell it.
func TestAskIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(10*time.Millisecond, 200), Config{})
		id := s.ask(`{"question": "2+2?", "method": "deepconf-low", "params": {"budget": 12, "warmup": 4, "seed": 3}}`)
		began := time.Now()
		l := s.listen("", "asks", "ask/"+id)
		var st state
		frames := 0
		for !st.ended() {
			e := l.next()
			if e.Topic == "ask/"+id {
				st.apply(t, e)
				frames++
			}
		}
		r := st.head.Result
		if st.head.State != stateDone || r == nil || *r.Answer != "4" || !st.head.Mine || st.head.Question != "2+2?" {
			t.Fatalf("the head is %+v", st.head)
		}
		if most := int(time.Since(began)/tick) + 2; frames > most {
			t.Errorf("%d frames in %v, want at most %d", frames, time.Since(began), most)
		}
		if st.head.Calibrated == nil || len(st.traces) != r.Launched {
			t.Errorf("%d traces are shown, %d were launched", len(st.traces), r.Launched)
		}
		sum := 0
		for i, tr := range st.traces {
			sum += st.tokens[i]
			if n := len(st.groups[i]) / 4; n != st.tokens[i] {
				t.Errorf("trace %d: %d groups of %d scored tokens", i, n, st.tokens[i])
			}
			if tr.State == stateRunning || tr.Lowest == nil {
				t.Errorf("trace %d ended as %+v", i, tr)
			}
		}
		if sum != r.Count.Used || st.used != sum {
			t.Errorf("traces have %d tokens, the request %d, its result %d", sum, st.used, r.Count.Used)
		}
		var again state // a reload: the whole state, at once
		s.listen("", "ask/"+id).follow(&again, func() bool { return again.ended() })
		if again.told(t) != st.told(t) {
			t.Error("what a reload shows differs from what had been shown")
		}
	})
}

// A cut stream goes on where it was; a reader that was away for longer than frames are
// kept, or comes from another process, gets the whole state. All see the same.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(10*time.Millisecond, 300), Config{})
		id := s.ask(`{"question": "2+2?", "method": "majority", "params": {"budget": 3, "seed": 1, "k": 5}}`)
		var whole, cut state
		all := s.listen("", "ask/"+id)
		l := s.listen("", "ask/"+id)
		l.follow(&cut, func() bool { return cut.used > 100 })
		last := l.last
		l.stop()
		time.Sleep(time.Second)
		l = s.listen(last, "ask/"+id)
		e := l.next()
		if e.Whole {
			t.Error("a stream that was cut for a second begins anew")
		}
		cut.apply(t, e)
		l.follow(&cut, func() bool { return cut.ended() })
		all.follow(&whole, func() bool { return whole.ended() })
		if whole.told(t) != cut.told(t) {
			t.Error("a stream that was cut and resumed tells something else")
		}
		for _, place := range []string{strings.Replace(last, "epoch=", "epoch=X", 1), "epoch=%", strings.Replace(last, "=", "=9", 1), "nonsense"} {
			if e := s.listen(place, "ask/"+id).next(); !e.Whole {
				t.Errorf("the place %q is believed", place)
			}
		}
	})
}

// A topic that falls behind its frames is told whole.
func TestRing(t *testing.T) {
	n := 0
	tp := &topic{src: counter{&n}}
	if _, last, whole := tp.since(-1); !whole || last != 0 {
		t.Fatalf("the first reader gets frames up to %d, whole %v", last, whole)
	}
	for range 6 {
		n++
		tp.advance()
	}
	if tp.size > ringBytes || len(tp.frames) != 4 {
		t.Fatalf("%d frames of %d bytes are kept", len(tp.frames), tp.size)
	}
	for at, want := range map[int]string{6: "[]", 4: "[5 6]", 2: "[3 4 5 6]"} {
		frames, last, whole := tp.since(at)
		var got []string
		for _, f := range frames {
			got = append(got, string(bytes.TrimSpace(f)))
		}
		if fmt.Sprint(got) != want || last != 6 || whole {
			t.Errorf("since %d: %v, last %d, whole %v", at, got, last, whole)
		}
	}
	for _, at := range []int{1, -1, 7} {
		if frames, last, whole := tp.since(at); !whole || len(frames) != 1 || last != 6 {
			t.Errorf("since %d: %d frames, last %d, whole %v", at, len(frames), last, whole)
		}
	}
}

// counter shows a number, in a quarter of the ring.
type counter struct{ n *int }

func (c counter) frame(since any) ([]byte, any) {
	if since == *c.n {
		return nil, since
	}
	return append(strconv.AppendInt(nil, int64(*c.n), 10), bytes.Repeat([]byte(" "), ringBytes/4-1)...), *c.n
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(10*time.Millisecond, 5000), Config{})
		id := s.ask(`{"question": "2+2?", "method": "majority", "params": {"budget": 3, "k": 5}}`)
		l := s.listen("", "ask/"+id)
		var st state
		l.follow(&st, func() bool { return st.used > 50 })
		if status, _, body := s.do("POST", "/api/asks/"+id+"/stop", ""); status != http.StatusNoContent {
			t.Fatalf("stop: %d %s", status, body)
		}
		l.follow(&st, func() bool { return st.ended() })
		if st.head.State != stateStopped || st.traces[0].Reason != "client_cancelled" {
			t.Errorf("the request is %s, its first trace ended as %s", st.head.State, st.traces[0].Reason)
		}
		if status, _, _ := s.do("POST", "/api/asks/"+id+"/stop", ""); status != http.StatusNoContent {
			t.Error("stopping what has ended is an error")
		}
		// Programs stop their own requests.
		ctx, leave := context.WithCancel(t.Context())
		program, _ := http.NewRequestWithContext(ctx, "POST", "http://localhost/v1/chat/completions", strings.NewReader(`{"messages": [{"role": "user", "content": "2+2?"}]}`))
		done := make(chan error)
		go func() {
			_, err := s.client.Do(program)
			done <- err
		}()
		time.Sleep(time.Second)
		var theirs string
		s.page.mu.Lock()
		for _, b := range s.page.order {
			if b != id {
				theirs = b
			}
		}
		s.page.mu.Unlock()
		if status, _, _ := s.do("POST", "/api/asks/"+theirs+"/stop", ""); status != http.StatusConflict {
			t.Errorf("stopping a program's request: %d", status)
		}
		leave()
		<-done
		if status, _, _ := s.do("POST", "/api/asks/nobody/stop", ""); status != http.StatusNotFound {
			t.Errorf("stopping what is not there: %d", status)
		}
	})
}

func TestRefusedQuestions(t *testing.T) {
	s := start(t, paced(0, 5), Config{})
	for body, want := range map[string]string{
		`{"question": "a", "method": "best"}`:                                   "best",
		`{"question": "a", "method": "single", "params": {"eta": 5}}`:           "eta",
		`{"question": "a", "method": "majority", "params": {"eta": 1e999}}`:     "field eta is a JSON number 1e999 where a number up to 1.8e308 is expected",
		`{"question": "a", "params": {"budget": -1}}`:                           "budget",
		`{"question": "a", "method": "majority", "params": {"window": "wide"}}`: "window",
		`{"question": "a", "mood": "good"}`:                                     "field mood is not known; known are boxed, method, params, question",
		`{"question": "a", "boxed": 1}`:                                         "field boxed is a JSON number where true or false is expected",
		`{"question": ["a"]}`:                                                   "field question is a JSON array where a string is expected",
		`{"question": "a", "params": [1]}`:                                      "field params is a JSON array where an object is expected",
		`["a"]`:                                                                 "the request's body is a JSON array where an object is expected",
		`not json`:                                                              "the request's body is not JSON: ",
		`{"question": "a"} more`:                                                "the request's body is not JSON: ",
		"{\"question\": \"\xff\"}":                                              "the request's body is not text in UTF-8",
		`null`:                                                                  "the question is empty",
	} {
		status, h, reply := s.do("POST", "/api/asks", body)
		if status != http.StatusBadRequest || !strings.Contains(reply, want) || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", body, status, reply)
		}
		sameWords(t, reply)
	}
	if status, _, _ := s.do("POST", "/api/asks", `{"question": "`+strings.Repeat("a", maxQuestion)+`"}`); status != http.StatusRequestEntityTooLarge && status != http.StatusBadRequest {
		t.Errorf("a question of a megabyte: %d", status)
	}
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	for _, id := range s.page.order {
		if st := s.page.shows[id]; st.head.State == stateFailed {
			t.Errorf("a refused question is shown: %+v", st.head)
		}
	}
}

// sameWords checks an error of /api/: in the shape of /v1/'s, and without the words that
// Go's packages have for their callers.
func sameWords(t *testing.T, reply string) {
	t.Helper()
	var e map[string]map[string]any
	if err := json.Unmarshal([]byte(reply), &e); err != nil || e["error"]["message"] == "" || e["error"]["type"] == nil || len(e["error"]) != 4 {
		t.Errorf("no error of the API's: %s", reply)
	}
	for _, words := range []string{"unmarshal", "Go value", "Go struct", "json: "} {
		if strings.Contains(reply, words) {
			t.Errorf("an error in Go's words: %s", reply)
		}
	}
}

// The API wants a key where the server does; the page's files, which say nothing, do not.
func TestKeys(t *testing.T) {
	s := start(t, paced(0, 5), Config{}, "sesame")
	for path, want := range map[string]int{"/": 200, "/assets/style.css": 200, "/api/about": 401, "/api/events?watch=asks": 401, "/api/asks/x/tokens": 401} {
		if status, _, _ := s.do("GET", path, ""); status != want {
			t.Errorf("%s without a key: %d, want %d", path, status, want)
		}
	}
	if status, _, _ := s.do("POST", "/api/asks", `{"question": "a"}`); status != 401 {
		t.Errorf("asking without a key: %d", status)
	}
	if status, _, reply := s.do("POST", "/api/asks", `{"question": "a"}`, "Authorization", "Bearer sesame"); status != http.StatusAccepted {
		t.Errorf("asking with the key: %d %s", status, reply)
	}
	if status, _, _ := s.do("POST", "/api/asks", `{"question": "a"}`, "Authorization", "Bearer sesame", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("asking from another site: %d", status)
	}
}

// What is kept is bounded: requests that have ended make room, and what runs without
// room goes on unseen.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 8 << 10
		s := start(t, paced(time.Millisecond, 400), Config{MaxBytes: room, MaxAsks: 4})
		var st state
		for i := range 8 {
			id := s.ask(fmt.Sprintf(`{"question": "%d", "method": "majority", "params": {"budget": 4, "k": 5, "seed": %d}}`, i, i))
			l := s.listen("", "ask/"+id)
			l.follow(&st, func() bool { return st.ended() })
			if st.head.State != stateDone || !st.head.Cut {
				t.Errorf("request %d: %s, cut %v", i, st.head.State, st.head.Cut)
			}
			if n := s.page.bytes.Load(); n < 0 || n > room {
				t.Fatalf("%d bytes are kept of at most %d", n, room)
			}
			l.stop()
			s.page.Wait()
		}
		s.page.mu.Lock()
		n := len(s.page.shows)
		s.page.mu.Unlock()
		if n > 4 {
			t.Errorf("%d requests are kept", n)
		}
		if e := s.listen("", "ask/long-gone").next(); !bytes.Contains(e.Body, []byte("gone")) {
			t.Errorf("of a request that is not kept the stream says %s", e.Body)
		}
	})
}

// What is forgotten frees all that was kept of it: else a page that has been there for
// long enough keeps nothing more.
func TestForgottenIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(time.Millisecond, 50), Config{MaxAsks: 1})
		var first int64
		for i := range 5 {
			s.ask(`{"question": "q", "method": "majority", "params": {"budget": 4, "k": 5, "seed": 1}}`)
			s.page.Wait()
			switch n := s.page.bytes.Load(); {
			case i == 0:
				first = n
			case n != first:
				t.Fatalf("after %d requests of which one is kept it has %d bytes, and the first had %d", i+1, n, first)
			}
		}
		if first == 0 {
			t.Error("nothing was kept")
		}
	})
}

// A reader that takes nothing is dropped; one that is quiet is told that all is well.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(0, 5), Config{})
		l := s.listen("", "asks")
		l.next()
		time.Sleep(heartbeat + time.Second)
		line, err := l.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, ":") {
			t.Errorf("after %v of silence came %q, %v", heartbeat, line, err)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	s := start(t, paced(0, 5), Config{})
	for _, q := range []string{"", "?watch=" + strings.Repeat("a&watch=", maxWatched)} {
		if status, _, _ := s.do("GET", "/api/events"+q, ""); status != http.StatusBadRequest {
			t.Errorf("a stream of %.20q: %d", q, status)
		}
	}
	for range maxStreams { // of everybody, where no key is needed
		if status, why := s.page.places.take(""); status != 0 {
			t.Fatal(status, why)
		}
	}
	if status, h, body := s.do("GET", "/api/events?watch=asks", ""); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.Contains(body, `"too_many_streams"`) {
		t.Errorf("one stream too many: %d %s", status, body)
	}
}

// One key can't take the places of all: it is told so, others go on, and a place that is
// left is free again.
func TestStreamsOfAKeyAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, paced(0, 5), Config{}, "a", "b")
		key := func(k string) []string { return []string{"Authorization", "Bearer " + k} }
		var open []*listener
		for range maxOwn {
			l := s.listenWith(key("a"), "", "asks")
			l.next()
			open = append(open, l)
		}
		status, h, body := s.do("GET", "/api/events?watch=asks", "", key("a")...)
		if status != http.StatusTooManyRequests || h.Get("Retry-After") == "" || !strings.Contains(body, `"type":"rate_limit_error","param":null,"code":"too_many_streams"`) {
			t.Errorf("one stream too many of a key: %d %v %s", status, h, body)
		}
		s.listenWith(key("b"), "", "asks").next()
		open[0].stop()
		synctest.Wait()
		s.listenWith(key("a"), "", "asks").next()
		for _, l := range open {
			l.stop()
		}
	})
	// Whatever comes and goes, nobody has more than their share, all together have no
	// more than there are, and what was left is free.
	var p places
	held := map[string]int{}
	for i := range 4 * maxStreams {
		key := strconv.Itoa(i % 7)
		if status, _ := p.take(key); status == 0 {
			held[key]++
		}
		if held[key] > maxOwn || p.all > maxStreams {
			t.Fatalf("key %s has %d streams, all have %d", key, held[key], p.all)
		}
	}
	if p.all != maxStreams {
		t.Errorf("%d of %d places are taken", p.all, maxStreams)
	}
	for key, n := range held {
		for range n {
			p.leave(key)
		}
	}
	if p.all != 0 || len(p.own) != 0 {
		t.Errorf("when all have left %d places are held, %v", p.all, p.own)
	}
}

// The page may run nothing but its own files, and they make no markup of text.
func TestPolicy(t *testing.T) {
	s := start(t, paced(0, 5), Config{})
	for _, path := range []string{"/", "/assets/js/main.js", "/api/about", "/nowhere"} {
		_, h, _ := s.do("GET", path, "")
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser|createContextualFragment|javascript:`)
	inline := regexp.MustCompile(`(?i)<script(?:\s+[a-z]+="[^"]*")*\s*>[^<]|\son[a-z]+=|style=`)
	fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, _ := assets.ReadFile(name)
		switch path.Ext(name) {
		case ".js":
			if m := markup.Find(body); m != nil {
				t.Errorf("%s has %s", name, m)
			}
		case ".html":
			if m := inline.Find(body); m != nil {
				t.Errorf("%s has %q, which the policy forbids", name, m)
			}
		}
		return nil
	})
}

func TestFiles(t *testing.T) {
	s := start(t, paced(0, 5), Config{})
	status, h, _ := s.do("GET", "/assets/style.css", "")
	if status != 200 || h.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%d %v", status, h)
	}
	if status, _, _ := s.do("GET", "/assets/style.css", "", "If-None-Match", h.Get("ETag")); status != http.StatusNotModified {
		t.Errorf("asked again with the tag: %d", status)
	}
	for _, p := range []string{"/assets/", "/assets/../web.go", "/assets/%2e%2e/doc.go", "/etc/passwd", "/assets/index.html"} {
		if status, _, _ := s.do("GET", p, ""); status != http.StatusNotFound && status != http.StatusMovedPermanently && status != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d", p, status)
		}
	}
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /: %d", w.Code)
	}
}
