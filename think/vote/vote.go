// Package vote decides: which traces vote, what they elect, which are stopped
// and when a run has seen enough.
//
// Everything here is pure: no goroutine, no clock, no I/O. [Count], [Majority],
// [Weighted] and [Filter] are the offline rules of "Deep Think with Confidence"
// (arXiv 2508.15260, §3); [Machine] is the online rule as a state machine that a
// live engine and a replay of recorded traces drive alike. It is the one place
// where stop reasons and exclusions are decided.
//
// Confidences come from package confidence, and which answers are equal is
// package answer's business.
package vote

import (
	"cmp"
	"slices"

	"orrery/think/answer"
	"orrery/think/confidence"
)

// Ballot is the vote of one trace.
type Ballot struct {
	Trace  int // launch order
	Answer string
	Key    answer.Key // of Answer; zero keys are no votes
	Weight float64    // ≥ 0
}

// Class is the ballots for answers that are the same.
type Class struct {
	Answer string     // surface form of its heaviest ballot, the earliest of equals
	Key    answer.Key // with the unit, if any of its ballots names one
	V      float64    // Σ weight in launch order
	Traces []int      // in launch order
	Winner int        // the trace that Answer is from
}

// Tally is a counted vote, best class first: greatest V, then the earliest
// first ballot. Where all V are 0, the number of ballots comes before that.
type Tally struct {
	Classes []Class
	Total   float64 // ΣV
	Ballots int
}

// Count counts ballots. Their order does not matter.
func Count(ballots []Ballot) Tally {
	b := slices.DeleteFunc(slices.Clone(ballots), func(b Ballot) bool { return b.Key.IsZero() })
	slices.SortFunc(b, func(x, y Ballot) int { return cmp.Compare(x.Trace, y.Trace) })
	keys := make([]answer.Key, len(b))
	for i := range b {
		keys[i] = b[i].Key
	}
	t := Tally{Ballots: len(b)}
	heaviest := []float64{}
	for i, c := range answer.Merge(keys) { // numbered by first ballot
		if c == len(t.Classes) {
			t.Classes = append(t.Classes, Class{Key: keys[i], Answer: b[i].Answer, Winner: b[i].Trace})
			heaviest = append(heaviest, b[i].Weight)
		}
		class := &t.Classes[c]
		class.V += b[i].Weight
		class.Traces = append(class.Traces, b[i].Trace)
		if class.Key.Unit == "" {
			class.Key = keys[i]
		}
		if b[i].Weight > heaviest[c] {
			heaviest[c], class.Answer, class.Winner = b[i].Weight, b[i].Answer, b[i].Trace
		}
	}
	for _, c := range t.Classes {
		t.Total += c.V
	}
	// The sort is stable, so what is left equal stays in order of first ballot.
	slices.SortStableFunc(t.Classes, func(x, y Class) int {
		if t.Total == 0 {
			return cmp.Compare(len(y.Traces), len(x.Traces))
		}
		return cmp.Compare(y.V, x.V)
	})
	return t
}

// Beta is β = V(leader)/ΣV; ok is false while ΣV is 0.
func (t Tally) Beta() (beta float64, ok bool) {
	if t.Total == 0 {
		return 0, false
	}
	return t.Classes[0].V / t.Total, true
}

// Trace is a completed trace as the offline rules see it.
type Trace struct {
	ID       int // launch order
	Answer   string
	Key      answer.Key // zero: no answer
	Measures confidence.Measures
}

// Majority counts every trace that has an answer once, scored or not.
func Majority(traces []Trace) Tally {
	var b []Ballot
	for _, t := range traces {
		b = append(b, Ballot{t.ID, t.Answer, t.Key, 1})
	}
	return Count(b)
}

// Weighted counts the traces that have an answer and are scored by a measure.
func Weighted(traces []Trace, m confidence.Measure) Tally {
	var b []Ballot
	for _, t := range traces {
		if w, ok := t.Measures.Get(m); ok {
			b = append(b, Ballot{t.ID, t.Answer, t.Key, w})
		}
	}
	return Count(b)
}

// Filter keeps the share eta (in percent) of the voters of [Weighted] that a
// measure trusts most: those at or above its (100-eta)-th percentile. Ties with
// the threshold stay, so at least one is kept; ok is false when nobody votes.
func Filter(traces []Trace, m confidence.Measure, eta float64) (threshold float64, kept []Trace, ok bool) {
	var c []float64
	var voters []Trace
	for _, t := range traces {
		if v, scored := t.Measures.Get(m); scored && !t.Key.IsZero() {
			c, voters = append(c, v), append(voters, t)
		}
	}
	if len(voters) == 0 {
		return 0, nil, false
	}
	threshold = confidence.Percentile(c, 100-eta)
	for i, t := range voters {
		if c[i] >= threshold {
			kept = append(kept, t)
		}
	}
	return threshold, kept, true
}
