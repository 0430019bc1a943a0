package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// vocab is the tokenizer of these tests.
var vocab = func() *token.Vocab {
	v, err := token.New(token.Pieces(task.Vocabulary()))
	if err != nil {
		panic(err)
	}
	return v
}()

// smallModel is a Llama of some thousand parameters.
func smallModel() nn.Config {
	return nn.Config{
		VocabSize: vocab.Size(), HiddenSize: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, Intermediate: 32, MaxPositions: 128,
		Positions: "rotary", RopeTheta: 10000, Norm: "rms", NormEps: 1e-5, MLP: "swiglu", Tied: true, BOS: vocab.BOS(), EOS: vocab.EOS(),
	}
}

func smallConfig() Config {
	return Config{
		Seed: 7, Steps: 12, BatchTokens: 100, Clip: 1, CheckpointEvery: 3,
		Optimizer: Optimizer{Kind: "adamw", LR: 3e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Decay: 0.1},
		Schedule:  Schedule{Warmup: 3, Final: 0.1},
		Eval:      Evaluation{Every: 4, Problems: 2, Temperature: 1, MaxTokens: 10},
	}
}

// newRun is a small run in dir on easy arithmetic and countdown.
func newRun(t testing.TB, dir string) *Run {
	t.Helper()
	c := smallConfig()
	mix := []Mix{{Task: "arithmetic", Weight: 2, EasyStart: 1, EasyEnd: 0.5, EasyUntil: 6}, {Task: "countdown", Weight: 1, Easy: true}}
	p, err := NewProblems(vocab, mix, c.Seed, c.Eval.Problems)
	if err != nil {
		t.Fatal(err)
	}
	return &Run{Dir: dir, Config: c, Model: smallModel(), Vocab: vocab, Source: p}
}

// finalBytes reads every file of final/, and the tensors of the latest
// checkpoint.
func finalBytes(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	read := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
	}
	err := filepath.WalkDir(filepath.Join(dir, "final"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, "checkpoints", stepName(smallConfig().Steps))
	read(filepath.Join(last, "model.safetensors"))
	read(filepath.Join(last, "optimizer.safetensors"))
	read(filepath.Join(dir, "checkpoints", "latest"))
	return files
}

// untimed reads metrics.jsonl without its timings.
func untimed(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range bytes.Lines(b) {
		var m Metric
		if err := Strict(line, &m); err != nil {
			t.Fatalf("metrics line %q: %v", line, err)
		}
		m.Seconds, m.TokensPerSecond = 0, 0
		if m.RL != nil {
			m.RL.SampleSeconds, m.RL.ScoreSeconds, m.RL.TrainSeconds = 0, 0, 0
		}
		clean, _ := json.Marshal(m)
		fmt.Fprintf(&out, "%s\n", clean)
	}
	return out.String()
}

// sameRun compares two finished run folders.
func sameRun(t *testing.T, want, got string) {
	t.Helper()
	a, b := finalBytes(t, want), finalBytes(t, got)
	if x, y := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)); !slices.Equal(x, y) {
		t.Fatalf("files are %v, want %v", y, x)
	}
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s differs from the uninterrupted run's", name)
		}
	}
	if x, y := untimed(t, want), untimed(t, got); x != y {
		t.Errorf("metrics differ from the uninterrupted run's:\n%s\nwant:\n%s", y, x)
	}
}

