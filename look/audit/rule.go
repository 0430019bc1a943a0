package audit

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Rule is a condition on a result, METRIC OP NUMBER with an optional @REGEX:
// the tensors whose names it is about.
type Rule struct {
	text   string
	metric string
	op     string
	limit  float64
	re     *regexp.Regexp
}

// Held is what became of a rule.
type Held struct {
	Rule   string
	Held   bool // it is true: or, with Reason, nobody knows
	Reason string
}

// metric is how a rule reads a number: of a run, or of a tensor; a metric of
// tensors holds if it does for any of them.
type metric struct {
	run     func(*Run) *float64
	tensor  func(*Tensor) *float64 // nil where a tensor has none
	matrix  func(Matrix) []*float64
	explain string
}

func count64(n int64) *float64      { return num(float64(n)) }
func countOf[T any](s []T) *float64 { return num(float64(len(s))) }

// spectral reads one number of a spectrum.
func spectral(f func(*Spectrum) *float64) func(Matrix) []*float64 {
	return func(m Matrix) []*float64 {
		if m.Spectrum == nil {
			return []*float64{nil}
		}
		return []*float64{f(m.Spectrum)}
	}
}

func masked(f func(*Masks) *Overlap, g func(*Overlap) *float64) func(Matrix) []*float64 {
	return func(m Matrix) []*float64 {
		if m.Masks == nil || f(m.Masks) == nil {
			return []*float64{nil}
		}
		return []*float64{g(f(m.Masks))}
	}
}

func princ(m *Masks) *Overlap      { return m.Princ }
func low(m *Masks) *Overlap        { return m.Low }
func observed(o *Overlap) *float64 { return o.Observed }
func minus(o *Overlap) *float64    { return o.MinusNull }

// nssRule is decided where both ends of an interval agree.
func nssRule(m Matrix) []*float64 {
	if m.Spectrum == nil {
		return []*float64{nil}
	}
	return []*float64{m.Spectrum.NSSLower(), m.Spectrum.NSSUpper()}
}

func angleRule(m Matrix) []*float64 {
	if m.Spectrum == nil {
		return []*float64{nil}
	}
	lo, hi := m.Spectrum.MaxAngle()
	return []*float64{lo, hi}
}

var metrics = map[string]metric{
	"sparsity_bf16":    {run: func(r *Run) *float64 { return r.Totals.SparsityBF16 }, tensor: func(t *Tensor) *float64 { return t.Sparsity }, explain: "share of unchanged bf16 codes"},
	"sparsity_abs1e5":  {run: func(r *Run) *float64 { return r.Totals.SparsityAbs }, tensor: func(t *Tensor) *float64 { return t.SparseAbs }, explain: "share within 1e-5"},
	"sparsity_exact":   {run: func(r *Run) *float64 { return r.Totals.SparsityExact }, tensor: func(t *Tensor) *float64 { return t.Exact }, explain: "share of equal values"},
	"changed_bf16":     {run: func(r *Run) *float64 { return count64(r.Totals.ChangedBF16) }, tensor: func(t *Tensor) *float64 { return toFloat(t.Changed) }, explain: "entries"},
	"changed_raw":      {run: func(r *Run) *float64 { return count64(r.Totals.ChangedRaw) }, tensor: func(t *Tensor) *float64 { return toFloat(t.Raw) }, explain: "entries whose bytes differ"},
	"rel":              {run: func(r *Run) *float64 { return r.Totals.Rel }, tensor: func(t *Tensor) *float64 { return t.Rel }, explain: "‖ΔW‖/‖W‖"},
	"fro":              {run: func(r *Run) *float64 { return r.Totals.Fro }, tensor: func(t *Tensor) *float64 { return t.Fro }, explain: "‖ΔW‖"},
	"max_abs":          {run: func(r *Run) *float64 { return r.Totals.MaxAbs }, tensor: func(t *Tensor) *float64 { return t.MaxAbs }, explain: "largest |ΔW|"},
	"nonfinite":        {run: func(r *Run) *float64 { return count64(r.Totals.NonFinite) }, tensor: func(t *Tensor) *float64 { return count64(t.NonFinite[0] + t.NonFinite[1]) }, explain: "entries, both checkpoints"},
	"compared_share":   {run: func(r *Run) *float64 { return r.Totals.ComparedShare }, explain: "of the parameters"},
	"missing":          {run: func(r *Run) *float64 { return countOf(r.Pairing.Missing) }, explain: "tensors"},
	"extra":            {run: func(r *Run) *float64 { return countOf(r.Pairing.Extra) }, explain: "tensors"},
	"shape_mismatch":   {run: func(r *Run) *float64 { return countOf(r.Pairing.ShapeMismatch) }, explain: "tensors"},
	"dtype_mismatch":   {run: func(r *Run) *float64 { return countOf(r.Pairing.DTypeMismatch) }, explain: "tensors"},
	"delta_bytes":      {run: func(r *Run) *float64 { return count64(r.Totals.Delta.Predicted) }, explain: "predicted size of the update"},
	"nss":              {matrix: nssRule, explain: "of any matrix"},
	"nss_median":       {run: func(r *Run) *float64 { return r.Totals.NSS.Median }, explain: "over matrices, upper ends"},
	"nss_mean":         {run: func(r *Run) *float64 { return r.Totals.NSS.Mean }, explain: "over matrices, upper ends"},
	"max_angle_deg":    {matrix: angleRule, explain: "of any matrix, either side"},
	"srank":            {matrix: spectral(func(s *Spectrum) *float64 { return s.SRank }), explain: "of any matrix"},
	"update_rank":      {matrix: spectral(func(s *Spectrum) *float64 { return s.UpdateRankShare }), explain: "share of the smaller side, any matrix"},
	"energy_in":        {matrix: spectral(func(s *Spectrum) *float64 { return s.EnergyIn }), explain: "of any matrix"},
	"energy_out":       {matrix: spectral(func(s *Spectrum) *float64 { return s.EnergyOut }), explain: "of any matrix"},
	"princ":            {matrix: masked(princ, observed), explain: "principal overlap of any matrix"},
	"low":              {matrix: masked(low, observed), explain: "low-magnitude overlap of any matrix"},
	"princ_minus_null": {matrix: masked(princ, minus), explain: "of any matrix"},
	"low_minus_null":   {matrix: masked(low, minus), explain: "of any matrix"},
}

