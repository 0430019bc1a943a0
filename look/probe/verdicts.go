package probe

import (
	"fmt"
	"strings"

	"orrery/report"
	"orrery/task"
)

// verdicts are the conclusions, those about the trained model first.
func (r *Report) verdicts() []report.Verdict {
	var out []report.Verdict
	if s := r.trained(); s != nil {
		out = append(out, s.orderingVerdict(), s.needVerdict())
	}
	if s := r.constructed(); s != nil {
		out = append(out, s.theoryVerdict())
	}
	return out
}

// orderingLine is the one line that says which orderings hold.
func (s *Study) orderingLine() string {
	inner, allInner := s.Held("inner")
	attention, allAttention := s.Held("attention")
	if inner == allInner && attention == allAttention {
		return fmt.Sprintf("Orderings: all %d of the inner products and all %d of the attention hold", allInner, allAttention)
	}
	return fmt.Sprintf("Orderings: %d of %d of the inner products and %d of %d of the attention hold", inner, allInner, attention, allAttention)
}

// orderingVerdict says which orderings hold, step by step.
func (s *Study) orderingVerdict() report.Verdict {
	v := report.Verdict{Label: s.orderingLine() + "."}
	for _, p := range []struct {
		probe, name string
		steps       []ByClass
	}{{"inner", "Thought %d", s.Inner}, {"attention", "Attention, thoughts present: %d", s.Attention}} {
		for _, b := range p.steps {
			name := fmt.Sprintf(p.name, b.Step)
			failed := len(v.Against)
			for _, o := range s.Orderings {
				if o.Probe == p.probe && o.Step == b.Step && !o.Holds {
					v.Against = append(v.Against, fmt.Sprintf("%s: not %s (%.2f, %.2f)", name, o.Rule, o.More, o.Less))
				}
			}
			if len(v.Against) == failed {
				v.Evidence = append(v.Evidence, fmt.Sprintf("%s: optimal %.2f, frontier %.2f, reachable %.2f, not reachable %.2f",
					name, b.Optimal.Value(), b.Frontier.Value(), b.Reachable.Value(), b.NotReachable.Value()))
			}
		}
	}
	return v
}

func (s *Study) standIn(name string) Intervention {
	for _, i := range s.StandIns {
		if i.Name == name {
			return i
		}
	}
	return Intervention{}
}

// needVerdict says whether the choice between the candidates rests on what the
// thoughts hold: with those that theory says to be empty it must be worse than
// with its own, by intervals that do not touch.
func (s *Study) needVerdict() report.Verdict {
	own := s.standIn("own").Pair
	var v report.Verdict
	needed := true
	for _, in := range standIns {
		share := s.standIn(in.name).Pair
		line := fmt.Sprintf("%s thoughts: %s of the candidates right", in.name, share)
		worse := own.Interval().Low > share.Interval().High
		switch {
		case in.name == "own":
			v.Evidence = append(v.Evidence, line)
		case in.theory == "right" && worse:
			v.Against = append(v.Against, line+": a thought holds more, or in another form")
		case in.theory == "right":
			v.Evidence = append(v.Evidence, line+": as good as its own or better, so the set is what a thought has to hold")
		case worse:
			v.Evidence = append(v.Evidence, line)
		default:
			needed = false
			v.Against = append(v.Against, line+": no worse than its own")
		}
	}
	v.Label = "The answers rest on what the thoughts hold about their own item."
	if !needed {
		v.Label = "The answers do not rest on what the thoughts hold."
	}
	return v
}

// theoryVerdict compares the constructed model with its closed form.
func (s *Study) theoryVerdict() report.Verdict {
	v := report.Verdict{Label: "The constructed model does what its theory says."}
	say := func(holds bool, format string, a ...any) {
		if line := fmt.Sprintf(format, a...); holds {
			v.Evidence = append(v.Evidence, line)
		} else {
			v.Label = "The constructed model does not do what its theory says."
			v.Against = append(v.Against, line)
		}
	}
	// 1e-12 is rounding of float64 sums of 200 terms; the specification demands 1e-9 of the mass.
	say(s.Theory.InnerOff <= 1e-12, "inner products are 1/√|V| or 0, to %.1g", s.Theory.InnerOff)
	say(s.Theory.MostInvalid < 1e-9, "no edge that is not reachable gets more attention than %.1g", s.Theory.MostInvalid)
	say(s.Theory.Unequal <= 1e-12, "edges of the frontier and other reachable ones get equal attention, to %.1g", s.Theory.Unequal)
	say(s.Oracle.Right == s.Oracle.N, "%d of %d right with as many thoughts as hops", s.Oracle.Right, s.Oracle.N)
	last := s.Accuracy[len(s.Accuracy)-1]
	say(last.Right == last.N, "%d of %d right with %d thoughts: more do no harm", last.Right, last.N, len(s.Accuracy)-1)
	return v
}

// theoryNote explains, for a reader who has not read the paper, what is looked for.
var theoryNote = []string{
	"The question lists edges of a directed graph, two candidates and a root. Exactly one candidate can be reached from the root.",
	"Before it answers, a model may think: its last output vector is fed back as its next input, a number of times. No word is written.",
	"Theory (arXiv 2505.12514): after i thoughts the vector is the sum of the embeddings of all nodes within i edges of the root. A vector can hold many nodes at once, so that each thought takes one step along all edges at the same time.",
	"Nodes and edges have four classes after i steps. " + classHelp(),
}

func classHelp() string {
	return strings.Join([]string{
		task.Optimal.String() + ": on a shortest path to the target, i edges from the root",
		task.Frontier.String() + ": the end of a walk of exactly i edges",
		task.Reachable.String() + ": within i edges",
		task.NotReachable.String() + ": the rest. Each of the first three is part of the next.",
	}, "; ")
}
