package check

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

var program string // built as the Containerfile says

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orrery-deploy")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "orrery")
	// As in the Containerfile, but for the flags that only make it smaller.
	build := exec.Command("go", "build", "-tags", "static", "-o", program, "./cmd/orrery")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building orrery: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// run runs the program and gives all that it says.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// The Containerfile parses, builds what TestMain builds, and ends in an image of
// nothing else that does not run as root and says how its health is seen.
func TestContainerfile(t *testing.T) {
	b, err := os.ReadFile("../../Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var complaints []string
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) { complaints = append(complaints, rule+": "+message) }})
	stages, _, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	if len(complaints) > 0 {
		t.Errorf("%v", complaints)
	}
	last := stages[len(stages)-1]
	if len(stages) != 2 || last.BaseName != "scratch" {
		t.Fatalf("%d stages, the last of them from %s", len(stages), last.BaseName)
	}
	said := map[string]bool{}
	for _, c := range last.Commands {
		said[strings.ToLower(c.Name())] = true
		switch c := c.(type) {
		case *instructions.UserCommand:
			if c.User != "65532:65532" {
				t.Errorf("it runs as %s", c.User)
			}
		case *instructions.CopyCommand:
			if c.From != stages[0].Name {
				t.Errorf("%s copies from %q", c, c.From)
			}
		}
	}
	for _, name := range []string{"user", "healthcheck", "entrypoint", "copy", "volume"} {
		if !said[name] {
			t.Errorf("it lacks %s", name)
		}
	}
	if !strings.Contains(string(b), "CGO_ENABLED=0 go build -tags static") {
		t.Error("it builds another program than this test")
	}
}

// The program needs no loader and no library.
func TestStatic(t *testing.T) {
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a segment %v", p.Type)
		}
	}
}

// In a folder that holds the program and /data alone, which is all that an image
// from scratch has, with a root that cannot be written to and a user without a
// name, it serves, records, and says that it is ready.
func TestServesFromScratch(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may make a folder the root of a process; run as root, as in a container")
	}
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "orrery"), copied, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(root, "data"), 65532, 65532); err != nil {
		t.Fatal(err)
	}
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/orrery", args...)
		cmd.Dir, cmd.Env = "/", []string{"XDG_DATA_HOME=/data", "ORRERY_API_KEYS=key-of-this-test"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return cmd
	}
	cmd := inside("serve", "--listen", "127.0.0.1:0", "--json", "--log-format", "json", "--metrics-listen", "127.0.0.1:0", "--drain", "1s")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer kill.Stop()
	var hello struct{ Address string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		cmd.Wait()
		t.Fatalf("%v\n%s", err, log.String())
	}
	url := "http://" + hello.Address
	if said, err := inside("ready", url).CombinedOutput(); err != nil {
		t.Errorf("ready: %v\n%s", err, said)
	}
	r, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"messages": [{"role": "user", "content": "Compute 3 * (4 + 5)."}], "seed": 1, "orrery": {"method": "majority", "budget": 3}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer key-of-this-test")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || !bytes.Contains(reply, []byte(`\\boxed{27}`)) {
		t.Errorf("%v %s %s", err, resp.Status, reply)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, log.String())
	}
	if said, err := inside("ready", url).CombinedOutput(); err == nil {
		t.Errorf("it has ended, and ready says %s", said)
	}
	said, err := inside("runs", "--json").Output()
	if err != nil || !bytes.Contains(said, []byte(`"majority"`)) {
		t.Errorf("the record says %s, %v", said, err)
	}
	var files []string
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	})
	if slices.ContainsFunc(files, func(f string) bool { return f != "/orrery" && !strings.HasPrefix(f, "/data/") }) {
		t.Errorf("it wrote outside of /data: %v", files)
	}
}

var metricName = regexp.MustCompile(`\b(?:orrery|process)_[a-z_]+\b`)

// Every metric that the dashboard shows is exported by a server that has answered
// a request.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--json", "--drain", "1s", "--limits", "requests=100", "--store", "sqlite:"+filepath.Join(t.TempDir(), "r.sqlite"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}()
	var hello struct{ Address string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+hello.Address+"/v1/chat/completions", "application/json", strings.NewReader(`{"messages": [{"role": "user", "content": "Compute 3 * (4 + 5)."}], "seed": 1, "orrery": {"method": "deepconf-high", "budget": 4, "warmup": 2}}`))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp, err = http.Get("http://" + hello.Address + "/metrics"); err != nil {
		t.Fatal(err)
	}
	exported, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				shown++
				if !bytes.Contains(exported, []byte("\n"+name+" ")) && !bytes.Contains(exported, []byte("\n"+name+"{")) {
					t.Errorf("panel %q shows %s, which is not exported", p.Title, name)
				}
			}
		}
	}
	if shown < 10 {
		t.Errorf("the dashboard shows %d metrics", shown)
	}
}
