package recipe

import "flag"

// Settings may implement these too.

// Flagged is implemented by Settings that the command line can change. Flags
// declares flags whose values are the settings' own fields.
type Flagged interface {
	Settings
	Flags(*flag.FlagSet)
}

// Own is implemented by Settings whose runs are not package train's: their
// folders hold something else than a language model.
type Own interface {
	Settings
	// WriteReport draws the run folder's report.html.
	WriteReport(dir string) error
	// Result reads what the run in a folder came to.
	Result(dir string) (Result, error)
}

// Result is what a finished run shows.
type Result struct {
	Lines  []string       // for people
	Fields map[string]any // for --json, besides those of every run
}

// Reading is what a running training shows, to Options.Watch.
type Reading struct {
	Step, Steps int
	Note        string  // the latest numbers, short
	Curves      []Curve // so far
}

// Curve is a quantity between 0 and 1 over steps, ascending and from 1 on; it
// is shown on a logarithmic axis.
type Curve struct {
	Name string
	X, Y []float64
}
