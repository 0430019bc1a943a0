package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	const page = "https://page.example:8443"
	for _, tt := range []struct {
		name           string
		origins        []string
		origin, method string
		header         []string
		status         int
		allowed        string
	}{
		{"off", nil, page, "POST", nil, 403, ""},
		{"off, asked about", nil, page, "OPTIONS", []string{"Access-Control-Request-Method", "POST"}, 401, ""},
		{"invited", []string{page}, page, "POST", []string{"Authorization", "Bearer k"}, 200, page},
		{"invited without a key", []string{page}, page, "POST", nil, 401, page},
		{"invited, asked about", []string{"http://other", page}, page, "OPTIONS", []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os"}, 204, page},
		{"another port", []string{page}, "https://page.example", "POST", []string{"Authorization", "Bearer k"}, 403, ""},
		{"another, asked about", []string{page}, "https://page.example", "OPTIONS", []string{"Access-Control-Request-Method", "POST"}, 401, ""},
		{"no scheme", []string{page}, "null", "POST", []string{"Authorization", "Bearer k"}, 403, ""},
		{"any", []string{"*"}, "null", "POST", []string{"Authorization", "Bearer k"}, 200, "null"},
		{"a program", []string{page}, "", "POST", []string{"Authorization", "Bearer k"}, 200, ""},
		{"options that ask nothing", []string{page}, page, "OPTIONS", []string{"Authorization", "Bearer k"}, 405, page},
	} {
		s, err := New(Config{Generator: boxes("4"), Keys: []Key{NewKey("", "k")}, Origins: tt.origins, AnyOriginWithKeys: true})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(tt.method, "http://orrery/v1/chat/completions", strings.NewReader(`{`+user+`}`))
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != tt.status || h.Get("Access-Control-Allow-Origin") != tt.allowed || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v %s", tt.name, w.Code, h, w.Body)
		}
		if len(tt.origins) > 0 && !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
			t.Errorf("%s: caches would hand the reply on: %v", tt.name, h)
		}
		if tt.status == http.StatusNoContent && (h.Get("Access-Control-Allow-Headers") != "authorization,x-stainless-os" || h.Get("Access-Control-Allow-Methods") != "GET, POST") {
			t.Errorf("%s: %v", tt.name, h)
		}
	}
	for _, origins := range [][]string{{"*"}, {"example.org"}, {"https://example.org/"}, {"https://example.org/x"}, {"null"}, {"https://u@example.org"}} {
		if _, err := New(Config{Generator: boxes("4"), Keys: []Key{NewKey("", "k")}, Origins: origins}); err == nil {
			t.Errorf("origins %v are taken", origins)
		}
	}
	if _, err := New(Config{Generator: boxes("4"), Origins: []string{"*"}}); err != nil {
		t.Errorf("where no key is needed, * means what it says: %v", err)
	}
}
