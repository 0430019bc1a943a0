package probe

import "orrery/task"

// Ordering is one inequality between class means that the paper's theory of
// trained models demands, and whether it held.
type Ordering struct {
	Probe string  `json:"probe"` // "inner" or "attention"
	Step  int     `json:"step"`  // thoughts
	Rule  string  `json:"rule"`  // "optimal > frontier"
	More  float64 `json:"more"`
	Less  float64 `json:"less"`
	Holds bool    `json:"holds"`
}

// untilReachable is the last step at which reachable nodes must stand out from
// those that are not: published models differ behind it.
const untilReachable = 2

// orderings checks optimal > frontier > not reachable at every step, and reachable >
// not reachable up to two thoughts, which is all that is robust over the
// published models. A step at which a class is empty demands nothing of it.
func orderings(s *Study) []Ordering {
	var out []Ordering
	for _, p := range []struct {
		name  string
		steps []ByClass
	}{{"inner", s.Inner}, {"attention", s.Attention}} {
		for _, b := range p.steps {
			demand := func(more, less task.Class) {
				x, y := *b.of(more), *b.of(less)
				if x.N > 0 && y.N > 0 {
					out = append(out, Ordering{p.name, b.Step, more.String() + " > " + less.String(), x.Value(), y.Value(), x.Value() > y.Value()})
				}
			}
			demand(task.Optimal, task.Frontier)
			demand(task.Frontier, task.NotReachable)
			if b.Step <= untilReachable {
				demand(task.Reachable, task.NotReachable)
			}
		}
	}
	return out
}

// Held counts the orderings of a probe that hold.
func (s *Study) Held(probe string) (held, all int) {
	for _, o := range s.Orderings {
		if o.Probe == probe {
			all++
			if o.Holds {
				held++
			}
		}
	}
	return held, all
}
