package li2

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Result of a trial of the boundary.
type Result string

const (
	Success  Result = "success"  // test accuracy ≥ 95 % at the end
	Failure  Result = "failure"  // lazy
	Censored Result = "censored" // undecided at the longest training
)

// Trial is one training of a sweep.
type Trial struct {
	Group  string  `json:"group"`
	M      int     `json:"m"`       // its order
	MaxD   int     `json:"max_d"`   // largest degree of its irreps
	P      float64 `json:"p"`       // share of the pairs trained on
	N      int     `json:"n"`       // how many
	Seed   uint64  `json:"seed"`    //
	Result Result  `json:"outcome"` //
	Epochs int     `json:"epochs"`  // trained
}

// X is p·M/ln M.
func (t Trial) X() float64 { return Scaled(t.P, t.M) }

// Interval of an estimate at 95 %. An end is infinite where the data set no
// bound.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Contains reports whether x lies inside.
func (i Interval) Contains(x float64) bool { return i.Low <= x && x <= i.High }

// Estimate of a boundary.
type Estimate struct {
	C         float64  `json:"c"`
	Profile   Interval `json:"profile"`   // by the profile of the likelihood
	Bootstrap Interval `json:"bootstrap"` // over seeds within cells
}

// GroupEstimate is the c of one group, κ being shared with the others.
type GroupEstimate struct {
	Group   string   `json:"group"`
	M       int      `json:"m"`
	MaxD    int      `json:"max_d"`
	Trials  int      `json:"trials"`
	C       float64  `json:"c"` // NaN where all or none succeeded
	Profile Interval `json:"profile"`
}

// Rival is the law p50 = A·M^(−γ) on the same trials.
type Rival struct {
	A     float64  `json:"a"`
	Gamma float64  `json:"gamma"`
	In    Interval `json:"gamma_interval"`
	AIC   float64  `json:"aic"`
}

// Boundary is the fit of logit Pr(success) = κ(x−c), x = p·M/ln M.
type Boundary struct {
	Ms       []int           `json:"ms"`    // orders, ascending
	Cells    int             `json:"cells"` // of a group and a share
	Trials   int             `json:"trials"`
	Censored int             `json:"censored"` // left out of the fit
	Kappa    float64         `json:"kappa"`
	Shared   Estimate        `json:"shared"`
	AsFailed float64         `json:"c_if_censored_failed"` // c when censored trials count as failures
	AIC      float64         `json:"aic"`
	Groups   []GroupEstimate `json:"groups"`
	AICEach  float64         `json:"aic_each"` // of a c per group
	Rival    Rival           `json:"rival"`
	// Drift is γ of p50·M/ln M ∝ M^(−γ): 0 if the law holds.
	Drift        float64  `json:"drift"`
	DriftIn      Interval `json:"drift_interval"`
	Identifiable bool     `json:"identifiable"` // five orders or more, the largest three times the least
	Why          string   `json:"why,omitempty"`
}

const (
	// ridge on κ keeps it finite where successes and failures don't overlap.
	ridge = 1e-3
	// quarter is half of the 95 % point of χ² with one degree of freedom.
	quarter    = 3.841458820694124 / 2
	bootstraps = 1000
)

