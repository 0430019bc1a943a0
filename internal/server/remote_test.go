package server

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestRemote(t *testing.T) {
	s, err := New(Config{Generator: boxes("4"), Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:1234", nil, "192.0.2.1"},
		{"192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1"}, // nobody who may say so
		{"10.0.0.1:1234", nil, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:1234", []string{"1.1.1.1, 198.51.100.7, 10.9.9.9"}, "198.51.100.7"}, // the first is made up
		{"10.0.0.1:1234", []string{"1.1.1.1", "198.51.100.7:99"}, "198.51.100.7"},
		{"10.0.0.1:1234", []string{"1.1.1.1, unknown"}, "10.0.0.1"},
		{"10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[fd00::1%eth0]:1234", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"@", []string{"198.51.100.7"}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.from
		for _, f := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := s.remote(r); got != tt.want {
			t.Errorf("%s, %v: %s, want %s", tt.from, tt.forwarded, got, tt.want)
		}
	}
}
