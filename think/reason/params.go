package reason

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"orrery/think/confidence"
)

// Params are what can be set of a method. A zero field means its default, so
// the zero value is valid for every method. JSON names are those of the HTTP
// API's "orrery" object and, with dashes, of command-line flags.
type Params struct {
	// How much to spend.
	Budget          int     `json:"budget,omitzero"`           // B: traces launched at most, warm-ups included; 0 is 32
	TokenBudget     int     `json:"token_budget,omitzero"`     // tokens of all traces together; 0 is no limit
	DeadlineSeconds float64 `json:"deadline_seconds,omitzero"` // from the start of the run; 0 is none
	Concurrency     int     `json:"concurrency,omitzero"`      // traces at once; 0 is what the generator runs in parallel, else 32

	// When to stop, and who votes.
	Warmup    int                `json:"warmup,omitzero"`    // N_init; 0 is 16, or the budget if that is less
	Eta       float64            `json:"eta,omitzero"`       // η: percent of traces kept, above 0 to 100; 0 is the method's own
	Threshold *float64           `json:"threshold,omitzero"` // s given instead of a warm-up; nil is none
	Tau       float64            `json:"tau,omitzero"`       // consensus at β ≥ τ, above 0 to 1; 0 is 0.95
	MinVotes  int                `json:"min_votes,omitzero"` // voters that a consensus needs; 0 is 2
	Consensus *bool              `json:"consensus,omitzero"` // false: never stop early for agreement; nil is true
	Weight    confidence.Measure `json:"weight,omitzero"`    // offline: weight and filter measure; "" is tail

	// How confidence is measured.
	Window Window  `json:"window,omitzero"` // W: a number or "auto"; 0 is auto, or 2048 where there is no warm-up
	Tail   int     `json:"tail,omitzero"`   // T; 0 is as the window
	K      int     `json:"k,omitzero"`      // alternatives a token; 0 is 20 (single, majority: ask for none)
	Floor  float64 `json:"floor,omitzero"`  // least log-probability, negative; 0 is -100

	// How traces are sampled.
	MaxTokens   int      `json:"max_tokens,omitzero"`  // cap of one trace, hidden thoughts included; 0 is 32768
	Temperature *float64 `json:"temperature,omitzero"` // 0 to 2, 0 being greedy; nil is 0.6
	TopP        float64  `json:"top_p,omitzero"`       // above 0 to 1; 0 is 0.95
	TopK        int      `json:"top_k,omitzero"`       // 0 is off
	Seed        uint64   `json:"seed,omitzero"`        // of the run; see TraceSeed; 0 is a seed like any other
	Thoughts    *int     `json:"thoughts,omitzero"`    // hidden thoughts of a latent model; nil is the model's own number
}

// Defaults that do not depend on the method.
const (
	DefaultBudget      = 32
	DefaultWarmup      = 16
	DefaultTau         = 0.95
	DefaultMinVotes    = 2
	DefaultMaxTokens   = 32768
	DefaultTemperature = 0.6
	DefaultTopP        = 0.95
	DefaultConcurrency = 32
)

// Validate reports the first field that is out of its range, or that
// contradicts another, as one sentence.
func (p Params) Validate() error {
	return first(append(p.outOfRange(), p.contradiction()))
}

