package spectrum

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestOrthonormal: q·r is x and q's columns are orthonormal to rounding, from
// independent columns to dependent ones, which Cholesky cannot take.
func TestOrthonormal(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for name, spoil := range map[string]func(i, j int, v float64) float64{
		"independent":       func(i, j int, v float64) float64 { return v },
		"graded to 1e-12":   func(i, j int, v float64) float64 { return v * math.Pow(10, -float64(j)) },
		"a zero column":     func(i, j int, v float64) float64 { return map[bool]float64{true: 0, false: v}[j == 3] },
		"all zero":          func(i, j int, v float64) float64 { return 0 },
		"nearly one column": func(i, j int, v float64) float64 { return float64(i+1) + 1e-9*v },
		"one column":        func(i, j int, v float64) float64 { return float64(i + 1) },
		"tiny":              func(i, j int, v float64) float64 { return v * 1e-170 }, // its squares underflow
	} {
		for _, m := range []int{13, 40, 2100} {
			const l = 13
			x := newDense(m, l)
			largest := 0.0
			for i := range m {
				for j := range l {
					x.row(i)[j] = spoil(i, j, r.NormFloat64())
					largest = max(largest, math.Abs(x.at(i, j)))
				}
			}
			q, rr := orthonormal(x.clone())
			g := q.transposeTimes(q)
			for i := range l {
				for j := range l {
					want := 0.0
					if i == j {
						want = 1
					}
					if math.Abs(g.at(i, j)-want) > 1e-13 {
						t.Fatalf("%s, m = %d: qᵀq is %v at (%d,%d)", name, m, g.at(i, j), i, j)
					}
					if i > j && rr.at(i, j) != 0 {
						t.Fatalf("%s: r is not upper triangular", name)
					}
				}
			}
			back := q.times(rr)
			for i, v := range x.data {
				if math.Abs(back.data[i]-v) > 1e-12*largest {
					t.Fatalf("%s, m = %d: element %d is %v, was %v", name, m, i, back.data[i], v)
				}
			}
		}
	}
}

// TestSum: compensation keeps what plain addition loses.
func TestSum(t *testing.T) {
	var s sum
	s.add(1)
	for range 1000 {
		s.add(1e-17)
	}
	s.add(1e100)
	s.add(-1e100)
	if got := s.value(); math.Abs(got-1.00000000000001) > 1e-16 {
		t.Errorf("the sum is %.17g", got)
	}
}
