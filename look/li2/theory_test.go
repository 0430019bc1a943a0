package li2

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTheory(t *testing.T) {
	near(t, "T₀ of 4", Coupons(4), 4*(1+1.0/2+1.0/3+1.0/4), 1e-12)
	near(t, "T_0", MuonNodes(9, 0), Coupons(9), 1e-12)
	near(t, "T_∞", MuonNodes(9, 60), 9, 1e-12)
	near(t, "T_1", MuonNodes(9, 1), (Coupons(9)+9)/2, 1e-12)
	near(t, "x at the published boundary", Scaled(PublishedShare(71, 1, 0), 71), PublishedC, 1e-12)
	near(t, "and for d = 2", Scaled(PublishedShare(71, 2, 0), 71), PublishedC, 1e-12)
	near(t, "samples", SamplesNeeded(10, 2, 0.1), 40*math.Log(100), 1e-12)

	// Coupons by drawing them: 2,000 times, standard deviation of one draw about
	// 1.3·L, so 0.03·L of the mean; four of them.
	rng := rand.New(rand.NewPCG(1, 6))
	const l, times = 8, 2000
	total := 0
	for range times {
		seen, left := [l]bool{}, l
		for left > 0 {
			total++
			if i := rng.IntN(l); !seen[i] {
				seen[i] = true
				left--
			}
		}
	}
	near(t, "coupons drawn", float64(total)/times, Coupons(l), 0.12*l/Coupons(l))
}
