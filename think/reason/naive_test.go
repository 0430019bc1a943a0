package reason

import (
	"math"
	"slices"
	"strings"

	"orrery/think/confidence"
)

// naiveOnline is §3 of the specification written straight down: whole lists,
// every group from scratch, no state machine. Raw answers only.
type naiveOnline struct {
	scripts   []script
	p         ReplayParams
	s         float64 // NaN: none
	stop      []int   // token that stopped it, 0: none
	used      []int
	reason    []string
	excluded  []string
	beta      []float64
	stoppedBy string
	answer    string // "": none
	fallback  string
}

func naiveGroups(c []float64, w int) []float64 {
	var scored []float64
	for _, v := range c {
		if v == v {
			scored = append(scored, v)
		}
	}
	mean := func(x []float64) float64 {
		s := 0.0
		for _, v := range x {
			s += v
		}
		return s / float64(len(x))
	}
	if len(scored) == 0 {
		return nil
	}
	if len(scored) < w {
		return []float64{mean(scored)}
	}
	var g []float64
	for i := w; i <= len(scored); i++ {
		g = append(g, mean(scored[i-w:i]))
	}
	return g
}

func (o *naiveOnline) ans(i int) string {
	_, rest, _ := strings.Cut(o.scripts[i].text, `\boxed{`)
	return strings.TrimSuffix(rest, "}")
}

func (o *naiveOnline) lowest(i int) float64 {
	g := naiveGroups(o.scripts[i].c[:o.used[i]], int(o.p.Window))
	if len(g) == 0 {
		return math.NaN()
	}
	return slices.Min(g)
}

// elect is the weighted vote among some traces: leader, β and voters.
func (o *naiveOnline) elect(in func(i int) bool) (string, float64, int) {
	v, first, count := map[string]float64{}, map[string]int{}, map[string]int{}
	total, voters := 0.0, 0
	for i := range o.used {
		a := o.ans(i)
		if a == "" || !in(i) {
			continue
		}
		w := o.lowest(i)
		if w != w {
			w = 0
		}
		if _, seen := first[a]; !seen {
			first[a] = i
		}
		v[a] += w
		count[a]++
		total += w
		voters++
	}
	best := ""
	for a := range v {
		switch {
		case best == "" || v[a] > v[best]:
			best = a
		case v[a] == v[best] && total == 0 && count[a] != count[best]:
			if count[a] > count[best] {
				best = a
			}
		case v[a] == v[best] && first[a] < first[best]:
			best = a
		}
	}
	if total == 0 {
		return best, math.NaN(), voters
	}
	return best, v[best] / total, voters
}

func (o *naiveOnline) judge(i int) string {
	switch low := o.lowest(i); {
	case o.reason[i] == "low_confidence":
		return "low_confidence"
	case o.reason[i] == "token_budget":
		return "cancelled"
	case o.ans(i) == "":
		return "no_answer"
	case low != low:
		return "unscored"
	case low < o.s:
		return "below_threshold"
	}
	return ""
}

func naiveDecide(scripts []script, p ReplayParams) naiveOnline {
	p = p.Resolved()
	b := len(scripts)
	if p.Budget > 0 {
		b = min(b, p.Budget)
	}
	warm := min(p.Warmup, b)
	o := naiveOnline{scripts: scripts, p: p, s: math.NaN()}
	total := 0
	consensus := func() bool {
		_, beta, voters := o.elect(func(i int) bool { return o.excluded[i] == "" })
		o.beta = append(o.beta, beta)
		return !p.NoConsensus && beta >= p.Tau && voters >= p.MinVotes
	}
	for i := 0; i < b && o.stoppedBy == ""; i++ {
		if p.TokenBudget > 0 && total >= p.TokenBudget {
			o.stoppedBy = "token_budget"
			break
		}
		reason, used, stop := "completed", 0, 0
		for n := 1; n <= len(scripts[i].c); n++ {
			if p.TokenBudget > 0 && total == p.TokenBudget {
				reason, stop, o.stoppedBy = "token_budget", used, "token_budget"
				break
			}
			used, total = n, total+1
			if i >= warm && o.s == o.s && scripts[i].c[n-1] == scripts[i].c[n-1] {
				g := naiveGroups(scripts[i].c[:n], int(p.Window))
				scored := 0
				for _, v := range scripts[i].c[:n] {
					if v == v {
						scored++
					}
				}
				if scored >= int(p.Window) && g[len(g)-1] < o.s {
					reason, stop = "low_confidence", n
					break
				}
			}
		}
		o.used, o.reason, o.stop = append(o.used, used), append(o.reason, reason), append(o.stop, stop)
		o.excluded = append(o.excluded, "")
		if i < warm-1 || o.stoppedBy != "" && i < warm {
			continue
		}
		if i == warm-1 {
			var lows []float64
			for j := range warm {
				if low := o.lowest(j); low == low {
					lows = append(lows, low)
				}
			}
			if len(lows) > 0 {
				o.s = confidence.Percentile(lows, 100-p.Eta)
			}
			for j := range warm {
				o.excluded[j] = o.judge(j)
			}
			if consensus() {
				o.stoppedBy = "consensus"
			}
			continue
		}
		o.excluded[i] = o.judge(i)
		if reason == "completed" && consensus() {
			o.stoppedBy = "consensus"
		}
	}
	for i := range o.used {
		o.excluded[i] = o.judge(i)
	}
	if o.stoppedBy == "" {
		o.stoppedBy = "exhausted"
		if p.Budget > 0 && p.Budget <= len(scripts) {
			o.stoppedBy = "budget"
		}
	}
	full := func(i int) bool { return o.used[i] == len(scripts[i].c) } // else no box is known
	rungs := []func(int) bool{
		func(i int) bool { return o.excluded[i] == "" },
		func(i int) bool { return i < warm && o.reason[i] == "completed" },
		func(i int) bool { return i >= warm && o.reason[i] == "completed" },
		func(i int) bool { return o.reason[i] != "completed" && full(i) },
	}
	for r, in := range rungs {
		scored := func(i int) bool { low := o.lowest(i); return in(i) && low == low }
		if o.answer, _, _ = o.elect(scored); o.answer == "" { // unscored ones only where there are no others
			o.answer, _, _ = o.elect(in)
		}
		if o.answer != "" {
			o.fallback = []string{"", "completed_warmups", "completed_others", "killed"}[r]
			return o
		}
	}
	o.fallback = "no_answer"
	return o
}
