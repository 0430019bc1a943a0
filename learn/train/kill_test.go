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

// The environment of a victim: its folder, and what it trains.
const (
	victimEnv    = "ORRERY_TRAIN_TEST_VICTIM"
	objectiveEnv = "ORRERY_TRAIN_TEST_OBJECTIVE"
)

// TestMain turns the test binary into a trainer that TestKill can kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir, os.Getenv(objectiveEnv))
	}
	os.Exit(m.Run())
}

// victims are the runs that get killed.
var victims = map[string]func(t testing.TB, dir string) *Run{"supervised": newRun, "grpo": newRL}

// victim trains in dir and says a line of every line of metrics.
func victim(dir, objective string) {
	r := victims[objective](new(testing.T), dir)
	r.Resume = true
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
	for objective, run := range victims {
		t.Run(objective, func(t *testing.T) {
			t.Parallel()
			want := t.TempDir()
			if err := run(t, want).Train(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			killed(t, want, objective)
		})
	}
}

// killed compares with want what a victim ends in.
func killed(t *testing.T, want, objective string) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for lines := 2; ; lines += 2 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), victimEnv+"="+dir, objectiveEnv+"="+objective)
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
