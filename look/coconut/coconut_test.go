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
	"orrery/learn/token"
	"orrery/task"
)

// fake is a score whose answers are given as a string of 1 and 0.
func fake(m latent.Method, dir, right, zero string) *Score {
	t := func(s string) Tally {
		out := Tally{}
		for _, c := range s {
			out.Right, out.Tokens = append(out.Right, c == '1'), append(out.Tokens, 5)
		}
		return out
	}
	s := &Score{Model: &Model{Dir: dir, Info: latent.NewInfo(m, 2, "prosqa-tiny")}, Main: t(right)}
	if m.Fill() == latent.Thoughts {
		s.Controls = map[Control]Tally{}
		for _, c := range Controls {
			s.Controls[c] = t(zero)
		}
	}
	return s
}

func TestGap(t *testing.T) {
	a := []*Score{fake(latent.Coconut, "a", "1111", "1110"), fake(latent.Coconut, "b", "1100", "1000")}
	g, ok := gap("zero latents", a, a, func(s *Score) Tally { return s.Controls[ZeroLatent] })
	// Differences 0 0 0 1 and 0 1 0 0: mean 1/4, variance 8·(1/4)(3/4)/7.
	half := 1.959963984540054 * math.Sqrt(8*0.25*0.75/7/8)
	if !ok || g.Mean != 0.25 || math.Abs(g.Low-(0.25-half)) > 1e-12 || math.Abs(g.High-(0.25+half)) > 1e-12 || !slices.Equal(g.Each, []float64{0.25, 0.25}) {
		t.Errorf("%+v, want 0.25 ± %v", g, half)
	}
	if g.clear() {
		t.Error("an interval over 0 is clear")
	}
	lone := []*Score{fake(latent.Coconut, "a", "1", "0")}
	g, _ = gap("zero latents", lone, lone, func(s *Score) Tally { return s.Controls[ZeroLatent] })
	if raw, err := json.Marshal(g); err != nil || g.clear() || !bytes.Contains(raw, []byte(`"low":null,"high":null`)) || !bytes.Contains(raw, []byte(`"mean":1`)) {
		t.Errorf("a gap of one problem is %s, %v", raw, err)
	}
	if g := (Gap{Low: 0.1, Each: []float64{0.2, -0.01}}); g.clear() {
		t.Error("a gap that one pair of models contradicts is clear")
	}
	if g := (Gap{Low: 0.1, Each: []float64{0.2, 0.01}}); !g.clear() {
		t.Error("a gap in the interval and in every pair is not clear")
	}
}

// The verdict is yes only if both gaps are clear.
func TestVerdict(t *testing.T) {
	all, none := strings.Repeat("1", 40), strings.Repeat("0", 40)
	mixed := strings.Repeat("10", 20)
	for _, c := range []struct {
		zero, pause string
		want        bool
	}{{mixed, mixed, true}, {mixed, all, false}, {all, mixed, false}, {none, none, true}} {
		cmp := Compare("prosqa-tiny", make([]task.Problem, 40), []*Score{fake(latent.PauseAsThought, "p", c.pause, ""), fake(latent.Coconut, "c", all, c.zero)})
		v, ok := cmp.Verdict()
		if !ok || v.Needed != c.want || !strings.Contains(v.String(), map[bool]string{true: "needed: yes", false: "needed: no"}[c.want]) {
			t.Errorf("%+v: %v, %s", c, ok, v)
		}
	}
	if _, ok := Compare("x", nil, []*Score{fake(latent.Coconut, "c", all, none)}).Verdict(); ok {
		t.Error("a verdict without pauses")
	}
}

// Rows come in the published order, models of a method in one, controls after;
// figures are pooled.
func TestRows(t *testing.T) {
	c := Compare("prosqa-tiny", make([]task.Problem, 4), []*Score{
		fake(latent.Coconut, "a", "1111", "1000"), fake(latent.NoCoT, "n", "1100", ""), fake(latent.Coconut, "b", "1110", "0000"),
		fake(latent.PauseAsThought, "p", "1000", ""),
	})
	var names []string
	for _, r := range c.Rows() {
		names = append(names, strings.TrimSpace(r.Name))
	}
	if want := []string{"No-CoT", "Coconut", "pause as thought", "pause multipass", "zero latents", "noise", "batch mean", "another one's thoughts"}; !slices.Equal(names, want) {
		t.Fatalf("rows are %q, want %q", names, want)
	}
	r := c.Rows()[1]
	if low, high := wilson(7, 8); r.Accuracy != 7./8 || r.N != 8 || r.Models != 2 || r.Low != low || r.High != high || !slices.Equal(r.Each, []float64{1, 0.75}) || r.ProsQA.accuracy != "97.0±0.3" {
		t.Errorf("%+v", r)
	}
	if low, high := wilson(0, 10); low != 0 || high < 0.27 || high > 0.28 { // z²/(n+z²) = 0.2775
		t.Errorf("0 of 10 is in [%v, %v]", low, high)
	}
	var b bytes.Buffer
	if err := c.WriteTable(&b); err != nil || !strings.Contains(b.String(), "97.0±0.3 (14.2)") || !strings.Contains(b.String(), "thoughts needed: yes") == !strings.Contains(b.String(), "thoughts needed: no") {
		t.Errorf("%v\n%s", err, b.String())
	}
	raw, err := json.Marshal(c.JSON())
	if err != nil || !bytes.Contains(raw, []byte(`"thoughts_needed"`)) {
		t.Errorf("%s, %v", raw, err)
	}
}