func toFloat(n *int64) *float64 {
	if n == nil {
		return nil
	}
	return count64(*n)
}

// Metrics lists the names that rules know, with what they are.
func Metrics() [][2]string {
	var out [][2]string
	for name, m := range metrics {
		out = append(out, [2]string{name, m.explain})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// ParseRule reads a rule such as 'nss>1e-3' or 'sparsity_bf16<0.5@layers\.0\.'.
func ParseRule(s string) (Rule, error) {
	fail := func(format string, args ...any) (Rule, error) {
		return Rule{}, fmt.Errorf("rule %q: %s: write METRIC OP NUMBER, as in 'nss>1e-3' or 'sparsity_bf16<0.5@layers\\.0\\.'", s, fmt.Sprintf(format, args...))
	}
	r := Rule{text: s}
	condition, pattern, scoped := strings.Cut(s, "@")
	at := strings.IndexAny(condition, "<>=!")
	if at < 0 {
		return fail("it has no comparison")
	}
	r.metric = strings.TrimSpace(condition[:at])
	rest := condition[at:]
	for _, op := range []string{"<=", ">=", "==", "!=", "<", ">"} {
		if strings.HasPrefix(rest, op) {
			r.op = op
			break
		}
	}
	if r.op == "" {
		return fail("%q is no comparison: < <= > >= == != are", rest[:1])
	}
	m, ok := metrics[r.metric]
	if !ok {
		return fail("there is no metric %q: %s", r.metric, knownMetrics())
	}
	text := strings.TrimSpace(rest[len(r.op):])
	limit, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(limit) || math.IsInf(limit, 0) {
		return fail("%q is no number", text)
	}
	r.limit = limit
	if !scoped {
		return r, nil
	}
	if m.tensor == nil && m.matrix == nil {
		return fail("%s is about the whole comparison and takes no @regex", r.metric)
	}
	if r.re, err = regexp.Compile(pattern); err != nil || pattern == "" {
		return fail("%q after @ is no regular expression", pattern)
	}
	return r, nil
}

func knownMetrics() string {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m[0])
	}
	return strings.Join(names, ", ")
}

func (r Rule) String() string { return r.text }

func (r Rule) holds(x float64) bool {
	switch r.op {
	case "<":
		return x < r.limit
	case "<=":
		return x <= r.limit
	case ">":
		return x > r.limit
	case ">=":
		return x >= r.limit
	case "==":
		return x == r.limit
	}
	return x != r.limit
}

// Check evaluates the rule on a run. What can't be measured holds, with the
// reason: a check in CI must not pass because a number is missing.
func (r Rule) Check(run *Run) Held {
	m := metrics[r.metric]
	h := Held{Rule: r.text}
	if r.re == nil && m.run != nil {
		return r.decide(h, []*float64{m.run(run)}, run.Tuned)
	}
	unknown := ""
	matched := false
	see := func(name string, values []*float64) bool {
		matched = true
		one := r.decide(h, values, name)
		if one.Held && !strings.HasPrefix(one.Reason, notMeasurable) {
			h = one
			return true
		}
		if one.Held && unknown == "" {
			unknown = one.Reason
		}
		return false
	}
	for i := range run.Tensors {
		t := &run.Tensors[i]
		if r.re != nil && !r.re.MatchString(t.Name) {
			continue
		}
		if m.tensor != nil {
			if t.Float && see(t.Name, []*float64{m.tensor(t)}) {
				return h
			}
			continue
		}
		for _, x := range t.measurable() {
			if see(x.Name, m.matrix(x)) {
				return h
			}
		}
	}
	switch {
	case unknown != "":
		return Held{r.text, true, unknown}
	case !matched:
		return Held{r.text, true, notMeasurable + ": it is about no tensor that was compared"}
	}
	return h
}

// measurable lists the tensor's matrices, and what should have been one.
func (t *Tensor) measurable() []Matrix {
	if all := t.Matrices(); all != nil || !t.Float || !isMatrix(t) {
		return all
	}
	return []Matrix{{Name: t.Name}}
}

const notMeasurable = "not measurable"

// decide holds if every value does: an interval has two.
func (r Rule) decide(h Held, values []*float64, of string) Held {
	yes := 0
	for _, v := range values {
		if v == nil {
			return Held{r.text, true, fmt.Sprintf("%s: %s of %s is not known", notMeasurable, r.metric, of)}
		}
		if r.holds(*v) {
			yes++
		}
	}
	switch {
	case yes == 0:
		return h
	case yes < len(values):
		return Held{r.text, true, fmt.Sprintf("%s: %s of %s is between %.3g and %.3g, --exact decides", notMeasurable, r.metric, of, *values[0], *values[1])}
	}
	return Held{r.text, true, fmt.Sprintf("%s of %s is %.6g", r.metric, of, *values[len(values)-1])}
}
