package grok

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/recipe"
	"orrery/learn/tensor"
)

// small is a run of a fraction of a second that still learns.
func small() Settings {
	s := cogsSettings("Z7", 48, 200)
	s.Every = 20
	return s
}

// run trains in a folder, stopping after so many readings if stop > 0.
func run(s Settings, dir string, resume bool, stop int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := recipe.Options{Dir: dir, Resume: resume, Watch: func(recipe.Reading) {
		if stop--; stop == 0 {
			cancel()
		}
	}}
	return s.Run(ctx, "test", o)
}

// contents are all files of a run, by name, without times.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		b, err := os.ReadFile(path)
		switch {
		case name == "metrics.jsonl":
			m, merr := ReadMetrics(dir)
			for i := range m {
				m[i].Seconds = 0
			}
			b, err = json.Marshal(m)
			err = errors.Join(err, merr)
		case name == filepath.Join("checkpoints", stateFile):
			b = b[8+binary.LittleEndian.Uint64(b):] // the header holds the seconds
		}
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is left over", what, name)
		}
	}
}

// TestResume: interrupted at any time and resumed on another number of
// threads, a run ends in the same bytes.
func TestResume(t *testing.T) {
	defer tensor.SetThreads(0)
	for name, s := range map[string]Settings{
		"full batch": small(),
		"minibatch":  func() Settings { s := small(); s.Batch = 16; return s }(),
		"muon":       func() Settings { s := small(); s.Optimizer.Kind = "muon"; return s }(),
		"li2, sgd":   func() Settings { s := small(); s.Net, s.Optimizer.Kind, s.Activation = li2Net, "sgd", SiLU; return s }(),
	} {
		t.Run(name, func(t *testing.T) {
			tensor.SetThreads(1)
			whole, parts := t.TempDir(), t.TempDir()
			if err := run(s, whole, false, 0); err != nil {
				t.Fatal(err)
			}
			tensor.SetThreads(3)
			stops := 0
			for i := 0; ; i++ {
				err := run(s, parts, i > 0, 5+2*i)
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "is saved") {
					t.Fatal(err)
				}
				stops++
			}
			if stops < 3 {
				t.Errorf("the run was interrupted %d times only", stops)
			}
			same(t, "resumed", contents(t, parts), contents(t, whole))
		})
	}
}

// TestKilled is the same for kill -9, in a process of its own.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("GROK_TEST_KILL"); dir != "" {
		readings := 0
		s := small()
		o := recipe.Options{Dir: dir, Resume: true, Watch: func(recipe.Reading) {
			if readings++; readings == 25 {
				p, _ := os.FindProcess(os.Getpid())
				p.Kill()
				select {}
			}
		}}
		fmt.Println(s.Run(context.Background(), "test", o))
		return
	}
	whole, killed := t.TempDir(), t.TempDir()
	if err := run(small(), whole, false, 0); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), "GROK_TEST_KILL="+killed)
	if err := c.Run(); err == nil {
		t.Fatal("the process was not killed")
	}
	if _, err := os.Stat(filepath.Join(killed, "final")); err == nil {
		t.Fatal("the process finished before it was killed")
	}
	if err := run(small(), killed, true, 0); err != nil {
		t.Fatal(err)
	}
	same(t, "killed", contents(t, killed), contents(t, whole))
}

