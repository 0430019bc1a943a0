package server

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

func TestNewRefuses(t *testing.T) {
	g := boxes("4")
	negative := -1.0
	for words, cfg := range map[string]Config{
		"no generator":             {},
		"default parameters":       {Generator: g, Defaults: reason.Params{Temperature: &negative}},
		"API key b is empty":       {Generator: g, Keys: []Key{NewKey("a", "a"), NewKey("b", "")}},
		"named a; give":            {Generator: g, Keys: []Key{NewKey("a", "a"), NewKey("a", "b")}},
		"keys a and b are the":     {Generator: g, Keys: []Key{NewKey("a", "x"), NewKey("b", "x")}},
		"needs a name":             {Generator: g, Keys: []Key{NewKey("a\n", "x")}},
		`unknown method "best"`:    {Generator: g, Keys: []Key{{Name: "a", Methods: []string{"best"}}}},
		"key a: a limit of more":   {Generator: g, Keys: []Key{{Name: "a", Limits: Limits{Tokens: 1e9}}}},
		"a server: a limit of":     {Generator: g, Limits: Limits{Requests: 1e9}},
		"let nothing in":           {Generator: g, MaxRequests: -1},
		"and -1 bytes let nothing": {Generator: g, MaxBody: -1},
		"a timeout is negative":    {Generator: g, WriteTimeout: -time.Second},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "open a server: ") {
			t.Errorf("New says %v, want %q in it", err, words)
		}
	}
}

func TestModels(t *testing.T) {
	// A name with slashes, and with an @ of its own.
	g := &llmtest.Scripted{Model: "@org/m", Pick: func(llm.Request) llmtest.Script { return llmtest.Words(1, "4") }}
	sv := serve(t, Config{Generator: g})
	_, body, _ := sv.get("/v1/models", "")
	var list struct {
		Object string
		Data   []struct {
			ID, Object, Method, About string
			OwnedBy                   string `json:"owned_by"`
			Created                   int64
		}
	}
	if err := json.Unmarshal(body, &list); err != nil || list.Object != "list" {
		t.Fatalf("%v: %s", err, body)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
		status, one, _ := sv.get("/v1/models/"+m.ID, "")
		var again struct{ ID, Method string }
		if json.Unmarshal(one, &again); status != 200 || again.ID != m.ID || again.Method != m.Method {
			t.Errorf("GET /v1/models/%s: %d %s", m.ID, status, one)
		}
		if m.Object != "model" || m.OwnedBy != "orrery" || m.About == "" || time.Since(time.Unix(m.Created, 0)) > time.Hour {
			t.Errorf("a model is %+v", m)
		}
	}
	want := []string{"@org/m"}
	for _, name := range reason.Names() {
		if name != "coconut" { // the model does not think in hidden states
			want = append(want, "@org/m@"+name)
		}
	}
	if !slices.Equal(ids, want) {
		t.Errorf("models %v, want %v", ids, want)
	}
	for _, name := range []string{"m", "@org/m@", "@org/m@best", "org/m@single", "@org/m@single@single"} {
		if status, body, _ := sv.get("/v1/models/"+name, ""); status != 404 || !bytes.Contains(body, []byte(`"model_not_found"`)) {
			t.Errorf("GET /v1/models/%s: %d %s", name, status, body)
		}
	}
}

// A generator that does not know its model's name before its first use takes
// any, with a method behind the last @ that is one.
func TestModelNotKnownYet(t *testing.T) {
	g := &nameless{boxes("4")}
	sv := serve(t, Config{Generator: g})
	for name, method := range map[string]string{"": "single", "x": "single", "x@y": "single", "x@y@majority": "majority", "x@majority": "majority"} {
		_, body, _ := sv.get("/v1/chat/completions", `{"model": "`+name+`", `+user+`}`)
		var r struct{ Orrery struct{ Method string } }
		if json.Unmarshal(body, &r); r.Orrery.Method != method {
			t.Errorf("model %q was answered by %q, want %q: %s", name, r.Orrery.Method, method, body)
		}
	}
}

