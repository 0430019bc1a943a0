package circuit

import (
	"orrery/learn/recipe"
	"orrery/look/grok"
)

// nanda are the settings of arXiv 2301.05217; rates rise over ten updates.
func nanda() Settings {
	return Settings{
		Net: transformerNet, Table: "Z113", Layers: 1, Width: 128, Heads: 4, Hidden: 512, Norm: "none", MLP: "relu", Prompt: "xy=", VInit: 1, Scale: 1,
		Train: 0.3, Epochs: 14000, Seed: 1, Warmup: 10,
		Optimizer: grok.Optimizer{Kind: "adamw", LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 1},
	}
}

// grokfast are the settings of arXiv 2405.20233 for products, without a filter.
func grokfast() Settings {
	return Settings{
		Net: transformerNet, Table: "Mod97", Layers: 2, Width: 128, Heads: 4, Hidden: 512, Norm: "layer", MLP: "gelu", Prompt: "x.y=", VInit: 1, Scale: 1,
		Train: 0.5, Epochs: 5000, Batch: 512, Seed: 1, Warmup: 10,
		Optimizer: grok.Optimizer{Kind: "adam", LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8},
	}
}

// residualSettings are those of arXiv 2509.21519, fig. 17, for a group.
func residualSettings(group string, width int, train float64) Settings {
	return Settings{
		Net: residualNet, Table: group, Width: width, Scale: 1, Train: train, Epochs: 3000, Seed: 1,
		Optimizer: grok.Optimizer{Kind: "adam", LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 1e-4},
	}
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
	add("nanda", "Nanda's transformer learns addition mod 31; compare --decay 0", nanda().with(func(s *Settings) {
		s.Table, s.Width, s.Hidden, s.Train, s.Epochs = "Z31", 64, 256, 0.5, 4000
	}))
	add("nanda-113", "the same as published: addition mod 113, 30 % of the pairs; hours", nanda())
	add("grokfast", "a gradient's slow part amplified, x·y mod 31; compare --filter none, ma", grokfast().with(func(s *Settings) {
		s.Table, s.Width, s.Hidden, s.Epochs, s.Filter, s.Optimizer.Decay = "Mod31", 64, 256, 3000, emaFilter, 0.005
	}))
	add("grokfast-97", "the same as published: x·y mod 97, moving average with --filter ma --decay 0.01; hours", grokfast().with(func(s *Settings) {
		s.Filter, s.Optimizer.Decay = emaFilter, 0.005
	}))
	add("power-97", "Power et al.: x/y mod 97 without decay, as published: many hours (laptop: --table Div31 --width 64)", grokfast().with(func(s *Settings) { s.Table = "Div97" }))
	add("li2-f17", "Li2 fig. 17, three ReLU layers, output from zero; compare --vinit 1 (paper: --width 2048)", residualSettings("Z23", 256, 0.6))
}