// first is the alphabetically first error, or nil: maps have no order, but the
// caller should see the same sentence each time.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return slices.MinFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// outOfRange lists, among nils, what is wrong with each field by itself.
func (p Params) outOfRange() []error {
	atLeast := func(name string, v, least int) error {
		if v < least {
			return fmt.Errorf("parameter %s: %d is less than %d; give more, or leave it out for the default", name, v, least)
		}
		return nil
	}
	within := func(name string, v, low, high float64, open bool) error {
		if v != v || v < low || v > high || open && v == low {
			return fmt.Errorf("parameter %s: %v is not a number %s %v and at most %v",
				name, v, map[bool]string{true: "above", false: "of at least"}[open], low, high)
		}
		return nil
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	for name, v := range map[string]int{"budget": p.Budget, "token_budget": p.TokenBudget, "concurrency": p.Concurrency,
		"warmup": p.Warmup, "min_votes": p.MinVotes, "tail": p.Tail, "k": p.K, "max_tokens": p.MaxTokens, "top_k": p.TopK} {
		check(atLeast(name, v, 0))
	}
	check(within("deadline_seconds", p.DeadlineSeconds, 0, 1e9, false))
	if p.Eta != 0 {
		check(within("eta", p.Eta, 0, 100, true))
	}
	if p.Tau != 0 {
		check(within("tau", p.Tau, 0, 1, true))
	}
	if p.TopP != 0 {
		check(within("top_p", p.TopP, 0, 1, true))
	}
	if p.Threshold != nil {
		check(within("threshold", *p.Threshold, 0, 1e6, false))
	}
	if p.Temperature != nil {
		check(within("temperature", *p.Temperature, 0, 2, false))
	}
	if f := p.Floor; f != 0 && !(f >= -1e6 && f < 0) {
		check(fmt.Errorf("parameter floor: %v is not a number of at least -1e6 and below 0", f))
	}
	if p.Thoughts != nil {
		check(atLeast("thoughts", *p.Thoughts, 0))
	}
	if p.K > confidence.MaxK {
		check(fmt.Errorf("parameter k: %d is more than %d", p.K, confidence.MaxK))
	}
	if p.Window < Auto {
		check(fmt.Errorf("parameter window: %d is negative; give a number of tokens or auto", int(p.Window)))
	}
	if p.Weight != "" {
		if _, err := confidence.ParseMeasure(string(p.Weight)); err != nil {
			check(fmt.Errorf("parameter weight: %w", err))
		}
	}
	return errs
}

func (p Params) contradiction() error {
	switch {
	case p.Threshold != nil && p.Warmup != 0:
		return fmt.Errorf("parameters threshold and warmup contradict each other: a given threshold replaces the warm-up; drop one")
	case p.Threshold != nil && p.Eta != 0:
		return fmt.Errorf("parameters threshold and eta contradict each other: eta only serves to find a threshold; drop one")
	case p.Threshold != nil && p.Window == Auto:
		return fmt.Errorf("parameters threshold and window contradict each other: the automatic window is found by a warm-up, which a threshold replaces; give the window that the threshold was measured with")
	case p.Warmup != 0 && p.Budget != 0 && p.Warmup > p.Budget:
		return fmt.Errorf("parameters warmup and budget contradict each other: %d warm-up traces do not fit into a budget of %d", p.Warmup, p.Budget)
	case p.MinVotes != 0 && p.Budget != 0 && p.MinVotes > p.Budget:
		return fmt.Errorf("parameters min_votes and budget contradict each other: %d voters cannot come from %d traces", p.MinVotes, p.Budget)
	case p.Consensus != nil && !*p.Consensus && (p.Tau != 0 || p.MinVotes != 0):
		return fmt.Errorf("parameters consensus and tau or min_votes contradict each other: without consensus the others mean nothing; drop them")
	}
	return nil
}

// Set lists the JSON names of the fields that are not zero, in field order.
func (p Params) Set() []string {
	var names []string
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			names = append(names, jsonName(v.Type().Field(i)))
		}
	}
	return names
}

// Only returns p without the fields that m does not use, for callers that run
// several methods with one set of parameters.
func (p Params) Only(m Method) Params {
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		if !slices.Contains(m.Uses(), jsonName(v.Type().Field(i))) {
			v.Field(i).SetZero()
		}
	}
	return p
}

// check is what every method's Check begins with.
func (p Params) check(m Method) error {
	if err := p.Validate(); err != nil {
		return err
	}
	for _, name := range p.Set() {
		if !slices.Contains(m.Uses(), name) {
			return fmt.Errorf("method %s does not use parameter %s: drop it or choose another method; %s uses %s",
				m.Name(), name, m.Name(), strings.Join(m.Uses(), ", "))
		}
	}
	return nil
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// Window is a number of scored tokens, or Auto: an eighth of the median
// warm-up's, within 32 to 2048. In JSON it is a number or "auto"; as a flag it
// takes the same words.
type Window int

// Auto lets the warm-up decide the window.
const Auto Window = -1

func (w Window) String() string {
	if w == Auto {
		return "auto"
	}
	return strconv.Itoa(int(w))
}

// Set parses a flag's value.
func (w *Window) Set(s string) error {
	if s == "auto" {
		*w = Auto
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("parameter window: %q is neither a number of tokens nor auto", s)
	}
	*w = Window(n)
	return nil
}

// Type names the value in a flag's help.
func (w *Window) Type() string { return "tokens|auto" }

func (w Window) MarshalJSON() ([]byte, error) {
	if w == Auto {
		return []byte(`"auto"`), nil
	}
	return strconv.AppendInt(nil, int64(w), 10), nil
}

func (w *Window) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	return w.Set(s)
}

// TraceSeed is the seed of trace i of a run: 31 bits of the i-th value of the
// SplitMix64 sequence that starts at the run's seed. It depends on nothing
// else, so that trace i is the same under every method, and it fits the signed
// 32 bits that some servers read.
func TraceSeed(run uint64, i int) uint64 {
	z := run + (uint64(i)+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) >> 33
}
