package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// serveFlags are serve's, as it has them when it runs.
func serveFlags(t testing.TB) *pflag.FlagSet {
	t.Helper()
	a := &app{}
	c, _, err := a.root().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	c.InheritedFlags() // merges them
	return c.Flags()
}

func TestConfigErrors(t *testing.T) {
	t.Setenv("SET", "v")
	t.Setenv("UNSET", "")
	known := serveFlags(t)
	for _, tt := range []struct{ text, words string }{
		{"", "F is empty"},
		{"- a", "F:1: entries such as"},
		{"listen: [", "F is not YAML: line 1"},
		{"listen: a\n---\nlisten: b", "more than one document"},
		{"\n\nlissten: x", `F:3: "lissten" is not known here`},
		{"check-config: true", `"check-config" is not known here`},
		{"listen: a\nmax-body: 1\nlisten: b", "F:3: listen was said in line 1"},
		{"listen:", "F:1: listen needs a value"},
		{"listen: [a, b]", "F:1: listen is one value, not a list"},
		{"listen: ${SET}", "F:1: ${…} is read in store"},
		{"store: ${UNSET}", "F:1: the environment variable UNSET is not set"},
		{"cors-origin: [[a]]", "a list of single values"},
		{"a: &x 1\nb: *x", "F:2: aliases"},
		{"upstreams: http://x", "F:1: upstreams is a list"},
		{"upstreams: []", "a list of at least one"},
		{"upstreams:\n  - http://x", "F:2: an entry of the form"},
		{"upstreams:\n  - url: http://x\n    wait: 3", `F:3: "wait" is not known here: there are url`},
		{"upstreams:\n  - url: http://x\n    weight: heavy", "F:3: cannot unmarshal str"},
		{"upstreams:\n  - name: x", "F:2: an upstream needs a url"},
		{"upstreams:\n  - url: ftp://x", "F:2: open a backend"},
		{"upstreams:\n  - {url: x, key: a, key-file: b}", "contradict"},
		{"upstreams:\n  - {url: x, weight: -1}", "above 0"},
		{"upstreams:\n  - url: x\n    key: ${UNSET}", "F:2: the environment variable UNSET"},
		{"upstream: x\nupstreams:\n  - url: x", "F:2: upstreams and upstream (line 1) contradict"},
		{"keys:\n  - name: a", "F:2: a key needs a name and a key"},
		{"keys:\n  - {name: a, key: x}\n  - {name: a, key: y}", "F:3: two keys are named a"},
		{"keys:\n  - {name: a, key: sha256:12}", "F:2: what follows sha256:"},
		{"keys:\n  - {name: a, key: x, sees: some}", "F:2: sees is"},
		{"keys:\n  - {name: a, key: x, methods: [best]}", `F:2: unknown method "best"`},
		{"keys:\n  - {name: a, key: x, limits: {request: 1}}", `F:2: "request" is not known here`},
		{"limits: {request: 1}", `F:1: "request" is not known`},
	} {
		_, err := parseConfig("F", []byte(tt.text), known)
		if err == nil || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%q:\n\t%v\nwant\t%s", tt.text, err, tt.words)
		}
	}
}

// configured runs serve with a configuration file, not to serve.
func configured(t *testing.T, text string, args ...string) (code int, out, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "serve.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, e := newConsole(), newConsole()
	code = run(t.Context(), append([]string{"serve", "--config", path, "--check-config"}, args...), strings.NewReader(""), o, e)
	return code, o.String(), strings.ReplaceAll(e.String(), path, "F")
}

// What is wrong only with the other entries is said with the line as well, and
// flags override the file.
func TestCheckConfig(t *testing.T) {
	for _, tt := range []struct {
		text  string
		args  []string
		code  int
		words string
	}{
		{"max-requests: many", nil, 2, "F:1: max-requests is \"many\": invalid syntax"},
		{"listen: x\ntls-cert: x", nil, 2, "F:2: --tls-cert and --tls-key belong together"},
		{"upstream: http://x\nmodel: y", nil, 2, "F:1: --upstream and --model contradict"},
		{"limits: {requests: -1}", nil, 2, "F:1: --limits"},
		{"log-format: xml", nil, 2, "F:1: --log-format"},
		{"log-format: xml", []string{"--log-format", "json"}, 0, "log-format: json"},
		{"budget: 7\nlisten: :1", []string{"--budget", "9"}, 0, "budget: \"9\""},
		{"upstreams:\n  - url: http://x", []string{"--upstream", "http://y"}, 0, "- url: http://y"},
		{"cors-origin: [https://a.example, https://b.example]", nil, 0, "- https://b.example"},
		{"limits: {requests: 3, budget: 4}", nil, 0, "limits: budget=4,requests=3"},
		{"keys:\n  - {name: a, key: x, limits: {requests: 3}}", nil, 0, "limits:\n      requests: 3\n    name: a"}, // no zeros, which are no limits
	} {
		code, out, stderr := configured(t, tt.text, tt.args...)
		if code != tt.code || !strings.Contains(out+stderr, tt.words) {
			t.Errorf("%q %v: %d\n%s%s\nwant %s", tt.text, tt.args, code, out, stderr, tt.words)
		}
	}
}