// FitBoundary fits the trials of a sweep. The fit is deterministic.
func FitBoundary(trials []Trial) (*Boundary, error) {
	b := &Boundary{Trials: len(trials)}
	used := make([]Trial, 0, len(trials))
	wins := 0
	for _, t := range trials {
		if t.M < 2 || !(t.P > 0 && t.P <= 1) {
			return nil, fmt.Errorf("fitting the boundary: a trial of %s has order %d and share %g: want an order of 2 or more and a share in (0, 1]", t.Group, t.M, t.P)
		}
		switch t.Result {
		case Success:
			wins++
		case Failure:
		case Censored:
			b.Censored++
			continue
		default:
			return nil, fmt.Errorf("fitting the boundary: a trial of %s has the outcome %q: want %s, %s or %s", t.Group, t.Result, Success, Failure, Censored)
		}
		used = append(used, t)
	}
	if wins == 0 || wins == len(used) {
		return nil, fmt.Errorf("fitting the boundary: of %d decided trials %d succeeded, which sets no boundary: widen the range of shares", len(used), wins)
	}
	cells := gather(used, Trial.X)
	b.Cells = len(cells)
	for _, t := range used {
		b.Ms = append(b.Ms, t.M)
	}
	slices.Sort(b.Ms)
	b.Ms = slices.Compact(b.Ms)
	m := fit(cells, 1)
	if m.kappa <= 0 {
		return nil, fmt.Errorf("fitting the boundary: success becomes rarer as the share grows (κ = %.3g): check the trials", m.kappa)
	}
	b.Kappa, b.AIC = m.kappa, m.aic()
	b.Shared = Estimate{C: m.c(0), Profile: profileC(cells, m, 0), Bootstrap: bootstrap(cells, m, bootstraps)}
	b.AsFailed = fit(gather(trials, Trial.X), 1).c(0)
	b.perGroup(used)
	b.laws(used)
	return b, nil
}

// perGroup fits a c to each group with shared κ.
func (b *Boundary) perGroup(used []Trial) {
	cells := gather(used, Trial.X)
	names := []string{}
	for i, c := range cells {
		k := slices.Index(names, c.group)
		if k < 0 {
			k = len(names)
			names = append(names, c.group)
			b.Groups = append(b.Groups, GroupEstimate{Group: c.group, M: c.m, MaxD: c.maxD})
		}
		cells[i].which = k
		b.Groups[k].Trials += int(c.n)
	}
	m := fit(cells, len(names))
	b.AICEach = m.aic()
	for k := range b.Groups {
		b.Groups[k].C = m.c(k)
		wins, all := 0.0, 0.0
		for _, c := range cells {
			if c.which == k {
				wins += c.wins
				all += c.n
			}
		}
		if wins == 0 || wins == all {
			b.Groups[k].C = math.NaN()
			b.Groups[k].Profile = Interval{math.Inf(-1), math.Inf(1)}
			continue
		}
		b.Groups[k].Profile = profileC(cells, m, k)
	}
}

// cell is the trials of one group at one share.
type cell struct {
	group   string
	m, maxD int
	which   int // index of its c
	x       float64
	wins, n float64
}

// gather counts trials by cells, in order of order, group and share.
func gather(trials []Trial, x func(Trial) float64) []cell {
	type key struct {
		group string
		p     float64
	}
	at := map[key]int{}
	var cells []cell
	for _, t := range trials {
		k := key{t.Group, t.P}
		i, ok := at[k]
		if !ok {
			i = len(cells)
			at[k] = i
			cells = append(cells, cell{group: t.Group, m: t.M, maxD: t.MaxD, x: x(t)})
		}
		cells[i].n++
		if t.Result == Success {
			cells[i].wins++
		}
	}
	slices.SortFunc(cells, func(a, b cell) int {
		return cmp.Or(a.m-b.m, cmp.Compare(a.group, b.group), cmp.Compare(a.x, b.x))
	})
	return cells
}

// bootstrap draws the seeds of every cell anew, so many times. Draws in which
// all or none succeed set no boundary and are left out. m is the fit of cells.
func bootstrap(cells []cell, m logistic, times int) Interval {
	rng := rand.New(rand.NewPCG(20250921, 519)) // fixed: the paper's number
	again := slices.Clone(cells)
	var cs []float64
	for range times {
		wins, all := 0.0, 0.0
		for i, c := range cells {
			again[i].wins = 0
			for range int(c.n) {
				if rng.Float64()*c.n < c.wins {
					again[i].wins++
				}
			}
			wins += again[i].wins
			all += c.n
		}
		if wins == 0 || wins == all {
			continue
		}
		if r := newton(again, m, -1, math.NaN()); r.kappa > 0 {
			cs = append(cs, r.c(0))
		}
	}
	if len(cs) < times/2 {
		return Interval{math.Inf(-1), math.Inf(1)}
	}
	slices.Sort(cs)
	last := float64(len(cs) - 1)
	return Interval{cs[int(math.Floor(0.025*last))], cs[int(math.Ceil(0.975*last))]}
}
