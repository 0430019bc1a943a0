package vote

import (
	"cmp"
	"slices"

	"orrery/think/confidence"
)

// verdict is why a trace does not vote as things stand, or Included.
func (m *Machine) verdict(r *Record) Exclusion {
	switch {
	case r.Reason == LowConfidence:
		return ExLowConfidence
	case r.Reason == UpstreamError:
		return ExError
	case !r.Reason.Completed():
		return ExCancelled
	case r.Key.IsZero():
		return ExNoAnswer
	case m.p.Rule == Plain:
		return Included
	case r.Measures.Scored == 0:
		return ExUnscored
	case m.hasS && m.weight(r) < m.s:
		return ExBelowThreshold
	}
	return Included
}

func (m *Machine) decide(r *Record) {
	r.Excluded = m.verdict(r)
	r.Votes, r.Decided = r.Excluded == Included, true
}

// weight is what a trace's vote counts: 1, or its measure (0 if unscored).
func (m *Machine) weight(r *Record) float64 {
	measure := confidence.Lowest
	switch m.p.Rule {
	case Plain:
		return 1
	case Offline:
		measure = m.p.Weight
	}
	w, _ := r.Measures.Get(measure)
	return w
}

// Weight is the weight of a trace that votes; ok is false if it does not.
func (m *Machine) Weight(r *Record) (w float64, ok bool) {
	if !r.Votes {
		return 0, false
	}
	return m.weight(r), true
}

// count is the vote among the traces that belong to it.
func (m *Machine) count(belongs func(*Record) bool) Tally {
	var b []Ballot
	for _, r := range m.records {
		if belongs(r) {
			b = append(b, Ballot{r.ID, r.Answer, r.Key, m.weight(r)})
		}
	}
	return Count(b)
}

// evaluate counts after a completion, and ends the run at consensus.
func (m *Machine) evaluate() {
	t := m.count(func(r *Record) bool { return m.verdict(r) == Included })
	m.effects = append(m.effects, Effect{Kind: DidVote})
	beta, ok := t.Beta()
	if !ok {
		beta = nan
	}
	m.betas = append(m.betas, beta)
	if m.p.Rule == Online && m.p.Consensus && ok && beta >= m.p.Tau && t.Ballots >= m.p.MinVotes {
		m.Halt(Consensus)
	}
}

// Settle decides what is still open when nothing runs any more: the offline
// filter, and completed warm-ups of a run that ended before it had an s.
func (m *Machine) Settle() {
	if m.p.Rule == Offline {
		m.fixWindow(m.records)
		var all []Trace
		for _, r := range m.records {
			if r.Reason.Completed() {
				all = append(all, r.Trace)
			}
			r.tracker = nil
		}
		m.s, _, m.hasS = Filter(all, m.p.Weight, m.p.Eta)
	}
	for _, r := range m.records {
		if !r.Decided {
			m.decide(r)
		}
	}
}

// Kind says how an answer was elected.
type Kind string

const (
	ByWeight     Kind = "weighted"
	ByMajority   Kind = "majority"
	ByConfidence Kind = "top_confidence" // free-form text, no two alike: the most confident tail
	ByNone       Kind = "none"           // there is no answer
)

// Outcome is what a run answers.
type Outcome struct {
	Tally
	Kind     Kind
	Fallback Fallback
	Answer   string
	Winner   int // the trace that Answer is from, -1 if none
}

// Outcome is the answer as things stand, at any moment: the vote over the
// traces that have completed, unfiltered until s exists. Without voters it
// steps down a ladder: completed warm-ups, completed others, stopped traces
// that had finished a box. These votes are weighted too, so unscored traces
// count only on a rung that has no scored ones, each with weight 0.
func (m *Machine) Outcome() Outcome {
	for _, rung := range []struct {
		label   Fallback
		belongs func(*Record) bool
	}{
		{NoFallback, func(r *Record) bool { return m.verdict(r) == Included }},
		{CompletedWarmups, func(r *Record) bool { return r.Phase == Warmup && r.Reason.Completed() }},
		{CompletedOthers, func(r *Record) bool { return r.Phase == Final && r.Reason.Completed() }},
		{Killed, func(r *Record) bool { return r.Reason != Running && !r.Reason.Completed() }},
	} {
		scored := func(r *Record) bool { return rung.belongs(r) && r.Measures.Scored > 0 }
		if t := m.count(scored); t.Ballots > 0 && m.p.Rule != Plain {
			return m.elect(t, rung.label)
		}
		if t := m.count(rung.belongs); t.Ballots > 0 {
			return m.elect(t, rung.label)
		}
	}
	return Outcome{Kind: ByNone, Fallback: NoAnswer, Winner: -1}
}

func (m *Machine) elect(t Tally, label Fallback) Outcome {
	kind := ByWeight
	if m.p.Rule == Plain {
		kind = ByMajority
	}
	return Outcome{Tally: t, Kind: kind, Fallback: label, Answer: t.Classes[0].Answer, Winner: t.Classes[0].Winner}
}

// FreeForm is the outcome where no answer could be extracted from any trace:
// the whole texts are compared. If two are the same, they vote; otherwise the
// most confident tail wins. Traces below s count only if all are. text gives a
// completed trace's whole answer.
func (m *Machine) FreeForm(text func(trace int) string) Outcome {
	var pool []*Record
	for _, r := range m.records {
		if r.Reason.Completed() && text(r.ID) != "" {
			pool = append(pool, r)
		}
	}
	below := func(r *Record) bool { return m.hasS && m.p.Rule == Online && m.weight(r) < m.s }
	if slices.ContainsFunc(pool, func(r *Record) bool { return !below(r) }) {
		pool = slices.DeleteFunc(pool, below)
	}
	var b []Ballot
	scored := 0
	for _, r := range pool {
		b = append(b, Ballot{r.ID, text(r.ID), m.p.Key(text(r.ID)), m.weight(r)})
		scored += min(r.Measures.Scored, 1)
	}
	t := Count(b)
	if t.Ballots == 0 {
		return Outcome{Kind: ByNone, Fallback: NoAnswer, Winner: -1}
	}
	alike := slices.ContainsFunc(t.Classes, func(c Class) bool { return len(c.Traces) > 1 })
	if alike || scored == 0 || len(t.Classes) == 1 {
		return m.elect(t, NoFallback)
	}
	best := slices.MaxFunc(pool, func(x, y *Record) int { // the earliest of equals
		return cmp.Compare(x.Measures.Tail, y.Measures.Tail)
	})
	return Outcome{Tally: t, Kind: ByConfidence, Answer: text(best.ID), Winner: best.ID}
}
