package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// viewer is a page: files at /, and under /api/ an echo, an event stream, and a
// question that outlives its request.
type viewer struct {
	server *Server
	asked  chan *httptest.ResponseRecorder
}

func (v *viewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/echo":
		io.Copy(w, r.Body)
	case "/api/events":
		io.WriteString(w, "data: hello\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		io.WriteString(w, "data: bye\n\n")
	case "/api/flood":
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				v.asked <- nil
				return
			}
		}
	case "/api/ask":
		inner, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), "POST", "/v1/chat/completions", strings.NewReader(`{`+user+`}`))
		if err != nil {
			panic(err)
		}
		go func() {
			rec := httptest.NewRecorder()
			v.server.ServeHTTP(rec, inner)
			v.asked <- rec
		}()
	default:
		io.WriteString(w, "file "+r.URL.Path)
	}
}

func viewed(t *testing.T, cfg Config) (*service, *viewer) {
	v := &viewer{asked: make(chan *httptest.ResponseRecorder, 1)}
	cfg.Page = v
	sv := serve(t, cfg)
	v.server = sv.Server
	return sv, v
}

// Files need no key, what is asked does, and neither is for other origins or
// for names that are not this server's.
func TestPageGuard(t *testing.T) {
	sv, _ := viewed(t, Config{Generator: boxes("4"), Keys: []Key{NewKey("", "k")}, Hosts: []string{"orrery"}})
	key := []string{"Authorization", "Bearer k"}
	for _, tt := range []struct {
		path, body string
		header     []string
		host       string
		status     int
		words      string
	}{
		{"/", "", nil, "", 200, "file /"},
		{"/app.js", "", nil, "", 200, "file /app.js"},
		{"/healthz", "", nil, "", 200, "ok"},
		{"/api/echo", "x", key, "", 200, "x"},
		{"/api/echo", "x", nil, "", 401, "invalid_api_key"},
		{"/api/echo", "x", append(key, "Origin", "http://evil.example"), "", 403, "cross_origin"},
		{"/app.js", "x", []string{"Sec-Fetch-Site", "cross-site"}, "", 403, "cross_origin"},
		{"/api/echo", "x", key, "evil.example:8888", 421, "unknown_host"},
		{"/app.js", "", nil, "evil.example", 421, "unknown_host"},
		{"/v1/models", "", key, "evil.example", 421, "unknown_host"},
		{"/v1/models", "", key, "ORRERY.:8888", 200, "list"},
		{"/v1/models", "", key, "127.0.0.1:8888", 200, "list"},
		{"/v1/models", "", key, "[::1]:8888", 200, "list"},
		{"/api/echo", strings.Repeat("x", 1<<20+1), key, "", 200, ""}, // cut, which the page sees as an error
	} {
		req := httptest.NewRequest("GET", "http://orrery"+tt.path, nil)
		if tt.body != "" {
			req = httptest.NewRequest("POST", "http://orrery"+tt.path, strings.NewReader(tt.body))
		}
		for i := 0; i < len(tt.header); i += 2 {
			req.Header.Set(tt.header[i], tt.header[i+1])
		}
		if tt.host != "" {
			req.Host = tt.host
		}
		w := httptest.NewRecorder()
		sv.ServeHTTP(w, req)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.words) || w.Body.Len() > 1<<20 {
			t.Errorf("%s %v as %q: %d %.200s, want %d %s", tt.path, tt.header, tt.host, w.Code, w.Body, tt.status, tt.words)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" && tt.path != "/healthz" {
			t.Errorf("%s may be sniffed", tt.path)
		}
	}
	if st := sv.Stats(); st.Received != 4 {
		t.Errorf("%d requests are counted, want those under /v1/", st.Received)
	}
}