type nameless struct{ *llmtest.Scripted }

func (g *nameless) Info() llm.Info {
	info := g.Scripted.Info()
	info.Model = ""
	return info
}

func TestRoutes(t *testing.T) {
	s, err := New(Config{Generator: boxes("4")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		status       int
		words        string
	}{
		{"GET", "/", 200, "curl"},
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/v1/models", 200, `"list"`},
		{"HEAD", "/v1/models", 200, ``},
		{"GET", "/v1/chat/completions", 405, "use POST"},
		{"PUT", "/v1/completions", 405, "use POST"},
		{"POST", "/v1/models", 405, "use GET"},
		{"POST", "/v1/embeddings", 404, "there are /v1/chat/completions"},
		{"GET", "/nothing", 404, ""},
		{"POST", "/healthz", 405, ""},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader("{}")))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.words) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Body)
		}
		if strings.HasPrefix(tt.path, "/v1/") && (w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Request-Id") == "") {
			t.Errorf("%s %s: headers %v", tt.method, tt.path, w.Header())
		}
	}
	st := s.Stats()
	if want := map[Reason]int{Completed: 2, BadRequest: 4}; !maps.Equal(st.Ended, want) || st.Received != 6 || st.Open != 0 {
		t.Errorf("counted %+v, want %v: only routes under /v1/ count", st, want)
	}
}

func TestKeys(t *testing.T) {
	sv := serve(t, Config{Generator: boxes("4"), Keys: []Key{NewKey("", "sk-one"), NewKey("", "sk-two")}})
	for header, status := range map[string]int{
		"Bearer sk-one": 200, "Bearer sk-two": 200, "bearer  sk-two ": 200,
		"": 401, "Bearer": 401, "Bearer ": 401, "sk-one": 401, "Basic sk-one": 401, "Bearer sk-on": 401, "Bearer sk-one2": 401, "Bearer sk-onesk-two": 401,
	} {
		got, body, h := sv.get("/v1/chat/completions", `{`+user+`}`, "Authorization", header)
		if got != status {
			t.Errorf("Authorization %q: status %d, want %d", header, got, status)
		}
		if status == 401 && (h.Get("WWW-Authenticate") != "Bearer" || !bytes.Contains(body, []byte(`"invalid_api_key"`)) || bytes.Contains(body, []byte("sk-"))) {
			t.Errorf("Authorization %q: %v %s", header, h, body)
		}
	}
	for path, status := range map[string]int{"/v1/models": 401, "/v1/models/m": 401, "/v1/none": 401, "/healthz": 200, "/readyz": 200, "/": 200} {
		if got, _, _ := sv.get(path, ""); got != status {
			t.Errorf("GET %s without a key: %d, want %d", path, got, status)
		}
	}
	sv.stop()
	sv.want(map[Reason]int{Completed: 3, Unauthorized: 8 + 3})
}

// Another site's page must not ask through its visitor's browser.
func TestForeignPages(t *testing.T) {
	sv := serve(t, Config{Generator: boxes("4")})
	for _, tt := range []struct {
		header, value string
		status        int
	}{
		{"Sec-Fetch-Site", "cross-site", 403}, {"Origin", "https://elsewhere.example", 403},
		{"Sec-Fetch-Site", "same-origin", 200}, {"Origin", "http://orrery", 200}, {"X-None", "", 200},
	} {
		if status, body, _ := sv.get("/v1/chat/completions", `{`+user+`}`, tt.header, tt.value); status != tt.status {
			t.Errorf("%s: %s: status %d, want %d: %s", tt.header, tt.value, status, tt.status, body)
		}
	}
	sv.stop()
	sv.want(map[Reason]int{Completed: 3, Unauthorized: 2})
}

