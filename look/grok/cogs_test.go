package grok

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
	"orrery/learn/recipe"
	"orrery/look/cogs"
	"orrery/look/group"
)

// What is written down in float64 adds in float32 as well, as the evaluation of
// trained networks sees it.
func TestConstructionsAddInFloat32(t *testing.T) {
	z, err := group.Parse("Z11")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		adds bool
	}{{"F6", true}, {"F6i", true}, {"F46", true}, {"memorise", true}, {"F4", false}} {
		b, err := cogs.Build(c.name, 11, cogs.Generic)
		if err != nil {
			t.Fatal(err)
		}
		_, s := newEvaluator(z, b.Q, Split{}).score(netOf(b.Weights()))
		// Sums of some hundred products, each rounded to 1e-7.
		if adds := s.Loss < 1e-6 && s.Accuracy == 1; adds != c.adds {
			t.Errorf("%s has loss %g and accuracy %g", c.name, s.Loss, s.Accuracy)
		}
	}
}

func TestCogsBuild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := &CogsBuild{D: 5, Construction: "F6", Remove: 3}
	if err := c.Run(context.Background(), "cogs-build", recipe.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(filepath.Join(dir, "final", modelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if w, err := f.Tensor("W_c"); err != nil || w.Shape[0] != 11 || w.Shape[1] != 5 {
		t.Errorf("W_c of eleven nodes: %v, %v", w.Shape, err)
	}
	r, err := c.Result(dir)
	if err != nil || len(r.Lines) != 3 || !strings.Contains(r.Lines[1], "without node 3, of frequency 1: 9 monomials") {
		t.Errorf("result %v, %v", r.Lines, err)
	}
	if err := c.WriteReport(dir); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*CogsBuild{{D: 6, Construction: "F6", Remove: -1}, {D: 5, Construction: "F6", Remove: 12}, {D: 5, Construction: "F7", Remove: -1}} {
		other := filepath.Join(t.TempDir(), "run")
		if err := bad.Run(context.Background(), "cogs-build", recipe.Options{Dir: other}); err == nil {
			t.Errorf("%+v runs", bad)
		}
		if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v leaves a folder", bad)
		}
	}
}

// A table is interrupted in its second network and resumed; the members are runs
// like any other, with CoGS in their reports.
func TestCogsTable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := &CogsTable{Net: cogsSettings("Z7", 48, 300), Seeds: 2}
	ctx, cancel := context.WithCancel(context.Background())
	o := recipe.Options{Dir: dir, Watch: func(r recipe.Reading) {
		if strings.HasPrefix(r.Note, "network 2") && r.Step >= 100 {
			cancel()
		}
	}}
	if err := c.Run(ctx, "cogs-table", o); !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted table ends with %v", err)
	}
	if _, f, err := c.members(dir); err != nil || len(f) != 1 {
		t.Fatalf("%d networks are finished (%v), want 1", len(f), err)
	}
	o.Watch, o.Resume = nil, true
	if err := c.Run(context.Background(), "cogs-table", o); err != nil {
		t.Fatal(err)
	}
	r, err := c.Result(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Fields["frequencies"] != 6 || !strings.Contains(strings.Join(r.Lines, "\n"), "2 networks, 6 frequencies") {
		t.Errorf("result %v", r.Lines)
	}
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil || strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), `"seed":2`) {
		t.Errorf("metrics %s, %v", b, err)
	}
	if err := c.WriteReport(dir); err != nil {
		t.Fatal(err)
	}
	member, s := c.member(dir, 1)
	if err := s.WriteReport(member); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(member, "report.html"))
	if err != nil || !strings.Contains(string(page), "What the network consists of") {
		t.Errorf("a member's report has no CoGS (%v)", err)
	}
	if out, err := s.Result(member); err != nil || !strings.Contains(strings.Join(out.Lines, "\n"), "of 3 frequencies, ") {
		t.Errorf("a member's result is %v, %v", out.Lines, err)
	}
}

// A sweep's trial counts its factors.
func TestCogsTrial(t *testing.T) {
	s := cogsSettings("Z7", 48, 300)
	v, err := s.Trial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Finals struct{ Cogs cogs.Shares }
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	if got := cogs.Sum(kept.Finals.Cogs, kept.Finals.Cogs); got.Networks != 2 || got.Frequencies != 6 || got.Orders[4] != 2*kept.Finals.Cogs.Orders[4] {
		t.Errorf("twice the trial %s has the shares %+v", b, got)
	}
	li := li2Settings("Z7", 8, 0.5, 0.01, 0)
	if v, err := cogsFinal(Experiment{Settings: li}, nil); v != nil || err != nil {
		t.Errorf("a Li2 net has CoGS factors: %v, %v", v, err)
	}
}

// Where the theory does not hold, nothing is said.
func TestCogsKeepsSilent(t *testing.T) {
	for _, s := range []Settings{
		cogsSettings("Z8", 8, 2), cogsSettings("S3", 8, 2), li2Settings("Z7", 8, 0.5, 0.01, 0),
		cogsSettings("Z7", 8, 2).with(func(s *Settings) { s.Activation = ReLU }),
	} {
		dir := filepath.Join(t.TempDir(), "run")
		if err := s.Run(context.Background(), "grok", recipe.Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		r, err := OpenRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		if section, err := cogsReport(r); err != nil || section.Blocks != nil {
			t.Errorf("%s, %s, %s: %d blocks, %v", s.Net, s.Group, s.Activation, len(section.Blocks), err)
		}
		if out, err := s.Result(dir); err != nil || out.Fields["cogs"] != nil {
			t.Errorf("%s, %s, %s: result %v, %v", s.Net, s.Group, s.Activation, out.Fields["cogs"], err)
		}
		if s.Net == cogsNet {
			if err := (&CogsTable{Net: s, Seeds: 1}).check(); err == nil {
				t.Errorf("a table of %s with %s is trained", s.Group, s.Activation)
			}
		}
	}
}