// whole trains without interruption.
func whole(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := newRun(t, dir).Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRunFolder(t *testing.T) {
	dir := t.TempDir()
	var seen []Progress
	if err := newRun(t, dir).Train(t.Context(), func(p Progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	steps, evals := 0, 0
	for _, p := range seen {
		switch p.Metric.Kind {
		case "step":
			steps++
			if p.Metric.Step != steps || p.Steps != 12 || p.Metric.Loss <= 0 || p.Metric.GradNorm <= 0 || p.Metric.LR != smallConfig().LR(steps) {
				t.Errorf("step %d reports %+v", steps, p)
			}
		case "eval":
			evals++
			if p.Metric.Step%4 != 0 || len(p.Metric.Tasks) != 2 || p.Metric.Tasks["countdown"].Problems != 2 || p.Metric.Tasks["arithmetic"].Loss <= 0 {
				t.Errorf("evaluation reports %+v", p)
			}
		}
	}
	if steps != 12 || evals != 3 {
		t.Errorf("%d steps and %d evaluations were reported, want 12 and 3", steps, evals)
	}
	// Checkpoints at 3, 4, 6, 8, 9, 12: the newest two stay, and the best
	// evaluation's, which with a score of 0 everywhere is the first.
	list, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	if want := []string{"latest", "step-12", "step-4", "step-9"}; !slices.Equal(names, want) {
		t.Errorf("checkpoints/ holds %v, want %v", names, want)
	}
	m, err := nn.Load(filepath.Join(dir, "final"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Params()) == 0 || m.Config != smallModel() {
		t.Errorf("final/ holds %+v, want %+v", m.Config, smallModel())
	}
	if _, err := token.Load(filepath.Join(dir, "final")); err != nil {
		t.Error(err)
	}
	// Doing a finished run again changes nothing; doing it anew is refused.
	before := finalBytes(t, dir)
	r := newRun(t, dir)
	r.Resume = true
	if err := r.Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, finalBytes(t, dir)) {
		t.Error("resuming a finished run changed it")
	}
	if err := newRun(t, dir).Train(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("starting over in a run folder: %v", err)
	}
}

// TestInterruptedRunEndsTheSame cancels after lines of metrics drawn at random,
// evaluations' lines included, resumes, and compares with an uninterrupted run.
func TestInterruptedRunEndsTheSame(t *testing.T) {
	want := whole(t)
	rng := rand.New(rand.NewPCG(4, 4))
	for trial := range 3 {
		dir := t.TempDir()
		r := newRun(t, dir)
		interruptions := 0
		for {
			ctx, cancel := context.WithCancelCause(t.Context())
			left := rng.IntN(6)
			err := r.Train(ctx, func(Progress) {
				if left--; left < 0 {
					cancel(nil)
				}
			})
			cancel(nil)
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if interruptions++; interruptions > 40 { // 12 steps and 3 evaluations, each can be cut once
				t.Fatal("the run gets nowhere")
			}
			r = newRun(t, dir)
			r.Resume = true
		}
		if interruptions < 2 {
			t.Errorf("trial %d had %d interruptions, want at least 2 of 12 steps", trial, interruptions)
		}
		sameRun(t, want, dir)
	}
}

// TestSnapshots: the weights of every so many steps stay, whole folders, the same of a run
// that was interrupted; the last has the weights of final.
func TestSnapshots(t *testing.T) {
	run := func(dir string) *Run {
		r := newRun(t, dir)
		r.Config.SnapshotEvery, r.Config.Storage = 4, fp32
		return r
	}
	straight, cut := t.TempDir(), t.TempDir()
	if err := run(straight).Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := run(cut).Train(ctx, func(p Progress) {
		if p.Step == 6 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r := run(cut)
	r.Resume = true
	if err := r.Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	read := func(dir ...string) string {
		b, err := os.ReadFile(filepath.Join(append(dir, "model.safetensors")...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, dir := range []string{straight, cut} {
		list, err := os.ReadDir(filepath.Join(dir, Snapshots))
		if err != nil || len(list) != smallConfig().Steps/4 {
			t.Fatalf("%v (%v)", list, err)
		}
		for _, e := range list {
			if read(dir, Snapshots, e.Name()) != read(straight, Snapshots, e.Name()) {
				t.Errorf("%s differs after an interruption", e.Name())
			}
		}
		if read(dir, Snapshots, stepName(smallConfig().Steps)) != read(dir, "final") {
			t.Error("the last snapshot is not the finished model")
		}
		if read(dir, Snapshots, "step-4") == read(dir, "final") {
			t.Error("the first snapshot is the finished model")
		}
	}
}

// TestCancelledBeforeStart leaves a folder that can be resumed.
func TestCancelledBeforeStart(t *testing.T) {
	want, dir := whole(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newRun(t, dir).Train(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("training with a cancelled context: %v", err)
	}
	r := newRun(t, dir)
	r.Resume = true
	if err := r.Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	sameRun(t, want, dir)
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	tried := false
	err := newRun(t, dir).Train(t.Context(), func(Progress) {
		if tried {
			return
		}
		tried = true
		r := newRun(t, dir)
		r.Resume = true
		if err := r.Train(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("a second trainer in one folder: %v", err)
		}
	})
	if err != nil || !tried {
		t.Fatal(tried, err)
	}
}

func TestResumeWithOtherSettings(t *testing.T) {
	dir := whole(t)
	r := newRun(t, dir)
	r.Resume = true
	r.Config.Optimizer.LR = 1e-4
	err := r.Train(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "train.optimizer.lr was 0.003, now 0.0001") {
		t.Errorf("resuming with another learning rate: %v", err)
	}
}

// TestNaN trains at a learning rate that no model survives.
func TestNaN(t *testing.T) {
	dir := t.TempDir()
	r := newRun(t, dir)
	r.Config.Optimizer.LR, r.Config.Schedule.Warmup, r.Config.Clip, r.Config.CheckpointEvery, r.Config.Eval.Problems = 1e30, 0, 0, 1, 0
	err := r.Train(t.Context(), nil)
	var mine *NaNError
	var op *grad.NaNError
	if !errors.As(err, &mine) || !errors.As(err, &op) {
		t.Fatalf("training at learning rate 1e30: %v", err)
	}
	if op.Op == "" || mine.Good != mine.Step-1 || !strings.Contains(err.Error(), fmt.Sprintf("step %d", mine.Step)) {
		t.Errorf("the error is %q, good checkpoint %d", err, mine.Good)
	}
	if mine.Good > 0 {
		if n, err := (store{dir: dir}).latest(); err != nil || n != mine.Good {
			t.Errorf("the latest checkpoint is %d (%v), want %d", n, err, mine.Good)
		}
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	step := smallConfig().Steps
	for name, damage := range map[string]func(dir string) error{
		"model.safetensors": func(dir string) error {
			return os.Truncate(filepath.Join(dir, "checkpoints", stepName(step), "model.safetensors"), 1000)
		},
		"optimizer.safetensors": func(dir string) error {
			return os.Remove(filepath.Join(dir, "checkpoints", stepName(step), "optimizer.safetensors"))
		},
		"state.json": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "checkpoints", stepName(step), "state.json"), []byte(`{"step":"three"}`), 0o666)
		},
		"latest": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "checkpoints", "latest"), []byte("step-99\n"), 0o666)
		},
		"metrics.jsonl": func(dir string) error { return os.Truncate(filepath.Join(dir, "metrics.jsonl"), 10) },
		"config.json":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := whole(t)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			r := newRun(t, dir)
			r.Resume = true
			err := r.Train(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
				t.Errorf("resuming: %v; want an error that names %s", err, name)
			}
		})
	}
}

// TestUnwritable covers a folder that can't be made, and a checkpoint that
// can't be written while training: its error names the step, and the last
// checkpoint stays. (A file stands where a folder should: permissions would not
// stop the superuser, who runs tests in containers.)
func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := newRun(t, filepath.Join(file, "run")).Train(t.Context(), nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("training inside a file: %v", err)
	}
	dir := t.TempDir()
	err := newRun(t, dir).Train(t.Context(), func(p Progress) {
		if p.Step == 5 {
			if err := os.WriteFile(filepath.Join(dir, "checkpoints", ".step-6"), nil, 0o666); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "step 6") || !strings.Contains(err.Error(), "resume") {
		t.Errorf("a checkpoint that can't be written: %v", err)
	}
	r := newRun(t, dir)
	r.Resume = true
	if err := r.Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	sameRun(t, whole(t), dir)
}