// Controls feed what they say.
func TestFeed(t *testing.T) {
	own := [][][]float32{{{3, 4}, {0, 1}}, {{5, 0}, {2, 2}}, {{0, 0.5}, {1, 0}}}
	length := func(x []float32) float64 { return math.Hypot(float64(x[0]), float64(x[1])) }
	for i, thoughts := range feed(Noise, own, 1) {
		for k, x := range thoughts {
			if math.Abs(length(x)-length(own[i][k])) > 1e-5 || slices.Equal(x, own[i][k]) {
				t.Errorf("noise %v for %v", x, own[i][k])
			}
		}
	}
	for _, thoughts := range feed(BatchMean, own, 1) {
		if !slices.Equal(thoughts[0], []float32{8. / 3, 1.5}) || !slices.Equal(thoughts[1], []float32{1, 1}) {
			t.Errorf("means are %v", thoughts)
		}
	}
	for i, thoughts := range feed(Other, own, 1) {
		if !slices.Equal(thoughts[0], own[(i+1)%3][0]) {
			t.Errorf("problem %d gets %v", i, thoughts)
		}
	}
}

// saved writes an untrained model of a method.
func saved(t *testing.T, m latent.Method) string {
	t.Helper()
	k, err := task.Lookup("prosqa-tiny")
	if err != nil {
		t.Fatal(err)
	}
	v, err := latent.Vocabulary(k, latent.Phrases)
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.New(nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 1, Heads: 2, MaxPositions: 256, Tied: true, BOS: token.BOS, EOS: token.EOS}, 3)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), string(m), "final")
	if err := net.Save(dir, checkpoint.F32); err != nil {
		t.Fatal(err)
	}
	if err := v.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, latent.FileName), latent.NewInfo(m, 2, "prosqa-tiny").Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A whole comparison of untrained models: every pass is made, every reply has a
// class, and the page can be drawn.
func TestMeasure(t *testing.T) {
	ps, err := Problems("prosqa-tiny", task.Standard, 7, 4)
	if err != nil {
		t.Fatal(err)
	}
	var scores []*Score
	for _, method := range []latent.Method{latent.CoT, latent.Coconut, latent.PauseAsThought} {
		m, err := Open(saved(t, method))
		if err != nil {
			t.Fatal(err)
		}
		passes := 0
		s, err := m.Measure(t.Context(), ps, 1, func(string) { passes++ })
		if err != nil {
			t.Fatal(err)
		}
		want := map[latent.Method][2]int{latent.CoT: {1, 0}, latent.Coconut: {6, 3}, latent.PauseAsThought: {3, 3}}[method]
		if passes != want[0] || len(s.Sweep) != want[1] {
			t.Errorf("%s: %d passes and %d numbers of thoughts, want %v", method, passes, len(s.Sweep), want)
		}
		sum := 0
		for _, n := range s.Main.Classes {
			sum += n
		}
		if sum != 7 || len(s.Main.Right) != 7 {
			t.Errorf("%s: classes of %d replies, want 7", method, sum)
		}
		if method == latent.Coconut && s.Main.MeanTokens() != s.Sweep[0].MeanTokens()+2 {
			// An untrained model writes on to the limit whatever it is fed.
			t.Errorf("two thoughts cost %v tokens, none %v", s.Main.MeanTokens(), s.Sweep[0].MeanTokens())
		}
		scores = append(scores, s)
	}
	var b bytes.Buffer
	if err := Compare("prosqa-tiny", ps, scores).Page("orrery eval").Write(&b); err != nil || !strings.Contains(b.String(), "Thoughts needed: no") {
		t.Errorf("the page: %v", err)
	}
	for _, r := range Shortcuts(ps) {
		if r.Accuracy < 0.2 || r.Accuracy > 1 {
			t.Errorf("%+v", r)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "coconut or superposition recipes") {
		t.Errorf("a folder without a latent model gives %v", err)
	}
}
