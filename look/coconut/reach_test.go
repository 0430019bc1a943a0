package coconut

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/task"
)

// reacher is an untrained model's folder.
func reacher(t *testing.T, name string, r latent.Reach) *Reacher {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name, "final")
	m, err := nn.New(nn.Config{VocabSize: task.SymbolCount, BOS: task.SymbolEOS, EOS: task.SymbolEOS, HiddenSize: 16, Layers: 2, Heads: 2, Intermediate: 24, MaxPositions: 200,
		Positions: "learned", Norm: "layer", MLP: "gelu", Bias: true, Tied: true}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(dir, checkpoint.F32); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, latent.SymbolsFile), latent.NewSymbolsInfo(r, 4).Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := OpenReacher(dir)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestReachMeasure: every row that a method has, with what each reply cost, and the same
// in the table and in JSON.
func TestReachMeasure(t *testing.T) {
	ps, err := Problems("symbols", task.Easy, 12, 3)
	if err != nil {
		t.Fatal(err)
	}
	var scores []*ReachScore
	for _, r := range latent.Reaches {
		s, err := reacher(t, string(r), r).Measure(t.Context(), ps, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		scores = append(scores, s)
		fills, thinks := r == latent.ReachThoughts || r == latent.ReachPause, r == latent.ReachThoughts
		if (len(s.Sweep) == mostThoughts+1) != fills || (len(s.Controls) == len(Controls)) != thinks {
			t.Errorf("%s: %d columns, %d controls", r, len(s.Sweep), len(s.Controls))
		}
		for i, p := range ps {
			hops := p.Data.(*task.Graph).Hops()
			if thinks && s.Main.Tokens[i] != hops+1 || r == latent.ReachPause && s.Main.Tokens[i] != 1 {
				t.Errorf("%s: %d hops cost %d tokens", r, hops, s.Main.Tokens[i])
			}
			if fills && s.Sweep[hops].Right[i] != s.Main.Right[i] {
				t.Errorf("%s: problem %d comes out otherwise where it is told its hops", r, i)
			}
		}
	}
	c := CompareReach(ps, scores)
	var b bytes.Buffer
	if err := c.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"thoughts", "another one's thoughts", "≈ 99", "no-cot", "accuracy with", "rule: more ancestors", "12 for each model"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if len(c.Rows()) != len(latent.Reaches)+len(Controls) {
		t.Errorf("%d rows", len(c.Rows()))
	}
	if _, err := json.Marshal(c.JSON()); err != nil {
		t.Error(err)
	}
	if page := c.Page("orrery eval"); len(page.Blocks) != 3 {
		t.Errorf("the page has %d parts", len(page.Blocks))
	}
}

// TestFeedOfDifferentHops: controls keep the number of thoughts; noise keeps their lengths, and
// another one's are another one's.
func TestFeedOfDifferentHops(t *testing.T) {
	own := [][][]float32{{{3, 4}, {1, 0}}, {{0, 2}}, {{6, 8}, {0, 1}}, {{0, 4}}}
	for _, c := range Controls[1:] {
		fed := feed(c, own, 5)
		for i := range own {
			if len(fed[i]) != len(own[i]) {
				t.Fatalf("%s: %d thoughts for %d", c, len(fed[i]), len(own[i]))
			}
		}
		switch c {
		case Noise:
			for k, want := range []float64{5, 1} {
				if h := fed[0][k]; math.Abs(math.Hypot(float64(h[0]), float64(h[1]))-want) > 1e-6 || slices.Equal(h, own[0][k]) {
					t.Errorf("noise in the place of %v: %v", own[0][k], h)
				}
			}
		case BatchMean:
			if !slices.Equal(fed[1][0], []float32{2.25, 4.5}) || !slices.Equal(fed[0][1], []float32{0.5, 0.5}) {
				t.Errorf("means %v", fed)
			}
		case Other:
			if !slices.Equal(fed[0][1], own[2][1]) || !slices.Equal(fed[1][0], own[3][0]) || !slices.Equal(fed[3][0], own[1][0]) {
				t.Errorf("another one's: %v", fed)
			}
		}
	}
}

func TestOpenReacherRefuses(t *testing.T) {
	words, symbols := saved(t, latent.Coconut), reacher(t, "a", latent.ReachThoughts).Dir
	for dir, want := range map[string]string{t.TempDir(): "superposition recipes", words: "answers in words", filepath.Join(words, "none"): "no such file"} {
		if _, err := OpenReacher(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v, want an error with the folder and %q", err, want)
		}
	}
	if _, err := Open(symbols); err == nil || !strings.Contains(err.Error(), "in symbols") {
		t.Errorf("a model of symbols as one of words: %v", err)
	}
}
