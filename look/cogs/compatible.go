package cogs

import (
	"math"
	"math/cmplx"
)

// Compatible is the classification of the authors of arXiv 2410.01779, restated:
// their numbers can be compared with this one alone. It leaves many networks of
// order 6 unknown, since it asks trained ones to lie close to an ideal point.
type Compatible struct {
	Factorable    bool
	Err           float64 // ‖ratio of the halves − its mean over columns‖_F; NaN where the order is not 4 or 6
	First, Second string  // the factors: "z_ξ", "z_ν=i", "z_ν", "z_syn", "z_syn,αβ" or "unknown"
}

// Kind joins the factors' names.
func (c Compatible) Kind() Kind {
	has := func(x, y string) bool { return c.First == x && c.Second == y || c.First == y && c.Second == x }
	switch {
	case !c.Factorable:
		return Other
	case has("z_ν=i", "z_ξ"):
		return Kind4
	case has("z_ν=i", "z_syn,αβ"), has("z_ν=i", "z_syn"):
		return Kind6i
	case has("z_ν", "z_syn"):
		return Kind6
	}
	return Other
}

// closeTo is the tolerance of a factor's entries.
const closeTo = 0.1

func (z Element) compatible() Compatible {
	n := z.Order()
	if n != 4 && n != 6 {
		return Compatible{Err: math.NaN()}
	}
	first, second, err := z.halves()
	out := Compatible{Err: err}
	if out.Factorable = err <= 0.1*math.Sqrt(3*float64(n)); !out.Factorable {
		return out
	}
	out.First = first.order2()
	if n == 4 {
		out.Second = second.order2()
	} else {
		out.Second = second.order3()
	}
	return out
}

// halves orders the nodes so that the first half is most nearly a multiple of the
// second, and returns the factors: (1, ratio) and the first half divided by its
// first column.
//
// The authors go by the row of C alone. That does not decide for the exact
// z_ν=i*z_syn,αβ: its phases are three equal pairs, so that nodes of a pair have
// the constant ratio 1 and nodes of neighbouring pairs the constant ratio ω₃. Of the
// orders that are as good as the best within the tolerance, the one with the
// least err is taken. In trained networks, whose pairs are not exactly a third of a
// turn apart, this changes little.
func (z Element) halves() (first, second Element, err float64) {
	n := z.Order()
	half := n / 2
	least := math.Inf(1)
	permutations(n, func(p []int) { least = min(least, z.spreadOfC(p)) })
	var best []int
	var mean [3]complex128
	err = math.NaN() // a node without c has no ratio
	permutations(n, func(p []int) {
		if !(z.spreadOfC(p) <= least+closeTo) {
			return
		}
		if m, e := z.ratio(p); best == nil || e < err {
			best, mean, err = append(best[:0], p...), m, e
		}
	})
	if best == nil {
		return z, z, err
	}
	first = Element{A: []complex128{1, mean[0]}, B: []complex128{1, mean[1]}, C: []complex128{1, mean[2]}}
	for i := range half {
		second.A = append(second.A, z.A[best[i]]/z.A[best[0]])
		second.B = append(second.B, z.B[best[i]]/z.B[best[0]])
		second.C = append(second.C, z.C[best[i]]/z.C[best[0]])
	}
	return first.normalised(), second.normalised(), err
}

// spreadOfC is ‖ratio of the halves of C − its mean‖ in an order of nodes.
func (z Element) spreadOfC(p []int) float64 {
	half := len(p) / 2
	var ratio [3]complex128 // there are at most six nodes
	var mean complex128
	for i := range half {
		ratio[i] = z.C[p[i]] / z.C[p[half+i]]
		mean += ratio[i] / complex(float64(half), 0)
	}
	spread := 0.0
	for _, v := range ratio[:half] {
		spread += square(v - mean)
	}
	return math.Sqrt(spread)
}

// ratio is the mean ratio of the halves by row, and the norm of what it leaves.
// Where a node's sign is another than the first one's, it is turned.
func (z Element) ratio(p []int) (mean [3]complex128, err float64) {
	half := len(p) / 2
	var all [3][3]complex128 // row, column
	for i := range half {
		for r, row := range [3][]complex128{z.A, z.B, z.C} {
			all[r][i] = row[p[i]] / row[p[half+i]]
		}
		if cmplx.Abs(all[0][i]-all[0][0]) > 0.2 {
			all[0][i], all[1][i] = -all[0][i], -all[1][i]
		}
	}
	for r := range all {
		for _, v := range all[r][:half] {
			mean[r] += v / complex(float64(half), 0)
		}
		for _, v := range all[r][:half] {
			err += square(v - mean[r])
		}
	}
	return mean, math.Sqrt(err)
}

// permutations calls f with each order of n things; f may not keep it.
func permutations(n int, f func([]int)) {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	var rec func(k int)
	rec = func(k int) {
		if k == n {
			f(p)
			return
		}
		for i := k; i < n; i++ {
			p[k], p[i] = p[i], p[k]
			rec(k + 1)
			p[k], p[i] = p[i], p[k]
		}
	}
	rec(0)
}

// normalised divides each column by the cube root of its product.
func (z Element) normalised() Element {
	out := Element{}
	for j := range z.A {
		root := cmplx.Pow(z.A[j]*z.B[j]*z.C[j], 1.0/3)
		out.A = append(out.A, z.A[j]/root)
		out.B = append(out.B, z.B[j]/root)
		out.C = append(out.C, z.C[j]/root)
	}
	return out
}

func is(v, want complex128) bool { return cmplx.Abs(v-want) < closeTo }

// order2 names (1, z).
func (z Element) order2() string {
	a, b, c := z.A[1], z.B[1], z.C[1]
	switch {
	case is(c, 1i), is(c, -1i):
		return "z_ξ"
	case is(c, 1) && (is(a, 1i) || is(a, -1i)):
		return "z_ν=i"
	case is(a, -b):
		return "z_ν"
	}
	return "unknown"
}

// order3 names (1, z, z').
func (z Element) order3() string {
	column := func(j int) (a, b, c complex128) {
		a, b, c = z.A[j], z.B[j], z.C[j]
		if real(a) > 0 {
			a, b = -a, -b
		}
		return a, b, c
	}
	conjugate := imag(z.C[1]) < 0
	all, onlyC := true, true
	for j, want := range []complex128{omega3, cmplx.Conj(omega3)} {
		a, b, c := column(j + 1)
		if conjugate {
			a, b, c = cmplx.Conj(a), cmplx.Conj(b), cmplx.Conj(c)
		}
		onlyC = onlyC && is(c, want)
		all = all && is(a, want) && is(b, want) && is(c, want)
	}
	switch {
	case all:
		return "z_syn"
	case onlyC:
		return "z_syn,αβ"
	}
	return "unknown"
}
