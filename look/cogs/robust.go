package cogs

import (
	"math"
	"math/cmplx"
	"slices"
)

// Robust is the classification that is shown first. It looks at the phases of C
// alone, which neither the signs of nodes (−,−,+) nor their order change, and
// which a factor of the whole frequency (α, β, ᾱβ̄) only turns.
type Robust struct {
	Kind Kind
	// Distance is how far apart, in radians, the phases of C lie within pairs of
	// neighbours, at most, in the better of the two ways to pair them: 0 in
	// z_ν=i times anything. NaN where the order is not 4 or 6.
	Distance float64
	// Near: of the family z_ν, but ν is near i.
	Near bool
	// Angles of the parameters in radians; NaN where the kind has none. ν is
	// determined up to third roots of unity and to exchanging the triads, so that
	// it lies between π/3 and π/2 (i). ξ, α and β are determined up to powers of i
	// and lie between 0 and π/2; of the three pairs of nodes that α and β may
	// start from, the one with the smallest α is taken.
	Nu, Xi, Alpha, Beta float64
}

const (
	// samePhase is below what two phases of C count as one. In ten networks at
	// d = 23, pairs lay within 0.083 or beyond 0.14.
	samePhase = 0.10
	// nearPhase is up to where ν counts as near i.
	nearPhase = 0.25
)

func (z Element) robust() Robust {
	nan := math.NaN()
	out := Robust{Kind: Other, Distance: nan, Nu: nan, Xi: nan, Alpha: nan, Beta: nan}
	n := z.Order()
	if n != 4 && n != 6 {
		return out
	}
	pairs, distance := clusters(angles(z.C, 1), 2)
	out.Distance = distance
	if n == 4 {
		// Two pairs of phases, a quarter turn apart.
		first, second := pairs[0], pairs[1]
		gap := turn(z.meanPhase(z.C, second, 1) - z.meanPhase(z.C, first, 1))
		if gap < 0 {
			first, second = second, first
		}
		if distance < nearPhase && math.Abs(math.Abs(gap)-math.Pi/2) < nearPhase {
			out.Kind = Kind4
			out.Xi = quarter(z.meanPhase(z.A, second, 4) - z.meanPhase(z.A, first, 4))
		}
		return out
	}
	triads, _ := clusters(angles(z.C, 3), 3)
	// −ν̄² is the turn from one triad to the other, up to thirds of a turn.
	delta := math.Abs(turn(3*(z.meanPhase(z.C, triads[1], 3)-z.meanPhase(z.C, triads[0], 3)))) / 3
	out.Nu = (math.Pi - delta) / 2
	if distance >= samePhase {
		out.Kind, out.Near = Kind6, distance <= nearPhase
		return out
	}
	out.Kind = Kind6i
	// The phases of C rise by a third of a turn from pair to pair.
	for start := range pairs {
		base := z.meanPhase(z.A, pairs[start], 4)
		alpha := quarter(z.meanPhase(z.A, pairs[(start+1)%3], 4) - base - 2*math.Pi/3)
		beta := quarter(z.meanPhase(z.A, pairs[(start+2)%3], 4) - base + 2*math.Pi/3)
		if !(alpha >= out.Alpha) {
			out.Alpha, out.Beta = alpha, beta
		}
	}
	return out
}

// angles are the phases of v times fold.
func angles(v []complex128, fold float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = fold * cmplx.Phase(x)
	}
	return out
}

// turn brings an angle to (−π, π].
func turn(angle float64) float64 { return -math.Remainder(-angle, 2*math.Pi) }

// quarter brings an angle to [0, π/2).
func quarter(angle float64) float64 {
	q := math.Mod(angle, math.Pi/2)
	if q < 0 {
		q += math.Pi / 2
	}
	return q
}

// clusters cuts points on the circle into groups of size neighbours, so that the
// widest group is as narrow as can be, and returns its width.
func clusters(angle []float64, size int) (groups [][]int, width float64) {
	n := len(angle)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	at := func(i int) float64 { return turn(angle[i]) }
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case at(i) < at(j):
			return -1
		case at(i) > at(j):
			return 1
		}
		return 0
	})
	width = math.Inf(1)
	for shift := range size {
		var cut [][]int
		widest := 0.0
		for lo := shift; lo < n+shift; lo += size {
			group := make([]int, size)
			for i := range group {
				group[i] = order[(lo+i)%n]
			}
			w := at(group[size-1]) - at(group[0])
			if lo+size > n {
				w += 2 * math.Pi // around
			}
			widest = max(widest, w)
			cut = append(cut, group)
		}
		if widest < width {
			groups, width = cut, widest
		}
	}
	return groups, width
}

// meanPhase is the mean phase of some entries, which is determined up to a fold-th
// of a turn.
func (Element) meanPhase(v []complex128, nodes []int, fold float64) float64 {
	var sum complex128
	for _, j := range nodes {
		sum += cmplx.Rect(1, fold*cmplx.Phase(v[j]))
	}
	return cmplx.Phase(sum) / fold
}
