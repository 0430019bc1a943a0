package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"orrery/learn/recipe"
)

// fake is a recipe whose trials are quick; tests look at its runs through
// fakeRuns and hold it up through fakeGate.
type fake struct {
	N    int    `json:"n"`
	Seed int    `json:"seed"`
	Do   string `json:"do"`
}

var (
	fakeRuns atomic.Int64
	fakeGate atomic.Pointer[gate] // where trials wait; nil: they don't
)

// gate lets trials through until it has counted so many, and holds the others
// until their context ends.
type gate struct {
	free    atomic.Int64
	blocked chan struct{} // a token for every trial that waits
}

func (*fake) Run(context.Context, string, recipe.Options) error { return errors.New("a trial only") }

func (f *fake) Trial(ctx context.Context) (any, error) {
	if path := os.Getenv("ORRERY_TEST_HANG"); path != "" {
		return hang(ctx, path)
	}
	if g := fakeGate.Load(); g != nil && g.free.Add(-1) < 0 {
		g.blocked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	fakeRuns.Add(1)
	switch f.Do {
	case "fail":
		return nil, errors.New("the loss is not a finite number")
	case "panic":
		panic("index out of range")
	}
	return map[string]any{"sum": f.N + f.Seed, "names": []string{"a"}, "of": map[string]float64{"half": float64(f.N) / 2}}, nil
}

// deaf is a recipe that cannot be a trial.
type deaf struct{}

func (*deaf) Run(context.Context, string, recipe.Options) error { return nil }

func init() {
	recipe.Register(recipe.Recipe{Name: "fake", About: "of a test", New: func() recipe.Settings { return &fake{N: 1} }})
	recipe.Register(recipe.Recipe{Name: "deaf", About: "of a test", New: func() recipe.Settings { return &deaf{} }})
}

func TestMain(m *testing.M) {
	if db := os.Getenv("ORRERY_TEST_WORKER"); db != "" {
		workerProcess(db)
		return
	}
	goleak.VerifyTestMain(m)
}

func fakes(t *testing.T, n int) Sweep {
	t.Helper()
	seeds := make([]int, n)
	for i := range seeds {
		seeds[i] = i
	}
	trials, err := Product("fake", []byte(`{"n": 3}`), Over("seed", seeds...))
	if err != nil {
		t.Fatal(err)
	}
	return Sweep{Name: "fakes", About: "Of a test.", Trials: trials}
}

// TestProduct: each combination once, the last axis fastest, names with dots.
func TestProduct(t *testing.T) {
	trials, err := Product("li2-f5", []byte(`{"optimizer": {"decay": 0.5}, "seed": 18446744073709551615}`), Over("group", "Z5", "Z7"), Over("optimizer.lr", 0.1, 0.2, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	keys := map[string]bool{}
	for _, x := range trials {
		var s struct {
			Group     string
			Seed      uint64
			Optimizer struct{ LR, Decay, Beta1 float64 }
		}
		if err := json.Unmarshal(x.Settings, &s); err != nil {
			t.Fatal(err)
		}
		if s.Seed != 1<<64-1 || s.Optimizer.Decay != 0.5 || s.Optimizer.Beta1 != 0.9 {
			t.Errorf("settings %s lost a value", x.Settings)
		}
		b, _ := json.Marshal([]any{s.Group, s.Optimizer.LR})
		got = append(got, string(b))
		keys[x.Key] = true
	}
	if want := `["Z5",0.1] ["Z5",0.2] ["Z7",0.1] ["Z7",0.2]`; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if len(keys) != 4 {
		t.Errorf("%d keys of 4 trials", len(keys))
	}
	// A default that is spelled out is the same trial.
	a, err1 := NewTrial("fake", nil)
	b, err2 := NewTrial("fake", []byte(`{"n": 1}`))
	if err1 != nil || err2 != nil || a.Key != b.Key {
		t.Errorf("%v %v, %v %v", a, err1, b, err2)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                    "names no recipe",
		`{"recipe": "nothing"}`: "unknown recipe",
		`{"recipe": "deaf"}`:    "cannot be a trial",
		`{"recipe": "fake", "settings": {"m":1}}`:                                               `unknown field "m"`,
		`{"recipe": "fake", "vary": [{"setting": "n", "values": []}]}`:                          "no values",
		`{"recipe": "fake", "settings": {"n": 1}, "vary": [{"setting": "n.x", "values": [1]}]}`: "no object",
		`{"recipe": "fake", "typo": 1}`:                                                         "typo",
		`{"recipe": "fake", "like": "nothing"}`:                                                 "unknown sweep",
		`{"recipe": "fake", "vary": [` + strings.Repeat(`{"setting": "n", "values": [1,2,3,4]},`, 8) + `{"setting": "seed", "values": [1,2]}]}`: "more than",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := Open("nothing"); err == nil || !strings.Contains(err.Error(), "li2-boundary") {
		t.Errorf("an unknown name gives %v", err)
	}
}

// TestNamedSweepsAreSound builds every named sweep.
func TestNamedSweepsAreSound(t *testing.T) {
	for _, name := range Names() {
		s, err := Open(name)
		if err != nil || len(s.Trials) == 0 || s.About == "" || s.Name != name {
			t.Errorf("%s: %d trials, %v", name, len(s.Trials), err)
		}
	}
}

// TestSQLite runs a sweep that is stopped in the middle, again to its end, and a
// third time: every trial is run once and has one result.
func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	s := fakes(t, 12)
	o := Options{DB: filepath.Join(dir, "a folder", "sweep.db"), Workers: 2}
	fakeRuns.Store(0)

	ctx, cancel := context.WithCancel(context.Background())
	g := &gate{blocked: make(chan struct{}, 12)}
	g.free.Store(5)
	fakeGate.Store(g)
	go func() {
		<-g.blocked
		<-g.blocked // both workers are in the middle of a trial
		cancel()
	}()
	sum, err := Run(ctx, s, o)
	fakeGate.Store(nil)
	if !errors.Is(err, context.Canceled) || sum == nil || len(sum.Results) != 5 || sum.Missing != 7 {
		t.Fatalf("stopped: %+v, %v", sum, err)
	}
	sum, err = Run(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Before != 5 || sum.Missing != 0 || len(sum.Results) != 12 || sum.PerHour <= 0 || fakeRuns.Load() != 12 {
		t.Errorf("resumed: %+v after %d runs", sum, fakeRuns.Load())
	}
	for i, r := range sum.Results {
		if r.Key != s.Trials[i].Key || r.State != Done || r.Build == "" || r.Worker == "" {
			t.Errorf("result %d is %+v", i, r)
		}
	}
	if sum, err = Run(context.Background(), s, o); err != nil || sum.Before != 12 || sum.PerHour != 0 || fakeRuns.Load() != 12 {
		t.Errorf("once more: %+v, %v, %d runs", sum, err, fakeRuns.Load())
	}
}

// TestDeadProcess: the jobs that a killed process left running are done.
func TestDeadProcess(t *testing.T) {
	ctx := context.Background()
	s := fakes(t, 3)
	o := Options{DB: filepath.Join(t.TempDir(), "sweep.db"), Workers: 1}
	b, err := openSQLite(ctx, o.DB)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openSQLite(ctx, o.DB); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opening it twice gives %v", err)
	}
	m, err := b.begin(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.enqueue(ctx, s.Trials); err != nil {
		t.Fatal(err)
	}
	// As a process leaves them that is killed with two trials and the leadership.
	for _, q := range []string{`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = datetime('now') WHERE id < 3`,
		`UPDATE river_job SET attempt = 5 WHERE id = 2`,
		`INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('dead', datetime('now'), datetime('now', '+1 hour'))`} {
		if _, err := b.db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	b.close()
	sum, err := Run(ctx, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Failed != 1 || sum.Results[0].State != Done || sum.Results[2].State != Done || !strings.Contains(sum.Results[1].Error, "given up") {
		t.Errorf("got %+v", sum)
	}
	// What was given up is tried again by the same command.
	if sum, err = Run(ctx, s, o); err != nil || sum.Failed != 0 || sum.Before != 2 {
		t.Errorf("again: %+v, %v", sum, err)
	}
}

// TestFailures: a trial's own failure is its result, and is not tried again.
func TestFailures(t *testing.T) {
	trials, err := Product("fake", nil, Over("do", "", "fail", "panic"))
	if err != nil {
		t.Fatal(err)
	}
	s := Sweep{Name: "f", Trials: trials}
	o := Options{DB: filepath.Join(t.TempDir(), "sweep.db"), Workers: 3}
	fakeRuns.Store(0)
	var last Progress
	o.Progress = func(p Progress) { last = p }
	for range 2 {
		sum, err := Run(context.Background(), s, o)
		if err != nil {
			t.Fatal(err)
		}
		if r := sum.Results; sum.Failed != 2 || r[0].State != Done || !strings.Contains(r[1].Error, "finite") || !strings.Contains(r[2].Error, "out of range") || string(r[2].Result) != "null" {
			t.Errorf("got %+v", sum)
		}
	}
	if fakeRuns.Load() != 3 || last.Done != 3 || last.Failed != 2 || last.Total != 3 {
		t.Errorf("%d runs, %+v", fakeRuns.Load(), last)
	}
}

// TestSameBytesAtAnyWorkers also reads what is written.
func TestSameBytesAtAnyWorkers(t *testing.T) {
	s, err := boundary([]string{"Z5"}, []float64{2.3}, 3, 16, 30, 60)
	if err != nil {
		t.Fatal(err)
	}
	s.Name, s.About = "b", "Of a test."
	var first string
	for _, workers := range []int{1, 3} {
		dir := t.TempDir()
		sum, err := Run(context.Background(), s, Options{DB: filepath.Join(dir, "sweep.db"), Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(dir, s, sum); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "results.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n != 3 || !strings.Contains(string(b), `"outcome"`) {
			t.Errorf("%d lines: %s", n, b)
		}
		if first == "" {
			first = string(b)
		} else if first != string(b) {
			t.Errorf("one worker:\n%s%d:\n%s", first, workers, b)
		}
		if page, err := os.ReadFile(filepath.Join(dir, "report.html")); err != nil || !strings.Contains(string(page), "train.loss") {
			t.Errorf("the report lacks a column: %v", err)
		}
	}
}

func TestAnotherBuild(t *testing.T) {
	ctx := context.Background()
	s := fakes(t, 1)
	o := Options{DB: filepath.Join(t.TempDir(), "sweep.db")}
	b, err := openSQLite(ctx, o.DB)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.claim(ctx, "an older one", false); err != nil {
		t.Fatal(err)
	}
	b.close()
	var other *BuildError
	if _, err := Run(ctx, s, o); !errors.As(err, &other) || other.Began != "an older one" {
		t.Errorf("got %v", err)
	}
	o.MixBuilds = true
	if _, err := Run(ctx, s, o); err != nil {
		t.Error(err)
	}
	o.MixBuilds = false
	if _, err := Run(ctx, s, o); err != nil {
		t.Errorf("after --mix-builds: %v", err)
	}
}

func TestNumberedParameters(t *testing.T) {
	s := store{postgres: true}
	if got := s.q(`a = ? AND b IN (?, ?)`); got != `a = $1 AND b IN ($2, $3)` {
		t.Errorf("got %s", got)
	}
}
