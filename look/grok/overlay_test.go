package grok

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"orrery/learn/recipe"
)

// TestOverlay: runs that differ in their seeds are one setting; what differs else is
// its name; a folder of folders stands for its runs.
func TestOverlay(t *testing.T) {
	all := t.TempDir()
	base := li2Settings("Z5", 16, 0.8, 0.01, 1e-4)
	base.Epochs, base.Every = 40, 10
	for name, s := range map[string]Settings{
		"a": base, "b": base.with(func(s *Settings) { s.Seed = 2 }),
		"c": base.with(func(s *Settings) { s.Optimizer.Decay = 0 }),
	} {
		if err := run(s, filepath.Join(all, name), false, 0); err != nil {
			t.Fatal(err)
		}
	}
	o, err := OpenOverlay([]string{all})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Settings) != 2 || len(o.Settings[0].Dirs) != 2 || o.Settings[0].Name != "decay 0.0001" || o.Settings[1].Name != "decay 0" {
		t.Fatalf("settings %+v", o.Settings)
	}
	for _, c := range o.Common {
		if strings.HasPrefix(c, "seed") || strings.HasPrefix(c, "optimizer.decay") {
			t.Errorf("in common: %s", c)
		}
	}
	// The median of two is their mean, between the ends of the band.
	a, b := o.Settings[0].runs[0], o.Settings[0].runs[1]
	s := o.Settings[0].series(func(e Evaluation) (float64, bool) { return e.Train.Loss, true })
	if len(s.X) != len(a) || len(s.Low) != len(a) {
		t.Fatalf("%d points with %d ends, want %d", len(s.X), len(s.Low), len(a))
	}
	for i := range a {
		x, y := a[i].Train.Loss, b[i].Train.Loss
		if s.Y[i] != (x+y)/2 || s.Low[i] != min(x, y) || s.High[i] != max(x, y) {
			t.Errorf("epoch %g: %g in [%g, %g], the runs have %g and %g", s.X[i], s.Y[i], s.Low[i], s.High[i], x, y)
		}
	}
	sum := o.Summaries()
	if sum[0].Epochs != 40 || sum[0].TestLoss == nil || *sum[0].TestLoss != (a[len(a)-1].Test.Loss+b[len(b)-1].Test.Loss)/2 {
		t.Errorf("summary %+v", sum[0])
	}
	var page bytes.Buffer
	if err := o.Page().Write(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 runs of 2 settings", ">decay 0.0001", "Accuracy, held out", "share of the components", "group Z5"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	gromov := filepath.Join(t.TempDir(), "g")
	g := &Gromov{P: 5, Widths: []int{4, 8}, Seeds: 1}
	if err := g.Run(t.Context(), "gromov", recipe.Options{Dir: gromov}); err != nil {
		t.Fatal(err)
	}
	for want, folders := range map[string][]string{
		"want two or more":         {filepath.Join(all, "a")},
		"holds no run":             {t.TempDir()},
		"no such file":             {filepath.Join(all, "nowhere")},
		"has no accuracy by epoch": {all, gromov},
	} {
		if _, err := OpenOverlay(folders); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", folders, err, want)
		}
	}
}
