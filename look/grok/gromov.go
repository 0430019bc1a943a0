package grok

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"orrery/learn/recipe"
	"orrery/learn/train"
	"orrery/look/group"
	"orrery/report"
)

// GromovNet writes down a network for addition mod p (arXiv 2301.02679):
// node k has a random frequency σ and random phases,
//
//	a(x) = cos(2πσx/p + φ₁), b(y) = cos(2πσy/p + φ₂), c(s) = cos(2πσs/p + φ₁ + φ₂)
//
// so that (a+b)²c has cos(2πσ(x+y−s)/p)/4 as the only term whose phase does not
// depend on φ; the others average out as the width grows.
func GromovNet(p, width int, seed uint64) *Net {
	n := NewNet(p, width, Square)
	rng := rand.New(rand.NewPCG(seed, initStream))
	for k := range width {
		sigma := 1 + rng.IntN(max(1, p/2))
		phi1, phi2 := 2*math.Pi*rng.Float64(), 2*math.Pi*rng.Float64()
		for x := range p {
			angle := 2 * math.Pi * float64(sigma*x%p) / float64(p)
			n.A[x*width+k] = float32(math.Cos(angle + phi1))
			n.B[x*width+k] = float32(math.Cos(angle + phi2))
			n.C[x*width+k] = float32(math.Cos(angle + phi1 + phi2))
		}
	}
	return n
}

// Gromov is the recipe that measures the accuracy of GromovNet by width.
type Gromov struct {
	P      int    `json:"p"`
	Widths []int  `json:"widths"`
	Seeds  int    `json:"seeds"` // networks a width
	Seed   uint64 `json:"seed"`
}

// gromovPaper is what arXiv 2301.02679 reports for p = 97.
var gromovPaper = map[int]float64{24: 0.41, 48: 0.89, 100: 0.999, 200: 1}

// gromovLine is one line of metrics.jsonl.
type gromovLine struct {
	Width    int     `json:"width"`
	Accuracy float64 `json:"accuracy"` // mean over networks
	Spread   float64 `json:"spread"`   // standard deviation over networks
}

// Flags implements recipe.Flagged.
func (g *Gromov) Flags(set *flag.FlagSet) {
	set.IntVar(&g.P, "p", g.P, "the `modulus`")
	set.IntVar(&g.Seeds, "seeds", g.Seeds, "`networks` a width")
	set.Uint64Var(&g.Seed, "seed", g.Seed, "of the first network")
	set.Func("widths", "hidden `nodes`, separated by commas (default 24,48,100,200)", func(s string) error {
		g.Widths = nil
		for _, f := range strings.Split(s, ",") {
			w, err := strconv.Atoi(f)
			if err != nil {
				return err
			}
			g.Widths = append(g.Widths, w)
		}
		return nil
	})
}

// Run implements recipe.Settings.
func (g *Gromov) Run(ctx context.Context, name string, o recipe.Options) (err error) {
	if o.Dir == "" {
		return errors.New("recipe " + name + ": no run folder is given")
	}
	if g.P < 2 || g.P > group.MaxOrder || g.Seeds < 1 || len(g.Widths) == 0 {
		return fmt.Errorf("recipe %s: p is %d, seeds %d and widths %v, want p from 2 to %d and at least one of each", name, g.P, g.Seeds, g.Widths, group.MaxOrder)
	}
	z, err := group.Parse(fmt.Sprintf("Z%d", g.P))
	if err != nil {
		return err
	}
	f, err := train.OpenFolder(o.Dir, recipe.Choice{Recipe: name, Settings: g}, o.Resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Metrics(0); err != nil {
		return err
	}
	done, all := 0, len(g.Widths)*g.Seeds
	for _, width := range g.Widths {
		if width < 1 {
			return fmt.Errorf("recipe %s: a width is %d, want at least 1", name, width)
		}
		e := newEvaluator(z, width, Split{})
		sum, squares := 0.0, 0.0
		for i := range g.Seeds {
			if ctx.Err() != nil {
				return fmt.Errorf("recipe %s stopped after %d of %d networks: %w", name, done, all, ctx.Err())
			}
			_, score := e.score(GromovNet(g.P, width, g.Seed+uint64(i)))
			sum += score.Accuracy
			squares += score.Accuracy * score.Accuracy
			done++
			if o.Watch != nil {
				o.Watch(recipe.Reading{Step: done, Steps: all, Note: fmt.Sprintf("width %d: %.1f %%", width, 100*score.Accuracy)})
			}
		}
		mean := sum / float64(g.Seeds)
		line := gromovLine{width, mean, math.Sqrt(max(0, squares/float64(g.Seeds)-mean*mean))}
		if err := f.Log(width, line); err != nil {
			return err
		}
	}
	return nil
}

// lines reads a finished run.
func (g *Gromov) lines(dir string) ([]gromovLine, error) {
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("reading the accuracies of %s: %w", dir, err)
	}
	var out []gromovLine
	for _, s := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var l gromovLine
		if s == "" {
			continue
		}
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			return nil, fmt.Errorf("reading the accuracies of %s: %w", dir, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// paper is the published accuracy as text.
func (g *Gromov) paper(width int) string {
	if v, ok := gromovPaper[width]; ok && g.P == 97 {
		return fmt.Sprintf("%.1f %%", 100*v)
	}
	return "–"
}

// Result implements recipe.Own.
func (g *Gromov) Result(dir string) (recipe.Result, error) {
	lines, err := g.lines(dir)
	out := recipe.Result{Fields: map[string]any{"p": g.P, "widths": lines}}
	for _, l := range lines {
		out.Lines = append(out.Lines, fmt.Sprintf("width %4d: %5.1f %% ± %.1f of all pairs right without training; published %s", l.Width, 100*l.Accuracy, 100*l.Spread, g.paper(l.Width)))
	}
	return out, err
}

// WriteReport implements recipe.Own.
func (g *Gromov) WriteReport(dir string) error {
	lines, err := g.lines(dir)
	if err != nil {
		return err
	}
	t := report.Table{Head: []string{"width", "measured", "spread", "published"}}
	s := report.Series{Name: "measured", Draw: report.LinePoints}
	for _, l := range lines {
		t.Rows = append(t.Rows, []string{fmt.Sprint(l.Width), fmt.Sprintf("%.2f %%", 100*l.Accuracy), fmt.Sprintf("%.2f %%", 100*l.Spread), g.paper(l.Width)})
		s.X, s.Y = append(s.X, float64(l.Width)), append(s.Y, l.Accuracy)
		s.Low, s.High = append(s.Low, l.Accuracy-l.Spread), append(s.High, min(1, l.Accuracy+l.Spread))
	}
	return report.Page{
		Title: fmt.Sprintf("A network for addition mod %d, written down", g.P),
		Lead:  fmt.Sprintf("Random frequencies and phases, no training (arXiv 2301.02679); %d networks a width.", g.Seeds),
		Blocks: []report.Block{t, report.Plot{Title: "Accuracy on all pairs", X: report.Axis{Label: "hidden nodes"},
			Y: report.Axis{Percent: true, Min: 0, Max: 1}, Series: []report.Series{s}, Caption: "The band is one standard deviation over networks."}},
	}.WriteFile(filepath.Join(dir, "report.html"))
}
