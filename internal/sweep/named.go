package sweep

import (
	"encoding/json"
	"math"

	"orrery/look/group"
)

// The sweeps of the two papers: Li2's boundary between generalising and
// memorising (arXiv 2509.21519, fig. 5), CoGS's table of factorisations
// (arXiv 2410.01779, table 1).
func init() {
	Register("li2-boundary", func() (Sweep, error) {
		s, err := boundary([]string{"Z11", "Z13", "Z17", "Z23", "Z29", "Z41", "Z4xZ7", "Z5xZ6"}, []float64{1.4, 1.9, 2.4, 2.9, 3.4, 3.9, 4.4, 5}, 5, 256, 2500, 20000)
		s.About = "Li2 fig. 5: which share of the pairs a group needs, 8 groups, 8 shares, 5 seeds"
		s.Analyse = fitBoundary
		return s, err
	})
	Register("li2-smoke", func() (Sweep, error) {
		s, err := boundary([]string{"Z5", "Z7", "Z11"}, []float64{2, 3}, 2, 64, 500, 1000)
		s.About = "the same on three small groups, in seconds: does all of it work, and how fast"
		s.Analyse = fitBoundary
		return s, err
	})
	Register("cogs-table", func() (Sweep, error) {
		trials, err := Product("grok", nil, Over("group", "Z23", "Z71"), Over("optimizer.lr", 0.01, 0.002), Over("seed", 1, 2, 3, 4, 5))
		return Sweep{About: "CoGS table 1 at d = 23 and 71: how trained networks factor, two learning rates, 5 seeds", Trials: trials, Analyse: countFactors}, err
	})
	Register("cogs-full", func() (Sweep, error) {
		trials, err := Product("grok", nil, Over("group", "Z23", "Z71", "Z127"), Over("width", 256, 512, 1024, 2048),
			Over("optimizer.decay", 1e-5, 5e-5, 1e-4, 2e-4, 5e-4), Over("optimizer.lr", 0.01, 0.002), Over("seed", 1, 2, 3, 4, 5))
		return Sweep{About: "CoGS at paper scale: d to 127, four widths, five weight decays, two learning rates", Trials: trials, Analyse: countFactors}, err
	})
}

// boundary is a grid over groups and x = p·M/ln M, p being the share of the
// pairs to train on. Left out are cells with fewer than 2M pairs, which cannot
// determine the table, and those with nothing held out.
func boundary(groups []string, xs []float64, seeds, width, epochs, extend int) (Sweep, error) {
	var s Sweep
	for _, name := range groups {
		g, err := group.Parse(name)
		if err != nil {
			return s, err
		}
		m := float64(g.Order())
		for _, x := range xs {
			n := math.Round(min(1, x*math.Log(m)/m) * m * m)
			if n < 2*m || n >= m*m {
				continue
			}
			settings, err := json.Marshal(map[string]any{"group": name, "train": n / (m * m), "width": width, "epochs": epochs, "extend": extend})
			if err != nil {
				return s, err
			}
			all := make([]int, seeds)
			for i := range all {
				all[i] = i + 1
			}
			trials, err := Product("li2-f5", settings, Over("seed", all...))
			if err != nil {
				return s, err
			}
			s.Trials = append(s.Trials, trials...)
		}
	}
	return s, nil
}