// What the page asks within the process is waited for at the end, and its
// viewers see it: the event stream is the last to go.
func TestPageDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv, v := viewed(t, Config{Generator: paced("a b c d e f g h i j"), Keys: []Key{NewKey("", "k")}, Drain: 20 * time.Second})
		began := time.Now()
		resp, err := sv.do(t.Context(), "/api/events", "", "Authorization", "Bearer k")
		if err != nil {
			t.Fatal(err)
		}
		if status, body, _ := sv.get("/api/ask", "now", "Authorization", "Bearer k"); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		synctest.Wait()
		ended := sv.ending()
		all, err := io.ReadAll(resp.Body)
		if took := time.Since(began); err != nil || string(all) != "data: hello\n\ndata: bye\n\n" || took != 10*time.Second {
			t.Errorf("the event stream ended after %v with %q, %v; want 10s, with the question", took, all, err)
		}
		if rec := <-v.asked; rec.Code != 200 || !bytes.Contains(rec.Body.Bytes(), []byte("a b c")) {
			t.Errorf("the question was answered with %d %s", rec.Code, rec.Body)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A viewer that does not read, and one that does not send, are let go.
func TestPageSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv, v := viewed(t, Config{Generator: boxes("4")})
		resp, err := sv.do(t.Context(), "/api/flood", "")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-v.asked
		if took := time.Since(began); took > defaultTimeout {
			t.Errorf("a viewer that does not read held its handler up for %v", took)
		}
		resp.Body.Close()
		for _, path := range []string{"/api/echo", "/healthz", "/v1/models"} {
			began := time.Now()
			conn, err := sv.l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: orrery\r\nContent-Length: 10\r\n\r\nx")
			io.Copy(io.Discard, conn)
			if took := time.Since(began); took > 2*defaultTimeout {
				t.Errorf("%s waited %v for a body that does not come", path, took)
			}
			conn.Close()
		}
	})
}

// An event stream lasts longer than any timeout.
func TestPageStreamLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv, _ := viewed(t, Config{Generator: boxes("4")})
		ctx, leave := context.WithTimeout(t.Context(), time.Hour)
		defer leave()
		began := time.Now()
		resp, err := sv.do(ctx, "/api/events", "")
		if err != nil {
			t.Fatal(err)
		}
		all, _ := io.ReadAll(resp.Body)
		if took := time.Since(began); took != time.Hour || string(all) != "data: hello\n\n" {
			t.Errorf("the stream ended after %v with %q", took, all)
		}
		resp.Body.Close()
	})
}

// A key sees what was asked with it alone, unless it says otherwise.
func TestSeesAll(t *testing.T) {
	operator := NewKey("operator", "o")
	operator.SeesAll = true
	for _, tt := range []struct {
		keys []Key
		key  string
		want string
	}{{nil, "", " true"}, {[]Key{operator, NewKey("alice", "a")}, "o", "operator true"}, {[]Key{operator, NewKey("alice", "a")}, "a", "alice false"}} {
		s, err := New(Config{Generator: boxes("4"), Keys: tt.keys, Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, Client(r.Context()), " ", SeesAll(r.Context()))
		})})
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"/api/x": tt.want, "/x": " false"} {
			r := httptest.NewRequest("GET", "http://orrery"+path, nil)
			r.Header.Set("Authorization", "Bearer "+tt.key)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Body.String() != want {
				t.Errorf("%s as %q: %q, want %q", path, tt.key, w.Body, want)
			}
		}
	}
}

// TestRevokedKeyWatchesNothing: what a page holds open ends with the key that opened it,
// and with a change of what that key sees, and with no other change.
func TestRevokedKeyWatchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := map[string]bool{}
		s, err := New(Config{Generator: boxes("4"), Keys: []Key{NewKey("alice", "a"), NewKey("bob", "b"), NewKey("carol", "c")}, Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		var mu sync.Mutex
		for _, key := range []string{"a", "b", "c"} {
			go func() {
				r := httptest.NewRequestWithContext(ctx, "GET", "http://orrery/api/events", nil)
				r.Header.Set("Authorization", "Bearer "+key)
				s.ServeHTTP(httptest.NewRecorder(), r)
				mu.Lock()
				defer mu.Unlock()
				ended[key] = true
			}()
		}
		carol := NewKey("carol", "c")
		carol.SeesAll = true
		for _, step := range []struct {
			keys []Key
			want string
		}{
			{[]Key{NewKey("alice", "a"), NewKey("bob", "b"), NewKey("carol", "c"), NewKey("dora", "d")}, "map[]"},
			{[]Key{NewKey("bob", "b"), NewKey("carol", "c")}, "map[a:true]"},
			{[]Key{NewKey("bob", "b"), carol}, "map[a:true c:true]"},
		} {
			synctest.Wait()
			if err := s.SetKeys(step.keys); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := fmt.Sprint(ended); got != step.want {
				t.Errorf("after the keys are %d: ended %s, want %s", len(step.keys), got, step.want)
			}
		}
		leave()
	})
}
