package circuit

import (
	"flag"
	"fmt"
	"math"

	"orrery/look/grok"
)

// Settings are one training: everything that its bytes depend on.
type Settings struct {
	Net   string `json:"net"`   // "transformer" or "residual"
	Table string `json:"table"` // see knownTables

	Layers int    `json:"layers"` // of a transformer
	Width  int    `json:"width"`  // of the residual stream; of a residual net its hidden nodes
	Heads  int    `json:"heads"`
	Hidden int    `json:"hidden"` // of the MLP
	Norm   string `json:"norm"`   // as nn.Config's
	MLP    string `json:"mlp"`    // as nn.Config's
	Prompt string `json:"prompt"` // "xy=" or "x.y=": what the transformer reads, the point being the operation

	VInit float64 `json:"vinit"` // multiplies the initial output matrix
	Scale float64 `json:"scale"` // multiplies all initial weights (α of arXiv 2210.01117)

	Train     float64        `json:"train"` // share of the pairs to train on
	Epochs    int            `json:"epochs"`
	Batch     int            `json:"batch"` // pairs an update; 0: all
	Optimizer grok.Optimizer `json:"optimizer"`
	Warmup    int            `json:"warmup"` // updates over which the rate rises to its value
	Filter    Filter         `json:"filter"`
	Seed      uint64         `json:"seed"`
	Every     int            `json:"every"` // evaluate every so many epochs as well; 0: a hundredth of them
}

const (
	transformerNet = "transformer"
	residualNet    = "residual"
)

// check reports the first setting without meaning, by its JSON name, and returns
// the table. What concerns the transformer's shape is package nn's to say.
func (s Settings) check() (*table, error) {
	t, err := parseTable(s.Table)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	fail := func(field string, value any, want string) (*table, error) {
		return nil, fmt.Errorf("settings: %s is %v, want %s", field, value, want)
	}
	finite := func(x float64) bool { return x >= 0 && !math.IsInf(x, 0) }
	n := s.trainCount(t)
	switch {
	case s.Net != transformerNet && s.Net != residualNet:
		return fail("net", fmt.Sprintf("%q", s.Net), `"transformer" or "residual"`)
	case s.Net == transformerNet && s.Prompt != "xy=" && s.Prompt != "x.y=":
		return fail("prompt", fmt.Sprintf("%q", s.Prompt), `"xy=" or "x.y="`)
	case t.elements < 2:
		return fail("table", s.Table, "two elements or more: there is nothing to learn")
	case s.Width < 1:
		return fail("width", s.Width, "at least 1")
	case !finite(s.VInit):
		return fail("vinit", s.VInit, "0 or more")
	case !finite(s.Scale) || s.Scale == 0:
		return fail("scale", s.Scale, "more than 0")
	case !(s.Train > 0 && s.Train <= 1) || n < 1:
		return fail("train", s.Train, fmt.Sprintf("at most 1, and enough for one of the %d pairs", t.pairs()))
	case s.Epochs < 1:
		return fail("epochs", s.Epochs, "at least 1")
	case s.Batch < 0:
		return fail("batch", s.Batch, "0 (all pairs) or more")
	case s.Every < 0:
		return fail("every", s.Every, "0 (a hundredth of the epochs) or more")
	case s.Warmup < 0:
		return fail("warmup", s.Warmup, "0 or more")
	case s.Optimizer.Kind != "adam" && s.Optimizer.Kind != "adamw":
		return fail("optimizer.kind", fmt.Sprintf("%q", s.Optimizer.Kind), "adam (coupled decay) or adamw (decoupled)")
	}
	if err := s.Optimizer.Check(); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if err := s.Filter.check(); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return t, nil
}

// trainCount is how many pairs are trained on, rounded to the nearest.
func (s Settings) trainCount(t *table) int { return int(math.Round(s.Train * float64(t.pairs()))) }

// updates is how many updates a pass makes over so many pairs.
func (s Settings) updates(pairs int) int {
	if s.Batch == 0 || s.Batch >= pairs {
		return 1
	}
	return (pairs + s.Batch - 1) / s.Batch
}

// Flags implements recipe.Flagged.
func (s *Settings) Flags(set *flag.FlagSet) {
	set.StringVar(&s.Table, "table", s.Table, "`name` of what is learned: a group, or Mod97 (x·y), Div97 (x/y)")
	set.IntVar(&s.Width, "width", s.Width, "of the residual stream, or hidden `nodes`")
	if s.Net == transformerNet {
		set.IntVar(&s.Layers, "layers", s.Layers, "of the transformer")
		set.IntVar(&s.Heads, "heads", s.Heads, "attention heads a layer")
		set.IntVar(&s.Hidden, "hidden", s.Hidden, "`nodes` of an MLP")
	} else {
		set.Float64Var(&s.VInit, "vinit", s.VInit, "`factor` of the initial output matrix; 0 is zero-init")
	}
	set.Float64Var(&s.Scale, "scale", s.Scale, "`factor` of all initial weights")
	set.Float64Var(&s.Train, "train", s.Train, "`share` of the pairs to train on")
	set.IntVar(&s.Epochs, "epochs", s.Epochs, "passes over the training pairs")
	set.IntVar(&s.Batch, "batch", s.Batch, "`pairs` an update; 0 is all")
	set.Uint64Var(&s.Seed, "seed", s.Seed, "of the weights and of the split")
	set.StringVar(&s.Optimizer.Kind, "optimizer", s.Optimizer.Kind, "adam (coupled decay) or adamw (decoupled)")
	set.Float64Var(&s.Optimizer.LR, "lr", s.Optimizer.LR, "learning `rate`")
	set.Float64Var(&s.Optimizer.Decay, "decay", s.Optimizer.Decay, "weight decay")
	set.Func("filter", fmt.Sprintf("of the gradient: none, ema or ma (default %s)", s.Filter.name()), func(v string) error {
		f, err := filterNamed(v)
		if err == nil && f.Kind != s.Filter.Kind {
			s.Filter = f
		}
		return err
	})
	set.Float64Var(&s.Filter.Lambda, "lambda", s.Filter.Lambda, "`weight` of the filtered gradient")
}
