package grok

import "orrery/learn/recipe"

// cogsSettings are those of arXiv 2410.01779 for Z_n. Its sweep log says a
// learning rate of 0.01, its README 0.002.
func cogsSettings(group string, width, epochs int) Settings {
	return Settings{
		Net: cogsNet, Group: group, Width: width, Activation: Square, VInit: 1, Train: 0.9, Epochs: epochs, Seed: 1,
		Optimizer: Optimizer{Kind: "adam", LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 5e-5},
	}
}

// li2Settings are the settings of arXiv 2509.21519 for a group; epochs are unstated
// there, 3000 is the default of its code.
func li2Settings(group string, width int, train, lr, decay float64) Settings {
	s := cogsSettings(group, width, 3000)
	s.Net, s.Train, s.Optimizer.LR, s.Optimizer.Decay = li2Net, train, lr, decay
	return s
}

// with returns settings changed.
func (s Settings) with(change func(*Settings)) Settings {
	change(&s)
	return s
}

func init() {
	add := func(name, about string, s Settings) {
		recipe.Register(recipe.Recipe{Name: name, About: about, New: func() recipe.Settings { c := s; return &c }})
	}

	add("grok", "a two-layer net learns a group's multiplication, in under a minute (CoGS: also --group Z71, Z127)", cogsSettings("Z23", 512, 10000))
	add("grok-demo", "the same on Z11, in a second or two", cogsSettings("Z11", 128, 10000))

	add("li2-f3", "Li2 fig. 3, the three stages; compare --decay 0 (paper: --group Z71 --width 2048)", li2Settings("Z41", 768, 0.4, 0.005, 2e-4))
	add("li2-f5", "Li2 fig. 5, one trial of the boundary; vary --train (paper: --width 2048 --lr 5e-4 --decay 2e-4)", li2Settings("Z23", 256, 0.5, 0.005, 5e-5))
	add("li2-f6", "Li2 fig. 6, small rates survive scarcer data; vary --lr (paper: --width 1024)", li2Settings("Z71", 512, 0.2, 0.002, 2e-4))
	add("li2-f8", "Li2 fig. 8, Muon with few nodes; compare --optimizer adam", li2Settings("Z71", 256, 0.4, 0.005, 2e-4).with(func(s *Settings) { s.Optimizer.Kind = "muon" }))
	add("li2-f10", "Li2 figs. 10-13 at paper scale, a fifth held out; also --group Z23, Z89, Z127", li2Settings("Z41", 256, 0.8, 0.005, 5e-5))
	add("li2-complex", "Li2 figs. 10-13, complex nodes: two of the width make one (paper: --group Z41, Z89, Z127)", li2Settings("Z23", 256, 0.8, 0.005, 5e-5).with(func(s *Settings) { s.Activation = Complex }))
	add("li2-ridge", "Li2 figs. 10-13, the output matrix is the ridge solution at every epoch (paper: --group Z41, Z89, Z127)", li2Settings("Z23", 128, 0.8, 0.005, 5e-5).with(func(s *Settings) { s.Output = ridgeOutput }))
	add("li2-f14", "Li2 figs. 14-16 at paper scale, output from zero; compare --vinit 1; also --group Z89, Z127", li2Settings("Z41", 1024, 0.8, 0.005, 5e-5).with(func(s *Settings) { s.VInit = 0 }))
	recipe.Register(recipe.Recipe{
		Name: "gromov", About: "a network for addition mod 97 written down, not trained: its accuracy by width",
		New: func() recipe.Settings { return &Gromov{P: 97, Widths: []int{24, 48, 100, 200}, Seeds: 10} },
	})
}
