package browsertest

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The program as it is built has the page: its built-in model is asked, what was asked
// is in the record, and the process ends when it is told to, although the page is open.
func TestProgram(t *testing.T) {
	p := serveProgram(t, built(t), "sqlite:"+filepath.Join(t.TempDir(), "r.sqlite"))
	tb := visit(t, p.url)
	tb.until(`document.querySelector("#p-seed")`)
	tb.js(`document.querySelector("#p-seed").value = 1`) // else the program draws one, and the answer is what most traces say
	tb.ask("Ben has 7 baskets of 18 cards. He buys 3 baskets of 3 cards. He gives 60 cards to Ruth. Ruth has 7 times as many cards as Ben has now. How many cards does Ruth have?", "deepconf-high", 32)
	tb.until(done + ` && document.querySelectorAll(".tokens span").length > 10`)
	if got := eval[string](tb, `document.querySelector(".m-answer dd").textContent`); got != "525" {
		t.Errorf("the answer is %q, want 525", got)
	}
	tb.js(`location.hash = "#/history"`)
	tb.until(`document.querySelectorAll(".list tbody a").length == 1`)
	tb.click(".list tbody a")
	tb.until(done + ` && document.querySelector(".replay")`)
	tb.expect("ERR_")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.ended = true
	if err := p.Wait(); err != nil {
		t.Errorf("the program ends with %v", err)
	}
}

// built is the program as the tree builds it.
func built(t *testing.T) string {
	t.Helper()
	if browser == nil {
		t.Skip("no chromium is installed; apt-get install chromium un-skips this")
	}
	bin := filepath.Join(t.TempDir(), "orrery")
	build := exec.Command("go", "build", "-o", bin, "./cmd/orrery")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// program is a running server of it.
type program struct {
	*exec.Cmd
	url   string
	ended bool
}

func serveProgram(t *testing.T, bin, store string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(bin, "serve", "--listen", "127.0.0.1:0", "--store", store, "--keep", "all")}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.ended {
			p.Process.Kill()
			p.Wait()
		}
	})
	lines := bufio.NewScanner(stderr)
	for p.url == "" && lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "page: "); ok {
			p.url = strings.TrimSuffix(at, "/")
		}
	}
	if p.url == "" {
		t.Fatal("the program does not say where its page is")
	}
	go func() {
		for lines.Scan() {
		}
	}()
	return p
}