// TestGroks: the small run learns, what is read back is what was trained, and
// settings that differ are refused.
func TestGroks(t *testing.T) {
	dir := t.TempDir()
	s := cogsSettings("Z11", 128, 2000)
	if err := run(s, dir, false, 0); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if fits, ok := r.Metrics.Reached(false, Enough); !ok || fits > 200 {
		t.Errorf("fits from epoch %d on (%v), want a few dozen", fits, ok)
	}
	if at, ok := r.Metrics.Reached(true, Enough); !ok || at > 2000 {
		t.Errorf("generalises from epoch %d on (%v)", at, ok)
	}
	n, err := r.Load(2000)
	if err != nil {
		t.Fatal(err)
	}
	train, test := newEvaluator(r.Group, 128, r.Split).score(n)
	last := r.Metrics[len(r.Metrics)-1]
	if train != last.Train || test != *last.Test {
		t.Errorf("the kept weights score %v %v, the metrics say %v %v", train, test, last.Train, *last.Test)
	}
	if err := s.WriteReport(dir); err != nil {
		t.Fatal(err)
	}
	page, _ := os.ReadFile(filepath.Join(dir, "report.html"))
	for _, want := range []string{"Grokking Z11", "generalises", "held out", "&#34;width&#34;: 128"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	s.Width = 64
	if err := run(s, dir, true, 0); err == nil || !strings.Contains(err.Error(), "settings.width was 128, now 64") {
		t.Errorf("resuming with another width: %v", err)
	}
}

// TestScore holds the evaluation to the naive loss and to the split.
func TestScore(t *testing.T) {
	g := parse(t, "S3")
	n := randomNet(6, 20, Square, 3)
	split := NewSplit(6, 25, 2)
	train, test := newEvaluator(g, 20, split).score(n)
	for name, c := range map[string]struct {
		got   Score
		pairs []int
	}{"train": {train, split.Train}, "test": {test, split.Test}} {
		loss, _, _ := naive(g, n, c.pairs)
		if math.Abs(c.got.Loss-loss) > 1e-5*loss {
			t.Errorf("%s: loss %g, naive %g", name, c.got.Loss, loss)
		}
	}
	all := append(slices.Clone(split.Train), split.Test...)
	slices.Sort(all)
	for i, p := range all {
		if i != p {
			t.Fatalf("the split is no partition: %v", all)
		}
	}
	// A network that knows the table: one node a pair, sharp enough.
	exact := NewNet(6, 36, ReLU)
	for x := range 6 {
		for y := range 6 {
			j := x*6 + y
			for z := range 6 {
				exact.A[z*36+j], exact.B[z*36+j] = -1, -1
			}
			exact.A[x*36+j], exact.B[y*36+j] = 1, 0
			exact.C[g.Mul(x, y)*36+j] = 1
		}
	}
	train, test = newEvaluator(g, 36, split).score(exact)
	if train.Accuracy != 1 || test.Accuracy != 1 || math.Abs(train.Loss) > 1e-6 {
		t.Errorf("a network that knows the table scores %v, %v", train, test)
	}
}

// TestTrainCounts: CoGS rounds the held-out pairs up, Li2 to the nearest.
func TestTrainCounts(t *testing.T) {
	for _, c := range []struct {
		net   string
		m     int
		share float64
		want  int
	}{
		{cogsNet, 23, 0.9, 476}, {cogsNet, 71, 0.9, 4536}, {cogsNet, 127, 0.9, 14516}, {cogsNet, 11, 0.9, 108}, {cogsNet, 10, 0.9, 90},
		{li2Net, 71, 0.4, 2016}, {li2Net, 10, 0.125, 13}, {cogsNet, 7, 1, 49},
	} {
		if n := (Settings{Net: c.net, Train: c.share}).trainCount(c.m); n != c.want {
			t.Errorf("%s, M = %d, %g: %d pairs, want %d", c.net, c.m, c.share, n, c.want)
		}
	}
}

func TestEvaluations(t *testing.T) {
	for _, epochs := range []int{1, 2, 99, 10000, 100000} {
		at, kept := Plan{Epochs: epochs}.evaluations()
		if at[0] != 0 || at[len(at)-1] != epochs || !slices.IsSorted(at) || len(at) > 200 || len(kept) > 80 {
			t.Errorf("%d epochs: %d evaluations from %d to %d, %d kept", epochs, len(at), at[0], at[len(at)-1], len(kept))
		}
		for e := range kept {
			if !slices.Contains(at, e) {
				t.Errorf("%d epochs: weights of %d are kept, but it is not evaluated", epochs, e)
			}
		}
	}
}

func TestNaNIsNamed(t *testing.T) {
	s := small()
	s.Optimizer = Optimizer{Kind: "sgd", LR: 1e30, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
	err := run(s, t.TempDir(), false, 0)
	var nan *NaNError
	if !errors.As(err, &nan) || nan.Epoch != 1 || nan.Good != 0 || !strings.Contains(err.Error(), "lower the learning rate") {
		t.Errorf("error %v (%+v)", err, nan)
	}
}

func TestSettingsErrors(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"Z0":                    func(s *Settings) { s.Group = "Z0" },
		"two elements":          func(s *Settings) { s.Group = "Z1" },
		"width is 0":            func(s *Settings) { s.Width = 0 },
		"train is 1.5":          func(s *Settings) { s.Train = 1.5 },
		"train is NaN":          func(s *Settings) { s.Train = math.NaN() },
		"enough for one":        func(s *Settings) { s.Train = 1e-9 },
		"epochs is 0":           func(s *Settings) { s.Epochs = 0 },
		"activation is":         func(s *Settings) { s.Activation = "gelu" },
		"net is":                func(s *Settings) { s.Net = "x" },
		"vinit is -1":           func(s *Settings) { s.VInit = -1 },
		"optimizer.kind is":     func(s *Settings) { s.Optimizer.Kind = "lion" },
		"optimizer.lr is 0":     func(s *Settings) { s.Optimizer.LR = 0 },
		"optimizer.beta1 is 1":  func(s *Settings) { s.Optimizer.Beta1 = 1 },
		"optimizer.decay is -1": func(s *Settings) { s.Optimizer.Decay = -1 },
	} {
		s := small()
		change(&s)
		if _, err := NewTrainer(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
