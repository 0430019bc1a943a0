//go:build unix

package train

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const victimEnv = "ORRERY_TRAIN_TEST_VICTIM"

// TestMain turns the test binary into a trainer that TestKill can kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// victim trains in dir and says a line of every line of metrics.
func victim(dir string) {
	c := smallConfig()
	mix := []Mix{{Task: "arithmetic", Weight: 2, EasyStart: 1, EasyEnd: 0.5, EasyUntil: 6}, {Task: "countdown", Weight: 1, Easy: true}}
	p, err := NewProblems(vocab, mix, c.Seed, c.Eval.Problems)
	if err != nil {
		panic(err)
	}
	r := &Run{Dir: dir, Resume: true, Config: c, Model: smallModel(), Vocab: vocab, Source: p}
	ctx := context.Background()
	if err := r.Train(ctx, func(p Progress) { os.Stdout.WriteString(p.Metric.Kind + "\n") }); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

// TestKill kills a training process again and again, each time after another
// number of lines, with whatever it is doing then half done, until one gets
// through; the result is that of an uninterrupted run.
func TestKill(t *testing.T) {
	want, dir := whole(t), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for lines := 2; ; lines += 2 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), victimEnv+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n, s := 0, bufio.NewScanner(out)
		for s.Scan() {
			if n++; n == lines {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				kills++
			}
		}
		if err := cmd.Wait(); err == nil {
			break
		} else if n < lines {
			t.Fatalf("the trainer failed by itself after %d lines: %v: %s", n, err, stderr.String())
		}
		if lines > 60 {
			t.Fatal("the run never ends")
		}
	}
	if kills < 3 {
		t.Errorf("the trainer was killed %d times, want at least 3", kills)
	}
	sameRun(t, want, dir)
}