// Every kind of error that a generator can end with has a status of its own
// choosing; the kinds are read from the source, so that a new one is missed.
func TestEveryErrorKindHasAStatus(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../think/llm/llm.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []llm.ErrorKind
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "ErrorKind" {
				kind, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				kinds = append(kinds, llm.ErrorKind(kind))
			}
		}
		return true
	})
	slices.Sort(kinds)
	if have := slices.Sorted(maps.Keys(statuses)); !slices.Equal(have, kinds) {
		t.Errorf("statuses are known for %v, and the kinds are %v", have, kinds)
	}
	for kind, status := range statuses {
		e := fromRun(&llm.Error{Kind: kind})
		if e.Status != status || e.Code == "" || (e.Status < 500) != (e.Type != typeUpstream) {
			t.Errorf("%s becomes %+v", kind, e)
		}
	}
}

// What is logged: one line a request, with its reason, and nothing that was
// said, answered or sent as a key.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	g := boxes("4213")
	sv := serve(t, Config{Generator: g, Keys: []Key{NewKey("", "sk-secret")}, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	sv.get("/v1/chat/completions", `{"model": "m@majority", "orrery": {"budget": 2}, "messages": [{"role": "user", "content": "private question"}]}`, "Authorization", "Bearer sk-secret")
	sv.get("/v1/completions", `{"prompt": "private question", "n": 2}`, "Authorization", "Bearer sk-secret")
	sv.get("/v1/chat/completions", `{"private": 1}`, "Authorization", "Bearer sk-guess")
	sv.stop()
	for _, secret := range []string{"private", "4213", "sk-secret", "sk-guess"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, &log)
		}
	}
	var lines []map[string]any
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == "request" {
			lines = append(lines, m)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("three requests, and the log:\n%s", &log)
	}
	for key, want := range map[string]any{"route": "/v1/chat/completions", "model": "m@majority", "method": "majority", "reason": "completed",
		"status": 200.0, "traces": 2.0, "tokens": 10.0} {
		if lines[0][key] != want {
			t.Errorf("the first line says %s %v, want %v", key, lines[0][key], want)
		}
	}
	if lines[1]["reason"] != "bad_request" || lines[1]["status"] != 400.0 || lines[2]["reason"] != "unauthorized" {
		t.Errorf("the log:\n%s", &log)
	}
}

// A fault of our own is a 500 before the reply began, and a broken connection
// after: what was cut off must not look whole.
func TestPanics(t *testing.T) {
	for _, stream := range []bool{false, true} {
		g := &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return llmtest.Words(1, "one two three") }}
		s, err := New(Config{Generator: g})
		if err != nil {
			t.Fatal(err)
		}
		h := s.exchange(func(x *exchange) {
			if stream {
				x.header(200, "text/event-stream", -1)
				x.write([]byte("data: 1\n\n"))
			}
			panic("private")
		})
		w := httptest.NewRecorder()
		var p any
		func() {
			defer func() { p = recover() }()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/models", nil))
		}()
		if stream && p != http.ErrAbortHandler || !stream && (p != nil || w.Code != 500) || strings.Contains(w.Body.String(), "private") {
			t.Errorf("stream %v: panic %v, %d %s", stream, p, w.Code, w.Body)
		}
		if st := s.Stats(); st.Ended[ServerError] != 1 || st.Open != 0 {
			t.Errorf("stream %v: counted %+v", stream, st)
		}
	}
}

// A reply that JSON cannot hold is a fault of our own, and says so.
func TestReplyThatDoesNotEncode(t *testing.T) {
	s, err := New(Config{Generator: boxes("4")})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.exchange(func(x *exchange) { x.json(200, math.NaN()) }).ServeHTTP(w, httptest.NewRequest("GET", "/v1/models", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"internal"`) || s.Stats().Ended[ServerError] != 1 {
		t.Errorf("%d %s, counted %+v", w.Code, w.Body, s.Stats())
	}
}