// The example in the documentation is read, what is printed of it holds no
// secret, and is read again as the same.
func TestConfigExample(t *testing.T) {
	for _, name := range []string{"GPU_2_KEY", "BATCH_KEY", "PGPASSWORD"} {
		t.Setenv(name, "CANARY-"+name)
	}
	text, err := os.ReadFile("../../docs/serve.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	code, out, stderr := configured(t, string(text))
	if code != exitDone || stderr != "" {
		t.Fatalf("%d %s", code, stderr)
	}
	for _, want := range []string{"name: batch", "sees: all", "weight: 2", "drain: true", "log-format: json", "key: (hidden)", "postgres://orrery:(hidden)@db:5432/orrery"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "CANARY") {
		t.Errorf("a secret is printed:\n%s", out)
	}
	if _, err := parseConfig("F", []byte(strings.ReplaceAll(out, "…", strings.Repeat("0", 56))), serveFlags(t)); err != nil {
		t.Errorf("what is printed is not read: %v\n%s", err, out)
	}
}

// SIGHUP reads keys and drains of the file again; what would need a restart, or
// is wrong, changes nothing.
func TestConfigReload(t *testing.T) {
	one, oneFake := backend(t, "m")
	two, _ := backend(t, "m")
	path := filepath.Join(t.TempDir(), "serve.yaml")
	write := func(key, more string) {
		text := fmt.Sprintf("keys:\n  - {name: a, key: %s, sees: all}\nupstreams:\n  - url: %s\n  - url: %s%s\n", key, one.URL, two.URL, more)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old", "")
	url, said, stop := served(t, "--config", path)
	if status(t, url, "old") != 200 {
		t.Error("the file's key does not open")
	}
	write("new", "\n    drain: true")
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: API keys read again")
	if status(t, url, "old") != 401 || status(t, url, "new") != 200 {
		t.Error("after SIGHUP the keys are not the file's")
	}
	before := len(oneFake.Calls())
	for range 3 {
		if got := asked1(t, url, "new"); got != 200 {
			t.Errorf("%d", got)
		}
	}
	if n := len(oneFake.Calls()) - before; n != 3 {
		t.Errorf("%d of 3 requests went to the one that is not drained", n)
	}
	// A file in which something is wrong drains nothing either; what takes a restart is named.
	write("\"with a blank\"", "")
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: the API keys stay as they were: .*no blanks")
	write("new", "\n    weight: 3\n    drain: true\nmax-budget: 7\nlimits: {requests: 9}")
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: API keys read again; limits, max-budget, upstreams changed too, which takes a restart")
	if got := asked1(t, url, "new"); got != 200 || len(oneFake.Calls())-before != 4 {
		t.Errorf("%d, and %d of 4 requests went to the one that is not drained", got, len(oneFake.Calls())-before)
	}
	write("newest", "\n  - url: http://elsewhere")
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	said.wait(t, "SIGHUP: the API keys stay as they were: upstream elsewhere is new")
	if status(t, url, "new") != 200 {
		t.Error("a file that needs a restart changed the keys")
	}
	stop()
}

// asked1 asks one question and returns the status.
func asked1(t *testing.T, url, key string) int {
	t.Helper()
	return postAs(t, url+"/v1/chat/completions", key, `{"messages": [{"role": "user", "content": "?"}]}`)
}

// Whatever a file holds, reading it ends in a configuration or in one sentence.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("../../docs/serve.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("a: &x [*x, *x]")
	f.Add("keys:\n  - {name: a, key: x, limits: {requests: 1}}")
	known := serveFlags(f)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseConfig("F", []byte(text), known); (c == nil) == (err == nil) || err != nil && err.Error() == "" {
			t.Errorf("%v, %v", c, err)
		}
	})
}
